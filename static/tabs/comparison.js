/** The table of every figure of both models, the better one marked, each explained on request. */

import { make, write } from "../base/dom.js";
import { MODELS } from "../base/models.js";
import { onComparison } from "../run/state.js";

const body = () => document.querySelector("#figures tbody");

function makeRow({ key, title, help, source }) {
  const heading = make("summary", { title: "What is this?" }, make("span", { text: title }), make("span", { class: "unit-beside" }));
  const explanation = make("details", {}, heading, make("p", { text: help }), make("p", { class: "source", text: source }));
  const row = make("tr", { "data-figure-row": key }, make("th", { scope: "row" }, explanation));
  for (const model of MODELS) {
    row.append(make("td", { "data-of": model }, make("span", { class: "mark-better", "aria-hidden": "true" }), make("span"), make("span", { class: "unseen" })));
  }
  row.append(make("td", { class: "unit" }));
  return row;
}

function fill(row, figure) {
  [figure.text1, figure.text2].forEach((text, index) => {
    const cell = row.querySelector(`[data-of="${MODELS[index]}"]`);
    const better = figure.better === MODELS[index];
    const [mark, value, spoken] = cell.children;
    cell.classList.toggle("better", better);
    write(mark, better ? "✓" : "");
    write(value, text);
    write(spoken, better ? " (better)" : "");
  });
  const unit = [figure.unit, figure.caveat].filter(Boolean).join(", ");
  write(row.lastElementChild, unit);
  write(row.querySelector(".unit-beside"), unit);
}

/** Show the rows of /api/comparison; an explanation that stands open stays open. */
function showTable({ rows }) {
  const known = Object.fromEntries([...body().rows].map((row) => [row.dataset.figureRow, row]));
  const wanted = rows.map((figure) => known[figure.key] ?? makeRow(figure));
  if (wanted.length !== body().rows.length || wanted.some((row, index) => row !== body().rows[index])) body().replaceChildren(...wanted);
  wanted.forEach((row, index) => fill(row, rows[index]));
}

export const connectTable = () => onComparison(showTable);
