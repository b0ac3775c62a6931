/** Runs that were deleted and can still be brought back. */

import { ApiError, changeRun } from "../base/api.js";
import { make, write } from "../base/dom.js";
import { onRuns, pastRuns, titles } from "../run/state.js";
import { refreshRuns, titleOfRun } from "../run/past.js";
import { showProblem } from "../run/status.js";
import { refresh } from "./table.js";

const part = document.getElementById("deleted");

async function restore(run) {
  try {
    await changeRun(run.id, "restore");
    showProblem("history", "");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    showProblem("history", `${error.message}.`);
  }
  await refreshRuns();
  await refresh();
  document.querySelector(`#runs tr[data-run="${CSS.escape(run.id)}"] a`)?.focus({ preventScroll: true });
}

function row(run) {
  const title = titleOfRun(run, titles());
  const button = make("button", { type: "button", class: "quiet", title: `Bring back ${title}`, text: "Undo" });
  button.addEventListener("click", () => restore(run));
  return make("li", { "data-run": run.id }, make("span", { class: "soft", text: `Deleted: ${title} ` }), button);
}

function show() {
  const { deleted } = pastRuns();
  part.hidden = deleted.length === 0;
  write(part.querySelector("summary"), `${deleted.length} deleted run${deleted.length === 1 ? "" : "s"}, until the server is started again`);
  part.querySelector("ul").replaceChildren(...deleted.map(row));
}

export function connectDeleted() {
  onRuns(show);
  show();
}
