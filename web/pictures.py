"""Pictures: images of the data set as one PNG, so that a screen full of them is one request."""

import io

import numpy as np
from flask import Blueprint, Response, request
from numpy.typing import NDArray
from PIL import Image

from config import say
from history.records import SPLITS
from studies.workshop import Workshop
from web.answers import ONE_DAY
from web.monitor import Monitor
from web.requests import BadRequest, check_numbers, choice, is_whole

PER_ROW = 8
MOST = 100  # images of a sprite


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("pictures", __name__)

    @routes.get("/api/images.png")
    def images() -> Response:
        split = choice("split", request.args.get("split"), SPLITS)
        numbers = request.args.get("images", "").split(",")
        if len(numbers) > MOST or not all(is_whole(number) for number in numbers):
            expected = f"images must be 1 to {MOST} whole numbers with commas between them"
            raise BadRequest("Bad images", {"images": f"{expected}, got {say(','.join(numbers))}"})
        picture = sprite(images_of(monitor.loading.require(), split, [int(number) for number in numbers]))
        response = Response(picture, mimetype="image/png")
        response.headers["Cache-Control"] = f"private, max-age={ONE_DAY}"
        return response

    return routes


def images_of(workshop: Workshop, split: str, numbers: list[int]) -> NDArray[np.uint8]:
    """Return images (N, 28, 28) of a split. Raises NothingThere."""
    check_numbers(workshop, split, numbers)
    images: NDArray[np.uint8] = workshop.split(split).images[numbers].cpu().numpy()
    return images


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
