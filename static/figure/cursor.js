/** The cursor that walks along the curves without a mouse: where its next stop is, and what is said there. Pure. */

import * as format from "../base/format.js";
import { MODELS, titleOf } from "../base/models.js";
import { countBelow, nearest } from "../base/series.js";
import { AXES } from "./axes.js";

const SERIES = { step: "points", evaluation: "evaluations" }; // the stops of each kind, as the history holds them
const UNKNOWN = "–";

/** Return what a model has of a kind, null where it has nothing yet. */
const seriesOf = (history, model, kind) => {
  const series = history.models[model]?.[SERIES[kind]];
  return series?.step?.length ? series : null;
};

/** Return {model: ascending places along the axis} of everything that was recorded of a kind. */
export const stopsOf = (history, kind, view) =>
  Object.fromEntries(MODELS.map((model) => {
    const series = seriesOf(history, model, kind);
    return [model, series ? AXES[view.x].of(series, view.imagesPerEpoch) : []];
  }));

/** Return the place `count` stops of both models to the right of `x`, to the left where that is negative; the last there is, where there are fewer. */
export function nextStop(stops, x, count) {
  const all = Object.values(stops).filter(({ length }) => length);
  if (!all.length) return x;
  if (count === Infinity) return Math.max(...all.map((xs) => xs.at(-1)));
  if (count === -Infinity) return Math.min(...all.map(([first]) => first));
  let here = x;
  for (let left = Math.abs(count); left > 0; left--) {
    const found = all.map((xs) => xs[count > 0 ? countBelow(xs, here, true) : countBelow(xs, here) - 1]).filter((each) => each !== undefined);
    if (!found.length) break;
    here = count > 0 ? Math.min(...found) : Math.max(...found);
  }
  return here;
}

/** Return the index of the recorded place nearest to `x`; -1 where the model has not come so far. */
function nearestReached(xs, x) {
  const last = xs.length - 1;
  const stride = xs[last] - (xs[last - 1] ?? xs[last]);
  return x - xs[last] > stride ? -1 : nearest(xs, x);
}

const number = (value, digits) => (value === null ? "not a number" : value.toFixed(digits));

/** Return a model's recorded values nearest to a place as texts, exactly as recorded; null where there are none. */
function valuesAt(series, index, isSmoothed) {
  if (index < 0) return null;
  const of = (name) => (series[isSmoothed ? `smooth_${name}` : name] ?? series[name])[index];
  return {
    step: format.count(series.step[index]),
    epoch: series.epoch[index].toFixed(3),
    time: `${series.seconds[index].toFixed(1)} s`,
    loss: number(of("loss"), 4),
    batch: isSmoothed ? number(series.loss[index], 4) : UNKNOWN,
    accuracy: of("accuracy") === null ? UNKNOWN : `${(100 * of("accuracy")).toFixed(2)} %`,
  };
}

/** Return what the values are: training's, smoothed or of each batch, or validation's. */
function describe(kind, smoothing, isSmoothed) {
  if (kind === "evaluation") return "Validation, as measured at this evaluation";
  return isSmoothed ? `Training, loss and accuracy averaged over ${format.count(smoothing)} images` : "Training, as measured at this step; accuracy is a running one";
}

/** Return what is to be read at a place: {about, rows: {model: values or null}, isSmoothed}. */
export function readout(history, kind, view, x) {
  const stops = stopsOf(history, kind, view);
  const isSmoothed = kind === "step" && view.smoothing > 0 && MODELS.some((model) => seriesOf(history, model, kind)?.smooth_loss);
  const rows = MODELS.map((model) => [model, valuesAt(seriesOf(history, model, kind), nearestReached(stops[model], x), isSmoothed)]);
  return { about: describe(kind, history.smoothing, isSmoothed), rows: Object.fromEntries(rows), isSmoothed };
}

/** Return the same as a sentence for a screen reader. */
export function said({ about, rows }) {
  const each = Object.entries(rows).map(([model, values]) => {
    if (!values) return `${titleOf(model)}: nothing here`;
    const batch = values.batch === UNKNOWN ? "" : `, of the batch ${values.batch}`;
    return `${titleOf(model)}: step ${values.step}, epoch ${values.epoch}, ${values.time}, loss ${values.loss}${batch}, accuracy ${values.accuracy}`;
  });
  return `${each.join(". ")}. ${about}`;
}

/** Return the evaluations of both models as rows {epoch, model1: [loss, accuracy, seconds] or null, model2}, in the order of epochs. */
export function evaluationRows(history) {
  const rows = new Map();
  for (const model of MODELS) {
    const series = seriesOf(history, model, "evaluation");
    series?.epoch.forEach((epoch, index) => {
      const { loss, accuracy, time } = valuesAt(series, index, false);
      rows.set(epoch, { epoch, ...rows.get(epoch), [model]: [loss, accuracy, time] });
    });
  }
  return [...rows.values()].sort((one, other) => one.epoch - other.epoch);
}
