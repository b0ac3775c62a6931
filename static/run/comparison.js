/** Asks who is ahead: what verdict, notes and the comparison tab show. */

import * as api from "../base/api.js";
import { comparisonOf, isPair, onServer, onShown, pastRun, shownOf, shownRun, takeComparison } from "./state.js";
import { showProblem } from "./status.js";
import { onView, view } from "./view.js";

let isOwed = false; // the server did not answer, or knows more by now

/** Ask who is ahead; what the server does not answer now is asked again at the next poll. */
async function refresh() {
  const [run, { axis }] = [shownRun().run, view()];
  const isStillAsked = () => run === shownRun().run && axis === view().axis; // and no other question in the meantime
  isOwed = false;
  let answer;
  try {
    answer = await api.fetchComparison(axis, { ...shownOf(), among: pastRun()?.among });
    if (isPair()) answer.run = run;
    if (isStillAsked()) showProblem("comparison", "");
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    isOwed ||= isStillAsked();
    if (error.status) showProblem("comparison", `The models cannot be compared: ${error.message}.`);
    return; // what stands there still holds; a server that is gone, polling tells
  }
  if (isStillAsked()) await takeComparison(answer);
}

/** Return what is said of a run, whichever is shown; "" where the server does not answer. */
export async function verdictOf(run) {
  const known = comparisonOf({ run });
  if (known && !isOwed) return known.verdict.text;
  try {
    return (await api.fetchComparison(view().axis, { run })).verdict.text;
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    return "";
  }
}

export function connectComparison() {
  onServer((isNowReady) => {
    if (isNowReady) isOwed = shownRun().run !== null; // some figures need PyTorch
  });
  onShown((isNews) => (isNews || isOwed ? refresh() : null));
  onView((choice) => (choice === "axis" ? refresh() : null));
}
