/** The figure of the run that is shown: drawn when something is new, and somebody sees it. */

import { watchSight } from "../base/sight.js";
import { onThemeChange } from "../base/theme.js";
import { draw, picture as pictureOf } from "../figure/charts.js";
import { connectExport } from "../figure/export.js";
import { anyActive, hasPoints } from "./answers.js";
import { fileOf } from "./past.js";
import { comparisonOf, onComparison, onCurves, onShown, pastRun, runsBehind, serverNow, shownRun } from "./state.js";
import { showProblem } from "./status.js";
import { onView, view } from "./view.js";

const NOT_DRAWN = ["axis", "smoothing"]; // choices that others hear: the verdict's, and one that the server must answer

const chart = document.getElementById("chart");
const isSeen = watchSight(chart, () => isOwed && drawShown());
let isOwed = false; // nobody saw the figure
let drawnNoise = null;

/** Return how large a gap between the models chance may make, as a fraction of accuracy; null while nobody knows. */
const noiseNow = () => comparisonOf(shownRun())?.verdict.accuracy.noise ?? null;

/** Draw what is new; of a run that trains, and that the figure shows already, only where somebody sees it. */
function drawNews() {
  const run = shownRun();
  isOwed = !isSeen() && anyActive(run) && chart.dataset.drawn === run.run;
  return isOwed ? null : drawShown();
}

async function drawShown() {
  const run = shownRun();
  document.getElementById("empty").hidden = hasPoints(run);
  drawnNoise = noiseNow();
  isOwed = document.hidden; // browsers draw nothing then
  if (isOwed || !hasPoints(run)) return;
  try {
    const look = view();
    await draw(chart, run, { ...look, isApart: look.x === "seconds" && run.paired?.same_run === false, imagesPerEpoch: serverNow().images.train, overlays: runsBehind(), noise: drawnNoise });
  } catch (error) {
    showProblem("chart", `The curves cannot be drawn: ${error.message}.`);
  }
}

async function picture() {
  if (isOwed) await drawShown();
  return pictureOf(chart);
}

export function connectFigure() {
  onShown((isNews) => (isNews || isOwed ? drawNews() : null));
  onCurves(drawShown);
  onComparison(() => (noiseNow() === drawnNoise ? null : drawNews()));
  onView((choice) => (NOT_DRAWN.includes(choice) ? null : drawShown()));
  onThemeChange(drawShown);
  connectExport({ of: () => pastRun()?.of ?? { run: shownRun().run }, file: () => pastRun()?.file ?? fileOf(shownRun().run), picture });
  window.addEventListener("beforeprint", () => (isOwed ? drawShown() : null));
}
