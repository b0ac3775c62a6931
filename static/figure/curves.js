/** What the figure draws, as numbers along the chosen axis: each model's training, validation, and the gap between both. Pure. */

import { AXES } from "./axes.js";
import { gap } from "./gap.js";

const NOTHING = { epoch: [], seconds: [], loss: [], accuracy: [] };
const RAISED = 100; // fractions to points

/** Return a model's lines {training, validation, failed}, each {x, epoch, loss, accuracy, …}; the training one is smoothed where that is wanted and known. */
export function curvesOf(model, view) {
  const [training, validation] = [model?.points, model?.evaluations].map((series) => {
    const known = { ...NOTHING, ...series };
    return { ...known, x: AXES[view.x].of(known, view.imagesPerEpoch) };
  });
  const isSmooth = view.smoothing > 0 && training.smooth_loss !== undefined;
  const smoothed = isSmooth ? { loss: training.smooth_loss, accuracy: training.smooth_accuracy } : {};
  return { training: { ...training, batch: training.loss, running: training.accuracy, ...smoothed, isSmooth }, validation, failed: model?.state === "failed" };
}

/** Return {x, y} of the validation accuracy of the first model less that of the second, in points. */
export function gapOf([one, two]) {
  const { x, y } = gap(one.validation.x, one.validation.accuracy, two.validation.x, two.validation.accuracy);
  return { x, y: y.map((fraction) => RAISED * fraction) };
}
