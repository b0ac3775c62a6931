/** A note in the user's own words on a training, edited in its place. */

import { ApiError } from "../base/api.js";
import { make } from "../base/dom.js";
import { showProblem } from "../run/status.js";
import { writeNote } from "./api.js";

const LONGEST = 500; // as the server has it

/** Save what was written; return whether it could be. */
async function save(training, text) {
  try {
    await writeNote(training.training, text.trim() || null);
    training.note = text.trim() || null;
    showProblem("history", "");
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    showProblem("history", `The note cannot be kept: ${Object.values(error.fields).join("; ") || error.message}.`);
    return false;
  }
}

/** Let a note be edited: Enter or leaving it keeps it, Escape leaves it as it was, Shift and Enter begin a new line. */
function edit(cell, training, called, left) {
  const field = make("textarea", { dir: "auto", maxlength: LONGEST, rows: 2, "aria-label": `Note on ${called}` });
  field.value = training.note ?? "";
  cell.replaceChildren(field);
  field.focus();
  let isDone = false;
  const leave = async (isKept) => {
    if (isDone) return;
    isDone = true;
    if (isKept && !(await save(training, field.value))) {
      isDone = false;
      return;
    }
    left();
  };
  field.addEventListener("blur", () => leave(true));
  field.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the page has keys of its own
    if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey)) {
      event.preventDefault();
      leave(event.key === "Enter").then(() => cell.querySelector("button")?.focus());
    }
  });
}

/** Make the note of a training editable in its cell; `done` hears that it is no longer edited. */
export function makeEditable(cell, training, called, done) {
  const parts = [...cell.children];
  const show = () => {
    const [said] = parts;
    said.dir = "auto";
    said.textContent = training.note ?? "";
    const button = make("button", { type: "button", class: "quiet own-words", title: "Edit the note", "aria-label": training.note ? `Note on ${called}: ${training.note}` : `Add a note on ${called}` }, said, training.note ? "" : "Add a note");
    button.addEventListener("click", () => edit(cell, training, called, left));
    cell.replaceChildren(button, ...parts.slice(1));
  };
  const left = () => {
    show();
    done();
  };
  show();
}
