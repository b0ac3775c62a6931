/** The live figures of each model, when there will be new ones of the validation, and the state of the whole in the top bar. */

import { write } from "../base/dom.js";
import * as format from "../base/format.js";
import { isActive, isTesting, overallState, states, wordOf } from "./answers.js";
import { isLatestShown, latestRun, onCurves, onLatest, onShown, onWhich, pairInTraining, serverNow, shownRun } from "./state.js";

/** Return in how many seconds a model looks at the validation images next, by its own speed; null where nobody knows. Pure. */
function secondsToLook({ state, step, next_evaluation_step: at, batches_per_second: speed }) {
  return state === "running" && speed && (at ?? null) !== null ? Math.max(0, at - step) / speed : null;
}

/** Return what the models that are on are about to tell, in a few words; "" where nothing is to be waited for. Pure. */
export function nextLook(models) {
  if (models.some(({ state, testing }) => testing && state === "running")) return "looking at the test images";
  const waits = models.map(secondsToLook).filter((seconds) => seconds !== null);
  return waits.length ? `next look in ${format.wait(Math.max(...waits))}` : "";
}

/** Return when the first look at the validation images comes, where that is what one waits for, else null. */
function awaited(model) {
  const seconds = (model.val_accuracy ?? null) === null ? secondsToLook(model) : null;
  return seconds === null ? null : `in ${format.wait(seconds)}`;
}

const isSmoothed = (model) => "smooth_loss" in model;

/** Return the last value of a training curve as the figure draws it, smoothed or not: "loss" or "accuracy". Pure. */
function curveEnd(model, quantity) {
  const values = model.points?.[isSmoothed(model) ? `smooth_${quantity}` : quantity] ?? [];
  return quantity === "loss" ? values.at(-1) : values.findLast((value) => value !== null); // a loss that broke has no value
}

const SETTLED_S = 2;

/** Return the seconds that a model has yet to train; its first steps do not tell. */
const remaining = (model) => (isActive(wordOf(model)) && model.elapsed_seconds >= SETTLED_S ? model.eta_seconds : null);

export const LIVE_FIGURES = {
  epoch: (model) => `${format.epoch(model.epoch)} / ${format.count(model.config?.epochs)}`,
  step: (model) => `${format.count(model.step)} / ${format.count(model.total_steps)}`,
  loss: (model) => format.loss(curveEnd(model, "loss")),
  accuracy: (model) => format.percent(curveEnd(model, "accuracy")),
  val_accuracy: (model) => awaited(model) ?? format.percent(model.val_accuracy),
  test_accuracy: (model) => format.percent(model.test_accuracy),
  batches_per_second: (model) => format.rate(model.batches_per_second),
  images_per_second: (model) => format.rate(model.images_per_second),
  elapsed: (model) => format.duration(model.elapsed_seconds),
  remaining: (model) => format.duration(remaining(model)),
};

/** Say what loss and accuracy are: where the training curves end, smoothed as these are. */
function nameCurveEnds(panel, model, smoothing) {
  const [loss, accuracy] = ["loss", "accuracy"].map((name) => panel.querySelector(`[data-figure="${name}"]`).closest(".stat"));
  const [of, how] = isSmoothed(model) ? ["", `a moving average over ${format.count(smoothing)} images, as its curve shows it`]
    : [" of the latest batch", "as its curve shows it while smoothing is off"];
  write(loss.querySelector("dt"), isSmoothed(model) ? "Smoothed loss" : "Batch loss");
  loss.title = `Training loss${of}, ${how}`;
  const value = accuracy.querySelector("dd"); // its dt explains the word
  value.title = `${(value.dataset.of ??= value.title)}, ${how}`;
}

function showModel(name, model, smoothing) {
  const card = document.getElementById(name);
  const panel = card.querySelector(".live");
  panel.hidden = model.state === "idle";
  nameCurveEnds(panel, model, smoothing);
  for (const figure of panel.querySelectorAll("[data-figure]")) write(figure, LIVE_FIGURES[figure.dataset.figure](model));
  panel.querySelector("progress").value = model.total_steps ? model.step / model.total_steps : 0;
  const badge = card.querySelector(".badge");
  badge.hidden = panel.hidden;
  badge.dataset.state = model.state;
  write(badge, wordOf(model));
  const trouble = panel.querySelector(".trouble");
  trouble.hidden = !model.error;
  write(trouble, model.error ?? "");
}

/** Show the figures of every model of the shown run that has left idle. */
function showLive() {
  const history = shownRun();
  for (const [name, model] of Object.entries(history.models)) showModel(name, model, history.smoothing);
}

const SENTENCES = {
  loading: "Loading PyTorch and the dataset…",
  unable: "Cannot train",
  idle: "Ready",
  running: "Training",
  testing: "Testing",
  paused: "Paused",
  finished: "Finished",
  interrupted: "Interrupted",
  stopped: "Stopped",
  failed: "Failed",
};

const ELSEWHERE = { running: "Training another run", testing: "Testing another run", paused: "Another run is paused" };

/** Return what is going on in words: how a run ended only where that is the run below. Pure. */
export const sentenceOf = (state, isShown) =>
  isShown || ["loading", "unable"].includes(state) ? SENTENCES[state] : (ELSEWHERE[state] ?? SENTENCES.idle);

/** Say in the top bar what is going on, in which pair of a series, and how long the slower model has yet to go. */
function showOverall() {
  const [history, repeat] = [latestRun(), pairInTraining()];
  const word = isTesting(history) ? "testing" : overallState(states(history));
  const state = { loading: "loading", failed: "unable" }[serverNow().status] ?? word;
  const left = Object.values(history.models).map(remaining);
  const known = left.filter((seconds) => seconds !== null);
  const pair = repeat && state === "running" ? `pair ${repeat.pair} of ${repeat.of}` : "";
  const isShown = isLatestShown();
  write(document.getElementById("state"), [sentenceOf(state, isShown), pair].filter(Boolean).join(isShown ? " " : ", "));
  write(document.getElementById("remaining"), known.length && word !== "testing" ? `${format.duration(Math.max(...known))} left` : "");
}

export function connectLive() {
  onLatest(showOverall);
  onWhich(showOverall);
  onShown((isNews) => {
    if (isNews) showLive();
    write(document.getElementById("next-look"), nextLook(Object.values(shownRun().models)));
  });
  onCurves(showLive); // loss and accuracy are smoothed as the curves are
}
