/** Marks where a line leaves the window, so that it does not end in nothing. Pure. */

export const MARKS = { type: "scatter", mode: "markers", hoverinfo: "skip", showlegend: false, cliponaxis: false };
const BRIEF = 0.012; // of the x axis: a line that is back so soon needs no mark
const MOST = 8; // marks of one line: those nearest its end

/** Return {x, y, symbols}: one mark on the window's edge for each stretch in which the line through (xs, ys) is out of it. */
export function edgeMarks(xs, ys, window, xWindow) {
  const brief = BRIEF * (xWindow[1] - xWindow[0]);
  const shown = stretches(xs, ys, window, xWindow)
    .filter(({ left, from, to, isBack }) => !left || !isBack || to - from >= brief)
    .map(({ left, from, to, where }) => ({ x: left ? from : to, where })) // where it leaves, else where it comes in or ends
    .slice(-MOST);
  return {
    x: shown.map(({ x }) => x), y: shown.map(({ where }) => window[where > 0 ? 1 : 0]), symbols: shown.map(({ where }) => (where > 0 ? "triangle-up" : "triangle-down")),
  };
}

/** Return each stretch out of the window as {where (1 above, -1 below), from, to, left (from inside), isBack (in the end)}. */
function stretches(xs, ys, [low, high], [first, last]) {
  const found = [];
  let stretch = null;
  let before = -1; // the point before, where it is a number and in sight
  for (let index = 0; index < xs.length; index++) {
    const isKnown = ys[index] !== null && xs[index] >= first && xs[index] <= last;
    const where = !isKnown ? 0 : ys[index] > high ? 1 : ys[index] < low ? -1 : 0;
    if (stretch && (!isKnown || where !== stretch.where)) {
      if (isKnown) Object.assign(stretch, { to: crossing(xs, ys, before, index, stretch.edge), isBack: true });
      stretch = null;
    }
    if (where !== 0) {
      const edge = where > 0 ? high : low;
      const left = before >= 0;
      if (!stretch) found.push(stretch = { where, edge, left, from: left ? crossing(xs, ys, before, index, edge) : xs[index], isBack: false });
      stretch.to = xs[index];
    }
    before = isKnown ? index : -1;
  }
  return found;
}

function crossing(xs, ys, before, now, edge) {
  const share = (edge - ys[before]) / (ys[now] - ys[before]);
  return xs[before] + share * (xs[now] - xs[before]);
}

/** Return the trace of a triangle on the window's edge wherever a trace's line leaves it. */
export function edges({ x, y, yaxis, legendgroup }, window, xWindow, marker) {
  const { symbols, ...where } = edgeMarks(x, y, window, xWindow);
  return { ...MARKS, ...where, yaxis, legendgroup, marker: { size: 8, ...marker, symbol: symbols } };
}
