/** When the validation images are looked at next: what those wait for who want to know more. */

import { write } from "../base/dom.js";
import * as format from "../base/format.js";
import { onShown, shownRun } from "./state.js";

/** Return in how many seconds a model looks at the validation images next, by its own speed; null where nobody knows. Pure. */
export function secondsToLook({ state, step, next_evaluation_step: at, batches_per_second: speed }) {
  return state === "running" && speed && (at ?? null) !== null ? Math.max(0, at - step) / speed : null;
}

/** Return what the models that are on are about to tell, in a few words; "" where nothing is to be waited for. Pure. */
export function nextLook(models) {
  if (models.some(({ state, testing }) => testing && state === "running")) return "looking at the test images";
  const waits = models.map(secondsToLook).filter((seconds) => seconds !== null);
  return waits.length ? `next look in ${format.wait(Math.max(...waits))}` : "";
}

/** Say beside the figures of the validation when there will be new ones. */
export function connectLooks() {
  onShown(() => write(document.getElementById("next-look"), nextLook(Object.values(shownRun().models))));
}
