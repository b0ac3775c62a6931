/** How gradients, weights and dead units of one layer of both models have developed: three small charts. */

import { write } from "../base/dom.js";
import * as format from "../base/format.js";
import { onThemeChange } from "../base/theme.js";
import { drawSmall } from "../figure/charts.js";
import { curves } from "../figure/small.js";

const PRECISE = (value) => value.toPrecision(3);
const CHARTS = {
  gradient_norm: { title: "gradient norm", log: true, write: PRECISE },
  weight_norm: { title: "weight norm", write: PRECISE },
  dead_share: { title: "dead units", percent: true, write: format.percent },
};

let inside = null;

const menu = () => document.getElementById("gradients-layer");

/** Return the names of the layers that any of the models has, each after the one that it follows in its own. Pure. */
export function layersOf(models) {
  const [names, ...others] = Object.values(models).map(({ layers }) => [...layers]).sort((a, b) => b.length - a.length);
  for (const layers of others) {
    layers.forEach((name, at) => names.includes(name) || names.splice(names.indexOf(layers[at - 1]) + 1, 0, name));
  }
  return names;
}

function showMenu() {
  const names = layersOf(inside.models);
  if (names.join() === [...menu().options].map(({ value }) => value).join()) return;
  const before = menu().value;
  menu().replaceChildren(...names.map((name) => new Option(name, name)));
  menu().value = names.includes(before) ? before : (names[0] ?? "");
}

function draw() {
  if (!inside) return Promise.resolve();
  const layer = menu().value;
  return Promise.all(Object.entries(CHARTS).map(([name, chart]) => {
    const series = Object.fromEntries(Object.entries(inside.models).map(([model, { epoch, [name]: values }]) => [model, { x: epoch, y: values?.[layer] ?? [] }]));
    const none = Object.values(series).every(({ y }) => y.length === 0);
    const element = document.querySelector(`[data-small="${name}"]`);
    element.hidden = none;
    const word = element.nextElementSibling;
    word.hidden = !none;
    write(word, layer ? "The output has no ReLU, and so no dead units." : "Comes with the first evaluation.");
    return none ? null : drawSmall(element, curves(series, { ...chart, run: `${inside.run} ${layer}` }));
  }));
}

/** Show the chosen layer of what /api/inside answered. */
export function showGradients(answer) {
  inside = answer;
  showMenu();
  return draw();
}

export function connectGradients() {
  menu().addEventListener("change", draw);
  onThemeChange(draw);
}
