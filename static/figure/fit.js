/** Which part of each axis the figure shows. Pure.
 *
 * By default what matters now: the validation of the last nine tenths of the training so far, and of the training
 * curves what stands near. A line that leaves the window ends in a mark at its edge (edges.js).
 */

const PASSED = 0.1; // of the training so far: the first tenth falls so steeply that it would flatten the rest
const FAR_OUT = 3; // interquartile ranges beyond the quartiles, where Tukey (1977) calls a value far out
const BEATEN = 4; // times the best one's loss, or error: a curve so much worse does not set the window
const ENOUGH = 3; // evaluations of a model; with fewer, its training curve counts in full
const BESIDE = 0.5; // of the validation's span, on either side, is what training curves may add
const POINT_PX = 10.5; // the height of a point of accuracy, so that a lead of 0.1 points is seen
const PLENTY = 2; // times the distance between the ends is window enough: it shows them apart, and how they came there
const RECENT = 3; // times as large as lately is more of the gap than matters now
const SAMPLE = 400; // points of a training curve are enough to tell its quantiles
const PAD = { loss: 0.08, accuracy: 0.05, gap: 0.12 };
const LEAST = { loss: 0.02, accuracy: 0.01, gap: 1 }; // spans
const LEAST_LOSS = 1e-6; // a logarithmic axis has no zero
const FURTHER = 0.012; // of the x axis: room for the last marker

const known = (value) => value !== null && Number.isFinite(value);
const span = ([low, high]) => high - low;
const between = (value, [low, high]) => Math.min(Math.max(value, low), high);

/** Return the smallest and the largest of the values, null where there are none. */
function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!known(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

function quantile(sorted, share) {
  const place = share * (sorted.length - 1);
  const under = Math.floor(place);
  return sorted[under] + (place - under) * ((sorted[under + 1] ?? sorted[under]) - sorted[under]);
}

const sort = (values) => values.filter(known).sort((a, b) => a - b);

/** Return those of the values that are not far out, and always the last. */
function withoutOutliers(values) {
  const sorted = sort(values);
  const [low, high] = [quantile(sorted, 0.25), quantile(sorted, 0.75)];
  const reach = FAR_OUT * (high - low);
  return [...sorted.filter((value) => value >= low - reach && value <= high + reach), values.findLast(known)];
}

/** Return the values of a series from an epoch on. */
function since(from, series, name) {
  const first = series.epoch.findIndex((epoch) => epoch >= from);
  return first < 0 ? [] : series[name].slice(first);
}

function sampled(values) {
  const step = Math.max(1, Math.floor(values.length / SAMPLE));
  return step === 1 ? values : values.filter((_, index) => index % step === 0 || index === values.length - 1);
}

function within(series, name, [from, to]) {
  return series[name].filter((_, index) => series.x[index] >= from && series.x[index] <= to);
}

const join = (ranges) => extent(ranges.filter(Boolean).flat());

/** Return the window of how bad the models are (loss, or 1 − accuracy) over the last nine tenths; no higher than `limit` where they leave a choice. */
function fitRecent(models, least, limit) {
  const each = models.map(({ training, validation }) => {
    const checks = validation.filter(known);
    const course = sort(training);
    return { checks, course, end: checks.at(-1) ?? training.findLast(known), few: checks.length < ENOUGH };
  }).filter(({ end }) => end !== undefined);
  if (!each.length) return null;
  const best = Math.min(...each.map(({ end }) => end));
  const worst = Math.max(BEATEN * best, best + least);
  const racing = each.filter(({ end }) => end <= worst);
  const few = racing.some((one) => one.few);
  const ends = extent(racing.map(({ end }) => end));
  const checks = racing.flatMap((one) => (one.checks.length ? withoutOutliers(one.checks) : [])).filter((value) => value <= worst);
  const core = join([extent(checks), ends]);
  const beside = few ? Infinity : Math.max(BESIDE * span(core), least / 2);
  const near = join(racing.filter(({ course }) => course.length).map(({ course, checks: { length } }) => (length ? [quantile(course, 0.1), quantile(course, 0.9)] : [course[0], course.at(-1)])));
  const [low, high] = near
    ? [Math.min(core[0], Math.max(near[0], core[0] - beside)), Math.max(core[1], Math.min(near[1], core[1] + beside, worst))]
    : core;
  return few ? [low, high] : trim([low, high], core, ends, Math.max(limit, PLENTY * span(ends)));
}

/** Return a window no larger than `limit`: what is dropped first is what training added, then what lies furthest from the ends, which stay. */
function trim(window, core, ends, limit) {
  if (span(window) <= limit) return window;
  if (span(core) <= limit) {
    const spare = (limit - span(core)) / 2;
    const low = Math.max(window[0], core[0] - spare);
    return [low, Math.min(window[1], low + limit)];
  }
  const low = Math.min(Math.max(core[0], ends[1] - limit), ends[0]);
  return [low, Math.max(ends[1], Math.min(core[1], low + limit))];
}

/** Return the window of what can be seen where the user has zoomed: all of it, but of a model that is far beaten. */
function fitVisible(models) {
  const each = models.map((values) => ({ values, end: values.findLast(known) })).filter(({ end }) => end !== undefined);
  if (!each.length) return null;
  const best = Math.min(...each.map(({ end }) => end));
  return join(each.filter(({ end }) => end <= Math.max(BEATEN * best, best + 1e-6)).map(({ values }) => extent(values)));
}

function widen(range, name) {
  const missing = Math.max(0, LEAST[name] - span(range)) / 2;
  const room = PAD[name] * Math.max(span(range), LEAST[name]);
  return [range[0] - missing - room, range[1] + missing + room];
}

/** Return the window of loss or accuracy: all of it, what the zoom along x leaves, or what matters now. */
function fitQuantity(name, curves, overlays, { whole, log, zoomed, height }) {
  const bad = name === "loss" ? (value) => value : (value) => (value === null ? null : 1 - value);
  const batch = name === "loss" ? "batch" : "running";
  let found;
  if (whole) found = extent([...curves, ...overlays].flatMap(({ training, validation }) => [...training[batch], ...training[name], ...validation[name]]).map(bad));
  else if (zoomed) found = fitVisible(curves.map(({ training, validation }) => [...within(training, name, zoomed), ...within(validation, name, zoomed)].map(bad)));
  if (!found) {
    const limit = name === "accuracy" ? height / POINT_PX / 100 / (1 + 2 * PAD.accuracy) : Infinity;
    const sound = curves.some(({ failed }) => !failed) ? curves.filter(({ failed }) => !failed) : curves;
    const from = PASSED * Math.max(0, ...sound.map(({ training }) => training.epoch.at(-1) ?? 0));
    const both = sound.map(({ training, validation }) => ({ training: sampled(since(from, training, name)).map(bad), validation: since(from, validation, name).map(bad) }));
    found = fitRecent(both, LEAST[name], limit) ?? [0, 1];
  }
  const [low, high] = widen(found, name);
  if (name === "loss") return [whole && !log ? 0 : Math.max(low, found[0] / 1.2, LEAST_LOSS), high];
  const room = 0.02 * (high - low);
  return [Math.max(1 - high, -room), Math.min(1 - low, 1 + room)];
}

/** Return the window of the gap: its recent values, zero, and the band of ± noise. */
function fitGap({ x, y }, end, { whole, zoomed, noise }) {
  const [from, to] = zoomed ?? [whole ? 0 : PASSED * end, Infinity];
  const seen = y.filter((_, index) => x[index] >= from && x[index] <= to);
  const most = RECENT * Math.max(...seen.slice(-Math.ceil(seen.length / 3)).map(Math.abs), noise, LEAST.gap);
  const values = whole || zoomed || seen.length === 0 ? seen : withoutOutliers(seen).filter((value) => Math.abs(value) <= most);
  return widen(extent([...values, 0, noise, -noise].map((value) => (Number.isFinite(value) ? value : 0))), "gap");
}

/** Return how far along x anything reaches. */
const reach = (curves) => Math.max(0, ...curves.flatMap(({ training, validation }) => [training.x.at(-1) ?? 0, validation.x.at(-1) ?? 0]));

/**
 * Return the window of each axis: {x, loss, accuracy, gap}. `heights` are the panels' in pixels, `zoom` holds what the
 * user has chosen by hand, `noise` is in points.
 */
export function fit(curves, overlays, gap, { whole, log, zoom, noise, heights }) {
  const end = reach(curves);
  const all = Math.max(end, reach(overlays)) || 1;
  const options = { whole, log, zoomed: zoom.x ?? null, noise };
  return {
    x: zoom.x ?? [0, (1 + FURTHER) * all],
    loss: zoom.loss ?? fitQuantity("loss", curves, overlays, { ...options, height: heights.loss }),
    accuracy: zoom.accuracy ?? fitQuantity("accuracy", curves, overlays, { ...options, height: heights.accuracy }),
    gap: zoom.gap ?? fitGap(gap, end, options),
  };
}

/** Return a value that Plotly can place for a window: a loss of 1e31 stands where it leads the line out of it. */
export const placeable = (value, window) => (value === null ? null : between(value, [window[0] - 50 * span(window), window[1] + 50 * span(window)]));
