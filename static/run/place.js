/** The address names the run that is shown: it can be kept, sent, opened again, and left by going back. */

import * as api from "../base/api.js";
import { lookAt, refreshRuns, titleOfRun } from "./past.js";
import { closePastRun, latestRun, onWhich, pastRun, pastRuns, shownRun, titles } from "./state.js";
import { showProblem } from "./status.js";

const RUN = /^\/run\/([\w-]+)$/;
/** Return the run that an address' path names, null where it names none. Pure. */
export const runIn = (path) => RUN.exec(path)?.[1] ?? null;

let isOwed = true; // the address that the page was opened with is yet to be followed
let isFollowing = true;

/** Put the run that is shown into the address, `change` is pushState or replaceState. */
function writeAddress(change) {
  const { run } = shownRun();
  const path = run ? `/run/${run}` : "/";
  if (path !== window.location.pathname) window.history[change](null, "", path + window.location.hash);
}

/** Show the run that the address names: the latest where it names none, or one that is not there. */
async function show(run) {
  showProblem("place", "");
  if (run === pastRun()?.id) return undefined;
  if (run === null || run === latestRun().run) return pastRun() ? closePastRun() : undefined;
  await refreshRuns();
  const listed = pastRuns().runs.find(({ id }) => id === run);
  if (listed) return lookAt({ id: run, title: titleOfRun(listed, titles()) });
  showProblem("place", `The history has no run ${run}, which this address names.`);
}

/** Show the run that the address names, as the page was opened with it or has gone back to it. */
export async function followAddress() {
  isFollowing = true;
  try {
    await show(runIn(window.location.pathname));
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    showProblem("place", `The run of this address cannot be opened: ${error.message}.`);
  }
  isFollowing = false;
  writeAddress("replaceState");
}

/** Show the run that the page was opened with, once the server has told of the latest. */
export async function followFirstAddress() {
  if (!isOwed) return;
  isOwed = false;
  await followAddress();
}

export function connectPlace() {
  onWhich(() => {
    const isPlace = runIn(window.location.pathname) !== null || pastRun() !== null;
    if (!isFollowing) writeAddress(isPlace ? "pushState" : "replaceState"); // the run before is found by going back
  });
  window.addEventListener("popstate", followAddress);
}
