/** Settings that were typed, or chosen, and not started: kept while the forms must show what trains instead. */

import { write } from "./dom.js";

let typed = false; // the forms hold what no run of this page is set to
let kept = null;

export const isTyped = () => typed;

/** Note that the user has put something into the forms. */
export function noteTyped() {
  typed = true;
}

/** Note that what stands in the forms is what trains. */
export function noteStarted() {
  typed = false;
}

/** Keep settings for the end of the run that trains, and say so in a sentence. */
export function keep(settings, sentence) {
  kept = settings;
  typed = false;
  write(document.getElementById("kept"), sentence);
}

/** Return the settings that were kept, null where none were, and keep them no longer. */
export function takeBack() {
  const settings = kept;
  kept = null;
  if (settings) typed = true;
  write(document.getElementById("kept"), "");
  return settings;
}
