/** The address names what is shown, a run or any two trainings: it can be kept, sent, opened again, and left by going back. */

import * as api from "../base/api.js";
import { openRun, refreshRuns, titleOfRun } from "./past.js";
import { closePastRun, latestRun, onWhich, pastRun, pastRuns, titles } from "./state.js";
import { showProblem } from "./status.js";

const RUN = /^\/run\/([\w-]+)$/;
const PAIR = "/compare"; // with two trainings in its query
/** Return the run that an address' path names, null where it names none. Pure. */
export const runIn = (path) => RUN.exec(path)?.[1] ?? null;

let isOwed = true; // the address that the page was opened with is yet to be followed

const addressOfLatest = () => (latestRun().run ? `/run/${latestRun().run}` : "/");

/** Put what is shown into the address, `change` is pushState or replaceState. */
function write(change, path = pastRun()?.address ?? addressOfLatest()) {
  const { pathname, search, hash } = window.location;
  if (path !== pathname + search) window.history[change](null, "", path + hash);
}

/** Return a run of the history, undefined where it has none of that id. */
async function find(id) {
  await refreshRuns(id);
  return pastRuns().runs.find((run) => run.id === id);
}

/** Show what the address names, the latest run where it names none that there is. */
async function follow({ pathname, search }) {
  showProblem("place", "");
  if (pathname === PAIR) return (await import("./pair.js")).openAddress(search);
  const id = runIn(pathname);
  if (id !== null && id === pastRun()?.id) return;
  const isLatest = id === null || id === latestRun().run;
  const listed = isLatest ? undefined : await find(id);
  if (listed) return openRun({ id, title: titleOfRun(listed, titles()) });
  if (!isLatest) showProblem("place", `The history has no run ${id}, which this address names.`);
  write("replaceState", addressOfLatest());
  if (pastRun()) await closePastRun();
}

/** Show the run that the address names; return whether the server has answered. */
async function followAddress() {
  try {
    await follow(window.location);
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    showProblem("place", `What this address names cannot be opened: ${Object.values(error.fields).join("; ") || error.message}.`);
    if (error.status) write("replaceState");
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
    const { pathname } = window.location;
    const isPlace = runIn(pathname) !== null || pathname === PAIR || pastRun() !== null;
    write(isPlace ? "pushState" : "replaceState");
  });
  window.addEventListener("popstate", followAddress);
}
