/** What the history takes on the disk, and the rule by which old checkpoints are reduced. */

import { ApiError } from "../base/api.js";
import { confirm } from "../base/ask.js";
import { write } from "../base/dom.js";
import { refreshRuns } from "../run/past.js";
import { showProblem } from "../run/status.js";
import { fetchDisk, setRule } from "./api.js";

const line = document.getElementById("disk");
let kept = null; // of how many runs all is kept, as the rule is
const UNITS = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]];

/** Return bytes as a person reads them: 5123456 → "5.1 MB". Pure. */
export function size(bytes) {
  const [one, unit] = UNITS.find(([each]) => bytes >= each) ?? [1, "bytes"];
  const value = bytes / one;
  return `${one > 1 && value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** Return in a sentence what the history takes. Pure. */
export const takes = ({ bytes, checkpoints, free }) => `The history takes ${size(bytes)} on the disk, ${size(checkpoints)} of it checkpoints; ${size(free)} are free.`;

/** Ask what it takes, and show that. */
export async function showDisk() {
  try {
    const disk = await fetchDisk();
    write(line.querySelector("span"), takes(disk));
    const field = line.querySelector("input");
    kept = disk.keep_whole;
    if (document.activeElement !== field) field.value = kept ?? "";
    line.hidden = false;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error; // the line stays as it was; the list says what is wrong
  }
}

async function applyRule() {
  const wanted = line.querySelector("input").value.trim();
  const keepWhole = wanted === "" ? null : Number(wanted);
  const question = `Reduce the checkpoints of all but the latest ${wanted} runs to their weights, now and after each run? They can then be looked into, but not be trained further. This cannot be undone.`;
  if (keepWhole !== null && !(await confirm(question, "Reduce them", "Leave them"))) {
    line.querySelector("input").value = kept ?? "";
    return;
  }
  try {
    const { freed } = await setRule(keepWhole);
    showProblem("history", "");
    await showDisk();
    write(line.querySelector("output"), keepWhole === null ? "From now on all are kept." : `${size(freed)} are free again.`);
    await refreshRuns();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    showProblem("history", `${Object.values(error.fields).join("; ") || error.message}.`);
  }
}

export function connectDisk() {
  line.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    applyRule();
  });
}
