/** The history tab: past comparisons, each to open, lay behind the curves, use again, resume, rename or delete. */

import * as api from "../base/api.js";
import { ask } from "../base/ask.js";
import { make, write } from "../base/dom.js";
import * as format from "../base/format.js";
import { MODELS, nameOf, signOf } from "../base/models.js";
import { askNow } from "../base/poller.js";
import { anyActive, wordOf } from "../run/answers.js";
import { useSettings } from "../run/forms.js";
import { overlay } from "../run/behind.js";
import { changesOf, lookAt, refreshRuns, titleOfRun } from "../run/past.js";
import { latestRun, onLatest, onRuns, pastRuns, titles } from "../run/state.js";
import { showProblem } from "../run/status.js";
import { callByTitle } from "../settings/form.js";

const MOST_OVERLAYS = 20;
const overlaid = new Map(); // {id, title} of the runs behind the curves, by id
const table = document.getElementById("runs");
let shown = []; // the runs in the table, with `gone` where they are deleted and can still be brought back

let chooser = null; // once two trainings are chosen from the table

const BRANCHES = { continued: "continues", forked: "forked from" };

/** Return from which of the runs another goes on, such as "continues Dropout"; "" where from none. Pure. */
export function originOf({ parent }, runs, settingTitles) {
  if (!parent) return "";
  const known = runs.find(({ id }) => id === parent.run);
  return `${BRANCHES[parent.kind]} ${known ? titleOfRun(known, settingTitles) : "a run that is no longer here"}`;
}

/** Return which pair of a series a run is, if it is one, and with which seeds. Pure. */
export function seedsOf({ pair, models }) {
  const seeds = [...new Set(Object.values(models).map(({ config }) => config.seed))];
  const said = `seed${seeds.length > 1 ? "s" : ""} ${seeds.join(" and ")}`;
  return pair ? `pair ${pair.number} of ${pair.of}, ${said}` : said;
}

/** Return in a few words how far a model came. Pure. */
export function outcome(model) {
  const { state, val_accuracy, test_accuracy, epoch } = model;
  const known = (accuracy) => accuracy !== null && accuracy !== undefined;
  const tested = known(test_accuracy) ? `${format.percent(test_accuracy)} on the test images` : "";
  if (tested && state === "finished") return tested;
  const measured = tested || (known(val_accuracy) ? `${format.percent(val_accuracy)} validation` : "");
  return `${wordOf(model)} at epoch ${format.epoch(epoch ?? 0)}${measured && ` · ${measured}`}`;
}

const countSettings = ({ differing }) => `${differing.length || "no"} setting${differing.length === 1 ? "" : "s"}`;
const when = format.moment;
const anyFinished = (run) => Object.values(run.models).some(({ state }) => state === "finished");
const allFinished = (run) => Object.values(run.models).every(({ state }) => state === "finished");
/** Whether a model of a run is on a schedule that it leaves where it gets more epochs. Pure. */
export const isOnSchedule = ({ models }) => Object.values(models).some(({ config, epoch, held_rate: held }) =>
  epoch > 0 && (held ?? null) === null && (config.schedule ?? "constant") !== "constant");

function button(text, title, act) {
  const element = make("button", { type: "button", class: "quiet", title, text });
  element.addEventListener("click", act);
  return element;
}

/** Return the row of a run that has just been deleted. */
function goneRow(run, title, { restore }) {
  const cell = make("td", { colspan: "6" }, make("span", { class: "soft", text: `Deleted: ${title} ` }), button("Undo", `Bring back ${title}`, restore));
  return make("tr", { "data-run": run.id }, cell);
}

/** Change the rows; the focus stays on what does the same in the same row, else on the first thing that it can do. */
function keepFocus(table, change) {
  const { activeElement: before } = document;
  const row = table.contains(before) ? before.closest("tr[data-run]") : null;
  change();
  const now = row && table.querySelector(`tr[data-run="${CSS.escape(row.dataset.run)}"]`);
  if (!now) return;
  const things = [...now.querySelectorAll("button, input")];
  (things.find((thing) => !thing.disabled && thing.textContent === before.textContent && thing.title === before.title && thing.type === before.type) ?? now.querySelector("button:enabled:not(.slot)"))?.focus({ preventScroll: true });
}

/** A box to tick, and beside it the number that the run has in the figure. */
function overlayBox(run, title, overlay) {
  const box = make("input", { type: "checkbox", "aria-label": `Lay ${title} behind the curves` });
  box.checked = overlaid.has(run.id);
  box.disabled = !box.checked && overlaid.size >= MOST_OVERLAYS;
  box.addEventListener("change", () => overlay(box.checked));
  const number = [...overlaid.keys()].indexOf(run.id) + 1;
  return make("label", { class: "overlay" }, box, make("span", { class: "soft", text: number ? ` ${number}` : "" }));
}

function resumeButton(run, act) {
  if (allFinished(run)) return button("Train further…", "Train it for more epochs, as a new run; this one stays as it is", act);
  return button("Resume", "Train it further from its last checkpoint", act);
}

/** The buttons that choose a training as one of two. */
const slots = (training, called) => ["A", "B"].map((slot) => {
  const title = `Compare ${called} as ${slot}`;
  return make("button", { type: "button", class: "quiet icon slot", "data-slot": slot, "data-training": training, "data-called": called, "aria-pressed": "false", "aria-label": title, title, text: slot });
});

/** What a model came to; its sign stands there where the table is too narrow for a head. */
function outcomeCell(name, model, run, title) {
  const sign = make("span", { class: "sign", "aria-hidden": "true", text: `${signOf(name)} ` });
  const cell = make("td", { "data-of": name }, sign, make("span", { class: "outcome", text: outcome(model) }));
  if (name in run.models) cell.append(make("span", { class: "slots" }, ...slots(`${run.id}/${name}`, `${nameOf(name)} of ${title}`)));
  return cell;
}

function row(run, title, origin, acts) {
  const [model1, model2] = Object.values(run.models);
  const name = make("th", { scope: "row" }, make("span", { class: "run-name", text: title }), make("span", { class: "soft", text: `${when(run.started)} · ${seedsOf(run)}` }));
  if (origin) name.append(make("span", { class: "soft run-origin", text: origin }));
  const todo = make("td", { class: "todo" },
    button("Open", "Show its curves and figures", acts.open),
    button("Use settings", "Put its settings into both forms", acts.use),
    resumeButton(run, acts.resume),
    button("Rename", "Give it another name", acts.rename),
    button("Delete", "Take it out of the history", acts.remove));
  if (anyActive(run)) for (const each of todo.querySelectorAll("button:nth-child(3), button:nth-child(5)")) each.disabled = true;
  return make("tr", { "data-run": run.id }, name,
    make("td", { text: run.name ? changesOf(run, titles()) : countSettings(run) }),
    ...[model1, model2 ?? model1].map((model, index) => outcomeCell(MODELS[index], model, run, title)),
    make("td", {}, overlayBox(run, title, acts.overlay)), todo);
}

async function attempt(call, then) {
  try {
    await call();
    showProblem("history", "");
    then?.();
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    showProblem("history", `${callByTitle(error.message, "more_epochs", "More epochs")}.`);
  }
  await refreshRuns();
}

function layBehind({ id }, title, wanted) {
  if (wanted) overlaid.set(id, { id, title });
  else overlaid.delete(id);
  overlay([...overlaid.values()]);
  show();
}

async function resume(run) {
  document.getElementById("resume-new").hidden = !anyFinished(run);
  document.getElementById("resume-schedule").hidden = !isOnSchedule(run);
  document.getElementById("resume-epochs").min = allFinished(run) ? 1 : 0;
  const epochs = await ask("resume", allFinished(run) ? 1 : 0);
  if (epochs !== null) await attempt(() => api.changeRun(run.id, "resume", { more_epochs: Number(epochs) }), askNow);
}

async function rename(run, title) {
  const name = await ask("rename", format.plain(title));
  if (name !== null) await attempt(() => api.changeRun(run.id, "rename", { name }));
}

async function remove(run, title) {
  if (overlaid.has(run.id)) layBehind(run, title, false);
  await attempt(() => api.changeRun(run.id, "delete"));
}

const actsOn = (run, title) => ({
  open: () => lookAt({ ...run, title }),
  use: () => useSettings({ ...run, title }),
  overlay: (wanted) => layBehind(run, title, wanted),
  restore: () => attempt(() => api.changeRun(run.id, "restore")),
  resume: () => resume(run),
  rename: () => rename(run, title),
  remove: () => remove(run, title),
});

function show() {
  const rows = shown.map((run) => {
    const title = titleOfRun(run, titles());
    if (run.gone) return goneRow(run, title, actsOn(run, title));
    return row(run, title, originOf(run, shown, titles()), actsOn(run, title));
  });
  keepFocus(table, () => table.tBodies[0].replaceChildren(...rows));
  chooser?.mark();
  showProgress(); // the list may be older than what is known of it
  table.hidden = shown.length === 0;
  document.getElementById("no-runs").hidden = shown.length > 0;
  document.body.classList.toggle("has-past", shown.length > 0);
  write(table.caption, `${shown.length} past comparison${shown.length === 1 ? "" : "s"}, newest first`);
}

/** Say in the row of the run that trains how far its models are; nothing else there changes. */
function showProgress() {
  const { run, models } = latestRun();
  const row = shown.some(({ id }) => id === run) ? table.querySelector(`tr[data-run="${CSS.escape(run)}"]`) : null;
  for (const said of row?.querySelectorAll(".outcome") ?? []) write(said, outcome(models[said.parentElement.dataset.of]));
}

/** Show the runs that the server has listed, where any is new or another than before. */
function showListed() {
  const { runs, deleted } = pastRuns();
  const all = [...runs, ...deleted.map((run) => ({ ...run, gone: true }))].sort((one, other) => (one.id < other.id ? 1 : -1));
  const isNews = JSON.stringify(all) !== JSON.stringify(shown);
  shown = all;
  if (isNews) show();
}

async function chooseSlot({ target }) {
  if (!target.dataset.slot) return;
  chooser ??= await import("./chooser.js");
  chooser.choose(target);
}

export function connectHistory() {
  table.addEventListener("click", chooseSlot);
  onRuns(showListed);
  onLatest(showProgress);
  document.getElementById("tab-history").addEventListener("click", refreshRuns);
}
