/** The two charts of a series of repeats: how far its runs spread, and who won each pair. Pure. */

import { signed } from "../base/format.js";
import { LOOKS, otherThan, titleOf } from "../base/models.js";
import { frame, lineOf } from "./small.js";

const NARROW_PX = 420;
const RAISED = 100; // fractions to points
const signedPoints = (points) => signed(points, 2);

/** The mean of each model with a band from its lowest to its highest run. `curves` is {model: {epoch, mean, low, high}}. */
export const means = (curves, run) => (colours, page) => {
  const lines = Object.entries(curves).flatMap(([model, { epoch, mean, low, high }]) => {
    const edge = { type: "scatter", mode: "lines", x: epoch, hoverinfo: "skip", line: { width: 0, color: colours[model] } };
    const fillcolor = colours[model].replace("rgb(", "rgba(").replace(")", ", 0.18)");
    const text = mean.map((value, index) => `${titleOf(model)} ${(RAISED * value).toFixed(1)} % (${(RAISED * low[index]).toFixed(1)}–${(RAISED * high[index]).toFixed(1)})`);
    return [
      { ...edge, y: low },
      { ...edge, y: high, fill: "tonexty", fillcolor },
      { type: "scatter", x: epoch, y: mean, text, hovertemplate: "%{text} · epoch %{x:.2f}<extra></extra>", ...lineOf(model, colours) },
    ];
  });
  const axes = { x: { rangemode: "tozero" }, y: { tickformat: ".1~%", autorangeoptions: { clipmax: 1 } } };
  return { lines, layout: frame({ x: "epoch", y: "validation accuracy", run, axes }, colours, page) };
};

/** Return who won a pair: a failed training loses it; null where it is a tie or has not ended. Pure. */
export function winner({ delta, failed }) {
  if (failed.length) return failed.length === 1 ? otherThan(failed[0]) : null;
  return delta ? (delta > 0 ? "model1" : "model2") : null;
}

/** Crosses for the pairs in which a training failed: at the edge on the other's side, or in the middle where both did. */
function crosses(pairs, reach, colours) {
  const titles = (failed) => failed.map(titleOf).join(" and ");
  return {
    type: "scatter", mode: "markers", x: pairs.map((pair) => ({ model1: reach, model2: -reach })[winner(pair)] ?? 0), y: pairs.map(({ seed }) => `seed ${seed}`),
    text: pairs.map(({ failed }) => `${titles(failed)} failed${failed.length > 1 ? ": a tie" : " and loses the pair"}`), hovertemplate: "%{y}: %{text}<extra></extra>", cliponaxis: false,
    marker: { symbol: "x", size: 10, color: pairs.map((pair) => colours[winner(pair)] ?? colours.soft) },
  };
}

/** A dot for the gap of each pair that has ended, right of zero where model 1 won, and below them the mean with its interval. */
export const gaps = (pairs, result, run) => (colours, page) => {
  const done = pairs.filter(({ delta }) => delta !== null);
  const x = done.map(({ delta }) => RAISED * delta);
  const dots = {
    type: "scatter", mode: "markers", x, y: done.map(({ seed }) => `seed ${seed}`), cliponaxis: false,
    text: x.map((points) => `${signedPoints(points)} points`), hovertemplate: "%{y}: %{text}<extra></extra>",
    marker: {
      size: 11, line: { color: colours.surface, width: 1 }, color: done.map((pair) => colours[winner(pair)] ?? colours.soft),
      symbol: done.map((pair) => LOOKS[winner(pair)]?.symbol ?? "square"),
    },
  };
  const [mean, low, high] = ["mean", "low", "high"].map((name) => (result?.[name] === null || result?.[name] === undefined ? null : RAISED * result[name]));
  const known = low !== null && high !== null;
  const interval = {
    type: "scatter", mode: "markers", x: [mean], y: ["mean"], marker: { symbol: "line-ns", size: 16, line: { color: colours.ink, width: 2.5 } }, cliponaxis: false,
    ...(known ? { error_x: { type: "data", symmetric: false, array: [high - mean], arrayminus: [mean - low], color: colours.ink, thickness: 2, width: 5 } } : {}),
    text: [known ? `${signedPoints(mean)} points, from ${signedPoints(low)} to ${signedPoints(high)}` : ""], hovertemplate: "mean: %{text}<extra></extra>",
  };
  const reach = 1.25 * Math.max(0.1, ...x.map(Math.abs), ...(known ? [Math.abs(low), Math.abs(high)] : []));
  const failed = pairs.filter((pair) => pair.failed.length > 0);
  const rows = [...(mean === null ? [] : ["mean"]), ...pairs.map(({ seed }) => `seed ${seed}`).reverse()];
  const axes = {
    x: { range: [-reach, reach], zeroline: true, zerolinecolor: colours.faint, zerolinewidth: 1.5, tickformat: ".2~f" },
    y: { type: "category", categoryorder: "array", categoryarray: rows, range: [-0.6, rows.length - 0.4], title: { text: "" }, showgrid: true },
  };
  const layout = frame({ x: page.width < NARROW_PX ? "← model 2 · Δ points · model 1 →" : "← model 2 won · Δ test accuracy (points) · model 1 won →", y: "", run: `${run} ${pairs.length}`, axes }, colours, page);
  return { lines: [dots, ...(mean === null ? [] : [interval]), ...(failed.length ? [crosses(failed, 0.95 * reach, colours)] : [])], layout };
};
