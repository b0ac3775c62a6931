/** Light, dark, or as the system says: chosen once, remembered, and told to whoever draws. */

import { recall, remember } from "./memory.js";

const KEY = "theme";
const root = document.documentElement;
const system = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((query) => window.matchMedia(query));
const listeners = new Set();

export const onThemeChange = (listener) => listeners.add(listener);

const remembered = () => recall(KEY, "auto");

function apply(theme) {
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  for (const listener of listeners) listener();
}

/** Make the page light, as paper is, until `on` is false. */
export function lighten(on) {
  if (on) root.dataset.theme = "light";
  else apply(remembered());
}

/** Return the colours of these custom properties as the browser resolves them now. */
export function colours(...names) {
  const probe = document.createElement("span");
  probe.style.forcedColorAdjust = "none"; // else each is that of text, where the system forces its colours
  document.body.append(probe);
  const found = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  });
  probe.remove();
  return Object.fromEntries(found);
}

/** Bind the switch in the top bar. */
export function connectThemeSwitch(radios) {
  for (const radio of radios) {
    radio.checked = radio.value === remembered();
    radio.addEventListener("change", () => {
      remember(KEY, radio.value);
      apply(radio.value);
    });
  }
}

apply(remembered());
for (const query of system) query.addEventListener("change", () => apply(remembered()));
