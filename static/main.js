/** Puts the page together: what the server says goes in, what the user does goes out. */

import * as api from "./base/api.js";
import { draw, fit, picture } from "./figure/charts.js";
import { connectControls, showControls } from "./run/controls.js";
import { connectCopying } from "./settings/copying.js";
import { differenceOf, differing, showDifference, showSummaries } from "./settings/difference.js";
import * as draft from "./settings/draft.js";
import { connectExport } from "./figure/export.js";
import { connectFolds, fold } from "./settings/fold.js";
import { connectFork } from "./run/fork.js";
import { fillSettings, focusFirstFault, lock, readSettings, showFaults } from "./settings/form.js";
import { beginGuess, connectGuess, isSecret, showGuess } from "./run/guess.js";
import { anyActive, hasPoints } from "./run/answers.js";
import { connectInside } from "./tabs/inside.js";
import { connectInsight } from "./tabs/insight.js";
import { connectKeys } from "./run/keys.js";
import { closePastRun, latestRun, openPastRun, pastRun, shownRun, take } from "./run/state.js";
import { connectLayerButtons } from "./settings/layers.js";
import { showLive, showOverall } from "./run/live.js";
import { showNotes } from "./run/notes.js";
import { connectNotify, notifyEnd } from "./run/notify.js";
import { poll } from "./base/poller.js";
import { connectPresets } from "./settings/presets.js";
import { connectAddress, connectShareButton, showInAddress } from "./settings/share.js";
import { connectRepeats, openRepeats, showPlan } from "./tabs/repeats.js";
import { connectRuns, describePast, fileOf, isInterrupted, isUnfinished } from "./tabs/history.js";
import { connectSignificance, showSignificance } from "./run/significance.js";
import { refreshSize } from "./settings/size.js";
import { connectBanner, forgetRead, showConnected, showDevice, showLost, showProblem } from "./run/status.js";
import { connectSteering, showSteering } from "./run/steer.js";
import { showTable } from "./tabs/comparison.js";
import { connectTabs } from "./tabs/tabs.js";
import { connectThemeSwitch, onThemeChange } from "./base/theme.js";
import { showTitle } from "./run/title.js";
import { connectRepeat, showVerdict } from "./run/verdict.js";
import { connectView, view } from "./run/view.js";

const IDLE_MS = 2000;
const HURRY_MS = 300; // from the click on Start to the first point
const LOADING_MS = 500;
const HIDDEN_MS = 10000; // for the title and the notification; browsers may stretch it to a minute
const PAPER_PX = 680; // what fits between the margins of A4 and of US Letter

const models = [...document.querySelectorAll("[data-card]")].map((card) => card.dataset.card);
const chart = document.getElementById("chart");
const past = document.getElementById("past");
let server = { status: "loading", images: { train: 1 } };
let overlays = []; // past runs behind the curves
let comparison = null;
let starting = false;
let repeat = null; // the pair of a series that trains
const owed = { figure: false, verdict: false, runs: false, leftBehind: null }; // what the page has yet to show

const typedSettings = () => Object.fromEntries(models.map((model) => [model, readSettings(model)]));
const settingsOf = (run) => Object.fromEntries(models.map((model) => [model, run.models[model].config]));
const titles = () => Object.fromEntries(Object.entries(server.schema?.properties ?? {}).map(([key, { title }]) => [key, title]));
const isTraining = () => anyActive(latestRun());

function showSettings() {
  showDifference(typedSettings());
  showPlan(typedSettings(), titles());
  if (!shownRun().run) showSummaries(typedSettings());
}

function fill(settings) {
  for (const model of models) fillSettings(model, settings[model]);
  showSettings();
  refreshSizes();
}

/** Ask how large the models are, and what is wrong with their settings; before PyTorch has loaded nobody knows. */
function refreshSizes() {
  if (server.status === "ready") for (const model of models) refreshSize(model, 0);
}

/** Show in the forms what a run that this page had not seen before is set to; what was typed there is kept. */
function runAppeared() {
  const running = settingsOf(latestRun());
  const isOther = models.some((model) => differing(readSettings(model), running[model]).length > 0);
  const typed = draft.isTyped() && isOther && !starting;
  const back = "What you had set comes back into the forms when this run has ended.";
  if (typed && !isTraining()) return;
  if (draft.isHeld()) draft.letGo(back);
  else if (typed) draft.keep(typedSettings(), back);
  fill(running);
  fold(true);
}

/** Put back what was kept while a run trained. */
function restoreDraft() {
  if (!isTraining() && !draft.isHeld()) putBack();
}

function putBack() {
  const settings = draft.takeBack();
  if (!settings) return;
  fill(settings);
  showInAddress(models);
}

/** Return how large a gap between the models of a run chance may make, as a fraction of accuracy; null while nobody knows. */
const noiseOf = ({ run }) => (comparison?.run === run ? (comparison.verdict.accuracy.noise ?? null) : null);

async function drawChart() {
  const run = shownRun();
  document.getElementById("empty").hidden = hasPoints(run);
  owed.figure = document.hidden; // nobody sees it, and browsers draw nothing then
  if (owed.figure || !hasPoints(run)) return;
  try {
    await draw(chart, run, { ...view(), imagesPerEpoch: server.images.train, overlays, noise: noiseOf(run) });
  } catch (error) {
    showProblem("chart", `The curves cannot be drawn: ${error.message}.`);
  }
}

/** Ask who is ahead; what the server does not answer now is asked again at the next poll. */
async function refreshComparison() {
  const [run, { axis }] = [shownRun().run, view()];
  const isStillAsked = () => run === shownRun().run && axis === view().axis; // and no other question in the meantime
  const noiseBefore = noiseOf(shownRun());
  owed.verdict = false;
  let answer;
  try {
    answer = await api.fetchComparison(axis, pastRun()?.id);
    if (isStillAsked()) showProblem("comparison", "");
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    owed.verdict ||= isStillAsked();
    if (error.status) showProblem("comparison", `The models cannot be compared: ${error.message}.`);
    return; // what stands there still holds; a server that is gone, polling tells
  }
  if (!isStillAsked()) return;
  comparison = answer;
  showVerdict(comparison);
  showSignificance(comparison.significance);
  showTable(comparison.rows);
  showNotes(comparison.run, comparison.notes, shownRun().paired?.text ?? "");
  showSecrets();
  if (noiseOf(shownRun()) !== noiseBefore) await drawChart();
}

/** Ask who will win before anything tells, where that is wanted; the title tells too. */
function showSecrets() {
  const { run, models: each } = shownRun();
  showGuess(run, differenceOf(Object.values(each).map(({ config }) => config ?? {})), comparison);
  const titled = isTraining() ? latestRun() : shownRun();
  showTitle(titled, comparison?.run === titled.run && !isSecret(titled.run) ? comparison : null);
}

async function refreshConfig() {
  const wasReady = server.status === "ready";
  server = await api.fetchConfig();
  if (server.status !== "loading") await refreshRuns();
  if (server.status === "ready" && !wasReady) owed.verdict = shownRun().run !== null; // figures that need PyTorch
  showDevice(server);
  showProblem("loading", server.problem ?? "");
  refreshSizes();
}

/** Show what can be done: above with the latest run, in the cards only where they show it. */
function showState() {
  const isLatest = pastRun() === null;
  showOverall(latestRun(), server.status, repeat, isLatest);
  showControls(latestRun(), server.status === "ready" && !starting, isLatest);
  showSteering(latestRun(), isLatest);
  lock(isTraining());
}

async function refresh() {
  if (server.status === "loading" || server.boot !== latestRun().boot) await refreshConfig();
  const { smoothing } = view();
  const answer = await api.fetchMetrics(latestRun(), smoothing);
  const { isNews, isNewRun, isOtherServer, hasEnded, runBefore } = take(answer, smoothing);
  const { run } = latestRun();
  showConnected();
  forgetRead();
  showProblem("saving", answer.problem ?? "");
  if (isNewRun && run) closePastRun();
  if (isOtherServer || run) owed.leftBehind = run ? null : { runBefore };
  if (isNewRun && run) runAppeared();
  restoreDraft();
  repeat = answer.repeat;
  showState();
  refreshRepeats(isNews);
  if (owed.leftBehind) await showLeftBehind(owed.leftBehind);
  if (isNewRun || hasEnded) showWhich();
  if (isNews && !pastRun()) await showShown();
  else await catchUp();
  if (hasEnded) await tellEnd();
  if (isNewRun || hasEnded || owed.runs) await refreshRuns();
}

/** Show what was not shown at the last poll: nobody saw it, or the server did not answer. */
async function catchUp() {
  showSecrets();
  refreshTabs();
  await Promise.all([owed.figure && !document.hidden && drawChart(), owed.verdict && refreshComparison()]);
}

/** Notify of the end of the latest run, whatever is on display. */
async function tellEnd() {
  const { run } = latestRun();
  const isKnown = comparison?.run === run && !owed.verdict;
  notifyEnd(isSecret(run) ? "" : isKnown ? comparison.verdict.text : await verdictOfLatest());
}

async function verdictOfLatest() {
  try {
    return (await api.fetchComparison(view().axis)).verdict.text;
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    return ""; // the end is told all the same
  }
}

/** What only the server's PyTorch can tell is asked for once that has loaded. */
function refreshTabs() {
  if (server.status === "loading") return;
  refreshInside();
  refreshInsight();
}

/** Bring all that shows a run up to date with it. */
async function showShown() {
  showLive(shownRun());
  showSecrets();
  refreshTabs();
  await Promise.all([drawChart(), refreshComparison()]);
}

/** Say which run is shown: the latest, a past one, or none yet. */
function showWhich() {
  const [open, run] = [pastRun(), shownRun()];
  document.body.classList.toggle("has-run", run.run !== null);
  showSummaries(run.run ? settingsOf(run) : typedSettings());
  past.hidden = open === null;
  if (!open) return;
  past.querySelector("span").textContent = describePast(open);
  past.querySelector("#go-on").hidden = isTraining() || !isUnfinished(run);
  past.querySelector("#back").textContent = isTraining() ? "Back to the run that trains" : latestRun().run ? "Back to the latest run" : "Close";
}

async function showAnother() {
  showWhich();
  showState();
  await showShown();
}

/** Put a past run in the place of the latest, smoothed as the slider says. */
async function fetchPast(id, title) {
  const { smoothing } = view();
  openPastRun(id, title, await api.fetchRun(id, smoothing), smoothing);
}

/** Ask again for all that is shown, smoothed as the slider says now. */
async function smoothAnew() {
  askNow();
  try {
    const opened = pastRun();
    const { smoothing } = view();
    const answer = opened && (await api.fetchRun(opened.id, smoothing));
    if (opened && pastRun() === opened) openPastRun(opened.id, opened.title, answer, smoothing);
    await overlay(overlays.map(({ run, title }) => ({ id: run, title })));
    showLive(shownRun());
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    showProblem("chart", `The curves cannot be smoothed anew: ${error.message}.`);
  }
}

/** Put a past run in the place of the latest, until the user goes back or another starts. */
async function openPast({ id, title }) {
  if (id === latestRun().run && isTraining()) return backToLatest();
  await fetchPast(id, title);
  await showAnother();
}

async function backToLatest() {
  closePastRun();
  await showAnother();
}

/** A server that was started again has no run of its own: show the one that stood here, or one that was cut off. */
async function showLeftBehind({ runBefore }) {
  const runs = pastRun() ? [] : await refreshRuns();
  const run = runs.find(({ id }) => id === runBefore) ?? runs.slice(0, 1).find(isInterrupted);
  if (run) await openPast(run);
  if (run && !draft.isTyped()) fold(true);
  owed.leftBehind = null;
}

/** Close a past run that is in the history no longer; the server tells of the latest. */
function runsListed(runs) {
  const isListed = (id) => runs.some((run) => run.id === id);
  if (pastRun() && !isListed(pastRun().id)) backToLatest();
  if (latestRun().run && !isListed(latestRun().run)) askNow();
}

async function refreshRuns() {
  owed.runs = true;
  const runs = await refreshHistory();
  owed.runs = false;
  return runs;
}

async function lookAt(run) {
  try {
    await openPast(run);
    showProblem("history", "");
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    return showProblem("history", `The run cannot be opened: ${error.message}.`);
  }
  fold(true);
  window.scrollTo({ top: 0 });
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

/** Put a past run's settings into the forms, at once or when what trains has ended. */
function useSettings(run) {
  if (isTraining()) {
    draft.keep(settingsOf(run), `The settings of “${run.title}” come into the forms when this run has ended.`);
  } else {
    fill(settingsOf(run));
    filled();
    fold(false);
  }
  window.scrollTo({ top: 0 });
}

/** Lay past runs behind the curves. */
async function overlay(wanted) {
  const { smoothing } = view();
  const known = Object.fromEntries(overlays.filter((one) => one.smoothing === smoothing).map((one) => [one.run, one]));
  overlays = await Promise.all(wanted.map(async ({ id, title }) => known[id] ?? { ...(await api.fetchRun(id, smoothing)), title, smoothing }));
  await drawChart();
}

function pollInterval() {
  if (server.status === "loading") return LOADING_MS;
  return isTraining() && !hasPoints(latestRun()) ? HURRY_MS : IDLE_MS;
}

async function startTraining(event) {
  event.preventDefault();
  if (document.getElementById("start").disabled) return;
  starting = true;
  showControls(latestRun(), false, pastRun() === null);
  try {
    beginGuess((await api.start(typedSettings())).run);
    showProblem("action", "");
    draft.noteStarted();
  } catch (error) {
    for (const model of models) showFaults(model, error.fields ?? {});
    if (Object.keys(error.fields ?? {}).length) fold(false);
    else showProblem("action", `Could not start: ${error.message}.`);
    focusFirstFault();
  }
  starting = false;
  askNow();
}

function pollFailed(error, delay) {
  if (!(error instanceof api.ApiError)) console.error(error); // a mistake of ours, not of the network
  showLost(error, delay);
}

function filled() {
  draft.noteTyped();
  showSettings();
  refreshSizes();
  showInAddress(models);
}

document.getElementById("settings").addEventListener("submit", startTraining);
document.getElementById("settings").addEventListener("input", (event) => {
  const field = event.target.closest(".field");
  if (!field) return;
  draft.noteTyped();
  showSettings();
  showInAddress(models);
  if (server.status === "ready") refreshSize(field.closest(".fields").dataset.model);
});
connectLayerButtons();
connectPresets(() => server.presets ?? [], (preset) => {
  for (const model of models) fillSettings(model, preset[model]);
  filled();
});
connectCopying(models, filled);
connectFolds();
connectBanner();
connectTabs();
const refreshHistory = connectRuns({
  titles,
  onListed: runsListed,
  onOpen: lookAt,
  onUse: useSettings,
  onOverlay: overlay,
  onResumed: () => askNow(),
  onProblem: (text) => showProblem("history", text),
});
const refreshInside = connectInside({
  history: shownRun,
  past: () => pastRun()?.id,
  classes: () => server.classes ?? [],
  onProblem: (text) => showProblem("inside", text),
});
const refreshInsight = connectInsight({ history: shownRun, past: () => pastRun()?.id, classes: () => server.classes ?? [] });
const refreshRepeats = connectRepeats({
  settings: typedSettings,
  titles,
  isActive: isTraining,
  onFaults: (faults) => {
    for (const model of models) showFaults(model, faults);
    if (Object.keys(faults).length) fold(false);
  },
  onOpen: (run) => (run.id === latestRun().run ? backToLatest() : lookAt(run)),
  onProblem: (text) => showProblem("repeats", text),
  afterwards: () => askNow(),
});
connectSignificance();
connectRepeat((pairs) => {
  if (!isTraining()) {
    const [typed, shown] = [typedSettings(), settingsOf(shownRun())];
    const isOther = models.some((model) => differing(typed[model], shown[model]).length > 0);
    if (draft.isTyped() && isOther && !draft.isHeld()) draft.hold(typed, "The forms show what is repeated. What you had set comes back when that has trained.");
    fill(shown);
    filled();
  }
  openRepeats(pairs);
});
connectSteering(() => {
  showSteering(latestRun(), pastRun() === null);
  askNow();
});
connectFork({ model: () => latestRun().models[models[0]], forkable: () => server.forkable ?? [], onForked: () => askNow() });
connectGuess({ run: () => shownRun().run, onAnswer: showSecrets });
document.getElementById("back").addEventListener("click", backToLatest);
document.getElementById("put-back").addEventListener("click", putBack);
document.getElementById("go-on").addEventListener("click", goOn);
document.getElementById("tab-history").addEventListener("click", () => refreshRuns());
connectKeys();
connectNotify();
connectShareButton(models);
connectExport({ run: () => shownRun().run, file: fileOf, picture: () => picture(chart) });
connectThemeSwitch(document.getElementsByName("theme"));
connectView((choice) => ({ axis: refreshComparison, smoothing: smoothAnew })[choice]?.() ?? drawChart());
onThemeChange(drawChart);
window.addEventListener("beforeprint", () => fit(PAPER_PX));
window.addEventListener("afterprint", () => fit());
const isLinked = connectAddress(models, {
  isLocked: isTraining,
  onLink: () => {
    draft.noteTyped();
    fold(false);
    showSettings();
    refreshSizes();
  },
  onProblem: (text) => showProblem("link", text),
});
if (isLinked) draft.noteTyped();
showSettings();
const askNow = poll(refresh, { interval: pollInterval, hiddenInterval: () => (isTraining() ? HIDDEN_MS : null), onFailure: pollFailed });
connectControls({ afterwards: () => askNow(), onProblem: (text) => showProblem("action", text) });
