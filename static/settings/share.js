/** The address names what both forms are set to: it can be kept, sent and opened again. */

import { MODELS } from "../base/models.js";
import { fillSettings, keysOf, readSettings, typedSettings } from "./form.js";
import * as link from "./link.js";

let defaults = null;

/** Put the forms' settings into the address. */
export function showInAddress() {
  const fragment = link.write(typedSettings(), defaults);
  window.history.replaceState(null, "", fragment || window.location.pathname + window.location.search);
}

/** Return those of the texts that a box to tick cannot hold; every other bad value stands in its field, where the server faults it. */
function lost(model, texts) {
  const held = readSettings(model);
  return Object.keys(texts).filter((key) => typeof held[key] === "boolean" && String(held[key]) !== texts[key])
    .map((key) => `${model}.${key}=${texts[key]}`);
}

/** Fill both forms as the address says; what it does not name takes its default. Returns whether it named anything. */
function fillFromAddress(onProblem) {
  if (link.isLessonLink(window.location.hash)) return false;
  const { settings, strangers } = link.read(window.location.hash, MODELS, keysOf(MODELS[0]));
  if (Object.keys(settings).length > 0) {
    for (const model of MODELS) {
      fillSettings(model, defaults[model]);
      fillSettings(model, settings[model] ?? {});
      strangers.push(...lost(model, settings[model] ?? {}));
    }
  }
  onProblem(strangers.length ? `Not used, as the link has it: ${strangers.join(", ").slice(0, 200)}.` : "");
  return Object.keys(settings).length > 0;
}

/** Read the address now, and again whenever another is opened; `onLink` is called when it named settings. Returns whether it did. */
export function connectAddress({ onLink, onProblem }) {
  defaults = typedSettings();
  window.addEventListener("hashchange", () => {
    if (fillFromAddress(onProblem)) onLink();
  });
  return fillFromAddress(onProblem);
}

/** Bind the button that copies the address. */
export function connectShareButton() {
  const button = document.getElementById("share");
  const text = button.textContent;
  button.addEventListener("click", async () => {
    showInAddress();
    try {
      await navigator.clipboard.writeText(window.location.href);
      button.textContent = "Link copied";
    } catch {
      button.textContent = "It is in the address bar"; // the clipboard is refused on plain http beyond this machine
    }
    setTimeout(() => (button.textContent = text), 2500);
  });
}
