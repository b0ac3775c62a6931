/** The title of the window: how far, and who leads. */

import * as format from "../base/format.js";
import { numberOf } from "../base/models.js";
import { isActive, overallState, states } from "./answers.js";
import { isSecret, onGuess } from "./guess.js";
import { comparisonOf, isLatestShown, isTraining, latestRun, onComparison, onShown, pastRun, shownRun } from "./state.js";

const NAME = "FashionMNIST CNN Training Monitor";

/** Return the share of models that is done, 0 to 1. Pure. */
function progress(models) {
  const done = models.map(({ step, total_steps: total }) => (total ? step / total : 0));
  return done.length ? done.reduce((sum, share) => sum + share, 0) / done.length : 0;
}

/** Return what the statement comes to: "1 leads +1.2", "too close", or "" before there is one, and where both models failed. */
function leader(all, comparison) {
  const { leader: model, gap, text = null } = comparison?.verdict ?? {};
  if (!model) return text !== null && !all.every((state) => state === "failed") ? "too close" : "";
  return `${numberOf(model)} leads${gap === null ? "" : ` +${(100 * gap).toFixed(1)}`}`;
}

/**
 * Return the title of the window; `past` is {title, started} where a past run is shown, {title} of two trainings. It tells
 * of that, or with `isBeside` of the run that trains meanwhile. Pure.
 */
export function titleOf(history, comparison, past = null, isBeside = false) {
  const all = states(history);
  if (all.every((state) => state === "idle")) return NAME;
  const models = Object.values(history.models);
  const share = `${Math.floor(100 * progress(past && !isBeside ? models.filter((model) => isActive(model.state)) : models))} %`; // of two, one may have ended long ago
  const state = overallState(all);
  const word = { running: share, paused: `${share} paused` }[state] ?? state;
  const which = past && [past.title, past.started && format.moment(past.started)].filter(Boolean).join(", ");
  const said = isBeside ? [word, `shown: ${which}`] : [which, word, leader(all, comparison)];
  return [...said, "FashionMNIST"].filter(Boolean).join(" · ");
}

/** Tell how far the run that trains is, and of what is shown; no results before they were guessed. */
function showTitle() {
  const isBeside = isTraining() && !isLatestShown();
  const history = isBeside ? latestRun() : shownRun();
  const title = titleOf(history, isSecret(history.run) ? null : comparisonOf(history), pastRun(), isBeside);
  if (document.title !== title) document.title = title;
}

export function connectTitle() {
  onShown(showTitle);
  onComparison(showTitle);
  onGuess(showTitle);
}
