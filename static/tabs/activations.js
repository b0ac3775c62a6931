/** One image, as each layer of both models sees it. */

import * as api from "../base/api.js";
import { make, write } from "../base/dom.js";
import * as format from "../base/format.js";
import { nameOf } from "../base/models.js";
import { colours, onThemeChange } from "../base/theme.js";
import { serverNow } from "../run/state.js";
import { loadSprite, makeTile } from "./sprite.js";
import { paintMaps } from "./tiles.js";

const SAMPLES = [19, 2, 1, 13, 6, 8, 4, 9, 18, 0]; // test images, one of each class in their order
const SPLIT = "test";

let image = SAMPLES[9];
let answer = null;
let question = 0; // number of the latest question, so that late answers are dropped
let classes = [];

const testImages = () => serverNow().images.test;
const field = () => document.getElementById("activations-image");

/** Put the ten pictures to choose from into their place, once. */
async function showSamples() {
  const holder = document.getElementById("samples");
  if (holder.querySelector("label")) return;
  const paint = await loadSprite(SPLIT, SAMPLES);
  if (holder.querySelector("label")) return; // another question was quicker
  SAMPLES.forEach((number, index) => {
    const title = classes[index] ?? `Test image ${number}`;
    const radio = make("input", { type: "radio", name: "sample", value: String(number) });
    const tile = Object.assign(makeTile(), { className: "tile", title });
    radio.checked = number === image;
    paint(tile, index);
    holder.append(make("label", {}, radio, tile, make("span", { class: "unseen", text: title })));
  });
}

async function showPicture() {
  const number = image;
  const paint = await loadSprite(SPLIT, [number]);
  if (number === image) paint(document.getElementById("activations-picture"), 0);
}

function showChoice() {
  field().value = image;
  for (const radio of document.getElementsByName("sample")) radio.checked = Number(radio.value) === image;
}

/** Return what a model takes the image for as a sentence. Pure. */
export function says(probabilities, label, names) {
  const guess = probabilities.indexOf(Math.max(...probabilities));
  const verdict = label === null ? "" : guess === label ? " ✓" : " ✗";
  return `${names[guess] ?? guess} ${format.percent(probabilities[guess])}${verdict}`;
}

/** Return a line about a layer's maps. Pure. */
function about({ count, shown, side, largest }) {
  const what = side === 1 ? `${count} values` : `${count} maps ${side}×${side}`;
  const some = shown < count ? `, the first ${shown} shown` : "";
  return `${what}${some} · ${largest === 0 ? "all silent" : `largest ${largest.toPrecision(2)}`}`;
}

function layerFigure(layer, title) {
  const canvas = make("canvas", { role: "img", "aria-label": `${layer.name} of ${title}` });
  return make("figure", { "data-layer": layer.name }, make("figcaption", {}, make("b", { text: layer.name }), ` ${about(layer)}`), canvas);
}

function showModel(model, found) {
  const column = document.querySelector(`[data-activations="${model}"]`);
  const title = nameOf(model);
  write(column.querySelector(".says"), found ? `epoch ${format.epoch(found.epoch)} · says ${says(found.probabilities, answer.label, classes)}` : "no evaluation yet");
  const layers = found?.layers ?? [];
  const holder = column.querySelector(".layers-seen");
  const same = holder.children.length === layers.length && layers.every(({ name }, index) => holder.children[index].dataset.layer === name);
  if (!same) holder.replaceChildren(...layers.map((layer) => layerFigure(layer, title)));
  const { [model]: full, zero: ground } = colours(model, "zero");
  layers.forEach((layer, index) => {
    const figure = holder.children[index];
    write(figure.querySelector("figcaption").lastChild, ` ${about(layer)}`);
    paintMaps(figure.querySelector("canvas"), layer, { ground, full });
  });
}

function show() {
  if (!answer) return;
  write(document.getElementById("activations-label"), answer.label === null ? "" : (classes[answer.label] ?? String(answer.label)));
  for (const [model, found] of Object.entries(answer.models)) showModel(model, found);
}

/** Ask both models of what is named to the server about the chosen image, and show what every layer answers. */
export async function showActivations(of, names) {
  classes = names;
  const pictures = [showSamples(), showPicture()];
  showChoice();
  const mine = ++question;
  const [found] = await Promise.all([api.predict({ split: SPLIT, image, layers: true }, of), ...pictures]);
  if (mine !== question) return;
  answer = found;
  show();
}

/** Bind the choice of an image; `onChoice` is called after each. */
export function connectActivations(onChoice) {
  const choose = (number) => {
    image = number;
    showChoice();
    onChoice();
  };
  const fault = document.getElementById("activations-fault");
  document.getElementById("samples").addEventListener("change", (event) => choose(Number(event.target.value)));
  document.getElementById("activations-another").addEventListener("click", () => choose(Math.floor(Math.random() * testImages())));
  field().addEventListener("change", () => {
    const number = Number(field().value);
    const isImage = field().value.trim() !== "" && Number.isInteger(number) && number >= 0 && number < testImages();
    write(fault, isImage ? "" : `a whole number from 0 to ${format.count(testImages() - 1)}`);
    field().setAttribute("aria-invalid", String(!isImage));
    if (isImage) choose(number);
  });
  onThemeChange(show);
}
