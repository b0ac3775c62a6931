/** Light, dark, or as the system says: chosen once, remembered, and told to whoever draws. */

const KEY = "theme";
const root = document.documentElement;
const system = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

export const onThemeChange = (listener) => listeners.add(listener);

function remembered() {
  try {
    return localStorage.getItem(KEY) ?? "auto";
  } catch {
    return "auto"; // storage is refused in some private windows
  }
}

function remember(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // the choice then lasts as long as the page
  }
}

function apply(theme) {
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  for (const listener of listeners) listener();
}

/** Return the colours of these custom properties as the browser resolves them now. */
export function colours(...names) {
  const probe = document.createElement("span");
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
      remember(radio.value);
      apply(radio.value);
    });
  }
}

apply(remembered());
system.addEventListener("change", () => apply(remembered()));
