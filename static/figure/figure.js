/** The layout of the figure, for what it shows, the view and the theme's colours. Pure. */

import { AXES } from "./axes.js";
import { ends, labelEnds } from "./labels.js";
import { drawMarks } from "./marks.js";
import { legendTitles } from "./overlays.js";

const NARROW_LEGEND = { x: -0.14, yref: "paper", yanchor: "bottom", itemwidth: 30, entrywidth: 93, entrywidthmode: "pixels" }; // two columns on a phone
const LEGEND_PX = { row: 19, narrowRow: 29, line: 46, letter: 7 };
const GAP = [0, 0.14];
const DOMAINS = {
  stacked: { loss: [0.68, 1], accuracy: [0.2, 0.63], gap: GAP },
  overlaid: { loss: [0.2, 1], accuracy: [0.2, 1], gap: GAP },
};
const NAMES = { xaxis: "x", yaxis: "loss", yaxis2: "accuracy", yaxis3: "gap" }; // Plotly's and ours
const LABEL_PX = { wide: 74, narrow: 63 }; // room for "◆ 10.2 % ↓"
const LOW_PX = 190; // a plot in which the titles of its axes would run into each other
const TICKS_PX = 44; // room for an axis on the right
const TICK_STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]; // points
const MOST_GAP_TICKS = 3; // steps from one to the next
const LEADER = 0.02; // of the x axis: a validation curve that ends further from the right is led to its label

/** Return what a zoom of each of Plotly's axes means: it holds for as long as that is the same. */
export function meanings(history, view) {
  const all = `${history.run} ${view.layout} ${view.whole}`;
  return { xaxis: `${all} ${view.x}`, yaxis: `${all} ${view.log}`, yaxis2: all, yaxis3: all };
}

/** Return [our name of an axis, its range] for Plotly's; a logarithmic axis tells exponents. */
export const rangeOf = (axis, range, view) => [NAMES[axis], axis === "yaxis" && view.log ? range.map((power) => 10 ** power) : range];

/** Return how high the legend will be in pixels. */
function legendHeight(history, view, { narrow, width, columns }) {
  const titles = Object.keys(history.models).flatMap(() => ["Model 1 training", "Model 1 validation"]);
  titles.push(...legendTitles(view.overlays ?? [], narrow));
  titles.push(...Object.values(history.models).filter(({ points }) => points?.loss?.includes(null)).map(() => "Model 1 loss is not a number"));
  if (narrow) return 6 + LEGEND_PX.narrowRow * Math.ceil(titles.length / columns);
  const widths = titles.map(({ length }) => LEGEND_PX.line + LEGEND_PX.letter * length);
  const across = widths.reduce((sum, each) => sum + each, 0);
  const inColumns = Math.ceil(titles.length / Math.max(1, Math.floor(width / Math.max(...widths)))); // each as wide as the widest
  return 9 + LEGEND_PX.row * (across <= width ? 1 : inColumns);
}

/** Return the sizes of the figure's parts in pixels: margins, the plot's width and height, and each panel's top and bottom. */
export function measure(history, view, { narrow, width, height }) {
  const overlaid = view.layout === "overlaid";
  const labels = narrow ? LABEL_PX.narrow : LABEL_PX.wide;
  const margin = { l: narrow ? 46 : 62, r: labels + (overlaid ? TICKS_PX : 6), b: 40 };
  const across = Math.max(1, width - margin.l - margin.r);
  const marks = drawMarks(history, view, across);
  margin.t = legendHeight(history, view, { narrow, width: across, columns: overlaid ? 1 : 2 }) + marks.height;
  const plot = Math.max(1, height - margin.t - margin.b);
  const panels = Object.fromEntries(Object.entries(DOMAINS[view.layout]).map(([name, [low, high]]) => [name, [(1 - high) * plot, (1 - low) * plot]]));
  return { margin, width: across, height: plot, panels, heights: Object.fromEntries(Object.entries(panels).map(([name, [top, bottom]]) => [name, bottom - top])) };
}

/** The line from a validation curve's last point to its label, where these are apart. */
function leaders(found, windows, colours) {
  const [from, to] = windows.x;
  return found.filter(({ model, x, where }) => model && where === 0 && to - x > LEADER * (to - from)).map(({ model, panel, x, value }) => ({
    type: "line", layer: "below", x0: x, x1: to, y0: value, y1: value, yref: { loss: "y", accuracy: "y2", gap: "y3" }[panel], line: { color: colours[model], width: 0.8, dash: "1px,4px" },
  }));
}

/** The band within which a gap is no more than chance between these two networks makes. */
function noiseBand(noise, colours) {
  if (!noise) return [];
  return [{ type: "rect", layer: "below", x0: 0, x1: 1, xref: "paper", y0: -noise, y1: noise, yref: "y3", line: { width: 0 }, fillcolor: colours.faint, opacity: 0.16 }];
}

/** Return the ticks of the gap's axis, without signs: its colours say who is ahead, and its label how far. Pure. */
export function gapTicks([low, high]) {
  const step = TICK_STEPS.find((each) => (high - low) / each <= MOST_GAP_TICKS) ?? TICK_STEPS.at(-1);
  const [first, last] = [Math.ceil(low / step), Math.floor(high / step)];
  const tickvals = Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
  return { tickvals, ticktext: tickvals.map((value) => String(Number(Math.abs(value).toFixed(2)))) };
}

/** Return which digits a logarithmic axis names: all within a decade, fewer in several, else what Plotly chooses. */
const decadeTicks = ([low, high]) => (high < 10 * low ? "D1" : high < 1000 * low ? "D2" : undefined);

/** Return the layout for these curves and windows. */
export function layout({ history, curves, gap, windows, sizes, noise, hidden }, view, colours, { font, narrow, paper }) {
  const overlaid = view.layout === "overlaid";
  const domain = DOMAINS[view.layout];
  const at = AXES[view.x];
  const axis = {
    gridcolor: colours.grid, linecolor: colours.grid, zeroline: false, ticks: "", automargin: false, uirevision: false, // the windows are ours: see charts.js
    ticklabeloverflow: "allow", // or Plotly measures every label on the page: an eighth of a drawing's time
    tickfont: { color: colours.faint, size: 11.5 }, title: { font: { color: colours.soft, size: 12.5 }, standoff: 6 },
  };
  const named = (text) => ({ ...axis.title, text });
  const logarithmic = (range) => range.map(Math.log10);
  const found = ends(curves, gap, windows, hidden);
  const marks = drawMarks(history, view, sizes.width, windows.x, colours);
  const scale = (panel, value) => (panel === "loss" && view.log ? Math.log10(value) : value);
  const place = (panel, value) => {
    const [top, bottom] = sizes.panels[panel];
    const [low, high] = windows[panel].map((edge) => scale(panel, edge));
    return top + ((high - scale(panel, value)) / (high - low)) * (bottom - top);
  };
  const labels = labelEnds(found, { place, panels: sizes.panels, plot: sizes.height, shift: overlaid ? TICKS_PX : 7, size: narrow ? 10.5 : 12 }, colours);
  return {
    uirevision: history.run,
    ...(paper ? { autosize: false, ...paper } : { autosize: true }),
    font: { family: font, color: colours.ink, size: 13 },
    paper_bgcolor: colours.surface, // not transparent: Plotly outlines the crosshair in this colour, and pictures are saved on it
    plot_bgcolor: colours.surface,
    margin: sizes.margin,
    hovermode: "x unified",
    hoversubplots: "axis",
    hoverlabel: { bgcolor: colours.surface, bordercolor: colours.line, font: { family: font, color: colours.ink, size: 12 }, align: "left" },
    legend: { orientation: "h", x: 0, y: 1, yref: "container", yanchor: "top", xanchor: "left", itemwidth: 34, ...(narrow ? { ...NARROW_LEGEND, y: 1 + marks.height / sizes.height } : {}), font: { color: colours.soft, size: narrow ? 10.5 : 12.5 } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colours.faint, activecolor: colours.ink },
    shapes: [...noiseBand(noise, colours), ...leaders(found, windows, colours), ...marks.shapes],
    annotations: [...labels, ...marks.annotations],
    xaxis: {
      ...axis, title: named(view.isApart ? `${at.title}, of different runs` : at.title), anchor: "y3", range: windows.x, tickformat: at.tickformat, unifiedhovertitle: { text: at.crosshair },
      showspikes: true, spikemode: "across", spikethickness: 1, spikedash: "solid", spikecolor: colours.faint,
    },
    yaxis: {
      ...axis, title: named(view.log ? "loss (log)" : "loss"), domain: domain.loss, exponentformat: "e", // a raised exponent would be styled inline, against our policy
      ...(view.log ? { type: "log", range: logarithmic(windows.loss), dtick: decadeTicks(windows.loss), tickformat: "~g" } : { type: "linear", range: windows.loss, nticks: 5 }),
    },
    yaxis2: {
      ...axis, title: named(overlaid ? "" : "accuracy"), domain: domain.accuracy, range: windows.accuracy, tickformat: ".1~%",
      ...(overlaid ? { overlaying: "y", side: "right", showgrid: false, tickmode: "auto" } : {}),
    },
    yaxis3: {
      ...axis, title: named(sizes.height < LOW_PX ? "Δ" : "Δ points"), domain: GAP, range: windows.gap, ...gapTicks(windows.gap), zeroline: true, zerolinecolor: colours.faint,
    },
  };
}
