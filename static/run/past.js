/** Past runs: which there are, and the one that is shown in the place of the latest. */

import * as api from "../base/api.js";
import * as format from "../base/format.js";
import { titleOf } from "../base/models.js";
import { askNow } from "../base/poller.js";
import { changes } from "../settings/difference.js";
import * as draft from "../settings/draft.js";
import { fold } from "../settings/fold.js";
import { anyActive, isInterrupted, isUnfinished } from "./answers.js";
import {
  closePastRun,
  isPair,
  isTraining,
  latestRun,
  onRuns,
  onServer,
  onWhich,
  openPastRun,
  pastRun,
  pastRuns,
  serverNow,
  shownRun,
  takePair,
  takeRuns,
  titles,
} from "./state.js";
import { showProblem } from "./status.js";
import { view } from "./view.js";

const pastLine = document.getElementById("past");
let areOwed = false; // the list, which the server did not answer
let wanted = []; // the runs that the list was last asked for beside the latest
let leftBehind = null; // {runBefore}: the run that a server which was started again has not

/** Return what a run's models differ in, with the values. Pure. */
export function changesOf({ differing, models }, settingTitles) {
  const [model1, model2 = model1] = Object.values(models);
  return changes(model1.config, model2.config, differing, settingTitles);
}

/** Return what a run is called, as it stands within a sentence: its name, or what its models differ in. Pure. */
export const titleOfRun = (run, settingTitles) => (run.name ? format.isolated(run.name) : changesOf(run, settingTitles));

/** Return from where a model goes on; of a checkpoint of an earlier version nobody knows the epoch yet. Pure. */
function startOf(checkpoint) {
  if (!checkpoint) return "from the start";
  return checkpoint.epoch === null ? "from its last checkpoint" : `from its last checkpoint, epoch ${format.epoch(checkpoint.epoch)}`;
}

/** Return from where a run's models go on, as it stands behind where they were; "" where they go on from there. Pure. */
function startsOf(models, checkpoints) {
  const left = Object.keys(models).filter((name) => models[name].state !== "finished");
  if (left.every((name) => models[name].step === (checkpoints[name]?.step ?? 0))) return "";
  const starts = left.map((name) => [titleOf(name), startOf(checkpoints[name])]);
  if (new Set(starts.map(([, start]) => start)).size === 1) return `; goes on ${starts[0][1]}`;
  return `; ${starts.map(([name, start]) => `${name} goes on ${start}`).join("; ")}`;
}

/** Return the models of a run that cannot go on: their checkpoint was given up, or trained anew they would not be what they were. Pure. */
export const lostModels = ({ history, checkpoints, parent }) => Object.entries(history.models)
  .filter(([name, { state, held_rate: held }]) => {
    const isNeeded = parent !== null || (held ?? null) !== null;
    return state !== "finished" && (checkpoints[name] ? checkpoints[name].whole === false : isNeeded);
  })
  .map(([name]) => titleOf(name));

/** Return what a past run is, in a line; `open` is {title, history, started, checkpoints, parent}. Pure. */
export function describePast(open) {
  const { title, history, started, checkpoints } = open;
  const which = `A past run: ${title} · ${format.moment(started)}`;
  if (!isUnfinished(history)) return which;
  const [word, question] = isInterrupted(history) ? ["interrupted", ". Go on?"] : ["stopped", ""];
  const places = Object.values(history.models).map((model) => `${format.epoch(model.epoch ?? 0)} of ${model.config.epochs}`);
  const was = `${which} · ${word} at epoch ${[...new Set(places)].join(" and ")}`;
  const lost = lostModels(open);
  const isGivenUp = Object.values(checkpoints).some((checkpoint) => checkpoint?.whole === false);
  if (lost.length) return `${was}; the checkpoint of ${lost.join(" and of ")} ${isGivenUp ? "was given up to make room" : "is lost"}, so it cannot go on`;
  return `${was}${startsOf(history.models, checkpoints)}${question}`;
}

/** Return what the files of a run are called, without their ending. */
export function fileOf(id) {
  const { runs, deleted } = pastRuns();
  return [...runs, ...deleted].find((run) => run.id === id)?.file ?? id;
}

/** Say which run is shown: the latest, a past one, or none yet. */
function showWhich() {
  const [open, run] = [pastRun(), shownRun()];
  document.body.classList.toggle("has-run", run.run !== null);
  pastLine.hidden = open === null;
  if (!open) return;
  if (!isPair()) pastLine.querySelector("span").textContent = describePast(open); // pair.js says which two
  pastLine.querySelector("#go-on").hidden = isPair() || isTraining() || !isUnfinished(run) || lostModels(open).length > 0;
  pastLine.querySelector("#back").textContent = isTraining() ? "Back to the run that trains" : latestRun().run ? "Back to the latest run" : "Close";
}

const isListed = (id) => pastRuns().runs.some((run) => run.id === id);

/** Whether the list of past runs is yet to be answered. */
export const areRunsOwed = () => areOwed;

/** Ask for the latest past runs, with what is open and those named; what the server does not answer now is asked again at the next poll. */
export async function refreshRuns(...named) {
  areOwed = true;
  const open = [latestRun().run, leftBehind?.runBefore, ...(pastRun()?.runs ?? [])];
  const asked = [...new Set([...open, ...named])].filter(Boolean);
  const answer = await api.fetchRuns(asked);
  wanted = asked;
  areOwed = false;
  takeRuns(answer);
}

/** Close what is in the history no longer; the server tells of the latest. */
function closeUnlisted() {
  const isGone = (id) => wanted.includes(id) && !isListed(id);
  if (pastRun()?.runs.some(isGone)) closePastRun();
  if (isGone(latestRun().run)) askNow();
}

/**
 * Put a past run in the place of the latest, smoothed as the slider says, until the user goes back or another starts; `folds`
 * the forms first: what is unfolded while it is drawn stays so.
 */
async function open({ id, title }, folds) {
  const isLatest = id === latestRun().run && isTraining();
  const { smoothing } = view();
  const answer = isLatest ? null : await api.fetchRun(id, smoothing);
  if (!isLatest && !isListed(id)) await refreshRuns(id);
  if (folds) fold(true);
  await (isLatest ? closePastRun() : openPastRun(id, title, answer, smoothing));
}

/** Show a run: {id, title}. Throws ApiError. */
export async function openRun(run) {
  await open(run, true);
  showProblem("history", "");
  window.scrollTo({ top: 0 });
}

/** Show a run as the user asks for it: {id, title}. */
export async function lookAt(run) {
  try {
    await openRun(run);
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    showProblem("history", `The run cannot be opened: ${error.message}.`);
  }
}

/** A server that was started again has no run of its own: show the one that stood here, or one that was cut off. */
export async function showLeftBehind({ isOtherServer, runBefore }) {
  const { run: now } = latestRun();
  if (isOtherServer || now) leftBehind = now ? null : { runBefore };
  if (!leftBehind) return;
  const isFree = pastRun() === null;
  if (isFree) await refreshRuns();
  const { runs } = pastRuns();
  const run = isFree ? (runs.find(({ id }) => id === leftBehind.runBefore) ?? runs.slice(0, 1).find(isInterrupted)) : undefined;
  if (run) await open({ id: run.id, title: titleOfRun(run, titles()) }, !draft.isTyped());
  leftBehind = null;
}

/** Train the past run that is open further from its last checkpoint. */
async function goOn() {
  try {
    await api.changeRun(pastRun().id, "resume", { more_epochs: 0 });
    showProblem("action", "");
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    showProblem("action", `Could not go on: ${error.message}.`);
  }
  askNow();
}

/** Whether the server knows more of the two trainings that are open; a cursor of theirs is one of the latest run's. */
function isPairBehind({ history, runs }) {
  const { boot, next } = latestRun();
  if (history.boot !== boot || (history.paired.initial_weights === null && serverNow().status === "ready")) return true;
  return history.next !== next && (runs.includes(latestRun().run) || anyActive(history));
}

/** Ask what is new of two trainings that are open, where there may be anything; return whether there was. */
export async function refreshPair() {
  const open = pastRun();
  if (!isPair() || !isPairBehind(open)) return false;
  const { smoothing } = view();
  const known = open.history.paired.initial_weights === null ? { boot: null } : open.history;
  try {
    const answer = await api.fetchMetrics(known, smoothing, open.of);
    if (pastRun() !== open) return false;
    await takePair(answer, smoothing);
    return answer.reset || Object.keys(answer.models).length > 0;
  } catch (error) {
    if (!(error instanceof api.ApiError && error.status)) throw error;
    if (error.status === 404) await refreshRuns(); // one has been deleted elsewhere: what is listed no longer is closed
    return false;
  }
}

export function connectPast() {
  onWhich(showWhich);
  onServer(() => (document.getElementById("go-on").disabled = serverNow().status !== "ready"));
  onRuns(closeUnlisted);
  document.getElementById("back").addEventListener("click", closePastRun);
  document.getElementById("go-on").addEventListener("click", goOn);
}
