/** A table of what both models answer: a row a class, and for each model a bar and a percentage. */

import { make, write } from "../base/dom.js";
import { MODELS, signOf, titleOf } from "../base/models.js";
import { share } from "../base/wording.js";

/** Return the class that a model answers, or -1 where it has not answered, or with something that is not a number. Pure. */
export const answerOf = (probabilities) => (probabilities ? probabilities.indexOf(Math.max(...probabilities)) : -1);

/** Return `most` classes to show: the true one, then those that either model finds likeliest. Pure. */
export function likeliest(truth, model1, model2, most) {
  const likely = (index) => (index === truth ? 2 : Math.max(model1[index], model2[index]));
  return [...model1.keys()].sort((one, other) => likely(other) - likely(one)).slice(0, most);
}

/** Return an empty table with a heading of signs, for a card. */
export function makeAnswers(caption) {
  const heads = MODELS.map((model) => make("th", { scope: "col", "data-of": model },
    make("span", { class: "sign", "aria-hidden": "true", text: signOf(model) }), make("span", { class: "unseen", text: titleOf(model) })));
  const corner = make("th", { scope: "col" }, make("span", { class: "unseen", text: "Class" }));
  return make("table", { class: "answers" }, make("caption", { class: "unseen", text: caption }),
    make("thead", {}, make("tr", {}, corner, ...heads)), make("tbody"));
}

function makeRow() {
  const cells = MODELS.map((model) => make("td", { "data-of": model },
    make("span", { class: "track", "aria-hidden": "true" }), make("span", { class: "share" }), make("span", { class: "mark-right", "aria-hidden": "true" }), make("span", { class: "unseen" })));
  return make("tr", {}, make("th", { scope: "row" }, make("span"), make("span", { class: "unseen" })), ...cells);
}

function fillCell(cell, { probability, isAnswer, isTruth, isTruthKnown }) {
  const [track, value, mark, spoken] = cell.children;
  track.style.setProperty("--share", probability ?? 0);
  write(value, share(probability));
  cell.classList.toggle("answer", isAnswer);
  cell.classList.toggle("right", isAnswer && isTruth);
  write(mark, isAnswer && isTruthKnown ? (isTruth ? "✓" : "✗") : "");
  write(spoken, isAnswer ? ` its answer${isTruthKnown ? (isTruth ? ", right" : ", wrong") : ""}` : "");
}

/** Fill a table: `shown` are the classes of its rows, `truth` the true one or null; a model's probabilities are null before it answers. */
export function showAnswers(table, { classes, shown, truth = null, model1, model2 }) {
  const body = table.tBodies[0];
  if (body.rows.length !== shown.length) body.replaceChildren(...shown.map(makeRow));
  const said = { model1: answerOf(model1), model2: answerOf(model2) };
  shown.forEach((index, position) => {
    const [name, ...cells] = body.rows[position].cells;
    name.classList.toggle("truth", index === truth);
    write(name.firstChild, classes[index]);
    write(name.lastChild, index === truth ? " (the true class)" : "");
    [model1, model2].forEach((probabilities, column) => {
      const isAnswer = said[MODELS[column]] === index;
      fillCell(cells[column], { probability: probabilities?.[index], isAnswer, isTruth: index === truth, isTruthKnown: truth !== null });
    });
  });
}
