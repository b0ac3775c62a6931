/** The strip that shows the server's one statement on both models, and the figures behind it. */

import { write } from "../base/dom.js";
import * as format from "../base/format.js";
import { writeTerms } from "../base/terms.js";
import { onComparison, serverNow } from "./state.js";

const field = (name) => document.querySelector(`#verdict [data-verdict="${name}"]`);

/** Return the place where an accuracy was reached as two texts: on the axis shown, and beside it by the clock or in epochs. Pure. */
function reached(target, axis) {
  if (!target) return ["–", ""];
  const beside = axis === "seconds" ? `${format.epoch(target.epochs)} ep` : format.clock(target.seconds);
  return [format.position(axis, target[axis]), beside];
}

/** Return a test accuracy and its 95 % interval as two texts. Pure. */
function outcome(test) {
  if (!test) return ["–", ""];
  const points = (fraction) => (100 * fraction).toFixed(1);
  return [`${points(test.accuracy)} %`, `${points(test.low)}–${points(test.high)}`];
}

function fill(cell, [first, second], title) {
  const [main, beside] = cell.children;
  write(main, first);
  write(beside, second);
  cell.title = title;
}

function showTargets({ axis, targets, test }) {
  for (const row of document.querySelectorAll("#verdict [data-row]")) {
    const model = row.dataset.row;
    const cells = [...row.querySelectorAll("td")];
    targets.forEach((target, index) => {
      const at = target[model];
      const all = at && `${format.epoch(at.epochs)} epochs · ${format.duration(at.seconds)} · ${format.count(at.images)} images · ${format.short(at.flops)}FLOP`;
      fill(cells[index], reached(at, axis), at ? all : "not reached");
    });
    fill(cells.at(-1), outcome(test[model]), `Accuracy on the ${format.count(serverNow().images.test)} test images, with its 95 % interval, once the run has ended`);
  }
}

/** Return where the models are compared, and how finely that is known. Pure. */
export function whereabouts({ axis, verdict, interval, rows = [] }) {
  if (verdict.accuracy.at === null) return "";
  const widest = Math.max(interval.model1 ?? 0, interval.model2 ?? 0);
  const caveat = axis === "seconds" ? rows.find((row) => row.caveat)?.caveat : "";
  return [`at ${format.position(axis, verdict.accuracy.at)}`, `checked every ${format.epoch(widest)} epochs`, caveat].filter(Boolean).join(", ");
}

/** Return the validation accuracies of both models there, and the noise of their difference where it is known. Pure. */
function accuracies({ at, model1, model2, noise }) {
  if (at === null) return "";
  const band = noise === null ? "" : `, noise of the difference ±${(100 * noise).toFixed(1)} points`;
  return `Accuracy ${format.percent(model1)} against ${format.percent(model2)}${band}`;
}

/** Show what /api/comparison answered. */
function showVerdict(comparison) {
  const { verdict } = comparison;
  const button = document.getElementById("repeat");
  document.getElementById("verdict").dataset.leader = verdict.leader ?? "";
  writeTerms(field("first"), verdict.first);
  writeTerms(field("second"), verdict.second);
  write(field("interval"), whereabouts(comparison));
  writeTerms(field("accuracies"), accuracies(verdict.accuracy));
  write(field("loss"), verdict.loss.text ?? "");
  button.hidden = verdict.action === null;
  button.dataset.pairs = verdict.action?.pairs ?? "";
  write(button, `Repeat ${button.dataset.pairs}×`);
  showTargets(comparison);
}

/** Bind the strip; `onRepeat(pairs)` opens what is needed to repeat what is shown. */
export function connectVerdict({ onRepeat }) {
  const button = document.getElementById("repeat");
  button.addEventListener("click", () => onRepeat(Number(button.dataset.pairs)));
  onComparison(showVerdict);
}
