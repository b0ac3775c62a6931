/** Puts the page together: what the server says goes in, what the user does goes out. */

import * as api from "./api.js";
import { draw } from "./charts.js";
import { connectControls, showControls } from "./controls.js";
import { showDifference, showSummaries } from "./difference.js";
import { connectFolds, fold } from "./fold.js";
import { fillSettings, focusFirstFault, lock, readSettings, showFaults } from "./form.js";
import { anyActive, hasPoints, merge, NO_HISTORY } from "./history.js";
import { connectLayerButtons } from "./layers.js";
import { showLive, showOverall } from "./live.js";
import { poll } from "./poller.js";
import { connectPresets } from "./presets.js";
import { refreshSize } from "./size.js";
import { showConnected, showDevice, showLost, showProblem } from "./status.js";
import { connectThemeSwitch, onThemeChange } from "./theme.js";

const IDLE_MS = 2000;
const HURRY_MS = 300; // from the click on Start to the first point
const LOADING_MS = 500;

const models = [...document.querySelectorAll("[data-card]")].map((card) => card.dataset.card);
const chart = document.getElementById("chart");
let server = { status: "loading" };
let history = NO_HISTORY;
let starting = false;

const typedSettings = () => Object.fromEntries(models.map((model) => [model, readSettings(model)]));

function settingsChanged(model, pause) {
  showDifference(typedSettings());
  if (!history.run) showSummaries(typedSettings());
  refreshSize(model, pause);
}

/** Show what a run that this page had not seen before is set to. */
function runAppeared() {
  const configs = Object.fromEntries(models.map((model) => [model, history.models[model].config]));
  for (const model of models) {
    fillSettings(model, configs[model]);
    settingsChanged(model, 0);
  }
  showSummaries(configs);
  fold(true);
}

async function drawChart() {
  document.getElementById("empty").hidden = hasPoints(history);
  try {
    if (hasPoints(history)) await draw(chart, history);
  } catch (error) {
    showProblem("chart", `The curves cannot be drawn: ${error.message}.`);
  }
}

async function refreshConfig() {
  server = await api.fetchConfig();
  showDevice(server);
  showProblem("loading", server.problem ?? "");
  if (server.status === "ready") for (const model of models) refreshSize(model, 0);
}

async function refresh() {
  if (server.status === "loading" || server.boot !== history.boot) await refreshConfig();
  const answer = await api.fetchMetrics(history);
  const isNews = answer.reset || Object.keys(answer.models).length > 0;
  const isNewRun = answer.run !== history.run;
  history = merge(history, answer);
  showConnected();
  showProblem("saving", answer.problem ?? "");
  showOverall(history, server.status);
  showControls(history, server.status === "ready" && !starting);
  lock(anyActive(history));
  if (isNewRun && history.run) runAppeared();
  if (!isNews) return;
  showLive(history);
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
    await api.start(typedSettings());
    showProblem("action", "");
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

document.getElementById("settings").addEventListener("submit", startTraining);
document.getElementById("settings").addEventListener("input", (event) => {
  const field = event.target.closest(".field");
  if (field) settingsChanged(field.closest(".fields").dataset.model);
});
connectLayerButtons();
connectPresets(() => server.presets ?? [], (preset) => {
  for (const model of models) {
    fillSettings(model, preset[model]);
    settingsChanged(model, 0);
  }
});
connectFolds();
connectThemeSwitch(document.getElementsByName("theme"));
onThemeChange(drawChart);
showDifference(typedSettings());
showSummaries(typedSettings());
const askNow = poll(refresh, { interval: pollInterval, onFailure: pollFailed });
connectControls({ afterwards: () => askNow(), onProblem: (text) => showProblem("action", text) });
