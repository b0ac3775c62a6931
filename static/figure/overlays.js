/** Past runs laid behind the curves: thin dotted lines in the models' colours. Pure. */

import { pick, thin } from "../base/series.js";
import { edges } from "./edges.js";
import { placeable } from "./fit.js";

const NARROW_LETTERS = 15;
const MOST_POINTS = 300; // a trace: they stand in the background
const DASHES = ["dot", "dashdot", "longdash", "longdashdot"]; // tells up to four runs apart without colour

function lines({ training }, name, quantity, yaxis, windows, look) {
  const [x, y] = [training.x, training[quantity]];
  const indices = thin(y, MOST_POINTS);
  const uid = `${look.legendgroup}-${name}-${quantity}`;
  const line = { type: "scatter", mode: "lines", x: pick(x, indices), y: pick(y, indices).map((value) => placeable(value, windows[quantity])), yaxis, hoverinfo: "skip", connectgaps: false, ...look, uid };
  return [line, { ...edges(line, windows[quantity], windows.x, { color: look.line.color }), opacity: look.opacity, uid: `${uid}-edges` }];
}

/** Return a run's title as the legend has room for it. */
export const legendTitle = (title, narrow) => (narrow && title.length > NARROW_LETTERS ? `${title.slice(0, NARROW_LETTERS - 1)}…` : title);

/** Return the lines of `overlays` [{run, title, curves}] for the windows that the figure shows and the theme's colours. */
export function overlayTraces(overlays, windows, colours, narrow) {
  return overlays.flatMap(({ run, title, curves }, index) =>
    Object.entries(curves).flatMap(([name, curve], which) => {
      const look = { line: { color: colours[name], width: 1.2, dash: DASHES[index % DASHES.length] }, opacity: 0.65, legendgroup: `overlay-${run}`, name: legendTitle(title, narrow) };
      return [...lines(curve, name, "loss", "y", windows, { ...look, showlegend: which === 0 }), ...lines(curve, name, "accuracy", "y2", windows, { ...look, showlegend: false })];
    }));
}
