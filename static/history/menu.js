/** What can be done with a training's run: a menu beside its row. */

import { ApiError, changeRun } from "../base/api.js";
import { ask } from "../base/ask.js";
import { make } from "../base/dom.js";
import * as format from "../base/format.js";
import { askNow } from "../base/poller.js";
import { anyActive } from "../run/answers.js";
import { useSettings } from "../run/forms.js";
import { lookAt, refreshRuns, titleOfRun } from "../run/past.js";
import { titles } from "../run/state.js";
import { showProblem } from "../run/status.js";
import { callByTitle } from "../settings/form.js";
import { fetchDisk, fetchListed } from "./api.js";
import { takeAway } from "./chosen.js";
import { size } from "./disk.js";
import { openFamily } from "./family.js";

const menu = document.getElementById("training-menu");
let asker = ""; // the training whose menu is open
const anyFinished = (run) => Object.values(run.models).some(({ state }) => state === "finished");
const allFinished = (run) => Object.values(run.models).every(({ state }) => state === "finished");
/** Whether a model of a run is on a schedule that it leaves where it gets more epochs. Pure. */
export const isOnSchedule = ({ models }) => Object.values(models).some(({ config, epoch, held_rate: held }) =>
  epoch > 0 && (held ?? null) === null && (config.schedule ?? "constant") !== "constant");

async function attempt(call, then) {
  try {
    await call();
    showProblem("history", "");
    then?.();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    showProblem("history", `${callByTitle(error.message, "more_epochs", "More epochs")}.`);
  }
  await refreshRuns();
}

async function resume(run) {
  document.getElementById("resume-new").hidden = !anyFinished(run);
  document.getElementById("resume-schedule").hidden = !isOnSchedule(run);
  document.getElementById("resume-epochs").min = allFinished(run) ? 1 : 0;
  const epochs = await ask("resume", allFinished(run) ? 1 : 0);
  if (epochs !== null) await attempt(() => changeRun(run.id, "resume", { more_epochs: Number(epochs) }), askNow);
}

async function rename(run, title) {
  const name = await ask("rename", format.plain(title));
  if (name !== null) await attempt(() => changeRun(run.id, "rename", { name }));
}

async function remove(run) {
  takeAway(run.id);
  await attempt(() => changeRun(run.id, "delete"));
  document.querySelector(`#deleted [data-run="${CSS.escape(run.id)}"] button`)?.focus({ preventScroll: true });
}

/** Return what can be done with a run: [what, why not now, act] each. */
function things(run, title) {
  const isOn = anyActive(run) ? "It trains now" : "";
  return [
    ["Open", "", () => lookAt({ ...run, title })],
    ["Use settings", "", () => useSettings({ ...run, title })],
    [allFinished(run) ? "Train further…" : "Resume…", isOn, () => resume(run)],
    ["Family…", "", () => openFamily(run.id)],
    ["Rename…", "", () => rename(run, title)],
    ["Delete", isOn, () => remove(run)],
  ];
}

function item([text, why, act]) {
  const button = make("button", { type: "button", role: "menuitem", class: "quiet", title: why, text });
  button.disabled = why !== "";
  button.addEventListener("click", () => {
    menu.hidePopover();
    giveFocusBack();
    act();
  });
  return button;
}

/** The focus goes back to the button that opened the menu, also where the table has been made anew since. */
function giveFocusBack() {
  if (document.activeElement === document.body || menu.contains(document.activeElement)) document.querySelector(`#runs tr[data-training="${CSS.escape(asker)}"] [aria-haspopup]`)?.focus({ preventScroll: true });
}

/** Say in the menu what the training takes on the disk. */
async function showSize({ training }, line) {
  const { trainings } = await fetchDisk([training]);
  const { checkpoint, checkpoint_bytes: file, history_bytes: rest } = trainings[training];
  const kept = { whole: `checkpoint ${size(file)}`, weights: `weights ${size(file)}`, null: "no checkpoint" }[checkpoint];
  line.textContent = `Takes ${size(file + rest)}: ${kept}, figures and answers ${size(rest)}`;
}

function place(element) {
  const { right, bottom, top } = element.getBoundingClientRect();
  const [width, height] = [menu.offsetWidth, menu.offsetHeight];
  menu.style.left = `${Math.max(8, right - width)}px`;
  menu.style.top = `${bottom + height > window.innerHeight ? Math.max(8, top - height) : bottom}px`;
}

/** Open the menu of a training beside the button that asks for it. */
export async function openMenu(training, element) {
  try {
    const run = await fetchListed(training.run);
    if (run === null) return await refreshRuns(); // it has been deleted meanwhile
    const [list, line] = menu.children;
    list.replaceChildren(...things(run, titleOfRun(run, titles())).map(item));
    line.textContent = "";
    asker = training.training;
    menu.showPopover({ source: element });
    place(element);
    menu.querySelector("button:enabled").focus();
    await showSize(training, line);
    if (element.isConnected) place(element); // it is higher now
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    showProblem("history", `${error.message}.`);
  }
}

export function connectMenu() {
  menu.addEventListener("toggle", ({ newState }) => newState === "closed" && giveFocusBack());
  menu.addEventListener("keydown", (event) => {
    const items = [...menu.querySelectorAll("button:enabled")];
    const at = items.indexOf(document.activeElement);
    const target = { ArrowDown: items[(at + 1) % items.length], ArrowUp: items.at(at - 1), Home: items[0], End: items.at(-1) }[event.key];
    if (!target) return;
    event.preventDefault();
    event.stopPropagation();
    target.focus();
  });
}
