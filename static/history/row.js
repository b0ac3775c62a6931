/** A row of the history's table: a training, or all seeds of one setting. */

import { make, write } from "../base/dom.js";
import * as format from "../base/format.js";
import { nameOf, signOf } from "../base/models.js";
import { isSecret } from "../run/guess.js";
import { changesOfTraining, differenceIn, seedOf, titleOfTraining } from "./columns.js";

/** Return what a training is called within a sentence: "model 1 of Dropout 0.5 → 0.2". */
export const calledOf = (training, settingTitles) => `${nameOf(training.model)} of ${titleOfTraining(training, settingTitles)}`;

/** Return by what a row is known from one answer to the next. */
export const keyOf = (row) => row.training ?? JSON.stringify(row.setting);

/** Return the addresses of the trainings that a row stands for. */
export const trainingsOf = (row) => row.trainings ?? [row.training];

function button(text, label, act, attributes = {}) {
  const element = make("button", { type: "button", class: "quiet icon", "aria-label": label, title: label, text, ...attributes });
  element.addEventListener("click", () => act(element));
  return element;
}

function nameCell(training, settingTitles, acts) {
  const name = make("a", { class: "run-name", href: `/run/${training.run}`, title: "Open its run", text: titleOfTraining(training, settingTitles) });
  name.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab or window
    event.preventDefault();
    acts.open(training);
  });
  const sign = make("span", { class: "sign", "data-of": training.model, "aria-hidden": "true", text: signOf(training.model) });
  const about = [nameOf(training.model), seedOf(training), changesOfTraining(training, settingTitles)].filter(Boolean).join(" · ");
  return make("th", { scope: "row" }, sign, " ", name, make("span", { class: "soft about", text: about }));
}

function groupCell({ setting, count }, columns) {
  const told = columns.filter(({ key }) => key.startsWith("config.") && !["config.seed", "config.kernel_sizes"].includes(key));
  const text = told.map(({ key, title }) => `${title} ${format.setting(setting[key.slice("config.".length)])}`).join(", ") || "One setting";
  return make("th", { scope: "row" }, make("span", { class: "settings-name", text }), make("span", { class: "soft about", text: `${count} training${count === 1 ? "" : "s"}` }));
}

/** Whether a row tells of a run that is yet to be guessed; a group does where any of its runs is. */
const isToBeGuessed = (row) => trainingsOf(row).some((training) => isSecret(training.split("/")[0]));

/** Write into a cell what its column says of a row; of what is yet to be guessed, nothing. */
function fill(cell, column, row, baseline) {
  if (cell.querySelector("textarea")) return; // its note is being written
  const isHidden = column.isOutcome && isToBeGuessed(row);
  const { text, small = "" } = isHidden ? { text: "guess first" } : column.say(row);
  write(cell.querySelector(".told"), text);
  write(cell.querySelector(".beside"), small);
  write(cell.querySelector(".from-baseline"), isHidden || trainingsOf(row).includes(baseline) ? "" : differenceIn(row, column.key));
}

function columnCell(column, row, baseline) {
  const cell = make("td", { "data-column": column.key, "data-title": column.title, class: column.isNumber ? "number" : "" },
    make("span", { class: "told" }), make("small", { class: "soft beside" }), make("small", { class: "from-baseline", title: "Above or below the baseline ★" }));
  fill(cell, column, row, baseline);
  return cell;
}

/** Write anew what a row says, without making it anew. */
export function rewrite(element, columns, row, baseline) {
  for (const column of columns) fill(element.querySelector(`[data-column="${column.key}"]`), column, row, baseline);
}

function todoCell(training, called, acts, isBaseline) {
  const star = button(isBaseline ? "★" : "☆", isBaseline ? `${called} is the baseline: take that back` : `Make ${called} the baseline`, () => acts.star(training, isBaseline), { "aria-pressed": String(isBaseline), "data-star": "" });
  const more = button("⋯", `What to do with ${called}`, (element) => acts.more(training, element), { "aria-haspopup": "menu" });
  return make("td", { class: "todo" }, star, more);
}

/** Return the row of a training, or of a group; `context` is {columns, titles, picked, baseline, behind, acts}. */
export function makeRow(row, { columns, titles, picked, baseline, behind, acts }) {
  const isGroup = row.trainings !== undefined;
  const called = isGroup ? `${row.count} trainings of one setting` : calledOf(row, titles);
  const box = make("input", { type: "checkbox", "aria-label": `Choose ${called}` });
  box.checked = trainingsOf(row).every((training) => picked.has(training));
  box.addEventListener("change", () => acts.pick(row, box.checked));
  const number = isGroup ? "" : behind(row.training);
  const pick = make("td", { class: "pick" }, box, make("span", { class: "soft behind-number", title: number && "Its number behind the curves", text: number }));
  const isBaseline = trainingsOf(row).includes(baseline);
  const cells = columns.map((column) => columnCell(column, row, baseline));
  const last = isGroup ? make("td", { class: "todo" }) : todoCell(row, called, acts, isBaseline);
  const name = isGroup ? groupCell(row, columns) : nameCell(row, titles, acts);
  const data = isGroup ? {} : { "data-training": row.training, "data-run": row.run };
  const element = make("tr", { ...data, "data-row": keyOf(row), class: isBaseline ? "baseline" : "" }, pick, name, ...cells, last);
  if (!isGroup) acts.edit(element.querySelector("[data-column='note']"), row, called);
  return element;
}
