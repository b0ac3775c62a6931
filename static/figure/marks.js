/** What happened on the way, marked in the figure: pauses, ends, and what was changed. Pure. */

import { titleOf } from "../base/models.js";
import { AXES } from "./axes.js";

const MARKED = ["paused", "finished", "stopped", "failed", "steered", "forked", "continued", "interrupted"];
const LINE_PX = 14; // a label's height and a letter's width, on the screen
const LETTER_PX = 6.6;
const LETTERS = 32; // of a label's line
const MOST_ROWS = 4; // of labels above the figure; a mark for which there is no room has its line only
const NEAR = 0.015; // of the axis: closer marks of one kind share a label

/** Return each mark as {kind, x, detail, models}, those of both models at about the same place as one. */
export function marks(history, view) {
  const each = Object.entries(history.models).flatMap(([name, { events }]) => {
    const xs = events?.kind ? AXES[view.x].of(events, view.imagesPerEpoch) : [];
    return (events?.kind ?? []).map((kind, index) => ({ kind, x: xs[index], step: events.step?.[index], detail: events.detail?.[index] ?? null, models: [name] }));
  });
  const found = each.filter(({ kind, x }) => MARKED.includes(kind) && (x > 0 || kind === "interrupted")).sort((a, b) => a.x - b.x);
  const near = NEAR * Math.max(...found.map(({ x }) => x), ...furthest(history, view));
  const joined = [];
  for (const mark of found) {
    const twin = joined.find((other) => other.kind === mark.kind && other.detail === mark.detail && other.models[0] !== mark.models[0] && mark.x - other.x < near);
    if (twin && twin.models.length === 1) twin.models.push(...mark.models);
    else joined.push(mark);
  }
  const forks = joined.filter(({ kind }) => kind === "forked"); // model 1 was stopped for it and has gone on
  return joined.filter(({ kind, step }) => !["stopped", "finished"].includes(kind) || !forks.some((fork) => fork.step === step));
}

const furthest = (history, view) =>
  Object.values(history.models).map(({ points }) => AXES[view.x].of(points ?? { epoch: [], seconds: [] }, view.imagesPerEpoch)?.at(-1) ?? 0);

/** Return the words of a text in lines of at most so many letters. Pure. */
export function wrap(text, letters) {
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length && longer.length <= letters) lines.splice(-1, 1, longer);
    else lines.push(word);
  }
  return lines;
}

/** Return what a mark says, in lines: whose it is, what happened, and what it changed. */
function wording({ kind, detail, models }) {
  const what = kind === "steered" ? detail : [kind, detail].filter(Boolean).join(" ");
  return wrap(models.length > 1 ? what : `${titleOf(models[0])} ${what}`, LETTERS);
}

/**
 * Return for each mark its label {row, height, side} above a plot of so many pixels: `row`, 0 the lowest, is one in
 * which its words run into no others, null where there is none. What was changed comes before what was paused.
 */
function stack(found, [from, to], width) {
  const placed = found.map(() => ({ row: null, height: 0 }));
  const order = [...found.keys()].sort((a, b) => (found[a].kind === "paused") - (found[b].kind === "paused"));
  const isFree = ({ left, right, row, height }) => left >= 0 && right <= width
    && !placed.some((other) => other.row !== null && left < other.right && other.left < right && row < other.row + other.height && other.row < row + height);
  for (const index of order) {
    if (found[index].x < from || found[index].x > to) continue;
    const lines = wording(found[index]);
    const height = lines.length;
    const reach = LETTER_PX * Math.max(...lines.map(({ length }) => length));
    const x = (width * (found[index].x - from)) / (to - from);
    const sides = [{ side: "left", left: x, right: x + reach }, { side: "right", left: x - reach, right: x }];
    if (x > width / 2) sides.reverse();
    const rows = [...Array(MOST_ROWS - height + 1).keys()];
    placed[index] = rows.flatMap((row) => sides.map((side) => ({ ...side, row, height }))).find(isFree) ?? placed[index];
  }
  return placed;
}

/**
 * Return the marks as Plotly's shapes and annotations, above a plot of so many pixels across that shows `window` of x,
 * and the height in pixels that their labels take. Without a window it is that of the whole run, as for the height.
 */
export function drawMarks(history, view, width, window = null, colours = {}) {
  const found = marks(history, view);
  const whole = [0, Math.max(0, ...furthest(history, view)) || 1];
  const placed = stack(found, window ?? whole, width);
  const shown = [...placed.keys()].filter((index) => placed[index].row !== null);
  return {
    height: LINE_PX * Math.max(0, ...stack(found, whole, width).filter(({ row }) => row !== null).map(({ row, height }) => row + height)),
    shapes: found.map(({ x }) => ({
      type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", layer: "below", line: { color: colours.faint, width: 1, dash: "1px,3px" },
    })),
    annotations: shown.map((index) => ({
      x: found[index].x, y: 1, yref: "paper", yanchor: "bottom", yshift: LINE_PX * placed[index].row, showarrow: false, borderpad: 0,
      xanchor: placed[index].side, align: placed[index].side, text: wording(found[index]).join("<br>"), font: { size: 11, color: colours.faint },
    })),
  };
}
