"""Seen by everyone: forced colours, reduced motion, paper, eight layers on a phone, names read from the right."""

import io
import re
from typing import Any

import pytest
from browser import (
    Server,
    ask,
    do_with,
    is_wider_than_screen,
    lay_behind,
    open_row,
    row_of,
    run_in,
    show_settings,
    tell,
)
from drawn import EARLY, OPTIMIZER, Shown, look, look_until
from PIL import Image
from playwright.sync_api import Page, expect

from config import MODEL_NAMES

SYSTEM = """(names) => names.map((name) => {
    const probe = document.createElement("span");
    probe.style.cssText = `forced-color-adjust: none; color: ${name}`;
    document.body.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
})"""
ARABIC, HEBREW = "مقارنة الشبكات", "רשתות (2)"


# Forced colours


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_charts_take_the_colours_that_the_system_forces(shown: Shown, theme: str) -> None:
    shown.page.emulate_media(forced_colors="active", color_scheme=theme)  # type: ignore[arg-type]
    page = shown.open()
    canvas, text, link = page.evaluate(SYSTEM, ["Canvas", "CanvasText", "LinkText"])
    assert look(page, "[full.paper_bgcolor, full.plot_bgcolor]") == [canvas, canvas]
    colours = look(
        page,
        "Object.fromEntries(data.filter(({line}) => line).map((line) => [line.uid, [line.line.color, line.line.dash, line.line.width]]))",
    )
    assert colours["model1-loss"][0] == link
    assert colours["model2-loss"][0] == text
    for what in ("loss", "validation-loss", "accuracy", "validation-accuracy"):
        one, other = colours[f"model1-{what}"], colours[f"model2-{what}"]
        assert len({canvas, one[0], other[0]}) == 3
        assert one[1:] != other[1:], what  # told apart without their colour
    picture = Image.open(io.BytesIO(page.locator("#chart").screenshot())).convert("RGB")
    times, most = max(picture.getcolors(picture.width * picture.height) or [])
    assert list(most) == [int(part) for part in re.findall(r"\d+", canvas)[:3]]
    assert times < 0.97 * picture.width * picture.height  # and something is drawn on it
    page.emulate_media(forced_colors="none")
    look_until(
        page,
        "full.paper_bgcolor !== known && data.some(({line}) => line?.color === 'rgb(0, 114, 178)' || line?.color === 'rgb(63, 162, 223)')",
        canvas if theme == "dark" else "",
    )


def test_what_is_chosen_is_seen_without_grounds(shown: Shown) -> None:
    shown.page.emulate_media(forced_colors="active")
    page = shown.open()
    ground = "span => getComputedStyle(span).backgroundColor"
    for switch in ("layout", "x", "axis"):
        spans = page.locator(f"label:has([data-view='{switch}']) > span")
        grounds = [span.evaluate(ground) for span in spans.all()]
        chosen = [span.evaluate("span => span.previousElementSibling.checked") for span in spans.all()]
        assert next(grounds[index] for index, is_on in enumerate(chosen) if is_on) not in [
            grounds[index] for index, is_on in enumerate(chosen) if not is_on
        ]
    for part in ("#start", ".badge", ".switch"):  # a ground that is kept would hide the text
        assert page.locator(part).first.evaluate(ground) in page.evaluate(SYSTEM, ["Canvas", "ButtonFace"])
    progress = page.locator("#model1 .live progress")
    assert progress.evaluate("bar => getComputedStyle(bar).forcedColorAdjust") == "none"


# Motion


def test_nothing_moves_for_who_asks_for_it(shown: Shown) -> None:
    shown.page.emulate_media(reduced_motion="reduce")
    page = shown.open()
    page.locator("#chart").hover()
    moving = """[...document.querySelectorAll("*")].flatMap((element) => [null, "::before", "::after"].map((part) => getComputedStyle(element, part)))
        .filter((style) => parseFloat(style.transitionDuration) > 0 || style.animationName !== "none" || style.scrollBehavior === "smooth").length"""
    assert page.evaluate(moving) == 0
    assert page.evaluate("document.getAnimations().length") == 0
    assert look(page, "layout.transition ?? null") is None  # nor does Plotly move the curves


# Paper


def pages(page: Page, paper: str) -> int:
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf(format=paper)))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_run_fits_on_one_page_of_either_paper(shown: Shown, theme: str) -> None:
    shown.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page = shown.open()
    assert {paper: pages(page, paper) for paper in ("A4", "Letter")} == {"A4": 1, "Letter": 1}
    page.locator("[data-view='layout'][value='overlaid']").check(force=True)
    assert pages(page, "Letter") == 1


def test_paper_names_the_run_its_date_and_every_setting(shown: Shown) -> None:
    page = shown.open()
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    run = next(run for run in ask(page, "runs")["runs"] if run["id"] == OPTIMIZER)
    name = "adam 0.001 → sgd 0.01"
    expect(page.locator("#paper-head b")).to_have_text(name)
    moment = run_in(page, "base/format", f"m.moment({run['started']!r})")
    expect(page.locator("#paper-head span")).to_have_text(moment)
    schema = ask(page, "config")["schema"]["properties"]
    rows = page.locator("#paper-settings tbody tr")
    expect(rows).to_have_count(len(schema))
    titles = [text.removesuffix(" ≠") for text in rows.locator("th").all_text_contents()]
    assert titles == [property["title"] for property in schema.values()]
    expect(rows.filter(has_text="Optimizer").locator("td")).to_have_text(["adam", "sgd"])
    for part in ("#paper-settings", "#chart .main-svg >> nth=0", "[data-verdict='first']", ".targets"):
        expect(page.locator(part)).to_be_visible()
    expect(page.locator(".cursor")).to_be_hidden()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    expect(page.locator("#paper-settings")).to_be_hidden()


# Small and from the right


def test_eight_layers_can_be_set_on_a_phone(shown: Shown) -> None:
    page = shown.open(390, 844)
    show_settings(page)
    for model in MODEL_NAMES:
        while page.locator(f"#{model} [data-layers='1']").is_enabled():
            page.click(f"#{model} [data-layers='1']")
        for key in ("kernels", "kernel_sizes"):
            inputs = page.locator(f"#{model} [data-key='{key}'] .items > *")
            expect(inputs).to_have_count(8)
            boxes: list[Any] = [each.bounding_box() for each in inputs.all()]
            assert all(box["width"] >= 40 and box["height"] >= 24 and box["x"] + box["width"] <= 390 for box in boxes)
        page.locator(f"#{model} [name='{model}.kernels.8']").fill("1024")
        value = page.locator(f"#{model} [name='{model}.kernels.8']")
        assert value.evaluate("field => field.scrollWidth <= field.clientWidth")
    page.locator("#model1 .shapes summary").click()
    assert not is_wider_than_screen(page)


@pytest.mark.parametrize("name", [ARABIC, HEBREW])
def test_names_from_the_right_turn_nothing_around_them(shown: Shown, recorded: Server, name: str) -> None:
    page = shown.open()
    tell(page, f"runs/{EARLY}/rename", {"name": name})
    try:
        page.reload()
        page.click("#tab-history")
        row = row_of(page, EARLY)
        expect(row.locator(".run-name")).to_have_text(f"\u2068{name}\u2069")
        lay_behind(page, EARLY)
        look_until(page, "data.some((line) => line.name?.endsWith(known))", f"\u2068{name}\u2069")
        open_row(row)
        line = page.locator("#past span")
        expect(line).to_contain_text(name)
        # "A past run:" stands left of the name, "· stopped at" right of it, and reads on from there
        order = line.evaluate(
            """(line, name) => {
                const text = line.firstChild, whole = text.textContent, from = whole.indexOf(name);
                const at = (start, end) => { const range = document.createRange(); range.setStart(text, start); range.setEnd(text, end); return range.getBoundingClientRect(); };
                const after = whole.indexOf("stopped");
                return [at(0, 10).right, at(from, from + name.length).left, at(from, from + name.length).right, at(after, after + 7).left];
            }""",
            name,
        )
        assert order == sorted(order)
        page.click("#tab-history")
        do_with(row, "Rename")
        expect(page.locator("#rename-name")).to_have_value(name)  # without what keeps it apart
        expect(page.locator("#rename-name")).to_have_attribute("dir", "auto")
        page.keyboard.press("Escape")
    finally:
        tell(page, f"runs/{EARLY}/rename", {"name": "Early"})


def test_other_names_stay_as_they_are(shown: Shown) -> None:
    page = shown.open()
    assert run_in(
        page, "base/format", "[m.isolated('Kernels'), m.plain(m.isolated('רשת')), m.isolated('רשת').length]"
    ) == ["Kernels", "רשת", 5]
