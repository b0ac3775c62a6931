/** Draws the figure. The only module that names Plotly. */

import { channel } from "../base/channel.js";
import { MODELS } from "../base/models.js";
import { colours } from "../base/theme.js";
import { curvesOf, gapOf } from "./curves.js";
import { layout, meanings, measure, rangeOf } from "./figure.js";
import { fit as fitAxes } from "./fit.js";
import { traces } from "./traces.js";

const SOURCE = document.getElementById("chart-library").href; // the page has its content in its address
const NARROW_PX = 600;
const PAPER_HEIGHT_PX = 360;
const POINTS = 100; // of accuracy in 1
// Plotly 4 shows a button that uploads the figure to Plotly's cloud unless told not to.
const CONFIG = {
  displaylogo: false,
  showSendToCloud: false,
  plotlyServerURL: "",
  responsive: true,
};
// Plotly writes two inline style sheets, which our Content-Security-Policy forbids, unless it finds elements
// of these ids: the page links plotly.css in place of the first; the second serves maps, of which we draw none.
const STYLE_OF_MAPS = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53";

/** Plotly is 5 MB: it loads while the page is already in use. */
const plotly = new Promise((resolve, reject) => {
  const standIn = document.createElement("meta");
  standIn.id = STYLE_OF_MAPS;
  document.head.append(standIn);
  const script = document.createElement("script");
  script.src = SOURCE;
  script.onload = () => resolve(window.Plotly);
  script.onerror = () => reject(new Error("the chart library did not load"));
  document.head.append(script);
});

/** Unfolding the forms changes the room for a figure, which Plotly's own `responsive` does not see. */
const resizes = new ResizeObserver(async (entries) => {
  for (const { target } of entries) {
    if (target.clientHeight === 0) continue;
    await (await plotly).Plots.resize(target);
    if (target === shown?.element) await redraw(); // its labels are placed by pixels
  }
});

const drawn = channel();
/** Hears that the figure has been drawn anew. */
export const onDrawn = drawn.on;

let drawing = Promise.resolve();
let shown = null; // what the figure shows: {element, history, view}
let paper = null; // the size of the figure on paper, while it is printed
let figureConfig = null;
let listens = false; // to what the user does to the figure
let zooms = {}; // what the user has chosen by hand: Plotly's axis → {range, meaning}

/** Draw what `compose(palette, page)` returns as {lines, layout}, once Plotly is there and the drawing before has ended; `size` is other than the element's. */
function drawNext(element, compose, config, size = null) {
  drawing = drawing.catch(() => {}).then(async () => {
    const palette = colours("model1", "model2", "model1-text", "model2-text", "ink", "soft", "faint", "line", "grid", "surface");
    const { width, height } = size ?? { width: element.clientWidth, height: element.clientHeight };
    const page = { font: getComputedStyle(document.body).fontFamily, narrow: width < NARROW_PX, width, height };
    const Plotly = await plotly;
    const { lines, layout } = compose(palette, page);
    await Plotly.react(element, lines, layout, config);
    resizes.observe(element);
  });
  return drawing;
}

/** Return the zooms, by our names of the axes, that still mean what they meant, and forget the others. */
function zoomOf(history, view) {
  const meaning = meanings(history, view);
  zooms = Object.fromEntries(Object.entries(zooms).filter(([axis, zoom]) => zoom.meaning === meaning[axis]));
  return Object.fromEntries(Object.entries(zooms).map(([axis, { range }]) => rangeOf(axis, range, view)));
}

/** Return all that the figure is made of: curves, the windows on them, and the sizes of its parts. */
function compose({ element, history, view }, page) {
  const curvesIn = (models) => Object.fromEntries(MODELS.map((name) => [name, curvesOf(models[name], view)]));
  const curves = curvesIn(history.models);
  const overlays = (view.overlays ?? []).map(({ run, title, models }) => ({ run, title, curves: curvesIn(models) }));
  const gap = gapOf(Object.values(curves));
  const sizes = measure(history, view, page);
  const noise = POINTS * (view.noise ?? 0);
  const windows = fitAxes(Object.values(curves), overlays.flatMap((overlay) => Object.values(overlay.curves)), gap, {
    whole: view.whole, log: view.log, zoom: zoomOf(history, view), noise, heights: sizes.heights,
  });
  const hidden = new Set((element._fullData ?? []).filter(({ visible }) => visible === "legendonly").map(({ uid }) => uid));
  return { history, curves, overlays, gap, windows, sizes, noise, hidden, narrow: page.narrow };
}

/** Draw again what is shown: the windows, the size or what is hidden has changed. */
async function redraw() {
  if (!shown) return;
  const now = shown;
  figureConfig ??= configureFigure(await plotly);
  await drawNext(now.element, (palette, page) => {
    const figure = compose(now, page);
    return { lines: traces(figure, now.view, palette), layout: layout(figure, now.view, palette, { ...page, paper }) };
  }, figureConfig, paper);
  listenTo(now.element);
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
  element.on("plotly_afterplot", () => drawn.tell());
  element.on("plotly_relayout", noteZoom);
  element.on("plotly_doubleclick", unzoom);
  element.on("plotly_restyle", redraw); // a line that the legend hides takes its label along
}

/** Draw the history into `element` as the view asks. */
export async function draw(element, history, view) {
  shown = { element, history, view };
  await redraw();
  element.dataset.drawn = history.run;
}

/** Return where a place along x lies in the figure, as {left, top, height} in pixels; null where it is out of sight. */
export function placeOf(x) {
  const { xaxis, _size: { t: top, h: height } = {} } = shown?.element._fullLayout ?? {};
  if (!xaxis || x < xaxis.range[0] || x > xaxis.range[1]) return null;
  return { left: xaxis._offset + xaxis.l2p(x), top, height };
}

/** Draw a small chart, one that a function of small.js returned, into `element`. */
export const drawSmall = (element, chart) => drawNext(element, chart, { ...CONFIG, displayModeBar: false });

/** Return the figure as it stands, legend included, as the address of a PNG twice as fine as the screen. */
export async function picture(element) {
  const { clientWidth: width, clientHeight: height } = element;
  return (await plotly).toImage(element, { format: "png", scale: 2, width, height });
}

/** Fit the figure to a width in pixels, such as that of paper; without one, to the page. */
export async function fit(width) {
  paper = width ? { width, height: PAPER_HEIGHT_PX } : null;
  await redraw();
}
