/** Guess first: who will win is asked before a run shows its curves, and answered by its test results. For teaching. */

import { write } from "../base/dom.js";
import { recall, remember } from "../base/memory.js";

const SWITCH = "guess first";
const GUESSES = "guesses"; // run → what was guessed, "" where nothing was yet
const MOST = 50; // runs whose guesses are kept
const WORDS = { model1: "model 1", model2: "model 2", close: "too close to call" };

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
  if (guess === truth) return `You guessed ${WORDS[guess]}, and you were right.`;
  return `You guessed ${WORDS[guess]}, but it is ${WORDS[truth]}.`;
}

/** Ask about a run that this page has just started, where guessing is wanted. */
export function beginGuess(run) {
  if (document.getElementById("guess-first").checked) keep(run, "");
}

/** Return whether the results of a run must not be shown yet. */
export const isSecret = (run) => guesses()[run] === "";

/** Hide the results of a run, or show them; `differs` is the sentence about its settings, `comparison` of /api/comparison. */
export function showGuess(run, differs, comparison) {
  const secret = isSecret(run);
  document.body.classList.toggle("guessing", secret);
  document.getElementById("guess").hidden = !secret;
  write(document.getElementById("guess-differs"), `${differs}.`);
  write(document.getElementById("guessed"), comparison?.significance && comparison.run === run ? outcome(guesses()[run], comparison.significance) : "");
}

/** Bind switch and answers; `run()` is the run in sight, `onAnswer` is called once its results may be shown. */
export function connectGuess({ run, onAnswer }) {
  const box = document.getElementById("guess-first");
  box.checked = recall(SWITCH, false);
  box.addEventListener("change", () => remember(SWITCH, box.checked));
  for (const button of document.querySelectorAll("[data-guess]")) {
    button.addEventListener("click", () => {
      if (button.dataset.guess) keep(run(), button.dataset.guess);
      else forget(run());
      onAnswer();
    });
  }
}
