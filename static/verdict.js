/** The strip that says who is ahead, by how much, whether that is real, and what it is due to. */

import { write } from "./dom.js";
import * as format from "./format.js";

const COMING = ["No verdict yet", "The first comes with the first evaluation."];
const WITHOUT = {
  idle: ["Who is ahead?", "That, and by how much, at equal epochs, seconds, images or FLOPs, will stand here."],
  running: COMING,
  paused: COMING,
  ended: ["No verdict", "The models have no evaluation in common."],
};

const field = (name) => document.querySelector(`#verdict [data-verdict="${name}"]`);

/** Return the place where an accuracy was reached as two texts: on the axis shown, and beside it by the clock or in epochs. Pure. */
export function reached(target, axis) {
  if (!target) return ["–", ""];
  const beside = axis === "seconds" ? `${format.epoch(target.epochs)} ep` : format.clock(target.seconds);
  return [format.position(axis, target[axis]), beside];
}

/** Return a test accuracy and its 95 % interval as two texts. Pure. */
export function outcome(test) {
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
    fill(cells.at(-1), outcome(test[model]), "Accuracy on the 10,000 test images, with its 95 % interval, once the run has ended");
  }
}

/** Return where the models are compared, and how finely that is known. Pure. */
export function whereabouts({ axis, verdict, interval }) {
  if (verdict.accuracy.at === null) return "";
  const widest = Math.max(interval.model1 ?? 0, interval.model2 ?? 0);
  return `at ${format.position(axis, verdict.accuracy.at)}, checked every ${format.epoch(widest)} epochs`;
}

/** Show what /api/comparison answered; null before the first answer. */
export function showVerdict(comparison) {
  const said = comparison?.verdict;
  const state = comparison?.state ?? "idle";
  const [lead, beside] = WITHOUT[state] ?? WITHOUT.ended;
  document.getElementById("verdict").dataset.leader = said?.accuracy.leader ?? "";
  write(field("accuracy"), said?.accuracy.text ?? lead);
  write(field("doubt"), said?.accuracy.within_noise && !comparison.significance ? "too close to call" : "");
  write(field("loss"), said?.accuracy.text ? (said.loss.text ?? "") : beside);
  write(field("interval"), comparison ? whereabouts(comparison) : "");
  write(field("attribution"), comparison?.attribution.text ?? "");
  field("attribution").title = comparison?.attribution.text ?? "";
  if (comparison) showTargets(comparison);
}
