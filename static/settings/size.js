/** How large a model would be with the settings typed so far. */

import * as api from "../base/api.js";
import * as format from "../base/format.js";
import { readSettings, showFaults } from "./form.js";
import { showShapes } from "./shapes.js";

const TYPING_PAUSE_MS = 200;
const timers = {};
const asked = {}; // model → number of the latest question, so that late answers are dropped
const kept = {}; // model → whether a refusal's faults stand in its form: they do until something is typed

const describeSize = ({ parameters, flops_per_image: flops }) =>
  `${format.count(parameters)} parameters · ${format.short(flops)}FLOP per image`;

const show = (model, text) => (document.querySelector(`#${model} .size`).textContent = text);

async function ask(model) {
  const question = (asked[model] = (asked[model] ?? 0) + 1);
  try {
    const answer = await api.describe(readSettings(model));
    if (question !== asked[model]) return;
    if (!kept[model]) showFaults(model, {});
    show(model, describeSize(answer));
    showShapes(model, answer);
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    if (question !== asked[model] || error.status !== 400) return;
    showFaults(model, renamed(error.fields, model));
    show(model, "");
  }
}

/** /api/describe knows of one model only and calls it "config". */
const renamed = (fields, model) =>
  Object.fromEntries(Object.entries(fields).map(([name, fault]) => [name.replace(/^config/, model), fault]));

/** Leave the faults that stand in a model's form, whatever a question that is under way is answered. */
export function keepFaults(model) {
  kept[model] = true;
}

/** Ask for the size, and with it for what is wrong, once the typing pauses. */
export function refreshSize(model, pause = TYPING_PAUSE_MS) {
  kept[model] = false;
  clearTimeout(timers[model]);
  timers[model] = setTimeout(() => ask(model), pause);
}
