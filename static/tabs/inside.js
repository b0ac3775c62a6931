/** The inside tab: the filters of both models, what their layers see in an image, and how their gradients fare. */

import * as api from "../base/api.js";
import { classes, isPair, shownOf, shownRun } from "../run/state.js";
import { showProblem } from "../run/status.js";
import { connectActivations, showActivations } from "./activations.js";
import { connectFilters, showFilters } from "./filters.js";
import { follow } from "./follow.js";
import { connectGradients, showGradients } from "./gradients.js";

/** Return of which evaluations an answer of /api/inside is: {model: {step}}. Pure. */
const newest = (models) => Object.fromEntries(Object.entries(models).map(([model, { step }]) => [model, { step: step.at(-1) ?? 0 }]));

export function connectInside() {
  const tell = (what) => showProblem("inside", `The inside of the models cannot be shown: ${what}`);

  async function load() {
    if (!shownRun().run) return {};
    const [of, pair] = [shownOf(), isPair() && { of: shownOf(), run: shownRun().run }];
    const activations = showActivations(of, classes()); // both are asked for at once
    const found = await api.fetchInside(of);
    const answer = { of: { run: found.run }, ...found, ...pair };
    await Promise.all([showFilters(answer), showGradients(answer), activations]);
    showProblem("inside", "");
    return { at: newest(answer.models) };
  }

  async function look() {
    try {
      await showActivations(shownOf(), classes());
      showProblem("inside", "");
    } catch (error) {
      if (!(error instanceof api.ApiError)) throw error;
      tell(`${error.message}.`);
    }
  }

  connectFilters(tell);
  connectGradients();
  connectActivations(look);
  follow(document.getElementById("panel-inside"), { load, onProblem: tell });
}
