/** The buttons: which of them make sense now, and what they ask of the server. */

import * as api from "../base/api.js";
import { confirm } from "../base/confirm.js";
import { states } from "./answers.js";

/** Return what may be asked of trainers in these states. Pure. */
export function possible(each) {
  const running = each.includes("running");
  const paused = each.includes("paused");
  return { start: !running && !paused, toggle: running || paused ? (running ? "pause" : "resume") : null, stop: running || paused };
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

/** Enable the buttons that make sense; `ready` says whether the server can start a run, `isShown` whether the cards show this one. */
export function showControls(history, ready, isShown) {
  const both = possible(states(history));
  document.getElementById("start").disabled = !(ready && both.start);
  showToggle(document.getElementById("pause"), both.toggle);
  document.getElementById("stop").disabled = !both.stop;
  for (const [name, { state }] of Object.entries(history.models)) {
    const one = possible([state]);
    const buttons = document.querySelector(`#${name} .model-buttons`);
    buttons.hidden = state === "idle" || !isShown;
    const [toggle, stop] = buttons.querySelectorAll("button");
    showToggle(toggle, one.toggle);
    stop.disabled = !one.stop;
  }
}

const confirmStop = (model) =>
  confirm(`Stop ${model ? model.replace("model", "model ") : "both models"} for good? What was measured stays.`, "Stop");

/** Bind pause, resume and stop, of both models and of each. */
export function connectControls({ afterwards, onProblem }) {
  for (const button of document.querySelectorAll("button[data-action]")) {
    button.addEventListener("click", async () => {
      const { action, model } = button.dataset;
      if (action === "stop" && !(await confirmStop(model))) return;
      button.disabled = true; // until the next answer says what is possible
      try {
        await api.act(action, model);
        onProblem("");
      } catch (error) {
        onProblem(`Could not ${action}: ${error.message}.`);
      }
      afterwards();
    });
  }
}
