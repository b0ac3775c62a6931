/** What small charts are made of: each function returns one that, given the colours, is Plotly's lines and layout. Pure. */

import { LOOKS, titleOf } from "../base/models.js";

/** Return the layout of a small chart: `x` and `y` are titles, `axes` what is special about each axis. */
export function frame({ x, y, run, axes = {} }, colours, { font }) {
  const axis = (text) => ({
    gridcolor: colours.grid, linecolor: colours.line, zeroline: false, ticks: "", automargin: true, uirevision: `${run} ${text}`,
    tickfont: { color: colours.faint, size: 11 }, title: { text, font: { color: colours.soft, size: 12 }, standoff: 8 },
  });
  return {
    uirevision: run, autosize: true, showlegend: false, margin: { l: 44, r: 12, t: 8, b: 34 },
    font: { family: font, color: colours.ink, size: 12 }, paper_bgcolor: colours.surface, plot_bgcolor: colours.surface,
    hoverlabel: { bgcolor: colours.surface, bordercolor: colours.line, font: { family: font, color: colours.ink, size: 12 }, align: "left" },
    xaxis: { ...axis(x), ...axes.x }, yaxis: { ...axis(y), ...axes.y },
  };
}

/** Return the look of a model's line: its colour, solid or dashed, its marker. */
export const lineOf = (model, colours) => ({
  mode: "lines+markers", name: titleOf(model), line: { color: colours[model], width: 1.8, dash: LOOKS[model].smallDash },
  marker: { symbol: LOOKS[model].symbol, size: 6, color: colours[model] },
});

/** A line for each model: `series` is {model: {x (epochs), y}}; `write` puts a value into words. */
export const curves = (series, { title, run, log = false, percent = false, write }) => (colours, page) => {
  const lines = Object.entries(series).map(([model, { x, y }]) => ({
    type: "scatter", x, y, text: y.map((value) => (value === null ? "" : write(value))), hovertemplate: `${titleOf(model)} · epoch %{x:.2f} · ${title} %{text}<extra></extra>`,
    ...lineOf(model, colours),
  }));
  const scale = log && lines.every(({ y }) => y.every((value) => value === null || value > 0)) ? { type: "log", dtick: "D2", tickformat: "~g" } : { rangemode: "tozero" };
  const axes = { x: { rangemode: "tozero" }, y: percent ? { tickformat: ".0~%", range: [0, 1.05 * Math.max(0.1, ...lines.flatMap(({ y }) => y))] } : scale };
  return { lines, layout: frame({ x: "epoch", y: title, run, axes }, colours, page) };
};
