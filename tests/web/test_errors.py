"""Who may ask, and for what: on every route the same refusals, in the same form."""

import json
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from served import error_of, metrics_of

from web.guard import SECURITY_HEADERS


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api/nothing", 404, "not_found"),
        ("POST", "/api/nothing", 404, "not_found"),
        ("GET", "/api/runs/20260101-000000-aaaa", 404, "unknown_run"),
        ("GET", "/api/runs/..%2f..%2fhistory.sqlite", 404, "not_found"),
        ("GET", "/static/../server.py", 404, "not_found"),
        ("GET", "/static/%2e%2e/server.py", 404, "not_found"),
        ("GET", "/vendor/../plotly.py", 404, "not_found"),
        ("POST", "/", 405, "method_not_allowed"),
        ("GET", "/api/start", 405, "method_not_allowed"),
        ("GET", "/api/pause", 405, "method_not_allowed"),
        ("DELETE", "/api/runs", 405, "method_not_allowed"),
        ("PUT", "/api/start", 405, "method_not_allowed"),
    ],
)
def test_unknown_path_or_method_is_answered_in_json(
    client: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    response = client.open(path, method=method, data="{}", content_type="application/json")
    error_of(response, status, code)
    assert ("Allow" in response.headers) == (status == 405)


def routes(app: Flask) -> list[tuple[str, str]]:
    """Return method and path of everything that the app answers, and of an unknown path."""
    found = [("GET", "/nothing"), ("POST", "/nothing")]
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<path:filename>", "css/base.css")
        choice = re.search(r"<any\((.*)\):\w+>", path)
        for chosen in choice[1].split(", ") if choice else [""]:
            filled = re.sub(r"<\w+>", "20260101-000000-aaaa", re.sub(r"<any\(.*\):\w+>", chosen, path))
            found += [(method, filled) for method in sorted(rule.methods or ()) if method != "HEAD"]
    return found


def test_every_route_of_the_design_is_there(app: Flask) -> None:
    assert set(routes(app)) >= {
        ("GET", "/"),
        ("GET", "/static/css/base.css"),
        ("GET", "/favicon.ico"),
        ("GET", "/vendor/plotly.min.js"),
        ("GET", "/api/config"),
        ("GET", "/api/metrics"),
        ("GET", "/api/runs"),
        ("GET", "/api/runs/20260101-000000-aaaa"),
        ("POST", "/api/describe"),
        ("POST", "/api/start"),
        ("POST", "/api/pause"),
        ("POST", "/api/resume"),
        ("POST", "/api/stop"),
    }


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8080", "10.0.0.1", ""])
def test_forged_host_is_refused_on_every_route(app: Flask, client: FlaskClient, host: str) -> None:
    for method, path in routes(app):
        response = client.open(path, method=method, data="{}", content_type="application/json", headers={"Host": host})
        error_of(response, 400, "bad_host")
    assert metrics_of(client)["run"] is None


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Origin": "http://evil.example"}, 403, "foreign_origin"),
        ({"Origin": "null"}, 403, "foreign_origin"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "foreign_origin"),
        ({"Content-Type": "text/plain"}, 415, "not_json"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "not_json"),
    ],
)
def test_post_from_another_site_is_refused_on_every_route(
    app: Flask, client: FlaskClient, headers: dict[str, str], status: int, code: str
) -> None:
    for method, path in routes(app):
        if method == "POST":
            response = client.post(path, data="{}", headers={"Content-Type": "application/json"} | headers)
            error_of(response, status, code)
    assert metrics_of(client)["run"] is None


def test_every_answer_carries_the_security_headers(app: Flask, client: FlaskClient) -> None:
    statuses = set()
    for method, path in routes(app):
        response = client.open(path, method=method, data='{"x": 1}', content_type="application/json")
        assert dict(SECURITY_HEADERS).items() <= dict(response.headers).items(), path
        assert "Access-Control-Allow-Origin" not in response.headers, path
        statuses.add(response.status_code)
    assert statuses >= {200, 400, 404}


def test_large_body_is_refused(client: FlaskClient) -> None:
    body = json.dumps({"model1": {"optimizer": "x" * 70_000}})
    error_of(client.post("/api/start", data=body, content_type="application/json"), 413, "too_large")


def test_figures_are_never_kept_by_a_cache(client: FlaskClient) -> None:
    for path in ("/api/metrics", "/api/config", "/api/runs", "/api/nothing"):
        assert client.get(path).headers["Cache-Control"] == "no-store"
