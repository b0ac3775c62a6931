"""A page that nobody looks at: it asks seldom, and tells the end of a run."""

from collections.abc import Callable, Iterator

import pytest
from browser import COUNT_POINTS, Faults, Launch, Server, badges, fresh_page, stop_training, train_beside, wait_for
from playwright.sync_api import Page, Request, expect

HIDE = """(hidden) => {
    for (const [name, value] of [["hidden", hidden], ["visibilityState", hidden ? "hidden" : "visible"]])
        Object.defineProperty(document, name, {configurable: true, get: () => value});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


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
