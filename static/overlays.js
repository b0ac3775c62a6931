/** Past runs laid behind the curves: thin dotted lines in the models' colours. Pure. */

import { AXES } from "./axes.js";
import { pick, smooth, thin } from "./series.js";

const MOST_POINTS = 300; // a trace: they stand in the background
const DASHES = ["dot", "dashdot", "longdash", "longdashdot"]; // tells up to four runs apart without colour

function line(model, name, quantity, yaxis, view, look) {
  const points = model.points;
  const x = AXES[view.x].of(points, view.imagesPerEpoch);
  const y = view.smoothing ? smooth(points.epoch, points[quantity], view.smoothing / view.imagesPerEpoch) : points[quantity];
  const indices = thin(y, MOST_POINTS);
  return { type: "scatter", mode: "lines", x: pick(x, indices), y: pick(y, indices), yaxis, hoverinfo: "skip", connectgaps: false, ...look, uid: `${look.legendgroup}-${name}-${quantity}` };
}

/** Return the lines of `overlays` [{run, title, models}], for the figure's view and colours. */
export function overlayTraces(overlays, view, colours) {
  return overlays.flatMap(({ run, title, models }, index) =>
    Object.entries(models).flatMap(([name, model], which) => {
      const look = { line: { color: colours[name], width: 1.2, dash: DASHES[index % DASHES.length] }, opacity: 0.65, legendgroup: `overlay-${run}`, name: title };
      return [line(model, name, "loss", "y", view, { ...look, showlegend: which === 0 }), line(model, name, "accuracy", "y2", view, { ...look, showlegend: false })];
    }));
}
