/** Forking: model 1 goes on, and model 2 becomes its copy with one setting changed. */

import * as api from "../base/api.js";
import { write } from "../base/dom.js";
import { MODELS } from "../base/models.js";
import { askNow } from "../base/poller.js";
import { fillSettings, focusField, readSettings, showFaults } from "../settings/form.js";
import { latestRun, serverNow } from "./state.js";

const GOES_ON = "Model 1 goes on unchanged, model 2 becomes its copy with the one change below, and this comparison stays in the history.";
const FINISHED = "Model 1 has finished and stays as it is; model 2 becomes its copy and trains for more epochs. This comparison stays in the history.";
const FORM = "fork"; // the dialog's fields are named like those of a model of this name
const dialog = () => document.getElementById("fork");
const menu = () => document.getElementById("fork-key");

function showField() {
  for (const field of dialog().querySelectorAll(".field")) field.hidden = field.dataset.key !== menu().value;
  showProblems({}, "");
}

/** Faults stand beside the field, whatever the server's name for it; the rest below. */
function showProblems(fields, message) {
  const faults = Object.entries(fields).map(([name, fault]) => [`${FORM}.${name.split(".").at(-1)}`, fault]);
  const beside = faults.filter(([name]) => name === `${FORM}.${menu().value}`);
  showFaults(FORM, Object.fromEntries(beside));
  write(document.getElementById("fork-fault"), beside.length ? "" : message);
}

/** Offer the settings that may differ in a copy; one that has finished can only be given more epochs. */
function open({ config, state, learning_rate: rate }, forkable) {
  const isOver = state === "finished";
  const now = { ...config, epochs: config.epochs + isOver, learning_rate: rate ?? config.learning_rate }; // it may have been steered
  const keys = Object.keys(readSettings(FORM));
  fillSettings(FORM, Object.fromEntries(keys.map((key) => [key, now[key]])));
  const offered = isOver ? ["epochs"] : forkable;
  for (const option of menu().options) option.hidden = option.disabled = !offered.includes(option.value);
  const wanted = isOver ? "epochs" : "learning_rate";
  menu().value = offered.includes(wanted) ? wanted : offered[0];
  write(document.getElementById("fork-what"), isOver ? FINISHED : GOES_ON);
  showField();
  dialog().showModal();
}

async function send() {
  const go = dialog().querySelector("[type='submit']");
  const key = menu().value;
  go.disabled = true;
  try {
    await api.fork({ [key]: readSettings(FORM)[key] });
    dialog().close();
    askNow();
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    showProblems(error.fields, `${error.message}.`);
    if (Object.keys(error.fields).length) focusField(FORM, key);
  }
  go.disabled = false;
}

export function connectFork() {
  document.getElementById("fork-open").addEventListener("click", (event) => {
    event.target.closest("details").open = false;
    open(latestRun().models[MODELS[0]], serverNow().forkable ?? []);
  });
  menu().addEventListener("change", () => {
    showField();
    focusField(FORM, menu().value);
  });
  dialog().querySelector("[data-no]").addEventListener("click", () => dialog().close());
  dialog().querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault(); // the dialog stays open until the server has agreed
    send();
  });
}
