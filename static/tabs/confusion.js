/** A confusion matrix as a table of buttons: one stop for the Tab key, arrow keys between the numbers. */

import { make, write } from "../base/dom.js";

const STEPS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

/** Return [row, column] to go to from there by a key, or null. Pure. */
export function target(row, column, key, size) {
  if (key === "Home" || key === "End") return [row, key === "Home" ? 0 : size - 1];
  const step = STEPS[key];
  if (!step) return null;
  const inside = (place) => Math.min(Math.max(place, 0), size - 1);
  return [inside(row + step[0]), inside(column + step[1])];
}

function moveFocus(table, event, size) {
  const button = event.target.closest("[data-row]");
  const place = button && target(Number(button.dataset.row), Number(button.dataset.column), event.key, size);
  if (!place) return;
  event.preventDefault();
  table.querySelector(`[data-row="${place[0]}"][data-column="${place[1]}"]`).focus();
}

/** Build the table for these classes, once; `onCell(row, column)` is called for a number that is pressed. */
export function buildMatrix(table, classes, onCell) {
  if (table.tBodies.length) return;
  const heads = classes.map((name) => make("th", { scope: "col" }, make("span", { text: name })));
  const corner = make("td", {}, make("span", { "aria-hidden": "true", text: "is ↓ said →" }));
  const rows = classes.map((name, row) => make("tr", {}, make("th", { scope: "row", text: name }),
    ...classes.map((_, column) => make("td", {}, make("button", { type: "button", "data-row": row, "data-column": column, tabindex: row || column ? -1 : 0 })))));
  table.append(make("thead", {}, make("tr", {}, corner, ...heads)), make("tbody", {}, ...rows));
  table.addEventListener("keydown", (event) => moveFocus(table, event, classes.length));
  table.addEventListener("focusin", (event) => {
    const button = event.target.closest("[data-row]");
    if (!button) return;
    for (const other of table.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
    button.tabIndex = 0;
  });
  table.addEventListener("click", (event) => {
    const button = event.target.closest("[data-row]");
    if (button && button.ariaDisabled !== "true") onCell(Number(button.dataset.row), Number(button.dataset.column));
  });
}

/**
 * Fill in the numbers. `look(row, column)` returns of each {text, title, share, of, isEmpty}:
 * how strongly (0 to 1) it is shaded in whose colour, and whether there is nothing to open.
 */
export function fillMatrix(table, look) {
  for (const button of table.querySelectorAll("[data-row]")) {
    const { text, title, share, of, isEmpty } = look(Number(button.dataset.row), Number(button.dataset.column));
    write(button, text);
    button.ariaLabel = button.title = title;
    button.ariaDisabled = String(isEmpty);
    button.dataset.of = of;
    button.style.setProperty("--share", share.toFixed(3));
  }
}
