"""The figure's labels: whole, beside the data and not over it, and one at each end; and the marks at its edges."""

from typing import Any

import pytest
from browser import ask, choose, run_in
from drawn import OPTIMIZER, Shown, look, look_until, sit_still

BOXES = """() => {
    const box = (element) => { const {left, top, right, bottom} = element.getBoundingClientRect(); return {left, top, right, bottom}; };
    const chart = document.querySelector("#chart");
    const {l, t, w, h} = chart._fullLayout._size;
    const whole = box(chart);
    return {
        labels: [...chart.querySelectorAll(".annotation-text")].map((element) => ({text: element.textContent, ...box(element)})),
        plot: {left: whole.left + l, top: whole.top + t, right: whole.left + l + w, bottom: whole.top + t + h}, chart: whole,
    };
}"""


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    return (
        one["left"] < other["right"] - 1
        and other["left"] < one["right"] - 1
        and one["top"] < other["bottom"] - 2
        and other["top"] < one["bottom"] - 2
    )


def pause_often(answer: dict[str, Any]) -> None:
    for number, model in enumerate(answer["models"].values()):
        for at in (0.4, 0.5, 2.0, 2.1, 3.0):
            event = {"kind": "paused", "step": 1, "epoch": at + number, "seconds": 100 * at, "detail": None}
            for name, value in event.items():
                model["events"][name].append(value)
    event = {"kind": "forked", "step": 1, "epoch": 2.2, "seconds": 220.0, "detail": "from model 1: dropout 0.5 → 0.2"}
    for name, value in event.items():
        answer["models"]["model2"]["events"][name].append(value)


def level(answer: dict[str, Any]) -> None:
    """Let both models end at the same place."""
    answer["models"]["model2"]["evaluations"] = answer["models"]["model1"]["evaluations"]


@pytest.mark.parametrize("layout", ["stacked", "overlaid"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("alter", [pause_often, level, sit_still])
def test_labels_cover_no_data_nor_each_other_and_are_whole(shown: Shown, alter: Any, width: int, layout: str) -> None:
    shown.alter = alter
    page = shown.open(width, 844 if width < 600 else 800)
    if layout == "overlaid":
        choose(page, "layout", layout)
        look_until(page, "full.yaxis2.overlaying === 'y'")
    found = page.evaluate(BOXES)
    texts = [label["text"] for label in found["labels"]]
    assert sum(text.startswith(("●", "◆")) for text in texts) >= 4
    for label in found["labels"]:
        assert not overlap(label, found["plot"]), label
        assert found["chart"]["left"] <= label["left"], label
        assert label["right"] <= found["chart"]["right"], label
        assert found["chart"]["top"] <= label["top"], label
    for index, label in enumerate(found["labels"]):
        for other in found["labels"][:index]:
            assert not overlap(label, other), (label, other)


def test_each_validation_curve_is_labelled_at_its_end_and_hidden_with_it(shown: Shown) -> None:
    page = shown.open()
    texts = "layout.annotations.map(({text}) => text).join(' ')"
    for model, sign in zip(ask(page, f"runs/{OPTIMIZER}")["models"].values(), "●◆", strict=True):
        accuracy, loss = model["evaluations"]["accuracy"][-1], model["evaluations"]["loss"][-1]
        assert f"{sign} {100 * accuracy:.1f} %" in look(page, texts)
        assert f"{sign} {loss:.3f}" in look(page, texts)
    page.locator("#chart .legendtoggle").nth(2).click()  # validation of model 1
    look_until(page, f"!{texts}.includes('● 0.')")
    assert "◆ 0." in look(page, texts)


# The pure functions


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [([50, 20], [50, 20]), ([20, 20], [20, 34]), ([-5, -9], [14, 0]), ([99, 99, 99], [72, 86, 100]), ([], [])],
)
def test_labels_are_spread_and_stay_inside(shown: Shown, wanted: list[int], expected: list[int]) -> None:
    page = shown.open()
    assert run_in(page, "figure/labels", f"m.spread({wanted}, 0, 100)") == expected


@pytest.mark.parametrize(
    ("ys", "expected"),
    [
        ("[3, 1, 0.5]", [[1], "triangle-up"]),  # comes in from above
        ("[0.5, 1, -1]", [[1.5], "triangle-down"]),
        ("[5, 5, 5]", [[2], "triangle-up"]),  # never inside: at its end
        ("[1, null, 3]", [[2], "triangle-up"]),
        ("[1, 1, 1]", [[], None]),
    ],
)
def test_a_line_that_leaves_is_marked_where_it_does(shown: Shown, ys: str, expected: list[Any]) -> None:
    page = shown.open()
    found = run_in(page, "figure/edges", f"m.edgeMarks([0, 1, 2], {ys}, [0, 1], [0, 2])")
    assert [found["x"], found["symbols"][0] if found["symbols"] else None] == expected
