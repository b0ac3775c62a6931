/** The buttons: which of them make sense now, and what they ask of the server. */

import * as api from "../base/api.js";
import { confirm } from "../base/ask.js";
import { nameOf } from "../base/models.js";
import { askNow } from "../base/poller.js";
import { isActive, states } from "./answers.js";
import { isStarting, latestRun, onLatest, onWhich, pastRun, serverNow } from "./state.js";
import { showProblem, showRefusal } from "./status.js";

/** Return what may be asked of trainers in these states. Pure. */
export function possible(each) {
  const isOn = each.some(isActive);
  return { start: !isOn, toggle: isOn ? (each.includes("running") ? "pause" : "resume") : null, stop: isOn };
}

function showToggle(button, action) {
  button.disabled = action === null;
  button.dataset.action = action ?? "pause";
  const icon = action === "resume" ? "start" : "pause";
  button.querySelector("use").setAttribute("href", `#icon-${icon}`);
  const word = action === "resume" ? "Resume" : "Pause";
  const text = button.querySelector("span");
  if (text) text.textContent = word;
  else button.title = button.ariaLabel = `${word} ${button.ariaLabel.split(" ").slice(1).join(" ")}`;
}

/** Enable the buttons that make sense for the latest run; a model's own stand in its card only while that shows this run. */
export function showControls() {
  const history = latestRun();
  const isReady = serverNow().status === "ready" && !isStarting();
  const both = possible(states(history));
  document.getElementById("start").disabled = !(isReady && both.start);
  showToggle(document.getElementById("pause"), both.toggle);
  document.getElementById("stop").disabled = !both.stop;
  for (const [name, { state }] of Object.entries(history.models)) {
    const one = possible([state]);
    const buttons = document.querySelector(`#${name} .model-buttons`);
    buttons.hidden = state === "idle" || pastRun() !== null;
    const [toggle, stop] = buttons.querySelectorAll("button");
    showToggle(toggle, one.toggle);
    stop.disabled = !one.stop;
  }
}

const HAS_HAPPENED = { pause: (state) => state !== "running", resume: (state) => state !== "paused", stop: (state) => !isActive(state) };

/** Return whether models in these states are as an action would have made them. Pure. */
export const isDone = (action, each) => each.every(HAS_HAPPENED[action]);

const confirmStop = (model) =>
  confirm(`Stop ${model ? nameOf(model) : "both models"} for good? What was measured stays.`, "Stop", "Keep training");

/** Bind pause, resume and stop, of both models and of each. */
export function connectControls() {
  onLatest(showControls);
  onWhich(showControls);
  for (const button of document.querySelectorAll("button[data-action]")) {
    button.addEventListener("click", async () => {
      const { action, model } = button.dataset;
      if (action === "stop" && !(await confirmStop(model))) return;
      button.disabled = true; // until the next answer says what is possible
      try {
        await api.act(action, model);
        showProblem("action", "");
      } catch (error) {
        const { run } = latestRun();
        const isOver = () => latestRun().run !== run || isDone(action, states(latestRun(), model));
        showRefusal(`Could not ${action}: ${error.message}.`, isOver);
      }
      askNow();
    });
  }
}
