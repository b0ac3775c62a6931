/** Draws the figure. The only module that names Plotly. */

import { channel } from "../base/channel.js";
import { MODELS } from "../base/models.js";
import { colours } from "../base/theme.js";
import { curvesOf, gapOf } from "./curves.js";
import { layout, meanings, measure, rangeOf } from "./figure.js";
import { fit } from "./fit.js";
import { hasCome, plotly } from "./library.js";
import { traces } from "./traces.js";

const NARROW_PX = 600;
const PAPER_HEIGHT_PX = 320;
const POINTS = 100; // of accuracy in 1
// Plotly 4 shows a button that uploads the figure to Plotly's cloud unless told not to.
const CONFIG = {
  displaylogo: false,
  showSendToCloud: false,
  plotlyServerURL: "",
};
const SMALL = { ...CONFIG, displayModeBar: false };

const drawnSizes = new WeakMap(); // of each element when it was last drawn
const sizeOf = ({ clientWidth, clientHeight }) => `${clientWidth}×${clientHeight}`;

/** Unfolding the forms changes the room for a figure, which Plotly does not see by itself. */
const resizes = new ResizeObserver(async (entries) => {
  for (const { target } of entries) {
    if (target.clientHeight === 0 || sizeOf(target) === drawnSizes.get(target)) continue;
    if (target === shown?.element) await redraw(); // its labels are placed by pixels
    else await (await plotly).Plots.resize(target);
  }
});

const drawings = channel();
/** Hears that the figure has been drawn anew. */
export const onDrawn = drawings.on;

let drawing = Promise.resolve();
let queued = null; // the figure's drawing that has not begun yet: what it will show is what is there by then
let shown = null; // what the figure is to show: {element, history, view}
let drawn = null; // what it shows
let paper = null; // the size of the figure on paper, while it is printed
let figureConfig = null;
let listens = false; // to what the user does to the figure
let zooms = {}; // what the user has chosen by hand: Plotly's axis → {range, meaning}

/**
 * Draw what `compose(palette, page, Plotly)` returns as {lines, layout, config}, once Plotly is there and the drawing
 * before has ended, and call `then`; nobody has to wait for Plotly. `size` returns one other than the element's.
 */
function drawNext(element, compose, { size = () => null, then = () => {} } = {}) {
  drawing = drawing.catch(() => {}).then(async () => {
    const Plotly = await plotly;
    const palette = colours("model1", "model2", "model1-text", "model2-text", "ink", "soft", "faint", "line", "grid", "surface");
    drawnSizes.set(element, sizeOf(element));
    const { width, height } = size() ?? { width: element.clientWidth, height: element.clientHeight };
    const page = { font: getComputedStyle(document.body).fontFamily, narrow: width < NARROW_PX, width, height };
    const { lines, layout, config } = compose(palette, page, Plotly);
    await Plotly.react(element, lines, layout, element.data ? undefined : config); // else it compares the whole of it
    resizes.observe(element);
    then(element);
  });
  return hasCome() ? drawing : Promise.resolve();
}

/** Return the zooms, by our names of the axes, that still mean what they meant, and forget the others. */
function zoomOf(history, view) {
  const meaning = meanings(history, view);
  zooms = Object.fromEntries(Object.entries(zooms).filter(([axis, zoom]) => zoom.meaning === meaning[axis]));
  return Object.fromEntries(Object.entries(zooms).map(([axis, { range }]) => rangeOf(axis, range, view)));
}

/** Return all that the figure is made of: curves, the windows on them, and the sizes of its parts. */
function compose({ element, history, view }, page) {
  const curvesIn = (models, names = MODELS) => Object.fromEntries(names.map((name) => [name, curvesOf(models[name], view)]));
  const curves = curvesIn(history.models);
  const overlays = (view.overlays ?? []).map(({ run, title, models }) => ({ run, title, curves: curvesIn(models, Object.keys(models)) }));
  const gap = view.isApart ? { x: [], y: [] } : gapOf(Object.values(curves)); // nobody leads by the seconds of different runs
  const sizes = measure(history, view, page);
  const noise = POINTS * (view.noise ?? 0);
  const windows = fit(Object.values(curves), overlays.flatMap((overlay) => Object.values(overlay.curves)), gap, {
    whole: view.whole, log: view.log, zoom: zoomOf(history, view), noise, heights: sizes.heights,
  });
  const hidden = new Set((element._fullData ?? []).filter(({ visible }) => visible === "legendonly").map(({ uid }) => uid));
  return { history, curves, overlays, gap, windows, sizes, noise, hidden, narrow: page.narrow };
}

/** Draw again what is shown: the windows, the size or what is hidden has changed. */
function redraw() {
  if (!shown) return null;
  queued ??= drawNext(shown.element, composeShown, { size: () => paper, then: noteDrawn });
  return queued;
}

function noteDrawn(element) {
  element.dataset.drawn = drawn.history.run;
  listenTo(element);
}

function composeShown(palette, page, Plotly) {
  queued = null;
  drawn = shown;
  figureConfig ??= configureFigure(Plotly);
  const figure = compose(drawn, page);
  return { lines: traces(figure, drawn.view, palette), layout: layout(figure, drawn.view, palette, { ...page, paper }), config: figureConfig };
}

function unzoom() {
  zooms = {};
  return redraw();
}

/** A double click and the house show what matters, not what Plotly takes for the whole. */
function configureFigure({ Icons }) {
  const home = { name: "unzoom", title: "Reset axes", icon: Icons.home, click: unzoom };
  return { ...CONFIG, doubleClick: false, modeBarButtons: [["zoom2d", "pan2d", home]] };
}

/** Keep what the user has zoomed to, and fit the other axes to it. */
function noteZoom(event) {
  const meaning = meanings(shown.history, shown.view);
  const chosen = Object.keys(meaning).filter((axis) => `${axis}.range[0]` in event);
  if (!chosen.length) return;
  for (const axis of chosen) zooms[axis] = { range: [event[`${axis}.range[0]`], event[`${axis}.range[1]`]], meaning: meaning[axis] };
  redraw();
}

function listenTo(element) {
  if (listens) return;
  listens = true;
  element.on("plotly_afterplot", () => drawings.tell());
  element.on("plotly_relayout", noteZoom);
  element.on("plotly_doubleclick", unzoom);
  element.on("plotly_restyle", redraw); // a line that the legend hides takes its label along
}

/** Draw the history into `element` as the view asks; once it is there, `element.dataset.drawn` names its run. */
export function draw(element, history, view) {
  shown = { element, history, view };
  return redraw();
}

/** Return where a place along x lies in the figure, as {left, top, height} in pixels; null where it is out of sight. */
export function placeOf(x) {
  const { xaxis, _size: { t: top, h: height } = {} } = shown?.element._fullLayout ?? {};
  if (!xaxis || x < xaxis.range[0] || x > xaxis.range[1]) return null;
  return { left: xaxis._offset + xaxis.l2p(x), top, height };
}

/** Draw a small chart, one that a function of small.js returned, into `element`. */
export const drawSmall = (element, chart) => drawNext(element, (palette, page) => ({ ...chart(palette, page), config: SMALL }));

/** Return the figure as it stands, legend included, as the address of a PNG twice as fine as the screen. */
export async function picture(element) {
  const { clientWidth: width, clientHeight: height } = element;
  return (await plotly).toImage(element, { format: "png", scale: 2, width, height });
}

/** Fit the figure to a width in pixels, such as that of paper; without one, to the page. */
export async function fitPaper(width) {
  paper = width ? { width, height: PAPER_HEIGHT_PX } : null;
  await redraw();
}
