/** Presentation: figure, verdict and targets alone, large enough for a room. */

const button = () => document.getElementById("present");
let cameFrom = null; // what had the focus before, to give it back

export const isPresenting = () => document.body.classList.contains("presenting");

/** Begin or end the presentation. */
export function present(on) {
  if (on === isPresenting()) return;
  if (on) cameFrom = document.activeElement;
  document.body.classList.toggle("presenting", on);
  if (on) window.scrollTo({ top: 0 });
  else cameFrom?.focus({ preventScroll: true });
}

export function connectPresentation() {
  button().addEventListener("click", () => present(true));
  document.getElementById("leave").addEventListener("click", () => present(false));
}
