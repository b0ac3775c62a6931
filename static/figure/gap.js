/** The gap between two curves along a common axis. Pure. */

/** Return the height at `x` of the curve through (xs, ys), xs ascending; null outside it. */
function interpolate(xs, ys, x) {
  const after = xs.findIndex((each) => each >= x);
  if (after < 0) return null;
  if (xs[after] === x) return ys[after];
  if (after === 0) return null;
  const share = (x - xs[after - 1]) / (xs[after] - xs[after - 1]);
  return ys[after - 1] + share * (ys[after] - ys[after - 1]);
}

function known(xs, ys) {
  const indices = [...ys.keys()].filter((index) => ys[index] !== null && xs[index] !== null);
  return [indices.map((index) => xs[index]), indices.map((index) => ys[index])];
}

/** Return {x, y} with y the first curve's height less the second's, at each place that both have reached. */
export function gap(xs1, ys1, xs2, ys2) {
  const [one, two] = [known(xs1, ys1), known(xs2, ys2)];
  const places = [...new Set([...one[0], ...two[0]])].sort((a, b) => a - b);
  const both = places
    .map((x) => [x, interpolate(...one, x), interpolate(...two, x)])
    .filter(([, y1, y2]) => y1 !== null && y2 !== null);
  return { x: both.map(([x]) => x), y: both.map(([, y1, y2]) => y1 - y2) };
}

/** Return {x, y} with the places added where the line crosses zero, so that both sides can be filled. */
export function withCrossings({ x, y }) {
  const crossed = { x: [], y: [] };
  for (let index = 0; index < x.length; index++) {
    if (index > 0 && y[index - 1] * y[index] < 0) {
      const share = y[index - 1] / (y[index - 1] - y[index]);
      crossed.x.push(x[index - 1] + share * (x[index] - x[index - 1]));
      crossed.y.push(0);
    }
    crossed.x.push(x[index]);
    crossed.y.push(y[index]);
  }
  return crossed;
}
