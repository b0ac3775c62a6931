/** The layout of the figure, for the view and the theme's colours. Pure. */

import { AXES } from "./axes.js";
import { drawMarks } from "./marks.js";
import { DIVERGED_LOSS } from "./traces.js";

const NARROW_LEGEND = { x: -0.14, yref: "paper", yanchor: "bottom", itemwidth: 30, entrywidth: 98, entrywidthmode: "pixels" }; // two columns on a phone
const DOMAINS = {
  stacked: { loss: [0.59, 1], accuracy: [0.2, 0.54] },
  overlaid: { loss: [0.2, 1], accuracy: [0.2, 1] },
};

/** How one is to read the strip: up is model 1, down is model 2. Only the sides that there are. */
function sides(lines, colours) {
  const gaps = lines.find(({ uid }) => uid === "gap").y;
  return [
    gaps.some((points) => points > 0) && ["model 1 ahead", 1, "top", colours.model1],
    gaps.some((points) => points < 0) && ["model 2 ahead", 0, "bottom", colours.model2],
  ].filter(Boolean).map(([text, y, yanchor, color]) => ({
    text, x: 0, xref: "paper", xanchor: "left", xshift: 4, y, yref: "y3 domain", yanchor, showarrow: false, bgcolor: colours.surface, borderpad: 0, font: { size: 10.5, color },
  }));
}

/** Return the layout for these lines; a zoom is kept for as long as it means the same. */
export function layout(history, view, lines, colours, { font, narrow, width }) {
  const overlaid = view.layout === "overlaid";
  const domain = DOMAINS[view.layout];
  const at = AXES[view.x];
  const axis = {
    gridcolor: colours.grid, linecolor: colours.grid, zeroline: false, ticks: "", automargin: false,
    tickfont: { color: colours.faint, size: 11.5 }, title: { font: { color: colours.soft, size: 12.5 }, standoff: 6 },
  };
  const named = (text) => ({ ...axis.title, text });
  const since = `${history.run} ${view.layout}`;
  const { shapes, annotations } = drawMarks(history, view, colours, width);
  return {
    uirevision: history.run,
    autosize: true,
    font: { family: font, color: colours.ink, size: 13 },
    paper_bgcolor: colours.surface, // not transparent: Plotly outlines the crosshair in this colour, and pictures are saved on it
    plot_bgcolor: colours.surface,
    margin: { l: narrow ? 50 : 62, r: overlaid ? 60 : narrow ? 10 : 24, t: narrow ? 64 : 30, b: 40 },
    hovermode: "x unified",
    hoversubplots: "axis",
    hoverlabel: { bgcolor: colours.surface, bordercolor: colours.line, font: { family: font, color: colours.ink, size: 12 }, align: "left" },
    legend: { orientation: "h", x: 0, y: 1, yref: "container", yanchor: "top", xanchor: "left", itemwidth: 34, ...(narrow ? NARROW_LEGEND : {}), font: { color: colours.soft, size: narrow ? 10.5 : 12.5 } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colours.faint, activecolor: colours.ink },
    shapes,
    annotations: [...sides(lines, colours), ...annotations],
    xaxis: {
      ...axis, title: named(at.title), anchor: "y3", rangemode: "tozero", tickformat: at.tickformat, unifiedhovertitle: { text: at.crosshair },
      showspikes: true, spikemode: "across", spikethickness: 1, spikedash: "solid", spikecolor: colours.faint, uirevision: `${since} ${view.x}`,
    },
    yaxis: {
      ...axis, title: named(view.log ? "loss (log)" : "loss"), domain: domain.loss, uirevision: `${since} ${view.log}`,
      ...(view.log ? { type: "log", dtick: "D2", tickformat: "~g", autorangeoptions: { clipmax: DIVERGED_LOSS } } : { type: "linear", rangemode: "tozero", autorangeoptions: { clipmax: DIVERGED_LOSS } }),
    },
    yaxis2: {
      ...axis, title: named("accuracy"), domain: domain.accuracy, tickformat: ".1~%", autorangeoptions: { clipmax: 1 }, uirevision: since,
      ...(overlaid ? { overlaying: "y", side: "right", showgrid: false, tickmode: "auto" } : {}),
    },
    yaxis3: {
      ...axis, title: named("Δ points"), domain: [0, 0.14], rangemode: "tozero", tickformat: ".1~f", nticks: 3, uirevision: since,
      zeroline: true, zerolinecolor: colours.line,
    },
  };
}
