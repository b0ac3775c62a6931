/** What the page knows: the server's latest run, and the past run that is shown in its place where one is open. */

import { anyActive, merge, NO_HISTORY } from "./answers.js";

let latest = NO_HISTORY;
let past = null;

export const latestRun = () => latest;
/** {id, title, history} of the past run that is open, else null. */
export const pastRun = () => past;
/** The run that cards, figure, verdict and tabs show. */
export const shownRun = () => past?.history ?? latest;

/** Work an answer of /api/metrics in, smoothed over `smoothing` images, and return what is new about it. */
export function take(answer, smoothing) {
  const before = latest;
  latest = { ...merge(before, answer), smoothing };
  const isNewRun = answer.run !== before.run;
  return {
    isNews: answer.reset || Object.keys(answer.models).length > 0,
    isNewRun,
    isOtherServer: answer.boot !== before.boot, // the first one, or one that was started again
    hasEnded: !isNewRun && anyActive(before) && !anyActive(latest),
    runBefore: before.run,
  };
}

/** Put a past run in the place of the latest; `answer` is that of /api/runs/<id>, smoothed over `smoothing` images. */
export function openPastRun(id, title, answer, smoothing) {
  past = { id, title, history: { ...merge(NO_HISTORY, answer), smoothing } };
}

export function closePastRun() {
  past = null;
}
