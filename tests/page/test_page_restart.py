"""A server that fails or is started again under an open page: what was shown stays, and the run can go on."""

import re

from browser import (
    TWO_SMALL,
    Faults,
    Server,
    ask,
    assert_exports_are_of,
    badges,
    latest,
    set_quick_models,
    start,
    tell,
    wait_for,
)
from drawn import look, look_until
from playwright.sync_api import Page, Route, expect


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


def test_a_page_left_open_over_a_crash_shows_the_run_and_offers_to_go_on(own_page: Page, own_server: Server) -> None:
    set_quick_models(own_page)
    start(own_page)
    run = latest(own_page)

    def has_gone_on_from_checkpoints() -> bool:
        known = ask(own_page, f"runs/{run}")
        return all(at and known["models"][name]["step"] > at["step"] + 3 for name, at in known["checkpoints"].items())

    wait_for(has_gone_on_from_checkpoints, "steps after the first checkpoints")
    own_page.click("#pause")
    badges(own_page, "paused")
    own_server.kill()
    own_page.click("#pause")
    expect(own_page.locator("#banner")).to_contain_text("Could not resume")
    own_server.start()
    past = own_page.locator("#past")
    at = r"its last checkpoint, epoch \d+\.00|the start"
    expect(past).to_contain_text(
        re.compile(rf"A past run: Kernels 4 → 8 · .* · interrupted at epoch \d.*; .*goes on from ({at})\. Go on\?")
    )
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
    look_until(
        own_page, "layout.annotations.some(({text}) => text.replace(/<br>/g, ' ').includes('interrupted at epoch'))"
    )
    assert not look(own_page, "layout.annotations.some(({text}) => text.includes('paused'))")


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
