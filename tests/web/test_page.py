"""The page, what it is made of, and what it needs to draw its form."""

import json
import re

from flask.testing import FlaskClient
from served import strict

from config import DEFAULTS, SCHEMA
from studies.presets import PRESETS
from web.monitor import Monitor


def test_page_is_served_as_html(client: FlaskClient) -> None:
    response = client.get("/")
    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert "FashionMNIST CNN Training Monitor" in response.text


def test_page_and_its_parts_come_from_here_alone(client: FlaskClient) -> None:
    page = client.get("/").text
    parts = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    assert parts
    for part in parts:
        assert part.startswith("/"), part
        assert client.get(part).status_code == 200, part


def test_a_browser_finds_an_icon_beside_what_is_no_page(client: FlaskClient) -> None:
    response = client.get("/favicon.ico")
    assert (response.status_code, response.mimetype) == (200, "image/svg+xml")


def test_plotly_is_served_from_the_package_and_kept_a_day(client: FlaskClient) -> None:
    response = client.get("/vendor/plotly.min.js")
    assert response.status_code == 200
    assert "javascript" in response.mimetype
    assert len(response.data) > 1_000_000
    assert "max-age=86400" in response.headers["Cache-Control"]


def test_config_tells_what_the_page_needs(client: FlaskClient, monitor: Monitor) -> None:
    config = strict(client.get("/api/config"))
    assert config["schema"] == json.loads(json.dumps(SCHEMA))
    assert list(config["schema"]["properties"]) == list(SCHEMA["properties"])  # the order of the form
    assert config["defaults"] == DEFAULTS.model_dump(mode="json")
    assert config["presets"] == [preset.model_dump(mode="json") for preset in PRESETS]
    assert all(set(preset) == {"name", "description", "model1", "model2", "lesson"} for preset in config["presets"])
    assert (config["status"], config["problem"], config["boot"]) == ("ready", None, monitor.boot)
    assert isinstance(config["device"], str)
    assert config["images"] == {"train": 55_000, "validation": 5_000, "test": 10_000}
