/** The menu of ready comparisons. */

const menu = document.getElementById("preset");
const about = document.getElementById("preset-about");

/** Show that the forms hold no ready comparison any more. */
export function forgetPreset() {
  menu.value = "";
  about.textContent = "";
}

/** Bind the menu; `presets()` are the server's, `onChoice` receives the one chosen. */
export function connectPresets(presets, onChoice) {
  menu.addEventListener("change", () => {
    about.textContent = menu.selectedOptions[0].dataset.about ?? "";
    const preset = presets()[Number(menu.value)];
    if (menu.value !== "" && preset) onChoice(preset);
  });
  document.getElementById("settings").addEventListener("input", (event) => {
    if (event.target.closest(".field")) forgetPreset();
  });
}
