/** Keeps a tab up to date with the run on the page: asks when it comes in sight and after each evaluation, never unseen. */

import { ApiError } from "../base/api.js";
import { watchSight } from "../base/sight.js";
import { isActive } from "../run/answers.js";
import { onShown, serverNow, shownRun } from "../run/state.js";

const MOST_TRIES = 5; // for an answer that is behind the evaluation, or none

const lastStep = ({ evaluations }) => evaluations?.step?.at(-1) ?? 0;

/** Return how far a run has come: a text that changes with each evaluation and each state. Pure. */
function stage({ run, models }) {
  return [run, ...Object.values(models).map((model) => `${lastStep(model)} ${model.state}`)].join(" ");
}

const wasTested = ({ state, test_accuracy: tested }) => !isActive(state) && (tested ?? null) !== null;

/** Whether an answer is of the latest evaluations that the page knows, and of the test images once both models were tested. Pure. */
export function isCurrent({ at, split }, { models }) {
  if (split === "validation" && Object.values(models).every(wasTested)) return false;
  return Object.entries(models).every(([name, model]) => (at?.[name]?.step ?? 0) >= lastStep(model));
}

/**
 * Follow the run that the page shows, once the server has loaded what answers. `load(isLast)` asks, shows, and returns the
 * answer: one that is not current, or not `isWhole`, is asked for again, until the last try; `onProblem(text)` says why it
 * could not. Returns `reload()`, which loads also where nothing is new.
 */
export function follow(panel, { load, onProblem }) {
  let done = null; // the stage that is shown
  let tried = null;
  let tries = 0;
  let asking = false;
  let again = false;

  async function attempt(wanted) {
    try {
      const isLast = tries >= MOST_TRIES;
      const answer = await load(isLast);
      if (isLast || ((answer.isWhole ?? true) && isCurrent(answer, shownRun()))) done = wanted;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status) onProblem(`${error.message.replace(/\.$/, "")}.`); // a server that is gone, polling tells
      if (error.status && tries >= MOST_TRIES) done = wanted;
    }
  }

  async function refresh() {
    const wanted = stage(shownRun());
    if (asking || wanted === done || !inSight()) return;
    tries = wanted === tried ? tries + 1 : 1;
    tried = wanted;
    asking = true;
    try {
      await attempt(wanted);
    } finally {
      asking = false;
    }
    if (!again) return;
    await reload();
  }

  async function reload() {
    again = asking;
    done = tried = null;
    if (!asking) await refresh();
  }

  const inSight = watchSight(panel, refresh);
  onShown(() => {
    if (serverNow().status !== "loading") refresh(); // nobody waits for it
  });
  return reload;
}
