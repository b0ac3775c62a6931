/** What differs between the two models: a mark in each row, a sentence, and each card's summary. */

import * as format from "../base/format.js";
import { MODELS } from "../base/models.js";
import { isBasic, keysOf, titleOf } from "./form.js";

const differs = (one, two) => JSON.stringify(one) !== JSON.stringify(two);

/** Return whether two models' kernel sizes differ only in that one of them has more layers. */
function followFromKernels(sizes1 = [], sizes2 = []) {
  const shared = Math.min(sizes1.length, sizes2.length);
  return sizes1.length !== sizes2.length && !differs(sizes1.slice(0, shared), sizes2.slice(0, shared));
}

/** Return those of `keys` whose values differ, counted as config.differing_settings does. Pure. */
export function differing(settings1, settings2, keys = Object.keys(settings1)) {
  const follow = followFromKernels(settings1.kernel_sizes, settings2.kernel_sizes);
  const hasMomentum = [settings1.optimizer, settings2.optimizer].includes("sgd");
  const isIdle = (key) => (follow && key === "kernel_sizes") || (!hasMomentum && key === "momentum");
  return keys.filter((key) => differs(settings1[key], settings2[key]) && !isIdle(key));
}

const MOST_SAID = 3;

/**
 * Return what differs between two models' settings, each as "Dropout 0.5 → 0.3", the optimizer as "adam 0.001 → sgd 0.01".
 * `keys` are those that differ, `titles` the settings' titles by key. Pure.
 */
export function eachChange(settings1, settings2, keys, titles) {
  const turn = (...which) => [settings1, settings2].map((settings) => which.map((key) => format.setting(settings[key])).join(" ")).join(" → ");
  const both = ["optimizer", "learning_rate"];
  const joined = both.every((key) => keys.includes(key));
  return keys.filter((key) => !(joined && key === "learning_rate")).map((key) => {
    if (key === "optimizer") return joined ? turn(...both) : turn(key);
    return `${titles[key] ?? key} ${turn(key)}`;
  });
}

/** Return the same in one text, the first changes only where there are many. Pure. */
export function changes(settings1, settings2, keys, titles) {
  const said = eachChange(settings1, settings2, keys, titles);
  if (said.length === 0) return "No difference";
  if (said.length <= MOST_SAID) return said.join(", ");
  return `${said.slice(0, MOST_SAID - 1).join(", ")} and ${said.length - MOST_SAID + 1} more`;
}

/** Return the sentence for the settings, by their titles, that differ. Pure. */
function sentence(titles) {
  if (titles.length === 0) return "Both models are set alike";
  if (titles.length === 1) return `One setting differs: ${titles[0]}`;
  return `${titles.length} settings differ: ${titles.join(", ")}`;
}

function phrase(model, key, value) {
  const part = document.createElement("span");
  part.textContent = `${titleOf(model, key)} `;
  const strong = document.createElement("b");
  strong.textContent = format.setting(value);
  part.append(strong);
  return part;
}

function summarise(model, settings, different) {
  const basic = keysOf(model).filter((key) => isBasic(model, key) && !different.includes(key));
  const line = document.querySelector(`#${model} .summary`);
  const parts = [...different, ...basic].map((key) => phrase(model, key, settings[key]));
  parts.forEach((part, index) => part.classList.toggle("differs", index < different.length));
  line.replaceChildren(...parts);
  line.title = parts.map((part) => part.textContent).join(" · ");
}

function mark(different) {
  for (const cell of document.querySelectorAll("[data-mark]")) {
    const differs = different.includes(cell.dataset.mark);
    cell.textContent = differs ? "≠" : "=";
    cell.classList.toggle("differs", differs);
  }
  for (const field of document.querySelectorAll(".field")) {
    field.classList.toggle("differs", different.includes(field.dataset.key));
  }
}

/** Return the sentence for what differs between two models' settings. */
export const differenceOf = ([settings1, settings2]) =>
  sentence(differing(settings1 ?? {}, settings2 ?? {}).map((key) => titleOf(MODELS[0], key)));

/** Show what differs between the settings in the forms: {model1: {...}, model2: {...}}. */
export function showDifference(settings) {
  const [model1, model2] = Object.keys(settings);
  const different = differing(settings[model1], settings[model2]);
  mark(different);
  const text = sentence(different.map((key) => titleOf(model1, key)));
  const line = document.getElementById("difference");
  if (line.textContent !== text) line.textContent = text;
}

/** Say in one line in each card's head how its model is set, what differs first. */
export function showSummaries(settings) {
  const [model1, model2] = Object.keys(settings);
  const different = differing(settings[model1], settings[model2], keysOf(model1));
  for (const model of [model1, model2]) summarise(model, settings[model], different);
}
