/** Draws the figure. The only module that names Plotly. */

import { layout } from "./figure.js";
import { colours } from "./theme.js";
import { traces } from "./traces.js";

const SOURCE = "/vendor/plotly.min.js";
const NARROW_PX = 600;
// Plotly 4 shows a button that uploads the figure to Plotly's cloud unless told not to.
const CONFIG = {
  displaylogo: false,
  showSendToCloud: false,
  plotlyServerURL: "",
  responsive: true,
  modeBarButtons: [["zoom2d", "pan2d", "resetScale2d"]],
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
  script.onerror = () => reject(new Error(`the chart library ${SOURCE} did not load`));
  document.head.append(script);
});

/** Unfolding the forms changes the room for the figure, which Plotly's own `responsive` does not see. */
const resizes = new ResizeObserver(async (entries) => {
  for (const { target } of entries) if (target.clientHeight > 0) (await plotly).Plots.resize(target);
});

let drawing = Promise.resolve();

/** Draw what `compose(palette, page)` returns as {lines, layout}, once Plotly is there and the drawing before has ended. */
function drawNext(element, compose, config) {
  drawing = drawing.catch(() => {}).then(async () => {
    const palette = colours("model1", "model2", "ink", "soft", "faint", "line", "grid", "surface");
    const page = { font: getComputedStyle(document.body).fontFamily, narrow: element.clientWidth < NARROW_PX, width: element.clientWidth };
    const Plotly = await plotly;
    const { lines, layout } = compose(palette, page);
    await Plotly.react(element, lines, layout, config);
    resizes.observe(element);
  });
  return drawing;
}

/** Draw the history into `element` as the view asks. */
export async function draw(element, history, view) {
  await drawNext(element, (palette, page) => {
    const lines = traces(history, view, palette);
    return { lines, layout: layout(history, view, lines, palette, page) };
  }, CONFIG);
  element.dataset.drawn = history.run;
}

/** Draw a small chart, one that a function of small.js returned, into `element`. */
export const drawSmall = (element, chart) => drawNext(element, chart, { ...CONFIG, displayModeBar: false });

/** Return the figure as it stands, legend included, as the address of a PNG twice as fine as the screen. */
export async function picture(element) {
  const { clientWidth: width, clientHeight: height } = element;
  return (await plotly).toImage(element, { format: "png", scale: 2, width, height });
}

/** Fit the figure to a width in pixels, such as that of paper; without one, to the page. */
export async function fit(element, width) {
  if (!element.data) return;
  const size = width ? { autosize: false, width, height: 480 } : { autosize: true, width: null, height: null };
  await (await plotly).relayout(element, size);
}
