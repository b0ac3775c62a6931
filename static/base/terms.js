/** Words of the glossary explain themselves on hover, focus and touch, in one small box beside them. */

import { make, write } from "./dom.js";
import { GLOSSARY } from "./glossary.js";

const HOVER_MS = 250; // so that a pointer on its way opens nothing
const AWAY_MS = 200; // and has time to reach the box
const GAP_PX = 6;

// What sentences of the server say, and the glossary explains.
const WORDS = [
  [/\bp(?= [=<>])/, "p"],
  [/\bnoise(?= of)/, "noise"],
  [/\bMcNemar\b/, "mcnemar"],
  [/\b[\d.]+ % interval\b/, "interval"],
  [/\binstability\b/, "instability"],
];

const box = document.getElementById("term");
let timer = null;
let shown = null; // the word that is explained
let described = null; // what was told to be described by the box

/** Return a text cut before and after each known word, with that word's term: [["… ", null], ["p", "p"], …]. Pure. */
export function cut(text) {
  const found = WORDS.map(([word, term]) => ({ at: text.search(word), word, term })).filter(({ at }) => at >= 0).sort((one, other) => one.at - other.at);
  const parts = [];
  let from = 0;
  for (const { at, word, term } of found) {
    if (at < from) continue; // within another
    const [said] = text.slice(at).match(word);
    parts.push([text.slice(from, at), null], [said, term]);
    from = at + said.length;
  }
  return [...parts, [text.slice(from), null]].filter(([part]) => part);
}

/** Put `text` into an element, as `write` does, with the words of the glossary explained. */
export function writeTerms(element, text) {
  if (element.textContent === text) return;
  element.replaceChildren(...cut(text).map(([part, term]) => (term ? make("button", { type: "button", class: "term", "data-term": term, text: part }) : part)));
}

/** Put the box below the word, or above where there is no room, and within the window. */
function place(word) {
  const at = word.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = box;
  const below = at.bottom + GAP_PX + height <= window.innerHeight;
  box.style.left = `${Math.max(GAP_PX, Math.min(at.left, document.documentElement.clientWidth - width - GAP_PX))}px`;
  box.style.top = `${below ? at.bottom + GAP_PX : Math.max(GAP_PX, at.top - GAP_PX - height)}px`;
}

function hide() {
  clearTimeout(timer);
  if (!shown) return;
  described?.removeAttribute("aria-describedby");
  shown = described = null;
  box.hidePopover();
}

/** Explain a word; `by` is what has the focus, where that asked for it. */
function show(word, by = word) {
  clearTimeout(timer);
  if (shown === word) return;
  hide();
  const text = GLOSSARY[word.dataset.term];
  if (!text) return;
  shown = word;
  write(box, text);
  box.showPopover();
  place(word);
  if (by.matches("span, [aria-describedby]")) return; // it is described already, or has no focus
  described = by;
  by.setAttribute("aria-describedby", box.id);
}

const later = (act, delay) => {
  clearTimeout(timer);
  timer = setTimeout(act, delay);
};

/** Return the word that an element is, or that stands in its label. */
const termOf = (element) => (element.matches("[data-term]") ? element : element.labels?.[0]?.querySelector("[data-term]")) ?? null;
/** Return the word under the pointer; over those of a switch lie its buttons. */
const termAt = ({ target }) => target.closest?.("[data-term]") ?? (target.type === "radio" ? termOf(target) : null);

export function connectTerms() {
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const word = termAt(event);
    if (word && word !== shown) later(() => show(word), HOVER_MS);
    else if (word || box.contains(event.target)) clearTimeout(timer);
    else if (shown !== termOf(document.activeElement)) later(hide, AWAY_MS);
  });
  document.addEventListener("focusin", ({ target }) => {
    const word = target.matches(":focus-visible") ? termOf(target) : null;
    if (word) show(word, target);
    else if (shown && shown !== termOf(target) && !shown.contains(target)) hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("click", (event) => {
    const word = termAt(event);
    if (word) show(word);
    else if (!box.contains(event.target) && termOf(event.target) !== shown) hide(); // a tap on a label is told of its field as well
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !shown) return;
    hide();
    event.stopImmediatePropagation(); // it closes the box alone
  }, true);
  document.addEventListener("scroll", hide, { capture: true, passive: true });
}
