/** Guess first: who will win is asked before a run shows its curves, and answered by its test results. For teaching. */

import { channel } from "../base/channel.js";
import { write } from "../base/dom.js";
import { recall, remember } from "../base/memory.js";
import { MODELS, nameOf } from "../base/models.js";
import { differenceOf } from "../settings/difference.js";
import { comparisonOf, onComparison, onShown, shownRun } from "./state.js";

const SWITCH = "guess first";
const GUESSES = "guesses"; // run → what was guessed, "" where nothing was yet
const MOST = 50; // runs whose guesses are kept

const say = (guess) => (MODELS.includes(guess) ? nameOf(guess) : "too close to call");
const guessed = channel();
/** Hears that the results of a run may be shown. */
export const onGuess = guessed.on;

const guesses = () => recall(GUESSES, {});

function keep(run, guess) {
  const others = Object.entries(guesses()).filter(([id]) => id !== run);
  remember(GUESSES, Object.fromEntries([...others, [run, guess]].slice(-MOST)));
}

function forget(run) {
  remember(GUESSES, Object.fromEntries(Object.entries(guesses()).filter(([id]) => id !== run)));
}

/** Return how a guess turned out as a sentence, by `significance` of /api/comparison; "" where there was no guess. Pure. */
export function outcome(guess, significance) {
  if (!guess) return "";
  const truth = significance.leader ?? "close";
  if (guess === truth) return `You guessed ${say(guess)}, and you were right.`;
  return `You guessed ${say(guess)}, but it is ${say(truth)}.`;
}

/** Ask about a run that this page has just started, where guessing is wanted. */
export function beginGuess(run) {
  if (document.getElementById("guess-first").checked) keep(run, "");
}

/** Return whether the results of a run must not be shown yet. */
export const isSecret = (run) => guesses()[run] === "";

/** Hide the results of the shown run, or show them. */
function showGuess() {
  const { run, models } = shownRun();
  const significance = comparisonOf(shownRun())?.significance;
  const secret = isSecret(run);
  document.body.classList.toggle("guessing", secret);
  document.getElementById("guess").hidden = !secret;
  write(document.getElementById("guess-differs"), `${differenceOf(Object.values(models).map(({ config }) => config ?? {}))}.`);
  write(document.getElementById("guessed"), significance ? outcome(guesses()[run], significance) : "");
}

export function connectGuess() {
  onShown(showGuess);
  onComparison(showGuess);
  onGuess(showGuess);
  const box = document.getElementById("guess-first");
  box.checked = recall(SWITCH, false);
  box.addEventListener("change", () => remember(SWITCH, box.checked));
  for (const button of document.querySelectorAll("[data-guess]")) {
    button.addEventListener("click", () => {
      if (button.dataset.guess) keep(shownRun().run, button.dataset.guess);
      else forget(shownRun().run);
      guessed.tell();
    });
  }
}
