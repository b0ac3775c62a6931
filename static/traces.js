/** The lines of the figure, as Plotly takes them, for the history, the view and the theme's colours. Pure. */

import { AXES, place } from "./axes.js";
import * as format from "./format.js";
import { gap, withCrossings } from "./gap.js";
import { overlayTraces } from "./overlays.js";
import { pick, smooth, thin } from "./series.js";

const MOST_POINTS = 1000; // a trace
export const DIVERGED_LOSS = 10; // guessing among ten classes costs 2.3; a line beyond this leaves the figure rather than flatten the other
const BEYOND = 2 * DIVERGED_LOSS; // where such a line goes: Plotly cannot scale an axis for a loss of 1e31
export const LOOKS = {
  model1: { title: "Model 1", symbol: "circle", open: "circle-open" },
  model2: { title: "Model 2", symbol: "diamond", open: "diamond-open" },
};
const NO_VALUES = { epoch: [], seconds: [], loss: [], accuracy: [] };

// No <b> in labels: Plotly would style it inline, against our policy.
const label = (what, write, where) => (index) => `${what} ${write(index)}${where ? ` · ${where(index)}` : ""}`;

function line({ x, y, text, ...look }) {
  const indices = thin(y, MOST_POINTS);
  const nothingYet = indices.length ? null : [null]; // keeps the line's place in the legend
  return {
    type: "scatter",
    x: nothingYet ?? pick(x, indices),
    y: nothingYet ?? pick(y, indices).map((value) => (value > BEYOND ? BEYOND : value)),
    showlegend: false,
    connectgaps: false,
    ...(text ? { text: indices.map(text), hovertemplate: "%{text}<extra></extra>" } : { hoverinfo: "skip" }),
    ...look,
  };
}

/** A marker on the newest point of a line, in the model's shape: tells the lines apart without colour. */
function tip(x, y, look) {
  const last = y.findLastIndex((value) => value !== null);
  return {
    type: "scatter", mode: "markers", x: last < 0 ? [] : [x[last]], y: last < 0 ? [] : [Math.min(y[last], BEYOND)],
    hoverinfo: "skip", showlegend: false, cliponaxis: false, ...look,
  };
}

/** A triangle for each place where the loss stopped being a number, at the height it had before. */
function broken(x, losses, look) {
  const places = [...losses.keys()].filter((index) => losses[index] === null && losses[index - 1] !== null);
  const before = places.map((index) => Math.min(losses[index - 1] ?? 1, 0.8 * DIVERGED_LOSS)); // in sight
  return {
    type: "scatter", mode: "markers", x: pick(x, places), y: before, cliponaxis: false, showlegend: places.length > 0,
    hovertemplate: `${look.name} from here<extra></extra>`, ...look,
  };
}

function modelTraces(name, model, view, colours) {
  const { title, symbol, open } = LOOKS[name];
  const colour = colours[name];
  const points = { ...NO_VALUES, ...model?.points };
  const checks = { ...NO_VALUES, ...model?.evaluations };
  const [x, checkX] = [points, checks].map((series) => AXES[view.x].of(series, view.imagesPerEpoch));
  const span = view.smoothing / view.imagesPerEpoch;
  const smoothed = (values) => (span > 0 ? smooth(points.epoch, values, span) : values);
  const [loss, accuracy] = [smoothed(points.loss), smoothed(points.accuracy)];
  const here = (index) => place(points, index, view.x);
  const there = (index) => place(checks, index, view.x);
  const batch = (index) => `${format.loss(loss[index])}${span > 0 ? ` (batch ${format.loss(points.loss[index])})` : ""}`;
  const training = { mode: "lines", legendgroup: `${name} training`, name: `${title} training` };
  const solid = { ...training, line: { color: colour, width: 2 } };
  const raw = { ...training, line: { color: colour, width: 1 }, opacity: 0.22, visible: span > 0 };
  const validation = {
    mode: "lines+markers", legendgroup: `${name} validation`, name: `${title} validation`,
    line: { color: colour, width: 1.6, dash: "5px,4px" },
    marker: { symbol, size: 7, color: colours.surface, line: { color: colour, width: 1.6 } },
  };
  const marker = { legendgroup: training.legendgroup, marker: { color: colour, symbol, size: 9 } };
  const triangle = { symbol: "triangle-up", size: 13, color: colour, line: { color: colours.surface, width: 1.5 } };
  return {
    "raw loss": line({ ...raw, x, y: points.loss, yaxis: "y" }),
    loss: line({ ...solid, x, y: loss, yaxis: "y", showlegend: true, text: label(`${title} loss`, batch, here) }),
    "raw accuracy": line({ ...raw, x, y: points.accuracy, yaxis: "y2" }),
    accuracy: line({ ...solid, x, y: accuracy, yaxis: "y2", text: label(`${title} accuracy`, (i) => format.percent(accuracy[i])) }),
    "validation loss": line({ ...validation, x: checkX, y: checks.loss, yaxis: "y", showlegend: true, text: label(`${title} validation loss`, (i) => format.loss(checks.loss[i]), there) }),
    "validation accuracy": line({ ...validation, x: checkX, y: checks.accuracy, yaxis: "y2", text: label(`${title} validation accuracy`, (i) => format.percent(checks.accuracy[i])) }),
    "loss tip": tip(x, loss, { ...marker, yaxis: "y" }),
    "accuracy tip": tip(x, accuracy, { ...marker, yaxis: "y2", marker: { ...marker.marker, symbol: view.layout === "overlaid" ? open : symbol } }),
    broken: broken(x, points.loss, { name: `${title} loss is not a number`, yaxis: "y", marker: triangle }),
  };
}

/** The strip under the accuracy: validation accuracy of model 1 less that of model 2, in points. */
function gapTraces(history, view, colours) {
  const curves = Object.keys(LOOKS).flatMap((name) => {
    const checks = { ...NO_VALUES, ...history.models[name]?.evaluations };
    return [AXES[view.x].of(checks, view.imagesPerEpoch), checks.accuracy.map((value) => value === null ? null : 100 * value)];
  });
  const found = gap(...curves);
  const between = found.x.length ? found : { x: [null], y: [null] }; // an axis without a line upsets Plotly's first layout
  const { x, y } = withCrossings(between);
  const area = { type: "scatter", mode: "lines", x, yaxis: "y3", fill: "tozeroy", hoverinfo: "skip", showlegend: false };
  const says = (points) => `Δ validation accuracy: ${points < 0 ? "model 2" : "model 1"} ahead by ${Math.abs(points).toFixed(1)} points`;
  return {
    "model 1 ahead": { ...area, y: y.map((value) => value === null ? null : Math.max(value, 0)), line: { color: colours.model1, width: 1 } },
    "model 2 ahead": { ...area, y: y.map((value) => value === null ? null : Math.min(value, 0)), line: { color: colours.model2, width: 1 } },
    gap: {
      type: "scatter", mode: "markers", ...between, yaxis: "y3", showlegend: false, marker: { color: colours.soft, size: 4 },
      text: between.y.map(says), hovertemplate: "%{text}<extra></extra>",
    },
  };
}

/** Return all traces, always the same ones in the same order, so that what is hidden stays hidden. */
export function traces(history, view, colours) {
  const all = Object.keys(LOOKS).flatMap((name) =>
    Object.entries(modelTraces(name, history.models[name], view, colours)).map(([what, trace]) => [`${name} ${what}`, trace]));
  const own = [...all, ...Object.entries(gapTraces(history, view, colours))]
    .map(([what, trace]) => ({ ...trace, uid: what.replaceAll(" ", "-") })); // Plotly makes class names of them
  return [...own, ...overlayTraces(view.overlays ?? [], view, colours)];
}
