/** Both forms beside the run: what is typed starts one, and makes way for one that trains. */

import * as api from "../base/api.js";
import { confirm } from "../base/ask.js";
import { channel } from "../base/channel.js";
import { write } from "../base/dom.js";
import * as format from "../base/format.js";
import { MODELS, nameOf } from "../base/models.js";
import { askNow } from "../base/poller.js";
import { connectCopying } from "../settings/copying.js";
import { differing, showDifference, showSummaries } from "../settings/difference.js";
import * as draft from "../settings/draft.js";
import { connectFolds, fold } from "../settings/fold.js";
import { fillSettings, focusField, focusFirstFault, readSettings, showFaults, titleOf, typedSettings } from "../settings/form.js";
import { connectLayerButtons } from "../settings/layers.js";
import { connectPresets, forgetPreset, offerPresets } from "../settings/presets.js";
import { connectAddress, connectShareButton, showInAddress } from "../settings/share.js";
import { keepFaults, refreshSize } from "../settings/size.js";
import { showControls } from "./controls.js";
import { beginGuess } from "./guess.js";
import { isPair, isStarting, isTraining, latestRun, onLatest, onServer, onWhich, pastRun, serverNow, setStarting, shownRun } from "./state.js";
import { showProblem } from "./status.js";

let followed = null; // the two trainings whose settings the forms show
const form = document.getElementById("settings");
const settings = channel();
/** Hears that other settings stand in the forms. */
export const onSettings = settings.on;

const settingsOf = (run) => Object.fromEntries(MODELS.map((model) => [model, run.models[model].config]));
const isOther = (run) => MODELS.some((model) => differing(readSettings(model), run[model]).length > 0);

function showSettings() {
  const typed = typedSettings();
  showDifference(typed);
  settings.tell();
  showWhatTrains();
  if (!shownRun().run) showSummaries(typed);
}

/** Ask how large the models are, and what is wrong with their settings; before PyTorch has loaded nobody knows. */
function refreshSizes() {
  if (serverNow().status === "ready") for (const model of MODELS) refreshSize(model, 0);
}

function fill(wanted) {
  for (const model of MODELS) fillSettings(model, wanted[model]);
  showSettings();
  refreshSizes();
}

/** Put settings that the user has chosen into the forms; what was typed there can be put back. */
function choose(wanted) {
  if (draft.isByHand() && isOther(wanted) && !draft.isHeld()) draft.layAside(typedSettings());
  fill(wanted);
  draft.noteChosen();
  showInAddress();
}

function noteCopied() {
  draft.noteTyped();
  showSettings();
  refreshSizes();
  showInAddress();
}

/** Show in the forms what a run that this page had not seen before is set to; what was typed for the next one stays. */
function makeWay() {
  const running = settingsOf(latestRun());
  if (draft.isHeld()) draft.letGo("What you had set comes back into the forms when this run has ended.");
  else if (draft.isTyped() && isOther(running) && !isStarting()) return;
  fill(running);
  fold(true);
}

/** Say in what the run that trains is set otherwise than the forms, which are for the next one. */
function showWhatTrains() {
  const running = isTraining() ? settingsOf(latestRun()) : {};
  const others = MODELS.map((model) => {
    const keys = running[model] ? differing(readSettings(model), running[model]) : [];
    return keys.length ? `${nameOf(model)} with ${keys.map((key) => `${titleOf(model, key).toLowerCase()} ${format.setting(running[model][key])}`).join(", ")}` : "";
  }).filter(Boolean);
  const text = others.length ? `The forms are for what starts next. What trains now: ${others.join("; ")}.` : "";
  write(document.getElementById("what-trains"), text);
}

function putBack() {
  const kept = draft.takeBack();
  if (!kept) return;
  forgetPreset();
  fill(kept);
  showInAddress();
}

/** Say in the cards' heads how the run that is shown is set, before the first what is typed. */
function showHeads() {
  showSummaries(shownRun().run ? settingsOf(shownRun()) : typedSettings());
}

/** Show how two trainings that are open are set, and afterwards the latest run; what was typed stays. */
function followPair() {
  const open = isPair() ? pastRun().id : null;
  if (open === followed) return;
  followed = open;
  const run = open ? shownRun() : latestRun();
  if (!draft.isTyped() && run.run) fill(settingsOf(run));
}

/** Show the faults of both models' settings: "model1.learning_rate" → what was expected and given. */
export function showAllFaults(faults) {
  for (const model of MODELS) showFaults(model, faults);
  if (Object.keys(faults).length === 0) return;
  MODELS.forEach(keepFaults);
  fold(false);
}

/** Put a past run's settings into the forms; `run` is of /api/runs. */
export function useSettings(run) {
  forgetPreset();
  choose(settingsOf(run));
  fold(false);
  window.scrollTo({ top: 0 });
}

/** Make ready to repeat the run that is shown; what was typed comes back when that has trained. */
export function useShown() {
  if (isTraining()) return;
  const shown = settingsOf(shownRun());
  if (draft.isTyped() && isOther(shown) && !draft.isHeld()) draft.hold(typedSettings(), "The forms show what is repeated. What you had set comes back when that has trained.");
  fill(shown);
  draft.noteChosen();
  showInAddress();
}

/** Hand what is typed to the server by `call`; what it faults stands beside the fields. */
async function hand(call, problem) {
  setStarting(true);
  showControls();
  try {
    await call(typedSettings());
    showProblem("action", "");
    draft.noteStarted();
  } catch (error) {
    const faults = error.fields ?? {};
    showAllFaults(faults);
    if (Object.keys(faults).length === 0) showProblem("action", `${problem}: ${error.message}.`);
    focusFirstFault();
  }
  setStarting(false);
  askNow();
}

/** Start a comparison that the page has ready; what was typed comes back when it has ended. */
export async function startWith(wanted, onRun) {
  if (draft.isTyped() && isOther(wanted) && !draft.isHeld()) draft.hold(typedSettings(), "The forms show what starts. What you had set comes back when that has ended.");
  forgetPreset();
  fill(wanted);
  await launch(onRun);
}

const areTwins = () => differing(...Object.values(typedSettings())).length === 0;
const TWINS = "Both models are set alike, the seed included: they will train alike, and the two curves will be one. Change one setting to see what it does.";

/** Ask before two models start that differ in nothing; resolves to whether they are to start. */
async function meansTwins() {
  if (await confirm(TWINS, "Start all the same", "Change one setting")) return true;
  fold(false);
  focusField(MODELS[1], "optimizer");
  return false;
}

const launch = (onRun) => hand(async (settings) => onRun((await api.start(settings)).run), "Could not start");

async function start(event) {
  event.preventDefault();
  if (document.getElementById("start").disabled) return;
  if (areTwins() && !(await meansTwins())) return;
  await launch(beginGuess);
}

async function startNext({ currentTarget: button }) {
  if (areTwins() && !(await meansTwins())) return;
  button.disabled = true;
  await hand(api.enqueue, "Could not be put in line");
  showControls();
  button.disabled = false;
}

/** A field is typed in: its model's size is asked for once the typing pauses. */
function noteInput(event) {
  const field = event.target.closest(".field");
  if (!field) return;
  draft.noteTyped();
  showSettings();
  showInAddress();
  if (serverNow().status === "ready") refreshSize(field.closest(".fields").dataset.model);
}

/** Take the settings that the page's address names, now and when another is opened. */
function readAddress() {
  const isLinked = connectAddress({
    onLink: () => {
      draft.noteTyped();
      forgetPreset();
      fold(false);
      showSettings();
      refreshSizes();
    },
    onProblem: (text) => showProblem("link", text),
  });
  if (isLinked) {
    draft.noteTyped();
    fold(false);
  }
  showSettings();
}

export function connectForms() {
  form.addEventListener("submit", start);
  form.addEventListener("input", noteInput);
  document.getElementById("start-next").addEventListener("click", startNext);
  document.getElementById("put-back").addEventListener("click", putBack);
  connectLayerButtons();
  connectPresets(() => serverNow().presets ?? [], choose);
  connectCopying(noteCopied);
  connectFolds();
  connectShareButton();
  onServer(() => {
    if (serverNow().presets) offerPresets();
    refreshSizes();
  });
  onLatest(({ isNewRun }) => {
    if (isNewRun && latestRun().run) makeWay();
    if (!isTraining() && !draft.isHeld() && !draft.isTyped()) putBack();
  });
  onWhich(() => {
    followPair();
    showHeads();
    showWhatTrains();
  });
  readAddress();
}
