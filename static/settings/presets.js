/** The menu of ready comparisons. */

/** Bind the menu; `presets()` are the server's, `onChoice` receives the one chosen. */
export function connectPresets(presets, onChoice) {
  const menu = document.getElementById("preset");
  const about = document.getElementById("preset-about");
  menu.addEventListener("change", () => {
    about.textContent = menu.selectedOptions[0].dataset.about ?? "";
    const preset = presets()[Number(menu.value)];
    if (menu.value !== "" && preset) onChoice(preset);
  });
  document.getElementById("settings").addEventListener("input", (event) => {
    if (!event.target.closest(".field")) return;
    menu.value = "";
    about.textContent = "";
  });
}
