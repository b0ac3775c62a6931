/** The inside tab: the filters of both models, what their layers see in an image, and how their gradients fare. */

import { connectActivations, showActivations } from "./activations.js";
import * as api from "../base/api.js";
import { connectFilters, showFilters } from "./filters.js";
import { follow } from "./follow.js";
import { connectGradients, showGradients } from "./gradients.js";

/** Return of which evaluations an answer of /api/inside is: {model: {step}}. Pure. */
export const newest = (models) => Object.fromEntries(Object.entries(models).map(([model, { step }]) => [model, { step: step.at(-1) ?? 0 }]));

/**
 * Bind the tab. `history()` is what the page shows, `past()` the id of the past run that it is of, if it is,
 * `classes()` the names of the ten classes. Returns `refresh()`, which asks only for what is new and in sight.
 */
export function connectInside({ history, past, classes, onProblem }) {
  const tell = (what) => onProblem(`The inside of the models cannot be shown: ${what}`);

  async function load() {
    if (!history().run) return {};
    const activations = showActivations(past(), classes()); // both are asked for at once
    const answer = await api.fetchInside(past());
    await Promise.all([showFilters(answer), showGradients(answer), activations]);
    onProblem("");
    return { at: newest(answer.models) };
  }

  async function look() {
    try {
      await showActivations(past(), classes());
      onProblem("");
    } catch (error) {
      if (!(error instanceof api.ApiError)) throw error;
      tell(`${error.message}.`);
    }
  }

  connectFilters(tell);
  connectGradients();
  connectActivations(look);
  return follow(document.getElementById("panel-inside"), { history, load, onProblem: tell }).refresh;
}
