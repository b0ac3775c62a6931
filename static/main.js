/** Puts the page together: what the server says goes in, what the user does goes out. */

import * as api from "./api.js";
import { draw, fit, picture } from "./charts.js";
import { connectControls, showControls } from "./controls.js";
import { connectCopying } from "./copying.js";
import { differenceOf, showDifference, showSummaries } from "./difference.js";
import { connectExport } from "./export.js";
import { connectFolds, fold } from "./fold.js";
import { connectFork } from "./fork.js";
import { fillSettings, focusFirstFault, lock, readSettings, showFaults } from "./form.js";
import { beginGuess, connectGuess, isSecret, showGuess } from "./guess.js";
import { anyActive, hasPoints, merge, NO_HISTORY } from "./history.js";
import { connectInside } from "./inside.js";
import { connectInsight } from "./insight.js";
import { connectKeys } from "./keys.js";
import { connectLayerButtons } from "./layers.js";
import { showLive, showOverall } from "./live.js";
import { showNotes } from "./notes.js";
import { connectNotify, notifyEnd } from "./notify.js";
import { poll } from "./poller.js";
import { connectPresets } from "./presets.js";
import { connectAddress, connectShareButton, showInAddress } from "./share.js";
import { connectRepeats } from "./repeats.js";
import { connectRuns } from "./runs.js";
import { connectSignificance, showSignificance } from "./significance.js";
import { refreshSize } from "./size.js";
import { connectBanner, showConnected, showDevice, showLost, showProblem } from "./status.js";
import { connectSteering, showSteering } from "./steer.js";
import { showTable } from "./table.js";
import { connectTabs } from "./tabs.js";
import { connectThemeSwitch, onThemeChange } from "./theme.js";
import { showTitle } from "./title.js";
import { showVerdict } from "./verdict.js";
import { connectView, view } from "./view.js";

const IDLE_MS = 2000;
const HURRY_MS = 300; // from the click on Start to the first point
const LOADING_MS = 500;
const PAPER_PX = 680; // what fits between the margins of A4 and of US Letter

const models = [...document.querySelectorAll("[data-card]")].map((card) => card.dataset.card);
const chart = document.getElementById("chart");
let server = { status: "loading", images: { train: 1 } };
let history = NO_HISTORY;
let past = null; // a past run, in the place of the latest: {title, history}
let overlays = []; // past runs behind the curves
let comparison = null;
let starting = false;
let linked = false; // the forms show what a link says, not what ran last

const typedSettings = () => Object.fromEntries(models.map((model) => [model, readSettings(model)]));

function showSettings() {
  showDifference(typedSettings());
  if (!history.run) showSummaries(typedSettings());
}

/** Ask how large the models are, and what is wrong with their settings; before PyTorch has loaded nobody knows. */
function refreshSizes() {
  if (server.status === "ready") for (const model of models) refreshSize(model, 0);
}

/** Show what a run that this page had not seen before is set to, unless a link has just said something else. */
function runAppeared() {
  document.body.classList.add("has-run");
  const configs = Object.fromEntries(models.map((model) => [model, history.models[model].config]));
  showSummaries(configs);
  if (linked && !anyActive(history)) return;
  for (const model of models) fillSettings(model, configs[model]);
  showSettings();
  refreshSizes();
  fold(true);
}

/** What the figure, the verdict and the table show: a past run where one is open, else the latest. */
const shown = () => past?.history ?? history;

/** Return how large a gap between the models of a run chance may make, as a fraction of accuracy; null while nobody knows. */
const noiseOf = ({ run }) => (comparison?.run === run ? (comparison.verdict.accuracy.noise ?? null) : null);

async function drawChart() {
  const run = shown();
  document.getElementById("empty").hidden = hasPoints(run);
  try {
    if (hasPoints(run)) await draw(chart, run, { ...view(), imagesPerEpoch: server.images.train, overlays, noise: noiseOf(run) });
  } catch (error) {
    showProblem("chart", `The curves cannot be drawn: ${error.message}.`);
  }
}

async function refreshComparison() {
  const before = noiseOf(shown());
  try {
    comparison = await api.fetchComparison(view().axis, past?.history.run);
    showProblem("comparison", "");
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    if (error.status) showProblem("comparison", `The models cannot be compared: ${error.message}.`);
    return; // what stands there still holds; a server that is gone, polling tells
  }
  showVerdict(comparison);
  showSignificance(comparison.significance);
  showTable(comparison.rows);
  showNotes(comparison.run, comparison.notes, shown().paired?.text ?? "");
  showSecrets();
  if (noiseOf(shown()) !== before) await drawChart();
}

/** Ask who will win before anything tells, where that is wanted; the title tells too. */
function showSecrets() {
  const { run, models: each } = shown();
  showGuess(run, differenceOf(Object.values(each).map(({ config }) => config ?? {})), comparison);
  showTitle(history, isSecret(history.run) ? null : comparison);
}

async function refreshConfig() {
  server = await api.fetchConfig();
  if (server.status !== "loading") await refreshRuns();
  showDevice(server);
  showProblem("loading", server.problem ?? "");
  refreshSizes();
}

async function refresh() {
  if (server.status === "loading" || server.boot !== history.boot) await refreshConfig();
  const { smoothing } = view();
  const answer = await api.fetchMetrics(history, smoothing);
  const isNews = answer.reset || Object.keys(answer.models).length > 0;
  const isNewRun = answer.run !== history.run;
  const wasActive = anyActive(history) && !isNewRun;
  history = { ...merge(history, answer), smoothing };
  showConnected();
  showProblem("saving", answer.problem ?? "");
  showOverall(history, server.status, answer.repeat);
  showControls(history, server.status === "ready" && !starting);
  lock(anyActive(history));
  if (isNewRun && history.run) runAppeared();
  refreshRepeats(isNews);
  if (isNewRun) closePast();
  refreshInsight();
  refreshInside();
  if (!isNews) return;
  showLive(shown());
  showSteering(history, past === null);
  showSecrets();
  await Promise.all([drawChart(), refreshComparison()]);
  if (isNewRun || (wasActive && !anyActive(history))) await refreshRuns();
  if (wasActive && !anyActive(history)) notifyEnd(isSecret(history.run) ? "" : (comparison?.verdict.text ?? ""));
}

function showPast() {
  const line = document.getElementById("past");
  line.hidden = past === null;
  line.querySelector("span").textContent = past ? `A past run: ${past.title}` : "";
}

function closePast() {
  past = null;
  showPast();
}

/** Return the history of a past run, smoothed as the slider says. */
async function fetchPast(id) {
  const { smoothing } = view();
  return { ...merge(NO_HISTORY, await api.fetchRun(id, smoothing)), smoothing };
}

/** Ask again for all that is shown, smoothed as the slider says now. */
async function smoothAnew() {
  askNow();
  try {
    const opened = past;
    const known = opened && await fetchPast(opened.history.run);
    if (opened && past === opened) past = { ...opened, history: known };
    await overlay(overlays.map(({ run, title }) => ({ id: run, title })));
    showLive(shown());
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    showProblem("chart", `The curves cannot be smoothed anew: ${error.message}.`);
  }
}

/** Put a past run in the place of the latest, until the user goes back or another starts. */
async function openPast({ id, title }) {
  past = { title, history: await fetchPast(id) };
  document.body.classList.add("has-run");
  showPast();
  showSummaries(Object.fromEntries(models.map((model) => [model, past.history.models[model].config])));
  fold(true);
  showLive(past.history);
  showSteering(history, false);
  refreshInside();
  refreshInsight();
  await Promise.all([drawChart(), refreshComparison()]);
  window.scrollTo({ top: 0 });
}

async function backToLatest() {
  closePast();
  if (history.run) showSummaries(Object.fromEntries(models.map((model) => [model, history.models[model].config])));
  showLive(history);
  showSteering(history, true);
  refreshInside();
  refreshInsight();
  await Promise.all([drawChart(), refreshComparison()]);
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
  return anyActive(history) && !hasPoints(history) ? HURRY_MS : IDLE_MS;
}

async function startTraining(event) {
  event.preventDefault();
  if (document.getElementById("start").disabled) return;
  starting = true;
  showControls(history, false);
  try {
    beginGuess((await api.start(typedSettings())).run);
    showProblem("action", "");
    linked = false;
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
  showSettings();
  refreshSizes();
  showInAddress(models);
}

document.getElementById("settings").addEventListener("submit", startTraining);
document.getElementById("settings").addEventListener("input", (event) => {
  const field = event.target.closest(".field");
  if (!field) return;
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
const titles = () => Object.fromEntries(Object.entries(server.schema?.properties ?? {}).map(([key, { title }]) => [key, title]));
const refreshRuns = connectRuns({
  titles,
  onOpen: openPast,
  onUse: (run) => {
    for (const model of models) fillSettings(model, run.models[model].config);
    filled();
    fold(false);
    window.scrollTo({ top: 0 });
  },
  onOverlay: overlay,
  onResumed: () => askNow(),
  onProblem: (text) => showProblem("history", text),
});
const refreshInside = connectInside({
  history: shown,
  past: () => past?.history.run,
  classes: () => server.classes ?? [],
  onProblem: (text) => showProblem("inside", text),
});
const refreshInsight = connectInsight({ history: shown, past: () => past?.history.run, classes: () => server.classes ?? [] });
const refreshRepeats = connectRepeats({
  settings: typedSettings,
  titles,
  isActive: () => anyActive(history),
  onFaults: (faults) => {
    for (const model of models) showFaults(model, faults);
    if (Object.keys(faults).length) fold(false);
  },
  onOpen: (run) => (run.id === history.run ? backToLatest() : openPast(run)),
  onProblem: (text) => showProblem("repeats", text),
  afterwards: () => askNow(),
});
connectSignificance();
connectSteering(() => {
  showSteering(history, past === null);
  askNow();
});
connectFork({ model: () => history.models[models[0]], forkable: () => server.forkable ?? [], onForked: () => askNow() });
connectGuess({ run: () => shown().run, onAnswer: showSecrets });
document.querySelector("#past button").addEventListener("click", backToLatest);
document.getElementById("tab-history").addEventListener("click", () => refreshRuns());
connectKeys();
connectNotify();
connectShareButton(models);
connectExport(() => history, () => picture(chart));
connectThemeSwitch(document.getElementsByName("theme"));
connectView((choice) => ({ axis: refreshComparison, smoothing: smoothAnew })[choice]?.() ?? drawChart());
onThemeChange(drawChart);
window.addEventListener("beforeprint", () => fit(PAPER_PX));
window.addEventListener("afterprint", () => fit());
linked = connectAddress(models, {
  isLocked: () => anyActive(history),
  onLink: () => {
    linked = true;
    fold(false);
    showSettings();
    refreshSizes();
  },
  onProblem: (text) => showProblem("link", text),
});
showSettings();
showVerdict(null);
const askNow = poll(refresh, { interval: pollInterval, onFailure: pollFailed });
connectControls({ afterwards: () => askNow(), onProblem: (text) => showProblem("action", text) });
