/** Draws the figure. The only module that names Plotly. */

import { layout, traces } from "./figure.js";
import { colours } from "./theme.js";

const SOURCE = "/vendor/plotly.min.js";
const NARROW_PX = 600;
// Plotly 4 shows a button that uploads the figure to Plotly's cloud unless told not to.
const CONFIG = {
  displaylogo: false,
  showSendToCloud: false,
  plotlyServerURL: "",
  responsive: true,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  toImageButtonOptions: { filename: "fashionmnist-comparison", scale: 2 },
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

/** Draw the history into `element`, once Plotly is there and the drawing before has ended. */
export function draw(element, history) {
  drawing = drawing.catch(() => {}).then(async () => {
    const palette = colours("model1", "model2", "ink", "soft", "faint", "line", "grid", "surface");
    const font = getComputedStyle(document.body).fontFamily;
    const narrow = element.clientWidth < NARROW_PX;
    const Plotly = await plotly;
    await Plotly.react(element, traces(history, palette), layout(palette, font, history.run, narrow), CONFIG);
    element.dataset.drawn = history.run;
    resizes.observe(element);
  });
  return drawing;
}
