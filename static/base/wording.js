/** Sentences about images, classes and answers. Pure. */

import * as format from "./format.js";
import { MODELS, nameOf } from "./models.js";

export const sum = (values) => values.reduce((total, value) => total + value, 0);

/** "Dress" → "Dresses", "T-shirt/top" → "T-shirts/tops". */
export const plural = (name) =>
  name.split("/").map((part) => part + (/(s|sh|ch|x)$/.test(part) ? "es" : "s")).join("/");

/** A class's name within a sentence: "Ankle boot" → "ankle boot"; the T of a T-shirt stays. */
export const lower = (name) => (name.startsWith("T-") ? name : name.toLowerCase());

/** Return after how many epochs both models answered: "after 5.00 epochs", "after 5.00 and 3.00 epochs". */
export function whenAnswered(at) {
  const epochs = [...new Set(MODELS.map((model) => format.epoch(at[model].epoch)))];
  return `after ${epochs.join(" and ")} epochs`;
}

/** Return which images an answer of the server is about, how many they are, and after which epochs they were answered. */
export function whichImages({ split, at }, total) {
  return `the ${format.count(total)} ${split} images, model 1 after ${format.epoch(at.model1.epoch)} epochs, model 2 after ${format.epoch(at.model2.epoch)}`;
}

/** Return why there is nothing to see yet, or never will be; `what` will appear while the run goes on. */
export function nothing(what, isOn) {
  if (isOn) return `${what} will appear here after the first evaluation of both models, a quarter into their first epoch.`;
  return "No answers of this run are kept: it ended before the first evaluation of both models, or was made by an earlier version.";
}

/** Return what a cell of a confusion matrix holds: "Coats that model 1 takes for shirts". */
export function confusion(classes, label, model, answer) {
  const who = nameOf(model);
  if (label === answer) return `${plural(classes[label])} that ${who} recognises`;
  return `${plural(classes[label])} that ${who} takes for ${lower(plural(classes[answer]))}`;
}

/** A fraction as a bar's label: 0.913 → "91 %"; an en dash where it is not known. */
export const share = (fraction) => (fraction ?? null) === null ? "–" : `${Math.round(100 * fraction)}\u00a0%`;
