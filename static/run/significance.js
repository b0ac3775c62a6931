/** The counts of McNemar's test behind the statement, once both models have ended: each opens its images. */

import { write } from "../base/dom.js";
import * as format from "../base/format.js";
import { writeTerms } from "../base/terms.js";
import { whenAnswered } from "../base/wording.js";
import { onComparison } from "./state.js";

const COUNTS = ["both_right", "only1", "only2", "both_wrong"];
const field = (name) => document.querySelector(`#significance [data-found="${name}"]`);

/** Show `significance` of /api/comparison; null where there is none yet. */
function showSignificance({ significance: found }) {
  document.getElementById("significance").hidden = !found;
  if (!found) return;
  writeTerms(field("method"), `${found.method === "exact" ? "Exact McNemar" : "McNemar"}, ${whenAnswered(found.at)}:`);
  for (const name of COUNTS) write(field(name), format.count(found[name]));
}

/** Bind the counts; `onImages(count)` shows the images that one counts: "only1", "only2" or "both_wrong". */
export function connectSignificance({ onImages }) {
  for (const button of document.querySelectorAll("#significance button")) button.addEventListener("click", () => onImages(button.dataset.found));
  onComparison(showSignificance);
}
