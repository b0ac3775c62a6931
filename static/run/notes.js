/** Short hints for reading the curves: two at most, and none twice that was dismissed in this run. */

import { make, write } from "../base/dom.js";
import { recall, remember } from "../base/memory.js";
import { signOf } from "../base/models.js";
import { writeTerms } from "../base/terms.js";
import { isPair, onComparison, shownRun } from "./state.js";

const MOST = 2;
const key = (run) => `dismissed ${run}`;

/** Return the first notes, the most important ones, that were not dismissed. Pure. */
export const choose = (notes, dismissed) => notes.filter((note) => !dismissed.includes(note.id)).slice(0, MOST);

function makeNote({ id, model }, dismiss) {
  const button = make("button", { type: "button", class: "quiet icon", "aria-label": "Dismiss this note", title: "Dismiss" , text: "×" });
  button.addEventListener("click", dismiss);
  return make("li", { "data-note": id, "data-of": model ?? "" }, make("span", { class: "sign", "aria-hidden": "true", text: model ? signOf(model) : "i" }), make("span", { class: "text" }), button);
}

/** Show the notes of a run, and what both models share while there are none. */
function showNotes(run, notes, shared) {
  const list = document.getElementById("notes");
  const dismissed = recall(key(run), [], "sessionStorage");
  const chosen = choose(notes, dismissed);
  const known = Object.fromEntries([...list.children].map((item) => [item.dataset.note, item]));
  const items = chosen.map((note) => known[note.id] ?? makeNote(note, () => {
    remember(key(run), [...recall(key(run), [], "sessionStorage"), note.id], "sessionStorage");
    showNotes(run, notes, shared);
  }));
  if (items.length !== list.children.length || items.some((item, index) => item !== list.children[index])) list.replaceChildren(...items);
  items.forEach((item, index) => {
    writeTerms(item.querySelector(".text"), chosen[index].text);
    item.title = chosen[index].text;
  });
  write(document.getElementById("shared"), chosen.length ? "" : shared);
}

export function connectNotes() {
  onComparison(({ run, notes }) => showNotes(run, notes, (isPair() ? null : shownRun().paired?.text) ?? "")); // of two trainings their line says it
}
