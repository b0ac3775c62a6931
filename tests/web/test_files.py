"""The files of the page: compressed once, kept by browsers under addresses that name their content."""

import gzip
import os
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.exceptions import NotFound

from server import create_app
from web.files import Tree, modules
from web.monitor import Monitor

GZIP = {"Accept-Encoding": "gzip, deflate, br"}
FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture
def client(unloaded: Monitor) -> FlaskClient:
    return create_app(unloaded).test_client()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "a.css").write_text("a {}")
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nimport "./c.js";\nimport * as d from "./d/d.js";\n')
    (tmp_path / "b.js").write_text('export { d } from "./d/d.js";\n')
    (tmp_path / "c.js").write_text("")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "d.js").write_text('import "../c.js";\n')
    return Tree(tmp_path)


def parts_of(client: FlaskClient) -> list[str]:
    """Return the address of everything that the page names."""
    found = re.findall(r'(?:src|href)="(/[^"]+)"', client.get("/").text)
    assert len(found) > 50
    return list(dict.fromkeys(found))


def test_everything_that_the_page_names_is_kept_for_good_and_its_text_compressed(client: FlaskClient) -> None:
    for part in parts_of(client):
        response = client.get(part, headers=GZIP)
        assert (response.status_code, response.headers["Cache-Control"]) == (200, FOREVER), part
        plain = client.get(part).data
        if response.headers.get("Content-Encoding") == "gzip":
            assert gzip.decompress(response.data) == plain
        else:
            assert len(plain) < 500, part


def test_first_load_fits_into_1_7_megabytes_and_a_second_asks_for_the_page_alone(client: FlaskClient) -> None:
    page = client.get("/", headers=GZIP)
    sizes = [len(client.get(part, headers=GZIP).data) + 700 for part in parts_of(client)]  # with the headers
    assert len(page.data) + sum(sizes) <= 1_700_000
    again = client.get("/", headers=GZIP | {"If-None-Match": page.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert page.headers["Cache-Control"] == "no-cache"


def test_modules_import_each_other_below_the_same_version(client: FlaskClient) -> None:
    parts = [part for part in parts_of(client) if part.endswith(".js") and part.startswith("/static/")]
    assert {part.split("/")[2] for part in parts} == {parts[0].split("/")[2]}
    for part in parts:
        assert not re.search(r"""(?:from|import)\s*\(?\s*["']/""", client.get(part).text), part


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("identity", False), ("gzip;q=0", False), ("", False)],
)
def test_what_a_client_does_not_understand_is_not_sent(client: FlaskClient, accepted: str, is_packed: bool) -> None:
    for path in ("/", "/static/main.js", "/vendor/plotly.min.js"):
        response = client.get(path, headers={"Accept-Encoding": accepted})
        assert response.headers["Vary"] == "Accept-Encoding"
        assert (response.headers.get("Content-Encoding") == "gzip") == is_packed
        assert response.data.startswith(b"\x1f\x8b") == is_packed


@pytest.mark.parametrize("headers", [GZIP, {}])
def test_head_tells_what_get_would_send(client: FlaskClient, headers: dict[str, str]) -> None:
    for path in ("/", "/static/main.js", "/vendor/plotly.min.js", parts_of(client)[-1]):
        head, got = client.head(path, headers=headers), client.get(path, headers=headers)
        assert head.data == b""
        for name in ("Content-Length", "Content-Type", "ETag", "Last-Modified", "Cache-Control", "Content-Encoding"):
            assert head.headers.get(name) == got.headers.get(name), name


def test_what_was_made_just_now_tells_no_time(client: FlaskClient) -> None:
    assert "Last-Modified" not in client.get("/").headers
    assert "Last-Modified" in client.get("/static/main.js").headers


def test_plain_and_packed_content_have_tags_of_their_own_by_which_they_are_known_again(client: FlaskClient) -> None:
    plain, packed = client.get("/static/main.js"), client.get("/static/main.js", headers=GZIP)
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert plain.headers["Cache-Control"] == "no-cache"
    known = {"If-None-Match": packed.headers["ETag"]}
    assert client.get("/static/main.js", headers=GZIP | known).status_code == 304
    assert client.get("/static/main.js", headers=known).status_code == 200
    since = {"If-Modified-Since": plain.headers["Last-Modified"]}
    assert client.get("/static/main.js", headers=since).status_code == 304


def test_content_is_compressed_once(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    compress = gzip.compress
    monkeypatch.setattr(gzip, "compress", lambda body, **how: sizes.append(len(body)) or compress(body, **how))
    for _ in range(3):
        for path in ("/", "/static/main.js", "/vendor/plotly.min.js", *parts_of(client)):
            client.get(path, headers=GZIP)
    assert len(sizes) == len(set(parts_of(client))) + 1  # and the page


def test_another_content_has_another_address_and_the_old_one_is_kept_no_longer(tree: Tree, tmp_path: Path) -> None:
    before = tree.now()
    assert tree.find(f"{before.name}/css/a.css") == (before.files["css/a.css"], True)
    (tmp_path / "css" / "a.css").write_text("b {}")
    os.utime(tmp_path / "css" / "a.css", ns=(0, 0))  # as if the clock were coarse
    assert tree.find(f"{before.name}/css/a.css")[0].body == b"a {}"  # what the address says, until the page is new
    now = tree.now()
    assert now.name != before.name
    assert now.files["b.js"] is before.files["b.js"]
    file, is_named = tree.find(f"{before.name}/css/a.css")
    assert (file.body, is_named) == (b"b {}", False)
    assert tree.find("css/a.css") == (file, False)


def test_names_count_in_the_version(tree: Tree, tmp_path: Path) -> None:
    before = tree.now().name
    (tmp_path / "b.js").rename(tmp_path / "e.js")
    assert tree.now().name != before


@pytest.mark.parametrize("address", ["nothing.js", "../server.py", "css", "", "0123456789abcdef/nothing.js", "/a.js"])
def test_what_is_not_in_the_folder_is_not_found(tree: Tree, address: str) -> None:
    with pytest.raises(NotFound):
        tree.find(address)


def test_modules_come_behind_what_they_import(tree: Tree) -> None:
    assert modules(tree.now(), "a.js") == ["c.js", "d/d.js", "b.js", "a.js"]
    assert modules(tree.now(), "b.js", "a.js") == ["c.js", "d/d.js", "b.js", "a.js"]
