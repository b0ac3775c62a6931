"""A room and who enlarges the page: the top bar at any width, the presentation, 150 and 200 % zoom."""

import re
from typing import Any

import pytest
from browser import Faults, is_wider_than_screen, wait_for
from drawn import Shown, look_until
from playwright.sync_api import Page, expect

LONG_STATE = """(state) => {
    document.querySelector("#state").textContent = state;
    document.querySelector("#remaining").textContent = "1 h 08 min left";
    document.querySelector("#device").textContent = "NVIDIA H100 80GB HBM3, a long name";
    document.querySelector("#connection").textContent = "no connection";
    document.querySelector("#notify").hidden = false;
}"""
COLLISIONS = """() => {
    const parts = [...document.querySelectorAll(".topbar > *, .overall > *")].flatMap((part) => [...part.getClientRects()].map((rect) => [part, rect]));
    const bar = document.querySelector(".topbar").getBoundingClientRect();
    const found = [];
    for (const [one, a] of parts) {
        if (a.width === 0) continue;
        if (a.left < bar.left || a.right > bar.right + 0.5 || a.bottom > bar.bottom + 0.5) found.push(`${one.id || one.className} leaves the bar`);
        if (one.id !== "device" && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflow === "hidden") found.push(`${one.id} is cut`);
        for (const [other, b] of parts) {
            if (one === other || one.contains(other) || other.contains(one) || b.width === 0) continue;
            if (a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5) found.push(`${one.id || one.className} over ${other.id || other.className}`);
        }
    }
    return found;
}"""
# Every text in sight with the height of its letters on the screen, in pixels of the type size.
TEXTS = """() => {
    const larger = Number(getComputedStyle(document.body).getPropertyValue("--larger"));
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const { parentElement: parent, textContent } = walker.currentNode;
        const range = document.createRange();
        range.selectNodeContents(walker.currentNode);
        const { width, right } = range.getBoundingClientRect();
        if (!textContent.trim() || width < 2 || right < 0 || !parent.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || parent.closest("#leave, .topbar, .unseen, style, script")) continue;
        const size = parseFloat(getComputedStyle(parent).fontSize) * (parent.closest("#chart") ? larger : 1);
        found.push([textContent.trim(), size, !!parent.closest("#chart")]);
    }
    return found;
}"""
TOO_WIDE = """() => {
    const { clientWidth } = document.documentElement;
    const reach = (part) => Math.round(part.getBoundingClientRect().right);
    const nameOf = (part) => `${part.nodeName} ${part.id || part.getAttribute("class")} to ${reach(part)} of ${clientWidth}`;
    return [...document.querySelectorAll("body *")].filter((part) => reach(part) > clientWidth).map(nameOf);
}"""
PART_IN_SIGHT = """(plot) => {
    const { top, bottom, height } = plot.getBoundingClientRect();
    return Math.max(0, Math.min(bottom, window.innerHeight) - Math.max(top, 0)) / height;
}"""


def test_the_top_bar_never_runs_into_itself(shown: Shown) -> None:
    page = shown.open()
    for state in ("Training another run, pair 3 of 10", "Loading PyTorch and the dataset…"):
        for width in (1920, 1280, 1152, 1024, 853, 640, 390):
            page.set_viewport_size({"width": width, "height": 800})
            page.evaluate(LONG_STATE, state)
            assert page.evaluate(COLLISIONS) == [], (state, width)
            wait_for(lambda: not is_wider_than_screen(page), "page that fits", told=lambda: page.evaluate(TOO_WIDE))


# Presentation


def present(shown: Shown, width: int = 1920, height: int = 1080) -> Page:
    page = shown.open(width, height)
    expect(page.locator("[data-verdict='second']")).not_to_be_empty()
    page.keyboard.press("p")
    expect(page.locator("body.presenting")).to_have_count(1)
    look_until(page, "Math.abs(full.width - document.querySelector('#chart').clientWidth) < 2")
    return page


def test_a_presentation_shows_figure_verdict_and_targets_and_nothing_else(shown: Shown) -> None:
    page = present(shown)
    for part in ("#chart .main-svg >> nth=0", "[data-verdict='first']", "[data-verdict='second']", ".targets"):
        expect(page.locator(part)).to_be_visible()
    for part in ("#start", ".themes", "#settings", ".tabs", ".toolbar", ".behind", "#repeat", "#readout"):
        expect(page.locator(part)).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollHeight <= window.innerHeight")
    assert not is_wider_than_screen(page)


def test_its_letters_can_be_read_at_eight_times_the_height_of_the_picture(shown: Shown) -> None:
    texts: list[tuple[str, float, bool]] = present(shown).evaluate(TEXTS)
    assert sum(in_chart for _, _, in_chart in texts) > 20  # ticks, titles, legend, labels
    assert sum(not in_chart for _, _, in_chart in texts) > 10
    smallest = 1080 / 50 / 0.72  # of a letter of 1/50 of the height, which is 0.72 of its type size
    assert [(text, size) for text, size, _ in texts if size < smallest] == []


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1024, 768), (390, 844), (3840, 2160)])
def test_a_presentation_fits_other_screens(shown: Shown, width: int, height: int) -> None:
    page = present(shown, width, height)
    assert not is_wider_than_screen(page)
    assert page.locator(".plot").evaluate(PART_IN_SIGHT) > 0.99
    assert page.locator(".plot").bounding_box()["height"] > 0.3 * height  # type: ignore[index]
    cut = "[...document.querySelectorAll('.statement, .targets')].some((part) => part.getBoundingClientRect().bottom > window.innerHeight + 1)"
    assert not page.evaluate(cut)


def test_it_ends_by_key_and_button_and_gives_the_focus_back(shown: Shown, faults: Faults) -> None:
    faults.expected = re.compile("400.*api/describe")  # of a dropout of "p"
    page = shown.open()
    presenting = page.locator("body.presenting")
    page.locator("#present").focus()
    for leave in (
        lambda: page.keyboard.press("Escape"),
        lambda: page.keyboard.press("p"),
        lambda: page.click("#leave"),
    ):
        page.locator("#present").press("Enter")
        expect(presenting).to_have_count(1)
        leave()
        expect(presenting).to_have_count(0)
        expect(page.locator("#present")).to_be_focused()
    page.click("#fold")
    page.locator("[name='model1.dropout']").press("p")
    expect(presenting).to_have_count(0)  # where one types, it is a letter


# Zoom


@pytest.mark.parametrize(("width", "height"), [(853, 533), (640, 400)])
def test_enlarged_to_150_and_200_percent_the_figure_stays_in_sight(shown: Shown, width: int, height: int) -> None:
    page = shown.open(width, height)
    assert page.locator(".plot").evaluate(PART_IN_SIGHT) >= 0.4
    page.locator(".plot").evaluate("plot => plot.scrollIntoView({block: 'center'})")
    box: Any = page.locator(".plot").bounding_box()
    bar: Any = page.locator(".topbar").bounding_box()
    assert box["y"] >= max(0, bar["y"] + bar["height"]) - 1
    assert box["y"] + box["height"] <= height + 1
    assert not is_wider_than_screen(page)


# Whole


CUT = """() => [...document.querySelectorAll("#notes .text, #difference, [data-verdict], .past span, .targets td, .stat dd, .badge")]
    .filter((part) => part.checkVisibility() && (part.scrollWidth > part.clientWidth + 1 || part.scrollHeight > part.clientHeight + 3)
        && getComputedStyle(part).overflow !== "visible").map((part) => part.textContent)"""


# A summary of settings may be cut: then "…" says so, and its title tells the rest.
CUT_WITHOUT_A_SIGN = """() => [...document.querySelectorAll(".summary")]
    .filter((line) => line.scrollHeight > line.clientHeight + 1 && !(getComputedStyle(line).webkitLineClamp === "2" && line.title))
    .map((line) => line.textContent)"""


MANY = "9 settings differ: Kernels, Kernel sizes, Optimizer, Learning rate, Dropout, Batch size, Epochs, Seed, Weight decay"
NOTE = """() => {
    const note = document.createElement("li");
    note.innerHTML = '<span class="sign">●</span><span class="text">Model 1 overfits: its accuracy is 4.1 points higher in training than in validation, and the validation loss has risen for three epochs</span>';
    document.querySelector("#notes").replaceChildren(note, note.cloneNode(true));
}"""


def test_nothing_is_cut_that_means_something(shown: Shown) -> None:
    page = shown.open()
    for width in (1280, 853, 640, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate(NOTE)
        assert page.evaluate(CUT) == [], width
        assert page.evaluate(CUT_WITHOUT_A_SIGN) == [], width
    page.click("#fold")
    for width in (1280, 853, 640, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.locator("#difference").evaluate("(line, text) => (line.textContent = text)", MANY)
        assert page.evaluate(CUT) == [], width
