"""The page shows what is so and acts on what it shows: hidden, left open over a restart, with a past run or two windows."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser import (
    COUNT_POINTS,
    TWO_SMALL,
    Faults,
    Launch,
    Server,
    ask,
    badges,
    fresh_page,
    set_quick_models,
    start,
    states,
    stop_training,
    tell,
    wait_for,
)
from playwright.sync_api import Page, Request, Response, Route, expect

from config import MODEL_NAMES

LONG = {name: config | {"epochs": 500} for name, config in TWO_SMALL.items()}
HIDE = """(hidden) => {
    for (const [name, value] of [["hidden", hidden], ["visibilityState", hidden ? "hidden" : "visible"]])
        Object.defineProperty(document, name, {configurable: true, get: () => value});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def latest(page: Page) -> Any:
    return ask(page, "metrics")["run"]


def has_news(response: Response) -> bool:
    return "/api/metrics" in response.url and response.json()["models"] != {}


def train_beside(page: Page) -> str:
    """Start a long run as another window would, and return its id once this page knows of it."""
    tell(page, "start", LONG)
    expect(page.locator("#state")).to_contain_text("Training")
    return str(latest(page))


def open_newest(page: Page, nth: int = 0) -> str:
    """Open a run of the history tab and return its id."""
    page.click("#tab-history")
    run = str(ask(page, "runs")["runs"][nth]["id"])
    page.locator(f"#runs tr[data-run='{run}']").get_by_role("button", name="Open").click()
    expect(page.locator("#past")).to_be_visible()
    return run


def saved(page: Page, kind: str) -> tuple[str, bytes]:
    """Export from the menu; return the file's name and content."""
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.locator(f"[data-export='{kind}']").click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def assert_exports_are_of(page: Page, run: str, steps: dict[str, int]) -> None:
    name, content = saved(page, "csv")
    rows = list(csv.DictReader(content.decode().splitlines()))
    assert {
        model: sum(row["model"] == model and row["kind"] == "training" for row in rows) for model in MODEL_NAMES
    } == steps
    whole = json.loads(saved(page, "json")[1])
    assert {model: len(whole["models"][model]["points"]["loss"]) for model in MODEL_NAMES} == steps
    picture, content = saved(page, "png")
    assert content.startswith(b"\x89PNG")
    assert name.startswith(f"fashionmnist-{run}")
    assert picture == name.replace(".csv", ".png")


# A past run while another trains


def test_a_past_run_stands_still_and_alone_while_another_trains(finished: Page, run_to_look_at: dict[str, str]) -> None:
    old = run_to_look_at["id"]
    steps = {name: model["step"] for name, model in ask(finished, "metrics")["models"].items()}
    tell(finished, f"runs/{old}/rename", {"name": "=The old/one"})
    train_beside(finished)
    asked: list[str] = []
    finished.on("request", lambda request: asked.append(request.url))
    assert open_newest(finished, nth=1) == old
    badges(finished, "finished")
    expect(finished.locator("#significance")).to_be_visible()
    for _ in range(3):
        with finished.expect_response(has_news):
            pass
    assert sum(f"/api/runs/{old}" in url for url in asked) == 1
    assert sum(f"run={old}" in url and "/api/comparison" in url for url in asked) == 1

    expect(finished.locator("#state")).to_have_text("Training another run")
    for model in MODEL_NAMES:
        expect(finished.locator(f"#{model} .model-buttons")).to_be_hidden()
        expect(finished.locator(f"#{model} .steer")).to_be_hidden()
    expect(finished.locator("#past")).to_contain_text("A past run: =The old/one")
    expect(finished).to_have_title(re.compile(r"^\d+ % · FashionMNIST$"))
    assert_exports_are_of(finished, old, steps)
    assert saved(finished, "csv")[0] == f"fashionmnist-{old}-The-old-one.csv"

    finished.click("#pause")
    expect(finished.locator("#state")).to_have_text("Another run is paused")
    assert states(finished) == ["paused", "paused"]
    badges(finished, "finished")
    finished.get_by_role("button", name="Back to the run that trains").click()
    badges(finished, "paused")
    expect(finished.locator("#model1 .model-buttons")).to_be_visible()
    finished.click("#stop")
    finished.locator("#confirm").get_by_role("button", name="Stop").click()
    badges(finished, "stopped")


def test_the_run_that_trains_is_opened_as_it_trains(page: Page) -> None:
    train_beside(page)
    page.click("#tab-history")
    page.locator("#runs tbody tr").first.get_by_role("button", name="Open").click()
    expect(page.locator("#past")).to_be_hidden()
    badges(page, "running")


# Deleting what is on display


def test_deleting_the_past_run_on_display_goes_back_to_the_latest_and_can_be_undone(page: Page) -> None:
    for _ in range(2):
        tell(page, "start", LONG)
        wait_for(lambda: all(model["step"] > 5 for model in ask(page, "metrics")["models"].values()), "steps")
        stop_training(page)
    page.wait_for_url(f"**/run/{latest(page)}*")  # the page has heard of the second one
    badges(page, "stopped")
    old = open_newest(page, nth=1)
    row = page.locator(f"#runs [data-run='{old}']")
    row.get_by_role("button", name="Delete").click()
    expect(page.locator("#past")).to_be_hidden()
    expect(row.get_by_role("button", name="Undo")).to_be_focused()
    expect(page.locator("#banner")).to_be_hidden()
    page.reload()
    page.click("#tab-history")
    row.get_by_role("button", name="Undo").click()
    expect(row.get_by_role("button", name="Open")).to_be_focused()
    assert old in [run["id"] for run in ask(page, "runs")["runs"]]


def test_deleting_the_latest_run_leaves_the_page_as_before_the_first(finished: Page) -> None:
    run = open_newest(finished)
    row = finished.locator(f"#runs [data-run='{run}']")
    refused: list[str] = []
    finished.on("response", lambda response: refused.append(response.url) if response.status >= 400 else None)
    row.get_by_role("button", name="Delete").click()
    expect(finished.locator("#past")).to_be_hidden()
    expect(finished.locator("#empty")).to_be_visible()
    expect(finished.locator("#chart")).to_be_hidden()
    expect(finished.locator("[data-verdict='first']")).to_contain_text("Who will be ahead")
    expect(finished.locator("#model1 .live")).to_be_hidden()
    expect(finished.locator("#significance")).to_be_hidden()
    expect(finished).to_have_title("FashionMNIST CNN Training Monitor")
    row.get_by_role("button", name="Undo").click()
    row.get_by_role("button", name="Open").click()
    expect(finished.locator("#significance")).to_be_visible()
    expect(finished.locator("#chart")).to_be_visible()
    assert refused == []


# What the server does not answer at once


def test_the_final_verdict_comes_although_the_server_refused_it_at_the_end(page: Page, faults: Faults) -> None:
    faults.expected = re.compile("500")

    def refuse(route: Route) -> None:
        route.fulfill(status=500, json={"error": {"code": "broken", "message": "out of order"}})

    set_quick_models(page, epochs=1)
    start(page)
    page.route("**/api/comparison*", refuse)
    badges(page, "finished")
    expect(page.locator("#banner")).to_contain_text("out of order")
    page.unroute_all(behavior="wait")
    expect(page.locator("#significance")).to_be_visible()
    expect(page.locator("#banner")).to_be_hidden()


# Hidden


@pytest.fixture
def timed(launch: Launch, server: Server, faults: Faults) -> Iterator[Page]:
    """A page in a Chromium of its own, whose clock can be set."""
    with launch(server.url) as context, fresh_page(context, server.url, faults) as page:
        yield page
        stop_training(page)


def test_a_hidden_page_asks_every_10_s_while_a_run_is_on_and_tells_its_end(timed: Page) -> None:
    timed.add_init_script(
        "window.told = []; window.Notification = class { constructor(title, {body}) { told.push(title + body); }"
        " static permission = 'granted'; static async requestPermission() { return 'granted'; } };"
    )
    timed.clock.install()
    timed.goto("/")
    expect(timed.locator("#start")).to_be_enabled()
    timed.click("#notify")
    train_beside(timed)
    timed.wait_for_function(COUNT_POINTS, arg=2)
    asked: list[str] = []

    def note(request: Request) -> None:
        if "/api/metrics" in request.url:
            asked.append(request.url)

    def seconds_until(is_so: Callable[[], bool], what: str) -> int:
        """Let the page's clock run, second by second, until something is so."""
        seconds = 0

        def is_so_a_second_later() -> bool:
            nonlocal seconds
            timed.clock.fast_forward(1_000)
            seconds += 1
            return is_so()

        wait_for(is_so_a_second_later, what)
        return seconds

    timed.clock.pause_at(timed.evaluate("Date.now() / 1000 + 5"))
    timed.evaluate(HIDE, True)
    timed.wait_for_load_state("networkidle")  # a poll may have been under way
    timed.on("request", note)
    timed.clock.fast_forward(9_000)
    assert timed.evaluate("document.hidden")
    assert asked == []
    seconds_until(lambda: len(asked) == 1, "poll of the hidden page")
    assert seconds_until(lambda: len(asked) == 2, "second poll of the hidden page") >= 10
    stop_training(timed)
    seconds_until(lambda: timed.title().startswith("stopped · "), "title")
    timed.wait_for_function("() => told.length === 1")
    assert "both models have ended" in timed.evaluate("told[0]")
    many = len(asked)
    timed.clock.fast_forward(60_000)
    assert timed.evaluate("document.hidden")
    assert len(asked) == many  # nothing is on
    timed.evaluate(HIDE, False)
    badges(timed, "stopped")
    timed.wait_for_function(
        "() => document.querySelector('#chart').layout.annotations.some(({text}) => text.includes('stopped'))"
    )
    assert len(asked) > many


# A restart under the page


def test_a_page_left_open_over_a_crash_shows_the_run_and_offers_to_go_on(own_page: Page, own_server: Server) -> None:
    set_quick_models(own_page)
    start(own_page)
    wait_for(lambda: ask(own_page, "metrics")["models"]["model1"]["epoch"] > 1.1, "first checkpoint")
    run = latest(own_page)
    own_server.kill()
    own_page.click("#pause")
    expect(own_page.locator("#banner")).to_contain_text("Could not pause")
    own_server.start()
    past = own_page.locator("#past")
    expect(past).to_contain_text(re.compile(r"A past run: Kernels 4 → 8 · .* · interrupted at epoch \d.*Go on\?"))
    badges(own_page, "interrupted")
    expect(own_page.locator("#empty")).to_be_hidden()
    expect(own_page.locator("#chart")).to_be_visible()
    expect(own_page.locator("#verdict")).to_contain_text("kernels")
    expect(own_page.locator("#model2 .summary .differs")).to_have_text("Kernels 8")
    expect(own_page).to_have_title(re.compile(r"^Kernels 4 → 8, .* · interrupted · "))
    expect(own_page.locator("#banner")).to_be_hidden()
    expect(own_page.locator("#start")).to_be_enabled()
    steps = {name: model["step"] for name, model in ask(own_page, f"runs/{run}")["models"].items()}
    assert_exports_are_of(own_page, run, steps)

    own_page.evaluate("location.hash = ''")
    own_page.reload()  # and so does one that is opened now
    expect(past).to_contain_text("interrupted at epoch")
    expect(own_page.locator("#start")).to_be_enabled()
    past.get_by_role("button", name="Go on training").click()
    badges(own_page, "running")
    expect(past).to_be_hidden()
    assert latest(own_page) == run


def test_a_finished_run_stays_on_display_over_a_restart(own_page: Page, own_server: Server) -> None:
    tell(own_page, "start", TWO_SMALL)
    expect(own_page.locator("#significance")).to_be_visible()
    own_server.stop()
    own_server.start()
    expect(own_page.locator("#past")).to_have_text(
        re.compile(r"^A past run: Kernels 4 → 8 · .*\d:\d\d.*Go on training\s+Close$")
    )
    expect(own_page.locator("#go-on")).to_be_hidden()
    badges(own_page, "finished")
    expect(own_page.locator("#significance")).to_be_visible()
    expect(own_page.locator("#empty")).to_be_hidden()
    own_page.get_by_role("button", name="Close").click()
    expect(own_page.locator("#empty")).to_be_visible()
    expect(own_page.locator("#chart")).to_be_hidden()


# Two windows


def test_what_was_typed_stays_while_another_windows_run_trains_and_the_page_says_what_trains(page: Page) -> None:
    set_quick_models(page)
    page.locator("[name='model1.dropout']").fill("0,25")
    train_beside(page)
    expect(page.locator("[name='model1.dropout']")).to_have_value("0,25")
    said = page.locator("#what-trains")
    expect(said).to_have_text(
        re.compile(r"^The forms are for what starts next\. What trains now: model 1 with .*dropout 0\.5")
    )
    page.click("#fold")
    expect(page.locator("#model1 .summary")).to_contain_text("Epochs 500")  # what trains
    page.click("#fold")
    page.locator("[name='model1.dropout']").fill("0.125")
    stop_training(page)
    badges(page, "stopped")
    expect(page.locator("[name='model1.dropout']")).to_have_value("0.125")
    expect(page.locator("[name='model1.kernels.1']")).to_have_value("4")
    expect(said).to_have_text("")


def test_forms_in_which_nothing_was_typed_show_what_another_window_trains(page: Page) -> None:
    other = {name: config | {"dropout": 0.125} for name, config in LONG.items()}
    tell(page, "start", other)
    expect(page.locator("[name='model1.dropout']")).to_have_value("0.125")
    expect(page.locator("#what-trains")).to_have_text("")


def test_settings_used_again_stand_in_the_forms_at_once_beside_what_trains(page: Page) -> None:
    other = {name: config | {"dropout": 0.125} for name, config in LONG.items()}
    tell(page, "start", other)
    run = latest(page)
    stop_training(page)
    badges(page, "stopped")
    train_beside(page)
    expect(page.locator("[name='model1.dropout']")).to_have_value("0.5")
    page.click("#tab-history")
    page.locator(f"#runs tr[data-run='{run}']").get_by_role("button", name="Use settings").click()
    expect(page.locator("[name='model1.dropout']")).to_have_value("0.125")
    expect(page.locator("#what-trains")).to_contain_text(
        "What trains now: model 1 with dropout 0.5; model 2 with dropout 0.5."
    )
    stop_training(page)
    badges(page, "stopped")
    expect(page.locator("[name='model1.dropout']")).to_have_value("0.125")
