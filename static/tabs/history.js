/** The history tab: all trainings, as a table that is loaded when the tab is first seen (history/history.js). */

import { watchSight } from "../base/sight.js";
import { onRuns, pastRuns } from "../run/state.js";

export function connectHistory() {
  onRuns(() => {
    const { runs, deleted } = pastRuns();
    const isEmpty = runs.length + deleted.length === 0;
    document.getElementById("no-runs").hidden = !isEmpty;
    document.body.classList.toggle("has-past", !isEmpty);
  });
  watchSight(document.getElementById("panel-history"), () => void import("../history/history.js"));
}
