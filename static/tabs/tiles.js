/** Weights and activations as pictures: tiles on a canvas, enlarged to whole screen pixels and no further. */

const TILE_PX = 56; // a tile at most: holds 14×14 and 7×7 without a remainder
const GAP_PX = 4;
const COLUMNS = 8;
const DOT_COLUMNS = 32; // of single values, such as those of the hidden layer
const DOT_PX = 14;

/** Return the numbers 0 to 255 that base64 text holds. Pure. */
const unsigned = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
/** Return the numbers -127 to 127 that base64 text holds. Pure. */
export const signed = (text) => new Int8Array(unsigned(text).buffer);

const channels = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);

/** Return a colour between two, each as the browser resolves it: "rgb(1, 2, 3)". Pure. */
export function between(from, to, share) {
  const [start, end] = [channels(from), channels(to)];
  return `rgb(${start.map((value, index) => Math.round(value + share * (end[index] - value))).join(" ")})`;
}

const unpainted = new WeakMap(); // by canvas: how to paint it once the panel that it stands in is shown
const room = new ResizeObserver((sizes) => {
  for (const { target } of sizes) if (target.clientWidth) for (const canvas of target.children) unpainted.get(canvas)?.();
});

/** Paint `count` tiles of side × side cells; `colourOf(index)` is the colour of a cell, counted through all tiles. */
function paintTiles(canvas, tiles, colourOf) {
  const around = canvas.parentElement;
  if (around.clientWidth) {
    unpainted.delete(canvas);
    paintNow(canvas, tiles, colourOf);
  } else {
    unpainted.set(canvas, () => paintTiles(canvas, tiles, colourOf));
    room.observe(around);
  }
}

function paintNow(canvas, { count, side }, colourOf) {
  const dots = side === 1 && count > COLUMNS * 4;
  const columns = Math.min(dots ? DOT_COLUMNS : COLUMNS, count);
  const ratio = window.devicePixelRatio;
  const gap = Math.round(ratio * (dots ? 1 : GAP_PX));
  const wide = (canvas.parentElement.clientWidth * ratio) / (dots ? DOT_COLUMNS : COLUMNS) - gap; // for a tile
  const cell = Math.max(1, Math.floor(Math.min(wide, ratio * (dots ? DOT_PX : TILE_PX)) / side));
  const pitch = cell * side + gap;
  canvas.width = columns * pitch - gap;
  canvas.height = Math.ceil(count / columns) * pitch - gap;
  canvas.style.width = `${canvas.width / ratio}px`;
  const context = canvas.getContext("2d");
  for (let tile = 0; tile < count; tile++) {
    const [left, top] = [(tile % columns) * pitch, Math.floor(tile / columns) * pitch];
    for (let at = 0; at < side * side; at++) {
      context.fillStyle = colourOf(tile * side * side + at);
      context.fillRect(left + (at % side) * cell, top + Math.floor(at / side) * cell, cell, cell);
    }
  }
}

/** Paint a layer's weights as /api/filters gives them; `largest` is the weight that has the full colour. */
export function paintWeights(canvas, { weights, shown, side, scale }, largest, { below, zero, above }) {
  const values = signed(weights);
  const ramp = Array.from({ length: 255 }, (_, index) => between(zero, index < 127 ? below : above, Math.min(1, (Math.abs(index - 127) / 127) * (scale / largest))));
  paintTiles(canvas, { count: shown, side }, (index) => ramp[values[index] + 127]);
}

/** Paint a layer's activations as /api/predict gives them, from the ground's colour for 0 to `full`. */
export function paintMaps(canvas, { maps, shown, side }, { ground, full }) {
  const values = unsigned(maps);
  const ramp = Array.from({ length: 256 }, (_, value) => between(ground, full, value / 255));
  paintTiles(canvas, { count: shown, side }, (index) => ramp[values[index]]);
}
