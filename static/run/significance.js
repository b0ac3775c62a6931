/** The counts of McNemar's test behind the statement, once both models have finished: each opens its images. */

import { write } from "../base/dom.js";
import * as format from "../base/format.js";
import { whenAnswered } from "../base/wording.js";

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
  document.getElementById("significance").hidden = !found;
  if (!found) return;
  write(field("method"), `${found.method === "exact" ? "Exact McNemar" : "McNemar"}, ${whenAnswered(found.at)}:`);
  for (const name of COUNTS) write(field(name), format.count(found[name]));
}
