/** Makes of any picture what the models know: grey, bright on black, 28 × 28 pixels, as large as the square. */

import { SIDE } from "./sprite.js";

const LONGEST = 280; // pixels that are looked at: ten times what the models see
const FAINT = 0.12; // of the brightest: the rest is ground
const SAMPLES = 8; // a pixel and direction

const median = (values) => values.sort((one, other) => one - other)[Math.floor(values.length / 2)];

/** Return the brightness 0 to 1 of RGBA pixels; what is transparent becomes black behind a bright picture, white behind a dark one. Pure. */
export function toGrey(rgba) {
  const grey = new Float64Array(rgba.length / 4);
  let sum = 0;
  let weight = 0;
  for (let at = 0; at < grey.length; at++) {
    const [red, green, blue, alpha] = rgba.subarray(4 * at, 4 * at + 4);
    grey[at] = (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
    sum += grey[at] * alpha;
    weight += alpha;
  }
  const ground = weight && sum / weight > 0.5 ? 0 : 1;
  return grey.map((value, at) => ground + (value - ground) * (rgba[4 * at + 3] / 255));
}

/** Take the ground away: what stands out from the picture's rim becomes bright on black, 0 to 1; null where nothing does. Pure. */
function lift(grey, width, height) {
  const rim = [...grey.keys()].filter((at) => at % width === 0 || at % width === width - 1 || at < width || at >= width * (height - 1));
  const ground = median(rim.map((at) => grey[at]));
  const sign = ground > 0.5 ? -1 : 1;
  const lifted = grey.map((value) => Math.max(0, sign * (value - ground)));
  const brightest = lifted.reduce((most, value) => Math.max(most, value), 0);
  return brightest < 0.05 ? null : lifted.map((value) => (value > FAINT * brightest ? value / brightest : 0));
}

/** Return {left, top, width, height} of what is not ground. Pure. */
function bounds(grey, width) {
  const seen = [...grey.keys()].filter((at) => grey[at] > 0);
  const [columns, rows] = [seen.map((at) => at % width), seen.map((at) => Math.floor(at / width))];
  const least = (values) => values.reduce((one, other) => Math.min(one, other));
  const most = (values) => values.reduce((one, other) => Math.max(one, other));
  const [left, top] = [least(columns), least(rows)];
  return { left, top, width: most(columns) - left + 1, height: most(rows) - top + 1 };
}

/** Return 784 whole numbers 0 to 255: the box in the middle, its longer side 28. Pure. */
function fit(grey, width, box) {
  const scale = Math.max(box.width, box.height) / SIDE;
  const [left, top] = [box.left + (box.width - scale * SIDE) / 2, box.top + (box.height - scale * SIDE) / 2];
  const isInside = (x, y) => x >= box.left && y >= box.top && x < box.left + box.width && y < box.top + box.height;
  const at = (place, sample) => (place + (sample + 0.5) / SAMPLES) * scale;
  return Uint8ClampedArray.from({ length: SIDE * SIDE }, (_, pixel) => {
    let sum = 0;
    for (let sample = 0; sample < SAMPLES * SAMPLES; sample++) {
      const x = Math.floor(left + at(pixel % SIDE, sample % SAMPLES));
      const y = Math.floor(top + at(Math.floor(pixel / SIDE), Math.floor(sample / SAMPLES)));
      if (isInside(x, y)) sum += grey[y * width + x];
    }
    return (255 * sum) / (SAMPLES * SAMPLES);
  });
}

/** Return 784 pixels of a picture given as RGBA, or null where it is one colour throughout. Pure. */
export function simplify(rgba, width, height) {
  const lifted = lift(toGrey(rgba), width, height);
  return lifted && fit(lifted, width, bounds(lifted, width));
}

async function decode(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new Error(`“${file.name}” is no picture that this browser can read. Choose a PNG, JPEG, WebP or GIF file.`);
  }
}

/** Return 784 pixels of a picture that the user chose. Throws an Error that says what is wrong with the file. */
export async function readPhoto(file) {
  const bitmap = await decode(file);
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(scale * bitmap.width));
  canvas.height = Math.max(1, Math.round(scale * bitmap.height));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const pixels = simplify(context.getImageData(0, 0, canvas.width, canvas.height).data, canvas.width, canvas.height);
  if (!pixels) throw new Error(`In “${file.name}” nothing stands out from the ground. Choose a picture of one piece of clothing.`);
  return pixels;
}
