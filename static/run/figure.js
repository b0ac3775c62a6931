/** The figure of the run that is shown: drawn when something is new, and somebody sees it. */

import { onThemeChange } from "../base/theme.js";
import { draw, picture } from "../figure/charts.js";
import { connectExport } from "../figure/export.js";
import { hasPoints } from "./answers.js";
import { fileOf } from "./past.js";
import { comparisonOf, onComparison, onCurves, onShown, runsBehind, serverNow, shownRun } from "./state.js";
import { showProblem } from "./status.js";
import { onView, view } from "./view.js";

const NOT_DRAWN = ["axis", "smoothing"]; // choices that others hear: the verdict's, and one that the server must answer

const chart = document.getElementById("chart");
let isOwed = false; // nobody saw the page
let drawnNoise = null;

/** Return how large a gap between the models chance may make, as a fraction of accuracy; null while nobody knows. */
const noiseNow = () => comparisonOf(shownRun())?.verdict.accuracy.noise ?? null;

async function drawShown() {
  const run = shownRun();
  document.getElementById("empty").hidden = hasPoints(run);
  drawnNoise = noiseNow();
  isOwed = document.hidden; // browsers draw nothing then
  if (isOwed || !hasPoints(run)) return;
  try {
    await draw(chart, run, { ...view(), imagesPerEpoch: serverNow().images.train, overlays: runsBehind(), noise: drawnNoise });
  } catch (error) {
    showProblem("chart", `The curves cannot be drawn: ${error.message}.`);
  }
}

export function connectFigure() {
  onShown((isNews) => (isNews || (isOwed && !document.hidden) ? drawShown() : null));
  onCurves(drawShown);
  onComparison(() => (noiseNow() === drawnNoise ? null : drawShown()));
  onView((choice) => (NOT_DRAWN.includes(choice) ? null : drawShown()));
  onThemeChange(drawShown);
  connectExport({ run: () => shownRun().run, file: fileOf, picture: () => picture(chart) });
}
