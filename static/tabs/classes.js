/** The classes tab: how well each model knows each class, and what it takes for what. */

import * as api from "../base/api.js";
import { buildMatrix, fillMatrix } from "./confusion.js";
import { make, write } from "../base/dom.js";
import { follow } from "./follow.js";
import * as format from "../base/format.js";
import { anyActive } from "../run/answers.js";
import { confusion, nothing, sum, whichImages } from "../base/wording.js";

const MODELS = ["model1", "model2"];
const SIGNS = { model1: "●", model2: "◆" };

const byId = (id) => document.getElementById(id);
const points = (fraction) => (100 * fraction).toFixed(1);
const images = (count) => `${format.count(count)} image${count === 1 ? "" : "s"}`;

/** A signed number with a true minus. Pure. */
export const signed = (number, text = String(Math.abs(number))) => (number === 0 ? text : `${number > 0 ? "+" : "−"}${text}`);

/** Whether two intervals {low, high} have nothing in common. Pure. */
export const areApart = (one, other) => one.low > other.high || other.low > one.high;

function makeRow(name) {
  const cells = MODELS.map((model) => make("td", { "data-of": model }, make("span"), make("span", { class: "small" })));
  const ranges = MODELS.map((model) => make("span", { class: "range", "data-of": model }, make("i"), make("span", { class: "sign", text: SIGNS[model] })));
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
  write(cell, signed(difference, points(Math.abs(difference))));
  cell.classList.toggle("apart", areApart(...each));
}

function showAccuracies({ accuracy }, classes) {
  const table = byId("by-class");
  const body = table.tBodies[0];
  if (body.rows.length === 0) body.append(...classes.map(makeRow));
  const lowest = Math.min(...MODELS.flatMap((model) => accuracy[model].map(({ low }) => low)));
  const floor = Math.floor(lowest * 10) / 10;
  write(table.querySelector(".scale").firstChild, `${Math.round(100 * floor)} %`);
  classes.forEach((_, index) => fillRow(body.rows[index], MODELS.map((model) => accuracy[model][index]), floor));
}

/** Bind the tab. `onCell({label, predicted1 or predicted2, title})` opens the images of a cell. Returns `refresh()`. */
export function connectClasses({ history, past, classes, onCell }) {
  let shown = null;

  const open = (model, label, answer) =>
    onCell({ label, [model.replace("model", "predicted")]: answer, title: confusion(classes(), label, model, answer) });

  function difference(label, answer) {
    return shown.confusion.model1[label][answer] - shown.confusion.model2[label][answer];
  }

  function build() {
    for (const model of MODELS) buildMatrix(byId(`confusion-${model}`), classes(), (label, answer) => open(model, label, answer));
    buildMatrix(byId("confusion-difference"), classes(), (label, answer) => open(difference(label, answer) > 0 ? "model1" : "model2", label, answer));
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
    const of = one >= two ? "model1" : "model2";
    const title = `${confusion(classes(), label, of, answer)}: model 1 ${one}, model 2 ${two}`;
    return { text: signed(one - two), title, share: Math.min(1, Math.sqrt((3 * Math.abs(one - two)) / shown.counts[label])), of, isEmpty: one === two };
  }

  function show(answer) {
    shown = answer;
    byId("classes").hidden = answer.confusion === null;
    write(byId("classes-about"), answer.confusion === null ? nothing("How well each class is known, and what is taken for what,", anyActive(history())) : `Of ${whichImages(answer, sum(answer.counts))}.`);
    if (answer.confusion === null) return;
    showAccuracies(answer, classes());
    build();
    for (const model of MODELS) fillMatrix(byId(`confusion-${model}`), lookOf(model));
    fillMatrix(byId("confusion-difference"), lookOfDifference);
  }

  async function load() {
    const answer = await api.fetchClasses(past());
    show(answer);
    return answer;
  }

  return follow(byId("panel-classes"), { history, load, onProblem: (text) => write(byId("classes-about"), text) }).refresh;
}
