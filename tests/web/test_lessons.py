"""The lessons that the page offers, and those of a file or a link."""

import json
from collections.abc import Callable
from pathlib import Path

from flask.testing import FlaskClient
from served import Program, error_of, strict

from config import MODEL_NAMES
from studies.lessons import SHIPPED

MINE = {
    "id": "mine",
    "title": "Mine <b>?",
    "question": "What does it do?",
    "watch": "the loss",
    "model2": {"optimizer": "sgd"},
    "expects": {"figure": "test_accuracy", "model": "model1"},
    "ends": {"expected": "Yes.", "other": "No.", "close": "Neither."},
}


def test_the_lessons_are_answered_whole(client: FlaskClient) -> None:
    lessons = strict(client.get("/api/lessons"))["lessons"]
    assert lessons == [json.loads(lesson.model_dump_json()) for lesson in SHIPPED]
    assert all(set(lesson["change"]) == {"key", "title", *MODEL_NAMES} for lesson in lessons)


def test_lessons_of_a_link_are_checked_and_none_is_kept(client: FlaskClient) -> None:
    answer = strict(client.post("/api/lessons", json={"lessons": [MINE]}))
    assert answer["given"] == 1
    assert [lesson["id"] for lesson in answer["lessons"]] == ["mine", *(lesson.id for lesson in SHIPPED)]
    assert answer["lessons"][0]["model1"]["kernels"] == [32, 64, 128, 256]
    assert len(strict(client.get("/api/lessons"))["lessons"]) == len(SHIPPED)


def test_a_bad_lesson_is_refused_with_its_fields(client: FlaskClient) -> None:
    bad = {"lessons": [MINE | {"title": "", "model2": {}}]}
    error = error_of(client.post("/api/lessons", json=bad), 400, "invalid_lessons")
    assert error["message"] == "2 parts of the lessons cannot be used"
    assert set(error["fields"]) == {"lessons[0].title", "lessons[0].model2"}


def test_what_is_no_json_or_holds_nan_is_refused(client: FlaskClient) -> None:
    for body, code in ((b"{", "bad_request"), (b'{"lessons": NaN}', "invalid_lessons"), (b"[]", "invalid_lessons")):
        error_of(client.post("/api/lessons", data=body, content_type="application/json"), 400, code)


def test_the_page_holds_the_cards_of_a_file_of_ones_own(program: Callable[..., Program], tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"lessons": [MINE], "only": True}), encoding="utf-8")
    server = program("--lessons", str(path))
    _, page = server.ask("/")
    assert "Mine &lt;b&gt;?" in page
    assert SHIPPED[0].question not in page
    assert [lesson["id"] for lesson in server.ask("/api/lessons")[1]["lessons"]] == ["mine"]


def test_a_bad_file_is_refused_at_the_start_with_every_fault(program: Callable[..., Program], tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"lessons": [MINE | {"title": "", "model2": {}}]}), encoding="utf-8")
    server = program("--lessons", str(path))
    assert server.end() == 1
    assert server.first_line == ""
    assert sorted(server.output[1].splitlines()) == [
        "--lessons: lessons[0].model2: model1 and model2 must differ in exactly one setting that both use, got none",
        '--lessons: lessons[0].title: title must be a text of 1 to 60 characters, got ""',
    ]
