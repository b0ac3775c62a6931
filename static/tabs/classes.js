/** The classes tab: how well each model knows each class, and what it takes for what. */

import * as api from "../base/api.js";
import { make, write } from "../base/dom.js";
import * as format from "../base/format.js";
import { MODELS, nameOf, signOf } from "../base/models.js";
import { confusion, nothing, sum, whichImages } from "../base/wording.js";
import { anyActive } from "../run/answers.js";
import { classes, shownOf, shownRun } from "../run/state.js";
import { buildMatrix, fillMatrix } from "./confusion.js";
import { follow } from "./follow.js";
import { openCell } from "./mistakes.js";

let shown = null; // the answer of /api/classes

const byId = (id) => document.getElementById(id);
const points = (fraction) => (100 * fraction).toFixed(1);
const images = (count) => `${format.count(count)} image${count === 1 ? "" : "s"}`;

/** How much more model 1 has than model 2; no sign where they have the same. Pure. */
export const excess = (number, digits) => (number === 0 ? number.toFixed(digits) : format.signed(number, digits));

/** Whether two intervals {low, high} have nothing in common. Pure. */
export const areApart = (one, other) => one.low > other.high || other.low > one.high;

function makeRow(name) {
  const cells = MODELS.map((model) => make("td", { "data-of": model }, make("span"), make("span", { class: "small" })));
  const ranges = MODELS.map((model) => make("span", { class: "range", "data-of": model }, make("i"), make("span", { class: "sign", text: signOf(model) })));
  return make("tr", {}, make("th", { scope: "row", text: name }), ...cells, make("td", { class: "difference" }), make("td", { class: "ranges", "aria-hidden": "true" }, ...ranges));
}

function fillRow(row, each, floor) {
  const at = (fraction) => `${(100 * (fraction - floor)) / (1 - floor)}%`;
  MODELS.forEach((model, index) => {
    const { accuracy, low, high } = each[index];
    const [value, interval] = row.cells[index + 1].children;
    write(value, `${points(accuracy)} %`);
    write(interval, `${points(low)}–${points(high)}`);
    const range = row.querySelector(`.range[data-of="${model}"]`);
    range.style.setProperty("--low", at(low));
    range.style.setProperty("--high", at(high));
    range.style.setProperty("--at", at(accuracy));
  });
  const difference = each[0].accuracy - each[1].accuracy;
  const cell = row.querySelector(".difference");
  write(cell, excess(100 * difference, 1));
  cell.classList.toggle("apart", areApart(...each));
}

function showAccuracies({ accuracy }) {
  const table = byId("by-class");
  const body = table.tBodies[0];
  if (body.rows.length === 0) body.append(...classes().map(makeRow));
  const lowest = Math.min(...MODELS.flatMap((model) => accuracy[model].map(({ low }) => low)));
  const floor = Math.floor(lowest * 10) / 10;
  write(table.querySelector(".scale").firstChild, `${Math.round(100 * floor)} %`);
  classes().forEach((_, index) => fillRow(body.rows[index], MODELS.map((model) => accuracy[model][index]), floor));
}

const open = (model, label, answer) =>
  openCell({ label, [model.replace("model", "predicted")]: answer, title: confusion(classes(), label, model, answer) });

function difference(label, answer) {
  const [one, two] = MODELS.map((model) => shown.confusion[model][label][answer]);
  return one - two;
}

function build() {
  for (const model of MODELS) buildMatrix(byId(`confusion-${model}`), classes(), (label, answer) => open(model, label, answer));
  buildMatrix(byId("confusion-difference"), classes(), (label, answer) => open(MODELS[difference(label, answer) > 0 ? 0 : 1], label, answer));
}

function lookOf(model) {
  return (label, answer) => {
    const count = shown.confusion[model][label][answer];
    const title = `${confusion(classes(), label, model, answer)}: ${images(count)}`;
    return { text: String(count), title, share: Math.sqrt(count / shown.counts[label]), of: model, isEmpty: count === 0 };
  };
}

function lookOfDifference(label, answer) {
  const [one, two] = MODELS.map((model) => shown.confusion[model][label][answer]);
  const of = MODELS[one >= two ? 0 : 1];
  const title = `${confusion(classes(), label, of, answer)}: ${nameOf(MODELS[0])} ${one}, ${nameOf(MODELS[1])} ${two}`;
  return { text: excess(one - two, 0), title, share: Math.min(1, Math.sqrt((3 * Math.abs(one - two)) / shown.counts[label])), of, isEmpty: one === two };
}

function show(answer) {
  shown = answer;
  byId("classes").hidden = answer.confusion === null;
  write(byId("classes-about"), answer.confusion === null ? nothing("How well each class is known, and what is taken for what,", anyActive(shownRun())) : `Of ${whichImages(answer, sum(answer.counts))}.`);
  if (answer.confusion === null) return;
  showAccuracies(answer);
  build();
  for (const model of MODELS) fillMatrix(byId(`confusion-${model}`), lookOf(model));
  fillMatrix(byId("confusion-difference"), lookOfDifference);
}

async function load() {
  const answer = await api.fetchClasses(shownOf());
  show(answer);
  return answer;
}

export function connectClasses() {
  follow(byId("panel-classes"), { load, onProblem: (text) => write(byId("classes-about"), text) });
}
