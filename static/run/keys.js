/** Keys for the whole page: Space pauses and resumes, P presents and ends it, Escape closes what is open. */

import { isPresenting, present } from "./present.js";

const TAKES_KEYS = "input, select, textarea, button, a, summary, dialog, [role='tab'], [role='slider'], [contenteditable]";
const TAKES_LETTERS = "input:not([type='radio'], [type='checkbox'], [type='range']), select, textarea, dialog, [contenteditable]";

function toggle(event) {
  const button = document.getElementById("pause");
  if (event.repeat || event.target.closest?.(TAKES_KEYS) || button.disabled) return;
  event.preventDefault(); // it would scroll the page
  button.click();
}

function closeMenus() {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
}

function escape() {
  if (document.querySelector("dialog[open]")) return; // it closes by itself
  if (document.querySelector("details.menu[open]")) closeMenus();
  else present(false);
}

export function connectKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " ") toggle(event);
    if (event.key.toLowerCase() === "p" && !event.repeat && !event.target.closest?.(TAKES_LETTERS)) present(!isPresenting());
    if (event.key === "Escape") escape();
  });
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
}
