/** Steering: another learning rate for a model that trains, from the menu in its head. */

import * as api from "../base/api.js";
import { write } from "../base/dom.js";
import * as format from "../base/format.js";
import { askNow } from "../base/poller.js";
import { callByTitle, parseTyped, titleOf } from "../settings/form.js";
import { isActive } from "./answers.js";
import { latestRun, onLatest, onWhich, pairInTraining, pastRun } from "./state.js";

const RATE = "learning_rate";
const asked = {}; // model → the rate that was asked for and is not yet in use, and the run that it is for
const menuOf = (model) => document.querySelector(`[data-steer="${model}"]`);
const input = (menu) => menu.querySelector("input");

function showFault(menu, text) {
  write(menu.querySelector(".fault"), text);
  menu.querySelector(".steer-hint").hidden = text !== "";
  input(menu).setAttribute("aria-invalid", String(text !== ""));
}

async function apply(model) {
  const menu = menuOf(model);
  const button = menu.querySelector(".steer-apply");
  button.disabled = true;
  try {
    const { run, learning_rate: rate } = await api.steer(model, parseTyped(input(menu).value, "number"));
    asked[model] = { run, rate };
    showFault(menu, "");
    input(menu).value = "";
    menu.open = false;
    menu.querySelector("summary").focus();
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    showFault(menu, callByTitle(Object.values(error.fields)[0] ?? error.message, RATE, titleOf(model, RATE)));
    input(menu).focus();
  }
  button.disabled = false;
  showSteering();
  askNow();
}

/** Return the learning rate that a model will have from its next batch on, null where it stays; a model that pauses takes it when it goes on. */
function coming(model, run, rate) {
  if (asked[model]?.run !== run || asked[model].rate === rate) delete asked[model];
  return asked[model]?.rate ?? null;
}

/** Show the learning rate of each model of the latest run; it can be changed while the model trains or pauses. */
function showSteering() {
  const history = latestRun();
  for (const [model, { state, learning_rate: rate, step }] of Object.entries(history.models)) {
    const next = coming(model, history.run, rate);
    const menu = menuOf(model);
    const active = isActive(state);
    const canFork = menu.querySelector("#fork-open") !== null && step > 0;
    menu.hidden = pastRun() !== null || pairInTraining() !== null || !(active || canFork);
    menu.classList.toggle("fork-only", !active);
    const known = rate !== null && rate !== undefined;
    write(menu.querySelector(".steer-rate"), active && known ? `Rate ${format.setting(next ?? rate)}` : "Fork");
    menu.querySelector("summary").title = active ? "Change the learning rate" : "";
    write(menu.querySelector(".steer-now"), known ? `Learning rate now ${format.setting(rate)}${next === null ? "" : `, ${format.setting(next)} from the next batch on`}` : "");
    if (menu.hidden) menu.open = false;
  }
}

export function connectSteering() {
  onLatest(showSteering);
  onWhich(showSteering);
  for (const menu of document.querySelectorAll("[data-steer]")) {
    const { steer: model } = menu.dataset;
    menu.querySelector(".steer-apply").addEventListener("click", () => apply(model));
    input(menu).addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault(); // the field stands in the form that starts a run
      apply(model);
    });
    menu.addEventListener("toggle", () => {
      if (!menu.open) return showFault(menu, "");
      if (!menu.classList.contains("fork-only")) input(menu).focus();
    });
  }
}
