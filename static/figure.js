/** The figure as data: traces and layout for the history and the theme's colours. Pure. */

import * as format from "./format.js";
import { pick, smooth, thin } from "./series.js";

const MOST_POINTS = 1000; // a trace
const SMOOTHING_EPOCHS = 0.015; // 825 images, for both models
const DIVERGED_LOSS = 10; // guessing among ten classes costs 2.3; a line beyond this leaves the figure rather than flatten the other
const LOOKS = {
  model1: { title: "Model 1", symbol: "circle" },
  model2: { title: "Model 2", symbol: "diamond" },
};
const NARROW_LEGEND = { x: -0.14, itemwidth: 30, entrywidth: 104, entrywidthmode: "pixels" }; // two columns on a phone
const NO_VALUES = { step: [], epoch: [], seconds: [], loss: [], accuracy: [] };

const place = (series, index) =>
  `step ${format.count(series.step?.[index])} · ${format.duration(series.seconds[index])}`;

/** One line of the hover label: what, its value, and (once for each model) where in the run. No <b>: Plotly would style it inline, against our policy. */
const hover = (what, write, where) => (series, index) => `${what} ${write(index)}${where ? ` · ${where(series, index)}` : ""}`;

function line({ series, values, label, axis, ...look }) {
  const indices = thin(values, MOST_POINTS);
  const nothingYet = indices.length ? null : [null]; // keeps the line's place in the legend
  return {
    type: "scatter",
    x: nothingYet ?? pick(series.epoch, indices),
    y: nothingYet ?? pick(values, indices),
    yaxis: axis,
    showlegend: false,
    connectgaps: false,
    ...(label
      ? { text: indices.map((index) => label(series, index)), hovertemplate: "%{text}<extra></extra>" }
      : { hoverinfo: "skip" }),
    ...look,
  };
}

/** The newest point of a line, in the model's shape: tells the lines apart without colour. */
function tip(x, y, axis, colour, symbol, legendgroup) {
  const last = y.findLastIndex((value) => value !== null);
  return {
    type: "scatter", mode: "markers", x: last < 0 ? [] : [x[last]], y: last < 0 ? [] : [y[last]], yaxis: axis,
    hoverinfo: "skip", showlegend: false, legendgroup, cliponaxis: false, marker: { color: colour, symbol, size: 9 },
  };
}

function modelTraces(name, model, colours) {
  const { title, symbol } = LOOKS[name];
  const colour = colours[name];
  const points = { ...NO_VALUES, ...model?.points };
  const checks = { ...NO_VALUES, ...model?.evaluations };
  const smoothed = smooth(points.epoch, points.loss, SMOOTHING_EPOCHS);
  const training = { series: points, mode: "lines", legendgroup: `${name} training`, name: `${title} training` };
  const validation = {
    series: checks, mode: "lines+markers", legendgroup: `${name} validation`, name: `${title} validation`,
    line: { color: colour, width: 1.6, dash: "5px,4px" }, marker: { symbol, size: 7, color: colours.surface, line: { color: colour, width: 1.6 } },
  };
  const solid = { color: colour, width: 2 };
  const batch = (index) => `${format.loss(smoothed[index])} (batch ${format.loss(points.loss[index])})`;
  return [
    line({ ...training, values: points.loss, axis: "y", line: { color: colour, width: 1 }, opacity: 0.22 }),
    line({ ...training, values: smoothed, axis: "y", line: solid, showlegend: true, label: hover(`${title} loss`, batch, place) }),
    line({ ...training, values: points.accuracy, axis: "y2", line: solid, label: hover(`${title} accuracy`, (i) => format.percent(points.accuracy[i])) }),
    line({ ...validation, values: checks.loss, axis: "y", showlegend: true, label: hover(`${title} validation loss`, (i) => format.loss(checks.loss[i]), place) }),
    line({ ...validation, values: checks.accuracy, axis: "y2", label: hover(`${title} validation accuracy`, (i) => format.percent(checks.accuracy[i])) }),
    tip(points.epoch, smoothed, "y", colour, symbol, training.legendgroup),
    tip(points.epoch, points.accuracy, "y2", colour, symbol, training.legendgroup),
  ];
}

export const traces = (history, colours) =>
  Object.keys(LOOKS).flatMap((name) => modelTraces(name, history.models[name], colours));

/** The layout; `revision` stays the same for as long as a zoom is to be kept. */
export function layout(colours, font, revision, narrow) {
  const axis = {
    gridcolor: colours.grid, linecolor: colours.grid, zeroline: false, ticks: "", automargin: false,
    tickfont: { color: colours.faint, size: 12 }, title: { font: { color: colours.soft, size: 13 }, standoff: 8 },
  };
  const named = (text) => ({ ...axis.title, text });
  return {
    uirevision: revision,
    autosize: true,
    font: { family: font, color: colours.ink, size: 13 },
    paper_bgcolor: colours.surface, // not transparent: Plotly outlines the crosshair in this colour, and pictures are saved on it
    plot_bgcolor: colours.surface,
    margin: { l: narrow ? 56 : 62, r: narrow ? 14 : 24, t: narrow ? 68 : 36, b: 46 },
    hovermode: "x unified",
    hoversubplots: "axis",
    hoverlabel: { bgcolor: colours.surface, bordercolor: colours.line, font: { family: font, color: colours.ink, size: 12.5 }, align: "left" },
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", xanchor: "left", itemwidth: 34, ...(narrow ? NARROW_LEGEND : {}), font: { color: colours.soft, size: narrow ? 11 : 12.5 } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colours.faint, activecolor: colours.ink },
    xaxis: { ...axis, title: named("epoch"), anchor: "y2", rangemode: "tozero", unifiedhovertitle: { text: "epoch %{x:.3f}" }, showspikes: true, spikemode: "across", spikethickness: 1, spikedash: "solid", spikecolor: colours.line, hoverformat: ".3f" },
    yaxis: { ...axis, title: named("loss"), domain: [0.54, 1], rangemode: "tozero", autorangeoptions: { clipmax: DIVERGED_LOSS } },
    yaxis2: { ...axis, title: named("accuracy"), domain: [0, 0.46], tickformat: ".1~%", autorangeoptions: { clipmax: 1 } },
  };
}
