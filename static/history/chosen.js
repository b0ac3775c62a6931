/** The trainings that are picked from the table, also over several pages and filters, and what can be done with them. */

import { ApiError, changeRun } from "../base/api.js";
import { confirm } from "../base/ask.js";
import { channel } from "../base/channel.js";
import { write } from "../base/dom.js";
import { nameOf } from "../base/models.js";
import { overlay } from "../run/behind.js";
import { isSecret } from "../run/guess.js";
import { compare } from "../run/pair.js";
import { refreshRuns } from "../run/past.js";
import { showProblem } from "../run/status.js";
import { namedPairs, reduceCheckpoints, tableAddress } from "./api.js";
import { titleOfTraining } from "./columns.js";
import { showDisk, size } from "./disk.js";
import { calledOf, trainingsOf } from "./row.js";

const MOST_BEHIND = 20; // runs
const MOST_NAMED = 2;
const bar = document.getElementById("chosen");
const part = (name) => bar.querySelector(`[data-do="${name}"]`);
const picked = new Map(); // training → {run, model, title, called, among}, in the order in which they were picked
let behind = []; // {id, title, models} of the runs behind the curves
const changed = channel();

/** Hears that other trainings are picked, or lie behind the curves. */
export const onPicked = changed.on;
export const isPicked = (training) => picked.has(training);

/** Return the number that a training's run has behind the curves, "" where it does not lie there. */
export function behindNumber(training) {
  const [run, model] = training.split("/");
  const index = behind.findIndex(({ id, models }) => id === run && models.includes(model));
  return index < 0 ? "" : String(index + 1);
}

function entry(training, row, { titles, among }) {
  const [run, model] = training.split("/");
  if (row.training) return { run, model, title: titleOfTraining(row, titles), called: calledOf(row, titles), among };
  return { run, model, title: run, called: `${nameOf(model)} of ${run}`, among: null };
}

/** Pick the training of a row, or all of a group, or put it back; `among` is of how many it is picked by what they came to. */
export function pick(row, isOn, about) {
  for (const training of trainingsOf(row)) {
    if (isOn) picked.set(training, entry(training, row, about));
    else picked.delete(training);
  }
  tell();
}

/** Forget trainings that are no longer there. */
export function drop(isGone) {
  for (const [training, each] of picked) if (isGone(each)) picked.delete(training);
  tell();
}

function tell() {
  showBar();
  return changed.tell();
}

const isBehind = () => picked.size > 0 && [...picked.keys()].every(behindNumber);

function showBar() {
  const entries = [...picked.values()];
  bar.hidden = entries.length === 0 && behind.length === 0;
  const [a, b] = entries.map(({ called }) => called);
  const said = entries.length > MOST_NAMED ? `${entries.length} chosen` : b ? `A: ${a} · B: ${b}` : a ? `A: ${a} · choose another to compare it with` : "";
  write(bar.querySelector("span"), said);
  for (const element of bar.querySelectorAll("[data-do]")) element.hidden = entries.length === 0;
  part("compare").disabled = entries.length !== 2;
  part("behind").ariaPressed = String(isBehind());
  part("clear").hidden = behind.length === 0;
  write(part("clear"), `Take ${behind.length} away from behind the curves`);
  if (entries.length) part("export").href = tableAddress(namedPairs([...picked.keys()]));
}

/** Say that a run waits for a guess, if a picked one does, and return whether. */
function isAskedFirst() {
  const secret = [...picked.values()].find(({ run }) => isSecret(run));
  if (secret) showProblem("history", `Guess first: ${secret.called} waits for that. Open its run.`);
  return Boolean(secret);
}

function compareBoth() {
  if (isAskedFirst()) return undefined;
  const [[a, one], [b, other]] = [...picked];
  const among = Math.max(one.among ?? 0, other.among ?? 0);
  return compare({ a, b }, among > 2 ? among : null);
}

/** Lay the picked trainings behind the curves beside those that lie there, or take them away. */
function layBehind() {
  const isOn = !isBehind();
  if (isOn && isAskedFirst()) return undefined;
  const laid = new Map(behind.map((each) => [each.id, each]));
  for (const { run, model, title } of picked.values()) {
    const others = (laid.get(run)?.models ?? []).filter((each) => each !== model);
    const models = isOn ? [...others, model].sort() : others;
    if (models.length) laid.set(run, { id: run, title, models });
    else laid.delete(run);
  }
  if (laid.size > MOST_BEHIND) return showProblem("history", `At most ${MOST_BEHIND} runs lie behind the curves; these would be ${laid.size}.`);
  return lay([...laid.values()]);
}

function lay(wanted) {
  behind = wanted;
  overlay(behind);
  return tell();
}

/** Delete each picked run, and say what was refused. */
async function deleteRuns() {
  const refused = [];
  for (const run of new Set([...picked.values()].map((each) => each.run))) {
    try {
      await changeRun(run, "delete");
      behind = behind.filter(({ id }) => id !== run);
      drop((each) => each.run === run);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      refused.push(error.message);
    }
  }
  showProblem("history", refused.length ? `${[...new Set(refused)].join("; ")}.` : "");
  await refreshRuns();
  if (bar.hidden) document.querySelector("#deleted button")?.focus({ preventScroll: true });
}

const LOSSES = {
  weights: "Keep only the weights of what was chosen? Try it and Inside go on working; these trainings cannot be trained further. This cannot be undone.",
  nothing: "Drop the checkpoints of what was chosen? Curves, figures and answers stay; Try it and training further do not. This cannot be undone.",
};

async function reduce(keep) {
  if (!(await confirm(LOSSES[keep], keep === "weights" ? "Keep only the weights" : "Drop the checkpoints", "Leave them"))) return;
  try {
    const { freed, refused } = await reduceCheckpoints([...picked.keys()], keep);
    const why = [...new Set(Object.values(refused))].join("; ");
    showProblem("history", why ? `Not all was given up: ${why}.` : "");
    if (freed > 0 || !why) write(bar.querySelector("span"), freed > 0 ? `${size(freed)} are free again.` : "There was nothing to give up.");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    showProblem("history", `${Object.values(error.fields).join("; ") || error.message}.`);
  }
  await Promise.all([refreshRuns(), showDisk()]);
}

const ACTS = {
  compare: compareBoth,
  behind: layBehind,
  clear: () => lay([]),
  weights: () => reduce("weights"),
  nothing: () => reduce("nothing"),
  delete: deleteRuns,
  none: () => drop(() => true),
};

export function connectChosen() {
  for (const [name, act] of Object.entries(ACTS)) part(name).addEventListener("click", act);
}

/** Lay a run that is deleted or closed no longer behind the curves. */
export function takeAway(run) {
  if (behind.some(({ id }) => id === run)) lay(behind.filter(({ id }) => id !== run));
}
