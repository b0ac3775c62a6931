"""The figure of a recorded run, and looks at it, for the tests of curves and labels."""

import re
from typing import Any

from browser import ask
from playwright.sync_api import Page, Route

OPTIMIZER, DROPOUT, EARLY = "20260101-000000-aaaa", "20260102-000000-aaaa", "20260103-000000-aaaa"
NOISE = 0.008  # of a gap, a fraction: the recordings do not tell which images were right


def look(page: Page, expression: str) -> Any:
    """Return what an expression about the figure's `data`, `layout` and `full` layout gives."""
    return page.evaluate(f"(({{data, layout, _fullLayout: full}}) => {expression})(document.querySelector('#chart'))")


def look_until(page: Page, condition: str, known: object = None) -> None:
    """Return once a condition on the figure holds; in it `known` stands for a value."""
    figure = "document.querySelector('#chart')"
    page.wait_for_function(
        f"(known) => {figure}.data && (({{data, layout, _fullLayout: full}}) => {condition})({figure})", arg=known
    )


def window(page: Page, axis: str) -> list[float]:
    return list(look(page, f"full.{axis}.range"))


class Shown:
    """A page on which a recorded run seems to be the latest; `alter` may change what the server says of it."""

    def __init__(self, page: Page, run: str) -> None:
        self.page = page
        self.run = run
        self.alter = lambda answer: None

    def answer_metrics(self, route: Route) -> None:
        smoothing = re.search(r"smoothing=(\d+)", route.request.url)
        assert smoothing
        answer = ask(self.page, f"runs/{self.run}?smoothing={smoothing[1]}") | {"paired": {"text": ""}}
        self.alter(answer)
        route.fulfill(json=answer)

    def answer_comparison(self, route: Route) -> None:
        answer = self.page.request.get(f"{route.request.url}&run={self.run}").json()
        answer["verdict"]["accuracy"]["noise"] = NOISE
        route.fulfill(json=answer)

    def open(self, width: int = 1280, height: int = 800) -> Page:
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.goto("/")
        self.page.wait_for_selector("#chart[data-drawn]")
        look_until(self.page, "layout.shapes.some(({type}) => type === 'rect')")
        return self.page


def sit_still(answer: dict[str, Any]) -> None:
    """Let model 2 guess for ever."""
    model = answer["models"]["model2"]
    for name, value in (("loss", 2.303), ("accuracy", 0.1), ("smooth_loss", 2.303), ("smooth_accuracy", 0.1)):
        model["points"][name] = [value] * len(model["points"]["step"])
    for name, value in (("loss", 2.303), ("accuracy", 0.1)):
        model["evaluations"][name] = [value] * len(model["evaluations"]["step"])
