/** The menu of ready comparisons. */

const menu = document.getElementById("preset");
const about = document.getElementById("preset-about");
const lesson = document.getElementById("preset-lesson");

/** Show that the forms hold no ready comparison any more. */
export function forgetPreset() {
  menu.value = "";
  showAbout();
}

/** Say what the chosen one shows, and offer the lesson that changes one setting where this changes more. */
function showAbout() {
  const { about: text, lesson: id } = menu.selectedOptions[0].dataset;
  about.textContent = text ?? "";
  lesson.hidden = !id;
  lesson.dataset.offers = id ?? "";
}

/** Let one be chosen, once the server has told what each is. */
export function offerPresets() {
  menu.disabled = false;
}

/** Bind the menu; `presets()` are the server's, `onChoice` receives the one chosen. */
export function connectPresets(presets, onChoice) {
  menu.addEventListener("change", () => {
    showAbout();
    const preset = presets()[Number(menu.value)];
    if (menu.value !== "" && preset) onChoice(preset);
  });
  document.getElementById("settings").addEventListener("input", (event) => {
    if (event.target.closest(".field")) forgetPreset();
  });
}
