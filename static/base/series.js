/** Pure functions on series: parallel arrays of one length, such as {epoch: [], loss: []}. */

const FEWEST_EVEN = 32; // points, or they would not show a line's shape

/** Return `series` with the values of `addition` put behind it. */
export function append(series, addition) {
  const joined = {};
  for (const name of Object.keys(addition)) joined[name] = (series[name] ?? []).concat(addition[name]);
  return joined;
}

/** Return the values that stand at `indices`. */
export const pick = (values, indices) => indices.map((index) => values[index]);

/** Return `series` at `indices` only. */
function pickAll(series, indices) {
  return Object.fromEntries(Object.entries(series).map(([name, values]) => [name, pick(values, indices)]));
}

/** Return how many of ascending values lie below `x`, or with `through` at it as well. */
export function countBelow(values, x, through = false) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < x || (through && values[middle] === x)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Return the index of the one of ascending values that is nearest to `x`, the lower of two; -1 where there are none. */
export function nearest(values, x) {
  const after = countBelow(values, x);
  if (after === values.length) return after - 1;
  return after > 0 && x - values[after - 1] <= values[after] - x ? after - 1 : after;
}

/**
 * Return at most `limit` indices of `values`, ascending, that keep the line's shape.
 *
 * The first and last index stay, and of each bucket between them its smallest and its
 * largest value: a spike never disappears. A bucket of nulls keeps one of them.
 */
export function thin(values, limit) {
  const last = values.length - 1;
  if (values.length <= limit) return [...values.keys()];
  const buckets = Math.floor((limit - 2) / 2);
  const kept = [0];
  for (let bucket = 0; bucket < buckets; bucket++) {
    const from = 1 + Math.floor((bucket * (last - 1)) / buckets);
    const to = 1 + Math.floor(((bucket + 1) * (last - 1)) / buckets);
    let least = from;
    let most = from;
    for (let index = from; index < to; index++) {
      if (values[index] === null) continue;
      if (values[least] === null || values[index] < values[least]) least = index;
      if (values[most] === null || values[index] > values[most]) most = index;
    }
    kept.push(Math.min(least, most));
    if (least !== most) kept.push(Math.max(least, most));
  }
  kept.push(last);
  return kept;
}

/**
 * Return at most `limit` indices, ascending, of points an equal number of steps apart, and the last one; null where no such
 * row is complete. The server keeps lows and highs for their values, so their average is wrong; these stayed for their step.
 */
export function evenly(steps, limit) {
  if (steps.length === 0) return [];
  const [first, last] = [steps[0], steps.at(-1)];
  for (let stride = 1; stride <= Math.max(1, last / FEWEST_EVEN); stride *= 2) {
    const wanted = Math.floor(last / stride) - Math.floor((first - 1) / stride);
    if (wanted >= limit) continue; // this is asked at every drawing: do not look at rows that are too long
    const found = [...steps.keys()].filter((index) => steps[index] % stride === 0);
    if (found.length !== wanted) continue;
    return found.at(-1) === steps.length - 1 ? found : [...found, steps.length - 1];
  }
  return null;
}

/** Return `series` shortened to about half of `limit` points once it has grown past `limit`. */
export function bound(series, name, limit) {
  const values = series[name] ?? [];
  return values.length > limit ? pickAll(series, thin(values, limit / 2)) : series;
}
