/** The forms fold to a line in each card's head; the advanced settings of both models open together. */

const button = () => document.getElementById("fold");

/** Fold or unfold both forms. */
export function fold(folded) {
  document.getElementById("settings").classList.toggle("folded", folded);
  button().ariaExpanded = String(!folded);
  button().textContent = folded ? "Show settings" : "Hide settings";
}

const isFolded = () => button().ariaExpanded === "false";

export function connectFolds() {
  button().addEventListener("click", () => fold(!isFolded()));
  openTogether(".advanced", (open) => (document.querySelector(".gutter-advanced").hidden = !open));
  openTogether(".shapes");
}

/** What is opened in one card opens in the other, so that their rows stay level. */
function openTogether(selector, onToggle = () => {}) {
  const groups = [...document.querySelectorAll(selector)];
  for (const group of groups) {
    group.addEventListener("toggle", () => {
      for (const other of groups) other.open = group.open;
      onToggle(group.open);
    });
  }
}
