/** Calls to the server: JSON in, JSON out, an ApiError for every refusal. */

const PATIENCE_MS = 5000;

/** A call that was answered with an error, or (status 0) not answered at all. */
export class ApiError extends Error {
  constructor(status, message, fields = {}) {
    super(message);
    this.status = status;
    this.fields = fields; // "model1.learning_rate" → what was expected and given
  }
}

async function call(path, body) {
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
export const describe = (settings) => call("/api/describe", settings);
export const start = (settings) => call("/api/start", settings);
/** `action` is pause, resume or stop; without a model it is meant for both. */
export const act = (action, model) => call(`/api/${action}`, model ? { model } : {});

/** Return what is new since the history's cursor, or all of it. */
export function fetchMetrics({ boot, run, next }) {
  const cursor = boot === null ? "" : `?${new URLSearchParams({ boot, run: run ?? "", since: next })}`;
  return call(`/api/metrics${cursor}`);
}

/** Return who leads at equal `axis`, and every figure of both models, of the latest run or of a past one. */
export const fetchComparison = (axis, run) => call(`/api/comparison?${new URLSearchParams(run ? { axis, run } : { axis })}`);

/** Return all past runs, newest first. */
export const fetchRuns = () => call("/api/runs");
/** Return one past run in the form of fetchMetrics. */
export const fetchRun = (run) => call(`/api/runs/${encodeURIComponent(run)}`);
/** `action` is rename, resume, delete or restore. */
export const changeRun = (run, action, body = {}) => call(`/api/runs/${encodeURIComponent(run)}/${action}`, body);
