/** What comes beside the latest run: past ones behind the curves, and all that are open smoothed as the slider says. */

import * as api from "../base/api.js";
import { askNow } from "../base/poller.js";
import { onLatest, pastRun, runsBehind, takeCurves } from "./state.js";
import { showProblem } from "./status.js";
import { onView, view } from "./view.js";

let isSmoothing = false; // past runs are being asked for, smoothed anew
let wantedBehind = []; // the runs that were last to be laid behind the curves

/** Return a past run as it lies behind the curves, with those of its models that are wanted. */
async function fetchOne({ id, title, models }, smoothing) {
  const answer = await api.fetchRun(id, smoothing);
  const wanted = Object.fromEntries(models.map((model) => [model, answer.models[model]]));
  return { ...answer, models: wanted, title, smoothing };
}

/** Return past runs to lay behind the curves; `wanted` are their {id, title, models}. */
function fetchBehind(wanted, smoothing) {
  const isKnown = ({ id, models }) => (one) => one.smoothing === smoothing && one.run === id && String(Object.keys(one.models)) === String(models);
  return Promise.all(wanted.map((each) => runsBehind().find(isKnown(each)) ?? fetchOne(each, smoothing)));
}

/** Lay past runs, {id, title, models}, behind the curves. */
export async function overlay(wanted) {
  const { smoothing } = view();
  wantedBehind = wanted;
  try {
    const runs = await fetchBehind(wanted, smoothing);
    if (wantedBehind !== wanted) return; // others are asked for by now
    if (view().smoothing !== smoothing) return overlay(wanted); // the slider has been moved in the meantime
    await takeCurves(runs, smoothing);
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    showProblem("chart", `The runs cannot be laid behind the curves: ${error.message}.`);
  }
}

/** Whether a past run that is shown is smoothed otherwise than the slider says. */
const isStale = () => [pastRun()?.history, ...runsBehind()].some((run) => run && run.smoothing !== view().smoothing);

const fetchOpen = ({ id, of }, smoothing) => (of.a ? api.fetchMetrics({ boot: null }, smoothing, of) : api.fetchRun(id, smoothing));

/** Ask for the past runs that are shown, smoothed as the slider says now. */
async function smoothOnce() {
  const [opened, behind] = [pastRun(), runsBehind()];
  const { smoothing } = view();
  const wanted = behind.map(({ run, title, models }) => ({ id: run, title, models: Object.keys(models) }));
  const [runs, answer] = await Promise.all([fetchBehind(wanted, smoothing), opened && fetchOpen(opened, smoothing)]);
  if (pastRun() === opened && runsBehind() === behind) await takeCurves(runs, smoothing, answer);
}

/** Have the past runs that are shown smoothed as the slider says; what the server does not answer now is asked again at the next poll. */
async function smoothAnew() {
  if (isSmoothing || !isStale()) return;
  isSmoothing = true;
  try {
    while (isStale()) await smoothOnce(); // in the meantime the slider may be moved, or others be shown
    showProblem("smoothing", "");
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    showProblem("smoothing", `The curves cannot be smoothed anew: ${error.message}.`);
  } finally {
    isSmoothing = false;
  }
}

export function connectBehind() {
  onLatest(() => void smoothAnew());
  onView((choice) => {
    if (choice !== "smoothing") return;
    askNow();
    smoothAnew();
  });
}
