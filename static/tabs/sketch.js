/** A canvas of the 28 × 28 pixels that the models see, to draw on with mouse, finger or pen. */

import { SIDE } from "./sprite.js";

/**
 * Bind the canvas. `brush()` returns the width of a stroke in pixels, `ink()` its colour;
 * `onStroke()` is called after each change that the hand has made.
 */
export function connectSketch(canvas, { brush, ink, onStroke }) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let last = null;

  function place(event) {
    const { left, top, width } = canvas.getBoundingClientRect();
    const edge = canvas.clientLeft;
    const scale = SIDE / (width - 2 * edge);
    return [(event.clientX - left - edge) * scale, (event.clientY - top - edge) * scale];
  }

  function stroke(to) {
    context.strokeStyle = ink();
    context.lineWidth = brush();
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(to[0] + 0.001, to[1]); // a line of no length would not be drawn
    context.stroke();
    last = to;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    stroke(last);
    onStroke();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last || !event.isPrimary) return;
    const between = event.getCoalescedEvents?.() ?? [];
    for (const each of between.length ? between : [event]) stroke(place(each));
    onStroke();
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));

  function clear() {
    context.fillStyle = "black";
    context.fillRect(0, 0, SIDE, SIDE);
  }

  clear();
  return {
    clear,
    /** Return the 784 pixels, 0 to 255, row by row. */
    read() {
      const { data } = context.getImageData(0, 0, SIDE, SIDE);
      return Array.from({ length: SIDE * SIDE }, (_, at) => data[4 * at]);
    },
    /** Show 784 pixels. */
    write(pixels) {
      const rgba = Uint8ClampedArray.from({ length: 4 * SIDE * SIDE }, (_, at) => (at % 4 === 3 ? 255 : pixels[at >> 2]));
      context.putImageData(new ImageData(rgba, SIDE), 0, 0);
    },
  };
}
