/** The address names the run that is shown: it can be kept, sent, opened again, and left by going back. */

import * as api from "../base/api.js";
import { openRun, refreshRuns, titleOfRun } from "./past.js";
import { closePastRun, latestRun, onWhich, pastRun, pastRuns, shownRun, titles } from "./state.js";
import { showProblem } from "./status.js";

const RUN = /^\/run\/([\w-]+)$/;
/** Return the run that an address' path names, null where it names none. Pure. */
export const runIn = (path) => RUN.exec(path)?.[1] ?? null;

let isOwed = true; // the address that the page was opened with is yet to be followed

/** Put a run into the address, `change` is pushState or replaceState. */
function write(run, change) {
  const path = run ? `/run/${run}` : "/";
  if (path !== window.location.pathname) window.history[change](null, "", path + window.location.hash);
}

/** Return a run of the history, undefined where it has none of that id. */
async function find(id) {
  await refreshRuns();
  return pastRuns().runs.find((run) => run.id === id);
}

/** Show the run that the address names, the latest where it names none that there is. */
async function follow(id) {
  showProblem("place", "");
  if (id !== null && id === pastRun()?.id) return;
  const isLatest = id === null || id === latestRun().run;
  const listed = isLatest ? undefined : await find(id);
  if (listed) return openRun({ id, title: titleOfRun(listed, titles()) });
  if (!isLatest) showProblem("place", `The history has no run ${id}, which this address names.`);
  write(latestRun().run, "replaceState");
  if (pastRun()) await closePastRun();
}

/** Show the run that the address names; return whether the server has answered. */
async function followAddress() {
  try {
    await follow(runIn(window.location.pathname));
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    showProblem("place", `The run of this address cannot be opened: ${error.message}.`);
    return error.status !== 0;
  }
  return true;
}

/** Show the run that the page was opened with, once the server has told of the latest, and until it has answered. */
export async function followFirstAddress() {
  if (isOwed) isOwed = !(await followAddress());
}

/** Let the address follow what is shown; the run before is found by going back. */
export function connectPlace() {
  onWhich(() => {
    const isPlace = runIn(window.location.pathname) !== null || pastRun() !== null;
    write(shownRun().run, isPlace ? "pushState" : "replaceState");
  });
  window.addEventListener("popstate", followAddress);
}
