/** Pictures of the data set: many in one PNG from the server, each cut out onto a canvas of its own. */

import { ApiError, imagesAddress } from "../base/api.js";

export const SIDE = 28; // pixels

/** Load these images of a split. Returns `paint(canvas, index)`, which puts the index-th of them onto a canvas of 28 × 28 pixels. */
export async function loadSprite(split, images) {
  const sprite = new Image();
  sprite.src = imagesAddress(split, images);
  try {
    await sprite.decode();
  } catch {
    throw new ApiError(0, "the pictures did not load");
  }
  const columns = sprite.naturalWidth / SIDE;
  return (canvas, index) => {
    const [left, top] = [(index % columns) * SIDE, Math.floor(index / columns) * SIDE];
    canvas.getContext("2d").drawImage(sprite, left, top, SIDE, SIDE, 0, 0, SIDE, SIDE);
  };
}

/** Return an empty canvas that holds one picture. */
export function makeTile() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  return canvas;
}
