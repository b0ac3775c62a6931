/** Settings that were typed, or chosen, and not started: kept while the forms must show what is repeated instead. */

import { write } from "../base/dom.js";

let typed = false; // the forms hold what no run of this page is set to
let kept = null;
let held = false; // what is kept waits for a run that has not begun

export const isTyped = () => typed;

/** Note that the user has put something into the forms: what is kept then waits until it is asked for. */
export function noteTyped() {
  typed = true;
  if (kept && !held) say("What you had set before is kept.");
}

/** Note that what stands in the forms trains, or is in the queue. */
export function noteStarted() {
  typed = false;
}

function say(sentence) {
  write(document.getElementById("kept"), sentence);
  document.getElementById("put-back").hidden = kept === null;
}

/** Keep settings for the end of the run that trains, and say so in a sentence. */
function keep(settings, sentence) {
  kept = settings;
  typed = held = false;
  say(sentence);
}

/** Keep settings for the end of a run that is yet to begin, unless they are put back before, and say so in a sentence. */
export function hold(settings, sentence) {
  kept = settings;
  held = true;
  say(sentence);
}

export const isHeld = () => held;

/** The run has begun that what is held waits for. */
export const letGo = (sentence) => keep(kept, sentence);

/** Return the settings that were kept, null where none were, and keep them no longer. */
export function takeBack() {
  const settings = kept;
  kept = null;
  held = false;
  if (settings) typed = true;
  say("");
  return settings;
}
