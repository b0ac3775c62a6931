/** What happened on the way, marked in the figure: pauses, ends, and what was changed. Pure. */

import * as format from "../base/format.js";
import { titleOf } from "../base/models.js";
import { AXES } from "./axes.js";

const MARKED = ["paused", "finished", "stopped", "failed", "steered", "forked", "continued", "interrupted"];
const LINE_PX = 14; // a label's height and a letter's width, on the screen
const LETTER_PX = 6.6;
const LETTERS = 40; // of a label's line, and of one that has little room
const FEW_LETTERS = 18;
const MOST_ROWS = 3; // of labels above the figure; a mark for which there is no room has its line, and is counted: "+3"
const MOST_PAUSE_ROWS = 2;
const TOGETHER_PX = 8; // marks so close share a label
const COUNT = " +99"; // has room behind each label
const NEAR = 0.015; // of the axis: marks of one kind of both models that are closer are one

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

const shortOf = (detail) => format.fewDigits(detail.replaceAll("learning rate", "rate"));
const inFull = ({ kind, detail }) => (kind === "steered" ? shortOf(detail) : [kind, detail && shortOf(detail)].filter(Boolean).join(" "));

/** Return what marks that share a label say, `say` of each, in the order of their times: "stopped, continued for 2 more epochs". */
function wording(together, say) {
  const said = new Map();
  for (const mark of together) {
    const [what, { models }] = [say(mark), mark];
    said.set(what, new Set([...(said.get(what) ?? []), ...models]));
  }
  let before = "";
  return [...said].map(([what, models]) => {
    const who = models.size > 1 ? "" : titleOf([...models][0]);
    const named = who === before ? "" : who || "both"; // at the beginning both need no name
    before = who;
    return named ? `${named} ${what}` : what;
  }).join(", ");
}

/** Return a text's lines, at most so many as there are rows. */
function linesOf(text, letters) {
  const lines = wrap(text, letters);
  return lines.length > MOST_ROWS ? [...lines.slice(0, MOST_ROWS - 1), `${lines[MOST_ROWS - 1]} …`] : lines;
}

/** Return the lines of a label in the forms that it can have, the one that says most first: where there is no room, it is short. */
function formsOf(together) {
  const brief = wording(together, ({ kind }) => kind);
  return [linesOf(wording(together, inFull), LETTERS), linesOf(brief, LETTERS), linesOf(brief, FEW_LETTERS)];
}

/** Return the labels of the marks in sight, each {px, x, marks}: those that stand together have one. */
function gather(found, [from, to], width) {
  const labels = [];
  for (const mark of found.filter(({ x }) => x >= from && x <= to)) {
    const x = (width * (mark.x - from)) / (to - from);
    if (labels.length && x - labels.at(-1).px < TOGETHER_PX) labels.at(-1).marks.push(mark);
    else labels.push({ px: x, x: mark.x, marks: [mark] });
  }
  return labels;
}

const isPause = ({ marks }) => marks.every(({ kind }) => kind === "paused");

/**
 * Return those labels for which there is room above a plot of so many pixels, in the order of their times, with
 * {lines, row, height, side, more}: `row`, 0 the lowest, is one in which its words run into no others, and `more` counts the
 * marks beside it that have no label. What was changed comes before what was paused.
 */
function stack(labels, width) {
  const placed = new Map();
  const isFree = ({ left, right, row, height }) => left >= 0 && right <= width
    && ![...placed.values()].some((other) => left < other.right && other.left < right && row < other.row + other.height && other.row < row + height);
  const placesFor = (label, lines) => {
    const { px: x } = label;
    const { length: height } = lines;
    const reach = LETTER_PX * Math.max(...lines.map(({ length }) => length), lines.at(-1).length + COUNT.length);
    const sides = [{ side: "left", left: x, right: x + reach }, { side: "right", left: x - reach, right: x }];
    if (x > width / 2) sides.reverse();
    const rows = [...Array(Math.max(0, (isPause(label) ? MOST_PAUSE_ROWS : MOST_ROWS) - height + 1)).keys()];
    return rows.flatMap((row) => sides.map((side) => ({ ...side, row, height, lines, more: 0 })));
  };
  for (const label of [...labels].sort((one, other) => isPause(one) - isPause(other))) {
    const place = formsOf(label.marks).flatMap((lines) => placesFor(label, lines)).find(isFree);
    if (place) placed.set(label, place);
  }
  const shown = labels.filter((label) => placed.has(label));
  for (const label of labels.filter((each) => shown.length && !placed.has(each))) {
    placed.get(shown.findLast(({ px }) => px <= label.px) ?? shown[0]).more += label.marks.length;
  }
  return shown.map((label) => ({ ...label, ...placed.get(label) }));
}

/**
 * Return the marks as Plotly's shapes and annotations, above a plot of so many pixels across that shows `window` of x,
 * and the height in pixels that their labels take. Without a window it is that of the whole run, as for the height.
 */
export function drawMarks(history, view, width, window = null, colours = {}) {
  const found = marks(history, view);
  const whole = [0, Math.max(0, ...furthest(history, view)) || 1];
  const [ofAll, shown] = [whole, window ?? whole].map((span) => stack(gather(found, span, width), width));
  return {
    height: LINE_PX * Math.max(0, ...ofAll.map(({ row, height }) => row + height)),
    shapes: found.map(({ x }) => ({
      type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", layer: "below", line: { color: colours.faint, width: 1, dash: "1px,3px" },
    })),
    annotations: shown.map(({ x, row, side, lines, more }) => ({
      x, y: 1, yref: "paper", yanchor: "bottom", yshift: LINE_PX * row, showarrow: false, borderpad: 0,
      xanchor: side, align: side, text: `${lines.join("<br>")}${more ? ` +${more}` : ""}`, font: { size: 11, color: colours.faint },
    })),
  };
}
