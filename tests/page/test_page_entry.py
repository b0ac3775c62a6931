"""Numbers and lists as they are typed, and room for what they say at every width."""

import json
import re

import pytest
from browser import Faults, is_wider_than_screen, run_in, set_quick_models, show_settings
from playwright.sync_api import Page, expect

from config import MODEL_NAMES

# What is typed


@pytest.mark.parametrize(
    ("typed", "kind", "value"),
    [
        ("0,01", "number", 0.01),
        (" 1,5 ", "number", 1.5),
        (",5", "number", 0.5),
        ("0,001", "number", 0.001),
        ("1,5e-3", "number", 0.0015),
        ("1,000", "number", "1,000"),
        ("12,345", "number", "12,345"),
        ("1,000", "integer", "1,000"),
        ("64,64", "integer", "64,64"),
        ("1,5", "integer", "1,5"),
        ("0.01", "number", 0.01),
        ("", "number", ""),
    ],
)
def test_a_comma_is_a_decimal_one_where_it_can_be_nothing_else(
    modules: Page, typed: str, kind: str, value: object
) -> None:
    assert run_in(modules, "settings/form", f"m.parseTyped({json.dumps(typed)}, '{kind}')") == value


def test_what_is_wrong_with_a_list_or_a_comma_is_said_plainly(page: Page, faults: Faults) -> None:
    faults.expected = re.compile("400")
    show_settings(page)
    page.locator("[name='model1.kernels.1']").fill("64,64")
    fault = page.locator("[data-name='model1.kernels'] .fault")
    expect(fault).to_contain_text('got "64,64"')
    assert "[" not in (fault.text_content() or "")
    page.locator("[name='model1.learning_rate']").fill("1,000")
    expect(page.locator("[data-name='model1.learning_rate'] .fault")).to_contain_text("write 1000 or 1.000")
    page.locator("[name='model1.learning_rate']").fill("0,01")
    expect(page.locator("[data-name='model1.learning_rate'] .fault")).to_have_text("")


# Room


@pytest.mark.parametrize("width", [1280, 1100, 960, 870, 640, 390])  # 640 is 1280 at 200 %, 960 is 1920
def test_nothing_is_cut_off_that_would_then_say_something_else(finished: Page, width: int) -> None:
    finished.set_viewport_size({"width": width, "height": 800})
    texts = {"epoch": "500.00 / 500", "step": "1,234,567 / 27.5 M", "elapsed": "12 h 34 min", "val_accuracy": "100.0 %"}
    for name, text in texts.items():
        for cell in finished.locator(f"[data-figure='{name}']").all():
            cell.evaluate("(cell, text) => (cell.textContent = text)", text)
    cut = finished.evaluate(
        """() => [...document.querySelectorAll(".stats")].flatMap((stats) => [...stats.querySelectorAll("dd")].filter((dd) => {
            const range = document.createRange(); range.selectNodeContents(dd);
            const [text, cell, all] = [range, dd, stats].map((each) => each.getBoundingClientRect());
            return text.width > 0 && (text.right > cell.right + 0.5 || text.right > all.right + 0.5);
        }).map((dd) => dd.dataset.figure))"""
    )
    assert cut == []
    assert not is_wider_than_screen(finished)


@pytest.mark.parametrize("width", [1280, 1279, 1000, 870, 640, 390])
def test_eight_layers_and_their_buttons_stay_inside_their_card(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    set_quick_models(page)
    for model in MODEL_NAMES:
        for _ in range(8 if model == "model2" else 3):
            button = page.locator(f"#{model} [data-layers='1']")
            if button.is_enabled():
                button.click()
    for field in page.locator("#model2 [data-key='kernels'] input").all():
        field.fill("1024")
    inside = page.evaluate(
        """() => [...document.querySelectorAll(".field.is-list")].every((field) => {
            const card = field.closest(".fields").getBoundingClientRect();
            return [...field.querySelectorAll("button, input, select")].every((each) => {
                const box = each.getBoundingClientRect();
                return box.right <= card.right && box.left >= card.left && each.scrollWidth <= each.clientWidth;
            });
        })"""
    )
    assert inside
    rows = page.locator(".card [data-key='optimizer'] .label").evaluate_all(
        "(all) => all.map((one) => one.getBoundingClientRect().top)"
    )
    assert width <= 860 or abs(rows[0] - rows[1]) < 1
    mark = page.locator("[data-mark='optimizer']")
    if width > 860:
        middle = mark.evaluate("(one) => { const box = one.getBoundingClientRect(); return box.top + box.height / 2; }")
        label = page.locator("#model1 [data-key='optimizer'] .label").evaluate(
            "(one) => { const box = one.getBoundingClientRect(); return box.top + box.height / 2; }"
        )
        assert abs(middle - label) < 4
    assert not is_wider_than_screen(page)
