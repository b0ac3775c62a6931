"""A run is a place: its address survives reload, back and forward, and can be kept and sent."""

import re
from collections.abc import Iterator

import pytest
from browser import (
    Faults,
    Server,
    ask,
    badges,
    fresh_page,
    is_wider_than_screen,
    lay_behind,
    open_from_history,
    row_of,
    set_quick_models,
    start,
)
from drawn import DROPOUT, OPTIMIZER, look, look_until
from playwright.sync_api import BrowserContext, Page, expect


@pytest.fixture
def past(recorded_context: BrowserContext, recorded: Server, faults: Faults) -> Iterator[Page]:
    """A page of a server with three recorded runs, none of which it has trained itself."""
    with fresh_page(recorded_context, recorded.url, faults) as page:
        yield page


def is_at(page: Page, run: str, title: str) -> None:
    """Expect the page to show a run, and to name it in its address and its title."""
    page.wait_for_selector(f"#chart[data-drawn='{run}']")
    expect(page).to_have_url(re.compile(rf"/run/{run}$"))
    expect(page.locator("#past")).to_have_text(re.compile(rf"^A past run: {title} · .*\d\d"))
    expect(page).to_have_title(re.compile(rf"^{title}, .*\d\d.* · FashionMNIST$"))


def test_an_address_opens_its_run_and_back_and_forward_lead_through_them(past: Page) -> None:
    past.goto(f"/run/{DROPOUT}")
    is_at(past, DROPOUT, "Dropout 0.5 → 0.2")
    past.click("#tab-history")
    open_from_history(past, OPTIMIZER)
    is_at(past, OPTIMIZER, "adam 0.001 → sgd 0.01")
    past.reload()
    is_at(past, OPTIMIZER, "adam 0.001 → sgd 0.01")
    past.go_back()
    is_at(past, DROPOUT, "Dropout 0.5 → 0.2")
    past.go_forward()
    is_at(past, OPTIMIZER, "adam 0.001 → sgd 0.01")
    past.get_by_role("button", name="Close").click()
    expect(past).to_have_url(re.compile(r":\d+/$"))
    expect(past.locator("#empty")).to_be_visible()
    past.go_back()
    is_at(past, OPTIMIZER, "adam 0.001 → sgd 0.01")


@pytest.mark.parametrize("refused", ["**/api/runs", f"**/api/runs/{DROPOUT}?*"])
def test_an_address_is_followed_again_where_the_server_did_not_answer(past: Page, faults: Faults, refused: str) -> None:
    faults.expected = re.compile("ERR_FAILED")
    past.route(refused, lambda route: route.abort(), times=3)
    past.goto(f"/run/{DROPOUT}")
    is_at(past, DROPOUT, "Dropout 0.5 → 0.2")
    expect(past.locator("#problem")).to_be_hidden()


def test_an_address_of_a_run_that_is_not_there_says_so_and_shows_what_is(past: Page) -> None:
    past.goto("/run/20200101-000000-gone")
    expect(past.locator("#problem")).to_have_text(
        "The history has no run 20200101-000000-gone, which this address names."
    )
    expect(past).to_have_url(re.compile(r":\d+/$"))
    expect(past.locator("#start")).to_be_enabled()


def test_the_run_that_trains_has_its_address_from_its_start_on(page: Page) -> None:
    set_quick_models(page)
    start(page)
    run = ask(page, "metrics")["run"]
    expect(page).to_have_url(re.compile(rf"/run/{run}#model1\.kernels=4&"))
    page.reload()
    badges(page, "running")
    expect(page).to_have_url(re.compile(rf"/run/{run}#"))
    expect(page.locator("#past")).to_be_hidden()
    page.goto("/")
    expect(page).to_have_url(re.compile(rf"/run/{run}$"))


def test_rows_tell_values_and_overlays_their_numbers(past: Page) -> None:
    past.goto(f"/run/{OPTIMIZER}")
    is_at(past, OPTIMIZER, "adam 0.001 → sgd 0.01")
    past.click("#tab-history")
    expect(row_of(past, DROPOUT).locator(".run-name")).to_have_text("Dropout 0.5 → 0.2")
    lay_behind(past, OPTIMIZER, DROPOUT)
    for number, run in enumerate((OPTIMIZER, DROPOUT), 1):
        expect(row_of(past, run).locator(".behind-number")).to_have_text(str(number))
    ends = "data.find(({uid}) => uid === 'overlays-y2')"
    look_until(past, f"{ends}?.text.length === 4")
    assert look(past, f"{ends}.text") == ["1", "1", "2", "2"]
    names = look(
        past, "data.filter(({showlegend, uid}) => showlegend && uid.startsWith('overlay')).map(({name}) => name)"
    )
    assert names == ["1 adam 0.001 → sgd 0.01", "2 Dropout 0.5 → 0.2"]
    past.evaluate("window.scrollTo(0, 0)")
    box = past.locator("#chart .nsewdrag[data-subplot='xy2']").bounding_box()
    assert box
    past.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    says = re.compile(r"2 Dropout 0\.5 → 0\.2: loss 0\.\d+ and 0\.\d+, accuracy \d+\.\d % and \d+\.\d %")
    expect(past.locator("#chart .hoverlayer")).to_have_text(says)


def test_a_long_name_without_spaces_makes_no_page_wider(past: Page) -> None:
    past.goto(f"/run/{DROPOUT}")
    is_at(past, DROPOUT, "Dropout 0.5 → 0.2")
    past.locator("#past span").first.evaluate("(line) => (line.textContent = 'exp_adam_lr0.001_'.repeat(6))")
    for width in (1280, 900, 640, 390):
        past.set_viewport_size({"width": width, "height": 800})
        assert not is_wider_than_screen(past), width
