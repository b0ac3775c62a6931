/** What happened on the way, marked in the figure: pauses, ends, and what was changed. Pure. */

import { AXES } from "./axes.js";
import { LOOKS } from "./traces.js";

const MARKED = ["paused", "finished", "stopped", "failed", "steered", "forked"];
const LINE_PX = 14; // a label's height and a letter's width, on the screen
const LETTER_PX = 6;
const NEAR = 0.015; // of the axis: closer marks of one kind share a label

/** Return each mark as {kind, x, detail, models}, those of both models at about the same place as one. */
export function marks(history, view) {
  const each = Object.entries(history.models).flatMap(([name, { events }]) => {
    const xs = events?.kind ? AXES[view.x].of(events, view.imagesPerEpoch) : [];
    return (events?.kind ?? []).map((kind, index) => ({ kind, x: xs[index], step: events.step?.[index], detail: events.detail?.[index] ?? null, models: [name] }));
  });
  const found = each.filter(({ kind, x }) => MARKED.includes(kind) && x > 0).sort((a, b) => a.x - b.x);
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

/** Return what a mark says: whose it is, what happened, and what it changed. */
function wording({ kind, detail, models }) {
  const what = kind === "steered" ? detail : kind === "forked" ? `forked ${detail}`.replace(": ", "<br>") : kind;
  return models.length > 1 ? what : `${LOOKS[models[0]].title} ${what}`;
}

/** Return for each mark the row, 0 the topmost, in which its words run into no others, in a figure of so many pixels. */
function stack(found, end, width) {
  const placed = [];
  for (const mark of found) {
    const lines = wording(mark).split("<br>");
    const reach = LETTER_PX * Math.max(...lines.map(({ length }) => length));
    const x = (width * mark.x) / end;
    const [from, to] = mark.x > end / 2 ? [x - reach, x] : [x, x + reach];
    const height = lines.length;
    let row = 0;
    while (placed.some((other) => from < other.to && other.from < to && row < other.row + other.height && other.row < row + height)) row += 1;
    placed.push({ from, to, row, height });
  }
  return placed.map(({ row }) => row);
}

/** Return the marks as Plotly's shapes and annotations, for a figure of so many pixels across. */
export function drawMarks(history, view, colours, width) {
  const found = marks(history, view);
  const end = Math.max(0, ...furthest(history, view));
  const rows = stack(found, end, width);
  return {
    shapes: found.map(({ x }) => ({
      type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", layer: "below", line: { color: colours.faint, width: 1, dash: "1px,3px" },
    })),
    annotations: found.map(({ x }, index) => ({
      x, y: 1, yref: "paper", yanchor: "top", yshift: -LINE_PX * rows[index], showarrow: false, bgcolor: colours.surface, borderpad: 0,
      ...(x > end / 2 ? { xanchor: "right", align: "right", xshift: -3 } : { xanchor: "left", align: "left", xshift: 3 }),
      text: wording(found[index]), font: { size: 11, color: colours.faint },
    })),
  };
}
