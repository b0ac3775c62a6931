/** The strip under the verdict that says, once both models have finished, whether one is really better. */

import { write } from "./dom.js";
import * as format from "./format.js";
import { whenAnswered } from "./wording.js";

const COUNTS = ["both_right", "only1", "only2", "both_wrong"];
const field = (name) => document.querySelector(`#significance [data-found="${name}"]`);

/** Open the mistakes tab at the images that a count counts. */
function openImages(name) {
  document.querySelector("#mistakes-cell:not([hidden]) button")?.click(); // back from one cell to all mistakes
  document.querySelector(`[name="mistakes-show"][value="${name}"]`).click();
  document.getElementById("tab-mistakes").click();
  const panel = document.getElementById("panel-mistakes");
  panel.focus({ preventScroll: true });
  panel.scrollIntoView({ block: "start" });
}

/** Bind the counts that can be looked at. */
export function connectSignificance() {
  for (const button of document.querySelectorAll("#significance button")) button.addEventListener("click", () => openImages(button.dataset.found));
}

/** Show `significance` of /api/comparison; null where there is none yet. */
export function showSignificance(found) {
  const strip = document.getElementById("significance");
  strip.hidden = !found;
  if (!found) return;
  strip.dataset.leader = found.leader ?? "";
  write(field("text"), found.text);
  write(field("at"), whenAnswered(found.at));
  write(field("caveat"), found.caveat);
  for (const name of COUNTS) write(field(name), format.count(found[name]));
}
