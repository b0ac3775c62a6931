"""Pictures: images of the data set as one PNG, so that a screen full of them is one request."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PER_ROW = 8
MOST = 100  # images of a sprite


def sprite(images: NDArray[np.uint8]) -> bytes:
    """Return images (N, side, side) as a greyscale PNG of tiles, PER_ROW a row, row by row."""
    count, side, _ = images.shape
    rows = -(-count // PER_ROW)
    tiles = np.zeros((rows * PER_ROW, side, side), np.uint8)
    tiles[:count] = images
    canvas = tiles.reshape(rows, PER_ROW, side, side).swapaxes(1, 2).reshape(rows * side, PER_ROW * side)
    file = io.BytesIO()
    Image.fromarray(canvas).save(file, "PNG")
    return file.getvalue()
