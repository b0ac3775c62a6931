/** Settings that were typed, or chosen, and not started: kept while the forms must show what is repeated instead. */

import { write } from "../base/dom.js";

const KEPT = "What you had set before is kept.";

let typed = false; // the forms hold what no run of this page is set to
let own = false; // by hand, since something else was last put into the forms
let kept = null;
let held = false; // what is kept waits for a run that has not begun
let aside = false; // what is kept can be put back until something starts

export const isTyped = () => typed;
export const isOwn = () => own;

/** Note that the user has put something into the forms: what is kept then waits until it is asked for. */
export function noteTyped() {
  typed = own = true;
  if (kept && !held) say(KEPT);
}

/** Note that the user has chosen what stands in the forms: it can be chosen again. */
export function noteChosen() {
  noteTyped();
  own = false;
}

/** Note that what stands in the forms trains, or is in the queue. */
export function noteStarted() {
  typed = own = false;
  if (aside) forget();
}

function say(sentence) {
  write(document.getElementById("kept"), sentence);
  document.getElementById("put-back").hidden = kept === null;
}

/** Keep settings for the end of the run that trains, and say so in a sentence. */
function keep(settings, sentence) {
  kept = settings;
  typed = own = held = aside = false;
  say(sentence);
}

/** Keep settings for the end of a run that is yet to begin, unless they are put back before, and say so in a sentence. */
export function hold(settings, sentence) {
  kept = settings;
  held = true;
  aside = false;
  say(sentence);
}

/** Keep settings that make way for others that the user has chosen: whoever chose by mistake puts them back. */
export function layAside(settings) {
  kept = settings;
  aside = true;
  say(KEPT);
}

export const isHeld = () => held;

/** The run has begun that what is held waits for. */
export const letGo = (sentence) => keep(kept, sentence);

function forget() {
  kept = null;
  held = aside = false;
  say("");
}

/** Return the settings that were kept, null where none were, and keep them no longer. */
export function takeBack() {
  const settings = kept;
  if (settings) typed = own = true;
  forget();
  return settings;
}
