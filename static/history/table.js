/** The history as a table: a page of what was asked, sorted and filtered by the server. Loaded when it comes into sight. */

import { ApiError } from "../base/api.js";
import { make, write } from "../base/dom.js";
import * as format from "../base/format.js";
import { watchSight } from "../base/sight.js";
import { lookAt } from "../run/past.js";
import { isActive } from "../run/answers.js";
import { latestRun, onLatest, onRuns, titles } from "../run/state.js";
import { showProblem } from "../run/status.js";
import { fetchTrainings, setBaseline } from "./api.js";
import { behindNumber, isPicked, onPicked, pick } from "./chosen.js";
import { columnsFor, shownColumns } from "./columns.js";
import { showDisk } from "./disk.js";
import { openMenu } from "./menu.js";
import { makeEditable } from "./note.js";
import { ask, asked, chosenColumns, onQuestion, pairsOf, PAGE, sortBy } from "./question.js";
import { keyOf, makeRow, rewrite } from "./row.js";
import { connectTools, showTools } from "./tools.js";

const table = document.getElementById("runs");
const pager = document.getElementById("history-pager");
let answer = { trainings: [], total: 0, all: 0, differing: [], values: {}, baseline: null };
let columns = [];
let calls = 0; // the latest answer counts
let isOwed = false; // what came while a note was written: the table stays as it is until then
let isUnlisted = false; // the page says that the server could not answer
let isUnanswered = false; // the server did not answer: it is asked again at the next poll
let isInSight = () => false;

const isWriting = () => table.querySelector("textarea") !== null;

/** The focus stays on what does the same in the same row, or sorts by the same column. */
function keepFocus(change) {
  const { activeElement: before } = document;
  const sorted = before.closest?.("#runs thead") ? before.dataset.sort : undefined;
  const row = before.closest?.("#runs tbody tr");
  const place = row ? [...row.querySelectorAll("button, input, a")].indexOf(before) : -1;
  change();
  if (sorted) table.querySelector(`[data-sort="${CSS.escape(sorted)}"]`)?.focus({ preventScroll: true });
  if (place < 0) return;
  const now = table.querySelector(`tr[data-row="${CSS.escape(row.dataset.row)}"]`);
  now?.querySelectorAll("button, input, a")[place]?.focus({ preventScroll: true });
}

function head({ key, title, isNumber }) {
  const { sort, order } = asked();
  const isSorted = sort === key;
  const button = make("button", { type: "button", class: "quiet", "data-sort": key, title: `Sort by ${title.toLowerCase()}` }, title, make("span", { "aria-hidden": "true", text: isSorted ? (order === "asc" ? " ↑" : " ↓") : "" }));
  button.addEventListener("click", () => sortBy(key));
  return make("th", { scope: "col", class: isNumber ? "number" : "", "aria-sort": isSorted ? `${order}ending` : "none" }, button);
}

const acts = {
  open: (training) => lookAt({ id: training.run, title: table.querySelector(`tr[data-run="${CSS.escape(training.run)}"] .run-name`).textContent }),
  pick: (row, isOn) => pick(row, isOn, { titles: titles(), among: isByOutcome() ? answer.total : null }),
  star: (training, isBaseline) => attempt(() => setBaseline(isBaseline ? null : training.training)),
  more: (training, element) => openMenu(training, element),
  edit: (cell, training, called) => cell && makeEditable(cell, training, called, showOwed),
};

/** Whether the table is sorted by what trainings came to: who is picked from its top was chosen among all of them. */
const isByOutcome = () => !asked().isGrouped && columns.some(({ key, isOutcome }) => isOutcome && key === asked().sort);

async function attempt(call) {
  try {
    await call();
    showProblem("history", "");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    isUnlisted ||= !error.status; // said until the server answers
    showProblem("history", `The baseline cannot be chosen: ${Object.values(error.fields).join("; ") || error.message}.`);
  }
  await refresh();
}

function countSaid() {
  const { total, trainings } = answer;
  const [first, last] = [asked().offset + 1, asked().offset + trainings.length];
  const what = asked().isGrouped ? "setting" : "training";
  return total === trainings.length ? `${format.count(total)} ${what}${total === 1 ? "" : "s"}` : `${first} to ${last} of ${format.count(total)} ${what}s`;
}

function showPager() {
  const { offset } = asked();
  const [back, said, on] = pager.children;
  pager.hidden = answer.total <= PAGE && offset === 0;
  back.disabled = offset === 0;
  on.disabled = offset + PAGE >= answer.total;
  write(said, countSaid());
}

function show() {
  isOwed = isWriting();
  if (isOwed) return;
  columns = shownColumns(columnsFor(answer.differing, titles()), chosenColumns());
  const context = { columns, titles: titles(), picked: { has: isPicked }, baseline: answer.baseline, behind: behindNumber, acts };
  const first = make("th", { scope: "col" }, make("span", { class: "unseen", text: "Choose" }));
  const last = make("th", { scope: "col" }, make("span", { class: "unseen", text: "What to do with it" }));
  const rows = answer.trainings.map((row) => makeRow(row, context));
  keepFocus(() => {
    table.tHead.rows[0].replaceChildren(first, head({ key: "name", title: "Training" }), ...columns.map(head), last);
    table.tBodies[0].replaceChildren(...rows);
  });
  table.hidden = answer.trainings.length === 0;
  write(table.caption, countSaid());
  showPager();
  showTools(answer, columnsFor(answer.differing, titles()));
  showProgress();
}

/** Say in the rows of the run that trains how far its models are; nothing else changes. */
function showProgress() {
  const { run, models } = latestRun();
  for (const training of answer.trainings.filter((each) => each.run === run && models[each.model])) {
    const { state, testing, epoch, loss, val_loss, val_accuracy, test_accuracy, elapsed_seconds: seconds, images_per_second } = models[training.model];
    const now = { ...training, state, testing, epoch, loss, val_loss, val_accuracy, seconds, images_per_second };
    now.best_val_accuracy = Math.max(val_accuracy ?? 0, training.best_val_accuracy ?? 0) || null;
    if (isActive(state)) now.difference = null; // that it had when the table was asked for
    if (isActive(state) || test_accuracy === training.test_accuracy) rewrite(table.querySelector(`tr[data-row="${CSS.escape(keyOf(training))}"]`), columns, now, answer.baseline);
  }
}

/** Ask the server, and show what it answers. */
export async function refresh() {
  const call = ++calls;
  try {
    const found = await fetchTrainings(pairsOf(asked()));
    if (call !== calls) return undefined;
    isUnanswered = false;
    if (isWriting()) return void (isOwed = true);
    if (found.trainings.length === 0 && asked().offset > 0) return ask({}); // there are fewer than there were
    const isNews = JSON.stringify(found) !== JSON.stringify(answer);
    answer = found;
    if (isNews || table.tBodies[0].rows.length === 0) show();
    if (isUnlisted) showProblem("history", ""); // but not what was refused
    isUnlisted = false;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    isUnlisted ||= Boolean(error.status);
    isUnanswered = !error.status;
    if (error.status) showProblem("history", `The history cannot be listed: ${Object.values(error.fields).join("; ") || error.message}.`);
  }
}

/** Show what came while a note was written. */
async function showOwed() {
  if (!isOwed) return;
  await refresh();
  show();
}

/** The arrow keys lead to the same thing in the row above or below. */
function moveBetweenRows(event) {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const row = event.target.closest("tbody tr");
  if (!step || !row || event.target.matches("textarea, [role='menuitem']")) return;
  const things = (each) => [...each.querySelectorAll("button, input, a")];
  const next = step < 0 ? row.previousElementSibling : row.nextElementSibling;
  const target = next && things(next)[things(row).indexOf(event.target)];
  if (!target) return;
  event.preventDefault();
  target.focus();
}

/** Show another page from its top on, with the focus on its first row. */
async function turnTo(offset) {
  await ask({ offset });
  document.getElementById("history-tools").scrollIntoView();
  table.querySelector("tbody input")?.focus({ preventScroll: true });
}

export function connectTable() {
  isInSight = watchSight(document.getElementById("panel-history"), () => Promise.all([refresh(), showDisk()]));
  connectTools();
  onQuestion(async () => {
    await refresh();
    show(); // the head says by what it is sorted, also where the answer is the same
  });
  onPicked(show);
  onRuns(() => isInSight() && refresh());
  onLatest(() => {
    showProgress();
    if (isUnanswered && isInSight()) refresh();
  });
  window.addEventListener("focus", () => isInSight() && refresh()); // another window may have written a note
  table.addEventListener("keydown", moveBetweenRows);
  const [back, , on] = pager.children;
  back.addEventListener("click", () => turnTo(Math.max(0, asked().offset - PAGE)));
  on.addEventListener("click", () => turnTo(asked().offset + PAGE));
}
