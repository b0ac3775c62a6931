/** What the page knows of the run: the server's answers to /api/metrics, joined. Pure. */

import { append, bound } from "../base/series.js";

const MOST_POINTS = 20000; // a trace shows 1,000; more only costs memory

export const NO_HISTORY = Object.freeze({ boot: null, run: null, next: 0, paired: null, models: {} });

function join(known, news) {
  const points = append(known?.points ?? {}, news.points);
  const evaluations = append(known?.evaluations ?? {}, news.evaluations);
  const events = append(known?.events ?? {}, news.events ?? {});
  return { ...news, points: bound(points, "loss", MOST_POINTS), evaluations, events };
}

/** Return the history with one answer worked in: instead of it where the answer says reset, else behind it. */
export function merge(history, { boot, run, next, reset, paired, models }) {
  const known = reset ? {} : history.models;
  const joined = { ...known };
  for (const [name, news] of Object.entries(models)) joined[name] = join(known[name], news);
  return { boot, run, next, paired: reset ? (paired ?? null) : history.paired, models: joined };
}

/** What a training can be in, in the order in which it counts, as history/states.py has it. */
export const SEVERITY = ["running", "paused", "failed", "interrupted", "stopped", "finished", "idle"];

/** Return the states of a run's models, or of one of them. */
export const states = (history, model) => (model ? [history.models[model]] : Object.values(history.models)).map(({ state }) => state);
export const isActive = (state) => state === "running" || state === "paused";
/** Return the state of several models as one word. */
export const overallState = (each) => SEVERITY.find((state) => each.includes(state)) ?? "idle";
export const anyActive = (history) => states(history).some(isActive);
/** Return what a model is doing in a word: its state, or that it has trained its last batch and looks at the test images. */
export const wordOf = ({ state, testing }) => (testing && isActive(state) ? "testing" : state);
/** Whether all that is still on has trained its last batch, and looks at the test images. */
export const isTesting = (history) => anyActive(history) && Object.values(history.models).every((model) => !isActive(wordOf(model)));
export const isInterrupted = (history) => states(history).includes("interrupted");
/** Whether a run was broken off, so that it can go on under its own settings. */
export const isUnfinished = (history) => isInterrupted(history) || states(history).includes("stopped");
export const hasPoints = (history) => Object.values(history.models).some((model) => model.points.step?.length > 0);
