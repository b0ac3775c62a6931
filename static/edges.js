/** Marks where a line leaves the window, so that it does not end in nothing. Pure. */

const APART = 0.012; // of the x axis: closer marks of one line are one
export const MARKS = { type: "scatter", mode: "markers", hoverinfo: "skip", showlegend: false, cliponaxis: false };
const MOST = 8; // marks of one line: those nearest its end

/** Return {x, y, symbols} of the places where the line through (xs, ys) crosses the window's lower or upper edge. */
export function edgeMarks(xs, ys, window, [from, to]) {
  const [low, high] = window;
  const side = (y) => (y > high ? 1 : y < low ? -1 : 0);
  const found = [];
  const note = (x, where) => {
    const before = found.findLast((mark) => mark.where === where);
    if (!before || x - before.x >= APART * (to - from)) found.push({ x, where });
  };
  let last = -1; // the point before, where it is a number and in sight
  for (let index = 0; index < xs.length; index++) {
    if (ys[index] === null || xs[index] < from || xs[index] > to) {
      last = -1;
      continue;
    }
    if (last >= 0) {
      const [before, now] = [side(ys[last]), side(ys[index])];
      for (const where of new Set([before, now])) if (where !== 0 && before !== now) note(crossing(xs, ys, last, index, where > 0 ? high : low), where);
    }
    last = index;
  }
  const end = ys.findLastIndex((y, index) => y !== null && xs[index] >= from && xs[index] <= to);
  if (end >= 0 && side(ys[end]) !== 0 && !found.some(({ where }) => where === side(ys[end]))) note(xs[end], side(ys[end])); // it was never inside
  const shown = found.sort((a, b) => a.x - b.x).slice(-MOST);
  return { x: shown.map(({ x }) => x), y: shown.map(({ where }) => (where > 0 ? high : low)), symbols: shown.map(({ where }) => (where > 0 ? "triangle-up" : "triangle-down")) };
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
