/** Past runs laid behind the curves: thin lines in the models' colours, each run with its number. Pure. */

import * as format from "../base/format.js";
import { evenly, nearest, pick, thin } from "../base/series.js";
import { edges } from "./edges.js";
import { placeable } from "./fit.js";

const LETTERS = { narrow: 15, wide: 40 }; // of a title in the legend
const MOST_NAMED = 4; // runs that the legend has room for; of more, the history has the numbers
const MOST_POINTS = 300; // a trace: they stand in the background
const DASHES = ["dot", "dashdot", "longdash", "longdashdot"]; // with the numbers they tell runs apart without colour

const shorten = (title, most) => (format.plain(title).length > most ? format.isolated(`${format.plain(title).slice(0, most - 1)}…`) : title);

/** Return the runs' titles with their numbers as the legend has room for them, none where it has not. */
export function legendTitles(overlays, narrow) {
  if (overlays.length > MOST_NAMED) return [];
  return overlays.map(({ title }, index) => `${index + 1} ${shorten(title, narrow ? LETTERS.narrow : LETTERS.wide)}`);
}

/** Return what the crosshair says of a run at a place: the losses and accuracies of its models, each where it is nearest. */
function saying(title, curves) {
  const each = Object.values(curves).map(({ training }) => training);
  const at = (x, quantity, write) => each.map((training) => write(training[quantity][nearest(training.x, x)])).join(" and ");
  return (x) => `${title}: loss ${at(x, "loss", format.loss)}, accuracy ${at(x, "accuracy", format.percent)}`;
}

function line({ training }, name, quantity, yaxis, windows, look, says) {
  const indices = (training.isSmooth && evenly(training.step, MOST_POINTS)) || thin(training[quantity], MOST_POINTS);
  const x = pick(training.x, indices);
  const y = pick(training[quantity], indices).map((value) => placeable(value, windows[quantity]));
  const hover = says ? { text: x.map(says), hovertemplate: "%{text}<extra></extra>" } : { hoverinfo: "skip" };
  return { type: "scatter", mode: "lines", x, y, yaxis, connectgaps: false, ...hover, ...look, uid: `${look.legendgroup}-${name}-${quantity}` };
}

const edgesOf = (line, window, xWindow) =>
  ({ ...edges(line, window, xWindow, { color: line.line.color }), opacity: line.opacity, uid: `${line.uid}-edges` });

/** The runs' numbers where their lines end in sight. */
function numbers(lines, yaxis, [low, high], [from, to], colours) {
  const ends = lines.flatMap(({ x, y, number }) => {
    const last = y.findLastIndex((value, index) => value !== null && x[index] >= from && x[index] <= to && value >= low && value <= high);
    return last < 0 ? [] : [{ x: x[last], y: y[last], text: String(number) }];
  });
  const all = Object.fromEntries(["x", "y", "text"].map((key) => [key, ends.map((end) => end[key])]));
  return { type: "scatter", mode: "text", ...all, yaxis, textposition: "top left", textfont: { size: 10.5, color: colours.soft }, hoverinfo: "skip", showlegend: false, uid: `overlays-${yaxis}` };
}

/** Return the lines of `overlays` [{run, title, curves}] for the windows that the figure shows and the theme's colours. */
export function overlayTraces(overlays, windows, colours, narrow) {
  if (overlays.length === 0) return [];
  const named = legendTitles(overlays, narrow);
  const found = { y: [], y2: [] };
  const all = overlays.flatMap(({ run, title, curves }, index) =>
    Object.entries(curves).flatMap(([name, curve], which) => {
      const look = { line: { color: colours[name], width: 1.2, dash: DASHES[index % DASHES.length] }, opacity: 0.65, legendgroup: `overlay-${run}`, name: named[index] ?? title };
      const loss = line(curve, name, "loss", "y", windows, { ...look, showlegend: which === 0 && index in named }, null);
      const says = which === 0 ? saying(`${index + 1} ${title}`, curves) : null; // one row of the crosshair's box for a run
      const accuracy = line(curve, name, "accuracy", "y2", windows, { ...look, showlegend: false }, says);
      found.y.push({ ...loss, number: index + 1 });
      found.y2.push({ ...accuracy, number: index + 1 });
      return [loss, edgesOf(loss, windows.loss, windows.x), accuracy, edgesOf(accuracy, windows.accuracy, windows.x)];
    }));
  return [...all, numbers(found.y, "y", windows.loss, windows.x, colours), numbers(found.y2, "y2", windows.accuracy, windows.x, colours)];
}
