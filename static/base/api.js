/** Calls to the server: JSON in, JSON out, an ApiError for every refusal. */

const PATIENCE_MS = 5000;
const LISTED = 20; // runs that the page knows; the history's table asks for its own

/** A call that was answered with an error, or (status 0) not answered at all. */
export class ApiError extends Error {
  constructor(status, message, fields = {}) {
    super(message);
    this.status = status;
    this.fields = fields; // "model1.learning_rate" → what was expected and given
  }
}

/** Ask the server; with a body as POST. */
export async function call(path, body) {
  const options = { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  let response, answer;
  try {
    response = await fetch(path, options);
    answer = response.status === 204 ? {} : await response.json();
  } catch (cause) {
    throw new ApiError(response?.status ?? 0, response ? "the server's answer was not JSON" : "the server does not answer");
  }
  if (response.ok) return answer;
  throw new ApiError(response.status, answer.error?.message ?? response.statusText, answer.error?.fields);
}

export const fetchConfig = () => call("/api/config");
/** Return {lessons, given}: what the page would offer with these lessons, of which so many are new. */
export const checkLessons = (file) => call("/api/lessons", file);
export const describe = (settings) => call("/api/describe", settings);
export const start = (settings) => call("/api/start", settings);
/** `action` is pause, resume or stop; without a model it is meant for both. */
export const act = (action, model) => call(`/api/${action}`, model ? { model } : {});

/**
 * Return what is new since the history's cursor, or all of it; also where its curves are to be smoothed over another number
 * of images. `pair` is {a, b} of any two trainings in place of the latest run.
 */
export function fetchMetrics({ boot, run, next, smoothing: known }, smoothing, pair = null) {
  const cursor = boot === null || known !== smoothing ? {} : { boot, since: next, ...(pair ? {} : { run: run ?? "" }) };
  return call(`/api/metrics?${new URLSearchParams({ ...pair, ...cursor, smoothing })}`);
}

// Below, `of` is {run}, or {a, b} of any two trainings, or {} for the latest run.

/** Return who leads at equal `axis`, and every figure of both models; `of` may have `among`, of how many two were chosen. */
export const fetchComparison = (axis, of) => call(`/api/comparison?${query({ axis, ...of })}`);

/** Return {runs, deleted}: the latest runs with those named, and those that can still be restored, newest first. */
export const fetchRuns = (named) => call(`/api/runs?${new URLSearchParams([["limit", LISTED], ...named.map((run) => ["also", run])])}`);
/** Return one past run in the form of fetchMetrics. */
export const fetchRun = (run, smoothing) => call(`/api/runs/${encodeURIComponent(run)}?${new URLSearchParams({ smoothing })}`);
/** `action` is rename, resume, delete or restore. */
export const changeRun = (run, action, body = {}) => call(`/api/runs/${encodeURIComponent(run)}/${action}`, body);

/** Return the address of a file with every step, as csv or json. */
export const exportAddress = (of, ending) => (of.run ? `/api/runs/${encodeURIComponent(of.run)}/export.${ending}` : `/api/export.${ending}?${query(of)}`);

const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined && value !== null));

/** Return each layer's gradient norm, weight norm and dead share of both models over the evaluations of a run. */
export const fetchInside = (of) => call(`/api/inside?${query(of)}`);
/** Return the weights of a model's first layer at one evaluation. */
export const fetchFilters = (model, step, of) => call(`/api/filters?${query({ model, step, ...of })}`);
/** Return what both models take an image for; `question` is as the server has it: {split, image} or {pixels}, layers. */
export const predict = (question, of) => call(`/api/predict?${query(of)}`.replace(/\?$/, ""), question);
/** Return a page of images by which of the models are right; `choice` is as the server has it, with what it is of. */
export const fetchMistakes = (choice) => call(`/api/mistakes?${query(choice)}`);
/** Return both models' confusion matrices and their accuracy on each class. */
export const fetchClasses = (of) => call(`/api/classes?${query(of)}`);
/** Return the address of a PNG of these images of a split, 8 a row. */
export const imagesAddress = (split, images) => `/api/images.png?split=${split}&images=${images.join(",")}`;
/** Give a model in training another learning rate. */
export const steer = (model, rate) => call("/api/steer", { model, learning_rate: rate });
/** Go on with model 1 as it is and with a copy of it that has one setting changed. */
export const fork = (settings) => call("/api/fork", { settings });

/** Return the comparisons in line: {state, problem, revision, items}; so do all calls that change the line but for `enqueue`. */
export const fetchQueue = () => call("/api/queue");
export const enqueue = (settings) => call("/api/queue", settings);
/** `action` is move, to the place {to}, or delete. */
export const changeQueue = (item, action, body) => call(`/api/queue/${encodeURIComponent(item)}/${action}`, body);
export const goOnQueue = () => call("/api/queue/go", {});

/** Return a series of repeats, the latest without an id. */
export const fetchRepeats = (series) => call(`/api/repeats?${query({ series })}`);
export const startRepeats = (runs, settings) => call("/api/repeats", { runs, ...settings });
export const stopRepeats = () => call("/api/repeats/stop", {});
export const continueRepeats = (series) => call("/api/repeats/continue", { series });
