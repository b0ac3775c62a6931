/** Chooses any two trainings from the history, A and B, to be compared. Loaded when the first is chosen. */

import { make, write } from "../base/dom.js";
import { compare } from "../run/pair.js";

const table = document.getElementById("runs");
const said = make("span");
const go = make("button", { type: "button", class: "primary", text: "Compare these two" });
const drop = make("button", { type: "button", class: "quiet", text: "Neither" });
const bar = make("p", { id: "chosen", class: "chosen", role: "status" }, said, go, drop);
const chosen = { A: null, B: null }; // each {training, called}

/** Show in the table and above it which are chosen. */
export function mark() {
  for (const button of table.querySelectorAll("[data-slot]")) {
    button.ariaPressed = String(chosen[button.dataset.slot]?.training === button.dataset.training);
  }
  bar.hidden = !chosen.A && !chosen.B;
  go.disabled = !chosen.A || !chosen.B;
  write(said, ["A", "B"].map((slot) => `${slot}: ${chosen[slot]?.called ?? "choose one below"}`).join(" · "));
}

/** Put the training of a button into its slot, or take it out again. */
export function choose({ dataset: { slot, training, called } }) {
  const other = slot === "A" ? "B" : "A";
  if (chosen[other]?.training === training) chosen[other] = null;
  const isOut = chosen[slot]?.training === training;
  chosen[slot] = isOut ? null : { training, called };
  mark();
}

table.before(bar);
go.addEventListener("click", () => compare({ a: chosen.A.training, b: chosen.B.training }));
drop.addEventListener("click", () => {
  chosen.A = chosen.B = null;
  mark();
});
