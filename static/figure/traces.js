/** The lines of the figure, as Plotly takes them, for the curves, the windows on them, the view and the theme's colours. Pure. */

import * as format from "../base/format.js";
import { LOOKS, nameOf } from "../base/models.js";
import { evenly, pick, thin } from "../base/series.js";
import { place } from "./axes.js";
import { edges, MARKS } from "./edges.js";
import { placeable } from "./fit.js";
import { withCrossings } from "./gap.js";
import { overlayTraces } from "./overlays.js";

const MOST_POINTS = 1000; // a trace
const MOST_RAW = 500; // of the noise behind it, whose highs and lows stay
const MARKER_PX = [[12, 7], [40, 5], [Infinity, 3.5]]; // up to so many evaluations, markers are so large
const FAINT = 0.08; // of the losses of single batches

// No <b> in labels: Plotly would style it inline, against our policy.
const label = (what, write, where) => (index) => `${what} ${write(index)}${where ? ` · ${where(index)}` : ""}`;

let written = { of: null, labels: new Map() };

/** Return `write`, which is asked once for each step and value: of a thousand points that are drawn again only the newest are new. */
function writtenOnce(of, what, { step }, values, write) {
  if (written.of !== of) written = { of, labels: new Map() };
  if (!written.labels.has(what)) written.labels.set(what, new Map());
  const labels = written.labels.get(what);
  return (index) => {
    const known = labels.get(step[index]);
    if (known?.value === values[index]) return known.text;
    const text = write(index);
    labels.set(step[index], { value: values[index], text });
    return text;
  };
}

function line({ x, y, window, text, most = MOST_POINTS, at = null, ...look }) {
  const indices = at ?? thin(y, most);
  const nothingYet = indices.length ? null : [null]; // keeps the line's place in the legend
  return {
    type: "scatter",
    x: nothingYet ?? pick(x, indices),
    y: nothingYet ?? pick(y, indices).map((value) => placeable(value, window)),
    showlegend: false,
    connectgaps: false,
    ...(text ? { text: indices.map(text), hovertemplate: "%{text}<extra></extra>" } : { hoverinfo: "skip" }),
    ...look,
  };
}

/** A marker on the newest point of a line, in the model's shape: tells the lines apart without colour. Out of the window it has none. */
function tip(x, y, window, look) {
  const last = y.findLastIndex((value) => value !== null);
  const seen = last >= 0 && y[last] >= window[0] && y[last] <= window[1];
  return { ...MARKS, x: seen ? [x[last]] : [], y: seen ? [y[last]] : [], ...look };
}

/** A triangle for each place where the loss stopped being a number, at the height it had before, as far as that is in sight. */
function broken(x, losses, window, look) {
  const places = [...losses.keys()].filter((index) => losses[index] === null && losses[index - 1] !== null);
  const lowest = window[0] + 0.1 * (window[1] - window[0]);
  const highest = window[1] - 0.1 * (window[1] - window[0]);
  const before = places.map((index) => Math.min(Math.max(losses[index - 1] ?? highest, lowest), highest));
  return {
    type: "scatter", mode: "markers", x: pick(x, places), y: before, cliponaxis: false, showlegend: places.length > 0,
    hovertemplate: `${look.name} from here<extra></extra>`, ...look,
  };
}

function modelTraces(name, { training, validation }, windows, view, colours, run) {
  const { title, symbol, open, width, wide, dash } = LOOKS[name];
  const colour = colours[name];
  const span = view.smoothing;
  const here = (index) => place(training, index, view.x);
  const there = (index) => place(validation, index, view.x);
  const batch = (index) => `${format.loss(training.loss[index])}${span > 0 ? ` (batch ${format.loss(training.batch[index])})` : ""}`;
  const once = (quantity, write, where) => {
    const what = `${title} ${quantity}`;
    return writtenOnce(`${run} ${view.x} ${span}`, what, training, training[quantity], label(what, write, where));
  };
  const [, size] = MARKER_PX.find(([most]) => validation.x.length <= most);
  const common = { mode: "lines", legendgroup: `${name} training`, name: `${title} training`, x: training.x };
  const solid = { ...common, line: { color: colour, width }, at: training.isSmooth ? evenly(training.step, MOST_POINTS) : null };
  const raw = { ...common, line: { color: colour, width: 0.8 }, opacity: FAINT, visible: span > 0, most: MOST_RAW };
  const dashed = {
    mode: "lines+markers", legendgroup: `${name} validation`, name: `${title} validation`, x: validation.x,
    line: { color: colour, width: wide, dash }, marker: { symbol: open, size, color: colour, line: { width: 1.4 } },
  };
  const marker = { legendgroup: common.legendgroup, marker: { color: colour, symbol, size: 8 } };
  const triangle = { symbol: "triangle-up", size: 13, color: colour, line: { color: colours.surface, width: 1.5 } };
  const loss = { yaxis: "y", window: windows.loss };
  const accuracy = { yaxis: "y2", window: windows.accuracy };
  const found = {
    "raw loss": line({ ...raw, ...loss, y: training.batch }),
    "raw accuracy": line({ ...raw, ...accuracy, y: training.running }),
    loss: line({ ...solid, ...loss, y: training.loss, showlegend: true, text: once("loss", batch, here) }),
    accuracy: line({ ...solid, ...accuracy, y: training.accuracy, text: once("accuracy", (i) => format.percent(training.accuracy[i])) }),
    "validation loss": line({ ...dashed, ...loss, y: validation.loss, showlegend: true, text: label(`${title} validation loss`, (i) => format.loss(validation.loss[i]), there) }),
    "validation accuracy": line({ ...dashed, ...accuracy, y: validation.accuracy, text: label(`${title} validation accuracy`, (i) => format.percent(validation.accuracy[i])) }),
    "loss tip": tip(training.x, training.loss, windows.loss, { ...marker, yaxis: "y" }),
    "accuracy tip": tip(training.x, training.accuracy, windows.accuracy, { ...marker, yaxis: "y2", marker: { ...marker.marker, symbol: view.layout === "overlaid" ? open : symbol } }),
    broken: broken(training.x, training.batch, windows.loss, { name: `${title} loss is not a number`, yaxis: "y", marker: triangle }),
  };
  for (const what of ["loss", "accuracy", "validation loss", "validation accuracy"]) {
    const filled = what.startsWith("validation") ? { color: colours.surface, line: { color: colour, width: 1.4 } } : { color: colour };
    found[`${what} edges`] = edges(found[what], windows[what.split(" ").at(-1)], windows.x, filled);
  }
  return found;
}

/** The strip under the accuracy: validation accuracy of model 1 less that of model 2, in points. */
function gapTraces(found, window, xWindow, colours) {
  const between = found.x.length ? found : { x: [null], y: [null] }; // an axis without a line upsets Plotly's first layout
  const { x, y } = withCrossings(between);
  const side = (limit) => y.map((value) => value === null ? null : placeable(limit(value, 0), window));
  const area = { type: "scatter", mode: "lines", x, yaxis: "y3", fill: "tozeroy", hoverinfo: "skip", showlegend: false };
  const says = (points) => `Δ validation accuracy: ${nameOf(points < 0 ? "model2" : "model1")} ahead by ${Math.abs(points).toFixed(1)} points`;
  return {
    "model 1 ahead": { ...area, y: side(Math.max), line: { color: colours.model1, width: 1 } },
    "model 2 ahead": { ...area, y: side(Math.min), line: { color: colours.model2, width: 1 } },
    gap: {
      type: "scatter", mode: "markers", ...between, yaxis: "y3", showlegend: false, marker: { color: colours.soft, size: 4 },
      text: between.y.map(says), hovertemplate: "%{text}<extra></extra>",
    },
    "gap edges": edges({ ...between, yaxis: "y3" }, window, xWindow, { color: colours.soft }),
  };
}

/** Leave what has no points out of Plotly's work, and what comes up in a group that the legend hides, hidden. */
function sparingly(all, hidden) {
  const hiddenGroups = new Set(all.filter(({ uid }) => hidden.has(uid)).map(({ legendgroup }) => legendgroup));
  return all.map((trace) => {
    if (trace.x.length === 0 || trace.visible === false) return { ...trace, visible: false };
    return trace.legendgroup && hiddenGroups.has(trace.legendgroup) ? { ...trace, visible: "legendonly" } : trace;
  });
}

/**
 * Return all traces, always the same ones in the same order, so that what is hidden stays hidden: first what is faint,
 * then training, then validation of both models, so that neither lies wholly over the other.
 */
export function traces({ history, curves, gap, windows, overlays, narrow, hidden }, view, colours) {
  const each = Object.entries(curves).map(([name, curve]) => [name, modelTraces(name, curve, windows, view, colours, history.run)]);
  const kinds = Object.keys(each[0][1]);
  const all = kinds.flatMap((kind) => each.map(([name, found]) => [`${name} ${kind}`, found[kind]]));
  const own = [...all, ...Object.entries(gapTraces(gap, windows.gap, windows.x, colours))]
    .map(([what, trace]) => ({ ...trace, uid: what.replaceAll(" ", "-") })); // Plotly makes class names of them
  return sparingly([...overlayTraces(overlays, windows, colours, narrow), ...own], hidden);
}
