/** What stands above the table: what to look for, which columns, and how many are found. */

import { make, write } from "../base/dom.js";
import * as format from "../base/format.js";
import { titles } from "../run/state.js";
import { tableAddress } from "./api.js";
import { shownColumns } from "./columns.js";
import { ask, asked, askForAll, chosenColumns, filterPairs, isFiltered, showColumn, sortBy } from "./question.js";

const TYPING_MS = 200;
const tools = document.getElementById("history-tools");
const FIELDS = ["search", "state", "after", "before"];
const field = (name) => document.getElementById(`history-${name}`);
let typing = 0; // the time at which what is typed is asked
let known = ""; // the settings and columns that can be chosen, as they were shown last

function showSettings(values) {
  const groups = Object.entries(values).map(([key, each]) => {
    const options = each.map((value) => make("option", { value: `${key}=${value}`, text: `${titles()[key] ?? key} ${format.setting(value)}` }));
    return make("optgroup", { label: titles()[key] ?? key }, ...options);
  });
  field("setting").replaceChildren(make("option", { value: "", text: "Any settings" }), ...groups);
}

/** The values that settings must have, each to be taken back. */
function showWanted() {
  const chips = Object.entries(asked().config).map(([key, value]) => {
    const text = `${titles()[key] ?? key} ${value.replaceAll(",", " ")}`;
    const chip = make("button", { type: "button", class: "quiet chip", "aria-label": `Also others than ${text}`, text: `${text} ×` });
    chip.addEventListener("click", () => {
      field("setting").focus();
      ask({ config: Object.fromEntries(Object.entries(asked().config).filter(([each]) => each !== key)) });
    });
    return chip;
  });
  field("wanted").replaceChildren(...chips);
}

function showColumns(columns) {
  const isShown = new Set(shownColumns(columns, chosenColumns()).map(({ key }) => key));
  const boxes = columns.map(({ key, title }) => {
    const box = make("input", { type: "checkbox", value: key });
    box.checked = isShown.has(key);
    box.addEventListener("change", () => showColumn(key, box.checked));
    return make("label", {}, box, ` ${title}`);
  });
  field("columns").querySelector("div").replaceChildren(...boxes);
  const options = [["name", "Training"], ...columns.map(({ key, title }) => [key, title])];
  field("sort").replaceChildren(...options.map(([value, text]) => make("option", { value, text: `Sorted by ${text.toLowerCase()}` })));
}

/** Show above the table what was asked and what there is to ask for; `columns` are all that there are. */
export function showTools({ values, total, all }, columns) {
  const now = JSON.stringify([values, columns.map(({ key, title }) => [key, title])]);
  if (now !== known) {
    showSettings(values);
    showColumns(columns);
  }
  known = now;
  field("sort").value = asked().sort;
  write(field("order"), asked().order === "asc" ? "↑" : "↓");
  field("order").ariaLabel = `${asked().order === "asc" ? "Ascending" : "Descending"}: sort the other way round`;
  const isTyped = (name) => document.activeElement === field(name) || (name === "search" && typing > 0);
  for (const name of FIELDS) if (!isTyped(name)) field(name).value = asked()[name];
  field("grouped").checked = asked().isGrouped;
  field("setting").value = "";
  showWanted();
  tools.hidden = all === 0;
  field("all").hidden = !isFiltered();
  field("export").href = tableAddress(filterPairs({ ...asked(), isGrouped: false }));
  const what = asked().isGrouped ? "settings" : "trainings";
  write(field("count"), total === 0 ? "Nothing in the history is like that." : `${format.count(total)} ${isFiltered() ? `${what} found among ${format.count(all)} trainings` : what}`);
}

export function connectTools() {
  field("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      typing = 0;
      ask({ search: field("search").value.trim() });
    }, TYPING_MS);
  });
  for (const name of FIELDS.slice(1)) field(name).addEventListener("change", () => ask({ [name]: field(name).value }));
  field("grouped").addEventListener("change", () => ask({ isGrouped: field("grouped").checked }));
  field("sort").addEventListener("change", () => sortBy(field("sort").value));
  field("order").addEventListener("click", () => sortBy(asked().sort));
  field("all").addEventListener("click", askForAll);
  field("setting").addEventListener("change", () => {
    const [key, ...value] = field("setting").value.split("=");
    if (key) ask({ config: { ...asked().config, [key]: value.join("=") } });
  });
}
