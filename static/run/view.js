/** How the figure and the verdict are looked at: read from the controls that carry data-view, and remembered. */

import { channel } from "../base/channel.js";
import * as format from "../base/format.js";
import { recall, remember } from "../base/memory.js";

const KEY = "view";

const changes = channel();
/** Hears the name of each choice that the user changes. */
export const onView = changes.on;

const controls = () => [...document.querySelectorAll("[data-view]")];
const slider = () => document.querySelector("[data-view='smoothing']");

function read(control) {
  if (control.type === "checkbox") return control.checked;
  return control.type === "range" ? Number(control.value) : control.value;
}

/** Return the choices: {layout, x, log, whole, smoothing (in images), axis}. */
export function view() {
  const chosen = controls().filter((control) => control.type !== "radio" || control.checked);
  const choices = Object.fromEntries(chosen.map((control) => [control.dataset.view, read(control)]));
  return { ...choices, smoothing: JSON.parse(slider().dataset.images)[choices.smoothing] };
}

function restore(control, value) {
  if (value === undefined) return;
  if (control.type === "radio") control.checked = control.value === value;
  else if (control.type === "checkbox") control.checked = value === true;
  else control.value = value;
}

/** Choose for the user, as if on the control itself: `chooseView("axis", "seconds")`. */
export function chooseView(name, value) {
  const control = controls().find((each) => each.dataset.view === name && each.value === value);
  if (control.checked) return;
  control.checked = true;
  control.dispatchEvent(new Event("input"));
}

function describeSmoothing() {
  const { smoothing } = view();
  const text = smoothing ? `${format.count(smoothing)} images` : "off";
  document.getElementById("smoothing-images").textContent = text;
  slider().setAttribute("aria-valuetext", text);
}

/** Restore what was chosen last time. */
export function connectView() {
  const remembered = recall(KEY, {});
  for (const control of controls()) {
    const name = control.dataset.view;
    restore(control, remembered[name]);
    control.addEventListener("input", () => {
      remembered[name] = read(control);
      remember(KEY, remembered);
      describeSmoothing();
      changes.tell(name);
    });
  }
  describeSmoothing();
}
