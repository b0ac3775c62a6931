/** What happened on the way, marked in the figure: pauses and ends. Pure. */

import { AXES } from "./axes.js";
import { LOOKS } from "./traces.js";

const MARKED = ["paused", "finished", "stopped", "failed"];
const NEAR = 0.015; // of the axis: closer marks of one kind share a label

/** Return each pause and end as {kind, x, models}, those of both models at about the same place as one. */
export function marks(history, view) {
  const each = Object.entries(history.models).flatMap(([name, { events }]) => {
    const xs = events?.kind ? AXES[view.x].of(events, view.imagesPerEpoch) : [];
    return (events?.kind ?? []).map((kind, index) => ({ kind, x: xs[index], models: [name] }));
  });
  const found = each.filter(({ kind, x }) => MARKED.includes(kind) && x > 0).sort((a, b) => a.x - b.x);
  const near = NEAR * Math.max(...found.map(({ x }) => x), ...furthest(history, view));
  const joined = [];
  for (const mark of found) {
    const twin = joined.find((other) => other.kind === mark.kind && other.models[0] !== mark.models[0] && mark.x - other.x < near);
    if (twin && twin.models.length === 1) twin.models.push(...mark.models);
    else joined.push(mark);
  }
  return joined;
}

const furthest = (history, view) =>
  Object.values(history.models).map(({ points }) => AXES[view.x].of(points ?? { epoch: [], seconds: [] }, view.imagesPerEpoch)?.at(-1) ?? 0);

/** Return the marks as Plotly's shapes and annotations. */
export function drawMarks(history, view, colours) {
  const found = marks(history, view);
  const end = Math.max(0, ...furthest(history, view));
  return {
    shapes: found.map(({ x }) => ({
      type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", layer: "below", line: { color: colours.faint, width: 1, dash: "1px,3px" },
    })),
    annotations: found.map(({ kind, x, models }, index) => ({
      x, y: 1, yref: "paper", yanchor: "top", yshift: -14 * (index % 2), showarrow: false, bgcolor: colours.surface, borderpad: 0,
      ...(x > end / 2 ? { xanchor: "right", xshift: -3 } : { xanchor: "left", xshift: 3 }),
      text: models.length > 1 ? kind : `${LOOKS[models[0]].title} ${kind}`,
      font: { size: 11, color: colours.faint },
    })),
  };
}
