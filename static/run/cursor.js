/** The figure's cursor: keys walk the recorded steps and evaluations, and a box beside the plot says what stands there. */

import { make, write } from "../base/dom.js";
import { MODELS } from "../base/models.js";
import { countBelow } from "../base/series.js";
import { onDrawn, placeOf } from "../figure/charts.js";
import { evaluationRows, nextStop, readout, said, stopsOf } from "../figure/cursor.js";
import { hasPoints } from "./answers.js";
import { onCurves, onShown, serverNow, shownRun } from "./state.js";
import { onView, view } from "./view.js";

const PAGE = 0.1; // of the recorded steps, at a press of Page up or Page down
const COLUMNS = ["step", "epoch", "time", "loss", "batch", "accuracy"];

const cursor = document.getElementById("cursor");
const box = document.getElementById("readout");
const table = document.querySelector("#values table");
let kind = "step";
let anchor = null; // {run, model, step}: the recorded point on which the cursor stands; null while it follows the newest

const look = () => ({ ...view(), imagesPerEpoch: serverNow().images.train });
const stops = (of = kind) => stopsOf(shownRun(), of, look());

/** Return where the cursor stands along the axis as it is now. */
function place() {
  const known = stops();
  if (anchor?.run !== shownRun().run) anchor = null;
  const newest = nextStop(known, 0, Infinity);
  if (!anchor) return newest;
  const { step } = shownRun().models[anchor.model][kind === "step" ? "points" : "evaluations"];
  return known[anchor.model][Math.min(countBelow(step, anchor.step), step.length - 1)] ?? newest;
}

/** Stand on the recorded point at a place of the axis. */
function standAt(x) {
  const known = stops();
  const { run, models } = shownRun();
  const model = MODELS.find((each) => known[each].includes(x));
  const step = model && models[model][kind === "step" ? "points" : "evaluations"].step[known[model].indexOf(x)];
  anchor = model && x < nextStop(known, 0, Infinity) ? { run, model, step } : null;
}

/** Show the line at the place, and in the box what was recorded there; `isTold` to a screen reader as well. */
function show(isTold = false) {
  cursor.hidden = !hasPoints(shownRun());
  const isOn = !cursor.hidden && document.activeElement === cursor;
  box.hidden = !isOn;
  if (!isOn) return;
  const x = place();
  const found = readout(shownRun(), kind, look(), x);
  const at = placeOf(x);
  cursor.classList.toggle("out", at === null);
  for (const [name, value] of Object.entries(at ?? {})) cursor.style.setProperty(`--${name}`, `${value}px`);
  write(box.querySelector("[data-about]"), found.about);
  box.classList.toggle("unsmoothed", !found.isSmoothed);
  for (const row of box.querySelectorAll("tbody tr")) {
    const values = found.rows[row.dataset.row];
    COLUMNS.forEach((name, index) => write(row.cells[index + 1], values?.[name] ?? "–"));
  }
  cursor.setAttribute("aria-valuemax", String(nextStop(stops(), 0, Infinity)));
  cursor.setAttribute("aria-valuenow", String(x));
  if (!isTold) return;
  cursor.setAttribute("aria-valuetext", said(found));
  box.scrollIntoView({ block: "nearest" });
}

/** Return what a key asks for: [kind of stop, how many of them], null where it asks nothing. */
function wish({ key, shiftKey }) {
  const page = Math.max(1, Math.round(PAGE * Math.max(...Object.values(stops("step")).map(({ length }) => length))));
  const sideways = shiftKey ? "evaluation" : "step";
  return {
    ArrowLeft: [sideways, -1], ArrowRight: [sideways, 1], ArrowDown: ["evaluation", -1], ArrowUp: ["evaluation", 1],
    PageDown: ["step", -page], PageUp: ["step", page], Home: [kind, -Infinity], End: [kind, Infinity],
  }[key] ?? null;
}

function walk(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const wanted = wish(event);
  if (!wanted) return;
  event.preventDefault(); // it would scroll the page
  const [nextKind, count] = wanted;
  if (nextStop(stops(nextKind), null, Infinity) === null) return; // no evaluation yet
  const x = place();
  kind = nextKind;
  standAt(nextStop(stops(), x, count));
  show(true);
}

const VALUES = ["loss", "accuracy", "time"];

/** Fill the table of evaluations while it is open. */
function fillTable() {
  if (!document.getElementById("values").open) return;
  const rows = evaluationRows(shownRun()).map((row) =>
    make("tr", {}, make("th", { scope: "row", text: row.epoch.toFixed(3) }), ...MODELS.flatMap((model) => VALUES.map((_, index) => make("td", { text: row[model]?.[index] ?? "–" })))));
  table.tBodies[0].replaceChildren(...rows);
  document.querySelector("#values .nothing").hidden = rows.length > 0;
  table.hidden = rows.length === 0;
}

export function connectCursor() {
  cursor.addEventListener("keydown", walk);
  cursor.addEventListener("focus", () => show(true));
  cursor.addEventListener("blur", () => show());
  document.getElementById("values").addEventListener("toggle", fillTable);
  onDrawn(() => show());
  onView(() => show());
  for (const on of [onShown, onCurves]) {
    on(() => {
      show();
      fillTable();
    });
  }
}
