"""Pictures of the data set in one PNG."""

import io

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from served import error_of

from training.images import FashionMNIST
from web.pictures import PER_ROW, sprite


def test_sprite_holds_the_images_row_by_row(small_fashion_mnist: FashionMNIST) -> None:
    images = small_fashion_mnist.test.images[:19].numpy()
    picture = np.asarray(Image.open(io.BytesIO(sprite(images))))
    assert picture.shape == (3 * 28, PER_ROW * 28)
    for number, image in enumerate(images):
        row, column = divmod(number, PER_ROW)
        assert (picture[row * 28 : (row + 1) * 28, column * 28 : (column + 1) * 28] == image).all()


def test_images_are_those_of_the_split(client: FlaskClient, small_fashion_mnist: FashionMNIST) -> None:
    response = client.get("/api/images.png?split=validation&images=5,250")
    picture = np.asarray(Image.open(io.BytesIO(response.data)))
    assert (picture[:28, 28:56] == small_fashion_mnist.validation.images[250].numpy()).all()
    assert "max-age" in response.headers["Cache-Control"]
    error_of(client.get("/api/images.png?split=test&images=256"), 404, "nothing_there")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("split=train&images=1", "split"),
        ("images=1", "split"),
        ("split=test&images=", "images"),
        ("split=test&images=1,,2", "images"),
        ("split=test&images=-1", "images"),
        (f"split=test&images={','.join('1' * 101)}", "images"),
    ],
)
def test_images_that_cannot_be_had_are_refused_by_name(client: FlaskClient, query: str, field: str) -> None:
    assert field in error_of(client.get(f"/api/images.png?{query}"), 400, "bad_request")["fields"]
