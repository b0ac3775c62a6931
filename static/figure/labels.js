/** The number at each validation curve's end, in the margin beside it: never over data, never over another. Pure. */

import * as format from "../base/format.js";
import { signOf } from "../base/models.js";

const ROW_PX = 14; // a label's height

/** Return the heights nearest to those wanted, ascending, that lie `ROW_PX` apart and between `top` and `bottom`, all in pixels from above. */
export function spread(wanted, top, bottom) {
  const order = [...wanted.keys()].sort((a, b) => wanted[a] - wanted[b]);
  const placed = [...wanted];
  let least = top;
  for (const index of order) {
    placed[index] = Math.max(least, Math.min(placed[index], bottom));
    least = placed[index] + ROW_PX;
  }
  let most = bottom;
  for (const index of order.reverse()) {
    placed[index] = Math.min(placed[index], most);
    most = placed[index] - ROW_PX;
  }
  return placed;
}

/** Return the last value of a series in sight, and whether it lies above (1), in (0) or below (-1) the window. */
function endOf({ x, y }, window, [from, to]) {
  const last = y.findLastIndex((value, index) => value !== null && x[index] >= from && x[index] <= to);
  if (last < 0) return null;
  return { x: x[last], value: y[last], where: y[last] > window[1] ? 1 : y[last] < window[0] ? -1 : 0 };
}

const ARROWS = { [-1]: " ↓", 0: "", 1: " ↑" };

/** Return what stands at the ends: a list of {model, panel, text, value, x, where}. `hidden` holds the lines' ids that are switched off. */
export function ends(curves, gap, windows, hidden) {
  const found = Object.entries(curves).flatMap(([model, { validation }]) =>
    [["accuracy", format.percent], ["loss", format.loss]].map(([panel, write]) => {
      const end = hidden.has(`${model}-validation-${panel}`) ? null : endOf({ x: validation.x, y: validation[panel] }, windows[panel], windows.x);
      return end && { ...end, model, panel, text: `${signOf(model)} ${write(end.value)}${ARROWS[end.where]}` };
    }));
  const lead = endOf(gap, windows.gap, windows.x);
  if (lead) found.push({ ...lead, panel: "gap", ...leadWords(lead) });
  return found.filter(Boolean);
}

/** "● +2.3": model 1 is 2.3 points ahead. */
function leadWords({ value, where }) {
  const points = Math.abs(value).toFixed(1);
  const model = points === "0.0" ? null : value > 0 ? "model1" : "model2";
  return { model, text: `${model ? `${signOf(model)} +` : ""}${points}${ARROWS[where]}` };
}

/**
 * Return the labels as Plotly's annotations. `place(panel, value)` gives a value's height in pixels from the plot's
 * top, `panels` the top and bottom of each panel, `plot` the plot's height, and `shift` how far right of it they stand.
 */
export function labelEnds(found, { place, panels, plot, shift, size }, colours) {
  const areas = new Set(found.map(({ panel }) => panels[panel].join())); // overlaid panels share one
  return [...areas].flatMap((area) => {
    const column = found.filter(({ panel }) => panels[panel].join() === area);
    const [top, bottom] = panels[column[0].panel];
    const heights = spread(column.map(({ panel, value }) => place(panel, value)), top + ROW_PX / 2 - 3, bottom - ROW_PX / 2 + 3);
    return column.map(({ text, model }, index) => ({
      text, x: 1, xref: "paper", xanchor: "left", xshift: shift, y: 1 - heights[index] / plot, yref: "paper", yanchor: "middle",
      showarrow: false, borderpad: 0, font: { size, color: model ? colours[`${model}-text`] : colours.soft },
    }));
  });
}
