/** The family of a run: what it goes on from and what goes on from that, as a tree; a click compares child and parent. */

import { make } from "../base/dom.js";
import * as format from "../base/format.js";
import { MODELS, nameOf, signOf } from "../base/models.js";
import { isSecret } from "../run/guess.js";
import { compare } from "../run/pair.js";
import { lookAt } from "../run/past.js";
import { titles } from "../run/state.js";
import { fetchFamily } from "./api.js";
import { titleOfTraining } from "./columns.js";

const dialog = document.getElementById("family");
const FROM = { continued: (model) => model, forked: () => MODELS[0] }; // which of the parent's models a model goes on from
const KINDS = { continued: "goes on for more epochs", forked: "forked" };

/** Return in a few words what a model came to. Pure. */
export function cameTo({ state, epoch, val_accuracy: validation, test_accuracy: test }) {
  if (test !== null && test !== undefined) return `${format.percent(test)} test`;
  const known = validation === null || validation === undefined ? "" : ` · ${format.percent(validation)} validation`;
  return `${state} at epoch ${format.epoch(epoch ?? 0)}${known}`;
}

function act(text, title, does) {
  const button = make("button", { type: "button", class: "quiet", title, text });
  button.addEventListener("click", () => {
    dialog.close();
    does();
  });
  return button;
}

/** One run of the tree with what it came to, and with each of its models against what that goes on from. */
function node(run, asked) {
  if (run.deleted) return [make("span", { class: "soft", text: "A run that is no longer here" })];
  const title = titleOfTraining(run, titles());
  const what = run.kind ? `${KINDS[run.kind]}, ` : "";
  const head = act(title, "Open it", () => lookAt({ id: run.run, title }));
  head.classList.toggle("asked", run.run === asked);
  const models = MODELS.filter((model) => run.outcome[model]).map((model) => make("span", { "data-of": model }, make("span", { class: "sign", text: `${signOf(model)} ` }), isSecret(run.run) ? "guess first" : cameTo(run.outcome[model])));
  return [head, make("span", { class: "soft", text: ` ${what}${format.moment(run.started)} ` }), ...models];
}

const comparisons = (run) => MODELS.filter((model) => run.outcome[model]).map((model) => {
  const from = FROM[run.kind](model);
  return act(`${signOf(model)} against its parent`, `Compare ${nameOf(model)} with ${nameOf(from)} of its parent`, () => compare({ a: `${run.parent}/${from}`, b: `${run.run}/${model}` }));
});

/** Return the tree below a run as a list. */
function branch(run, runs, asked) {
  const parent = runs.find((each) => each.run === run.parent);
  const buttons = parent && !parent.deleted && !run.deleted && ![parent, run].some((each) => isSecret(each.run)) ? comparisons(run) : [];
  const children = runs.filter((each) => each.parent === run.run).map((child) => branch(child, runs, asked));
  return make("li", {}, make("div", {}, ...node(run, asked), ...buttons), ...(children.length ? [make("ul", {}, ...children)] : []));
}

/** Show the family of a run. Throws ApiError. */
export async function openFamily(id) {
  const { runs } = await fetchFamily(id);
  const roots = runs.filter(({ parent }) => !parent || !runs.some(({ run }) => run === parent));
  dialog.querySelector("ul").replaceChildren(...roots.map((root) => branch(root, runs, id)));
  dialog.querySelector("p").hidden = runs.length > 1;
  dialog.showModal();
}

export function connectFamily() {
  dialog.querySelector("[data-no]").addEventListener("click", () => dialog.close());
}
