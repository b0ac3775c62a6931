/** Settings that were typed, or chosen, and not started: kept while the forms must show what is repeated instead. */

import { write } from "../base/dom.js";

const KEPT = "What you had set before is kept.";

let typed = false; // the forms hold what no run of this page is set to
let byHand = false; // the user has typed since the forms were last filled
let kept = null;
let until = null; // what it is kept for: the "begin" or the "end" of a run, or to be put back before a "start"

export const isTyped = () => typed;
export const isByHand = () => byHand;

/** Note that the user has put something into the forms: what is kept then waits until it is asked for. */
export function noteTyped() {
  typed = byHand = true;
  if (kept && !isHeld()) say(KEPT);
}

/** Note that the user has chosen what stands in the forms: it can be chosen again. */
export function noteChosen() {
  noteTyped();
  byHand = false;
}

/** Note that what stands in the forms trains, or is in the queue. */
export function noteStarted() {
  typed = byHand = false;
  if (until === "start") forget();
}

function say(sentence) {
  write(document.getElementById("kept"), sentence);
  document.getElementById("put-back").hidden = kept === null;
}

/** Keep settings for the end of a run that is yet to begin, unless they are put back before, and say so in a sentence. */
export function hold(settings, sentence) {
  kept = settings;
  until = "begin";
  say(sentence);
}

/** Keep settings that make way for others that the user has chosen: whoever chose by mistake puts them back. */
export function layAside(settings) {
  kept = settings;
  until = "start";
  say(KEPT);
}

/** Whether what is kept waits for a run that has not begun. */
export const isHeld = () => until === "begin";

/** The run has begun that what is held waits for: it is kept for its end, as a sentence says. */
export function letGo(sentence) {
  until = "end";
  typed = byHand = false;
  say(sentence);
}

function forget() {
  kept = until = null;
  say("");
}

/** Return the settings that were kept, null where none were, and keep them no longer. */
export function takeBack() {
  const settings = kept;
  if (settings) typed = byHand = true;
  forget();
  return settings;
}
