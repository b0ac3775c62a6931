"""The two forms: every setting, presets, copying, sizes, faults."""

import re

from browser import Faults, show_settings
from playwright.sync_api import Page, expect

from config import MODEL_NAMES, SCHEMA, differing_settings
from studies.presets import PRESETS


def test_the_forms_hold_every_setting_of_the_schema(page: Page) -> None:
    for model in MODEL_NAMES:
        keys = page.locator(f"#{model} .field").evaluate_all("fields => fields.map((field) => field.dataset.key)")
        assert sorted(keys) == sorted(SCHEMA["properties"])
        for control in page.locator(f"#{model} .field :is(input, select)").all():
            assert control.evaluate("control => control.labels.length > 0 || control.ariaLabel !== null")


def test_presets_fill_both_forms_and_mark_what_differs(page: Page) -> None:
    show_settings(page)
    for preset in PRESETS:
        page.select_option("#preset", label=preset.name)
        for model, config in zip(MODEL_NAMES, (preset.model1, preset.model2), strict=True):
            shown = page.evaluate("async (m) => (await import('/static/settings/form.js')).readSettings(m)", model)
            assert shown == config.model_dump(mode="json")
        differing = differing_settings(preset.model1.model_dump(mode="json"), preset.model2.model_dump(mode="json"))
        marked = page.locator(".mark.differs").evaluate_all("marks => marks.map((mark) => mark.dataset.mark)")
        assert marked == differing
        for key in differing:
            expect(page.locator("#difference")).to_contain_text(SCHEMA["properties"][key]["title"])


def test_a_link_takes_the_name_of_a_preset_away(page: Page) -> None:
    show_settings(page)
    page.select_option("#preset", label=PRESETS[0].name)
    expect(page.locator("#preset-about")).not_to_be_empty()
    page.evaluate("location.hash = '#model1.epochs=3'")
    expect(page.locator("[name='model1.epochs']")).to_have_value("3")
    expect(page.locator("#preset-about")).to_be_empty()
    expect(page.locator("#preset")).to_have_value("")


def test_the_size_follows_what_is_typed(page: Page) -> None:
    show_settings(page)
    page.select_option("#preset", label=PRESETS[0].name)
    expect(page.locator("#model1 .size")).to_contain_text("422,026 parameters")
    page.click("#model1 [data-layers='-1']")
    expect(page.locator("#model1 .size")).not_to_contain_text("422,026")
    expect(page.locator("#model1 .size")).to_contain_text("parameters")


def test_a_layer_is_added_to_and_taken_from_every_list_at_once(page: Page) -> None:
    show_settings(page)
    page.select_option("#preset", label=PRESETS[0].name)
    page.click("#model2 [data-layers='1']")
    expect(page.locator("#model2 [data-key='kernels'] input")).to_have_count(5)
    expect(page.locator("#model2 [data-key='kernel_sizes'] select")).to_have_count(5)
    expect(page.locator("#model2 [data-key='kernels'] input").last).to_have_attribute("aria-label", "Kernels, layer 5")


def test_bad_settings_are_named_beside_their_fields_and_nothing_starts(page: Page, faults: Faults) -> None:
    faults.expected = re.compile("400")
    show_settings(page)
    page.locator("[name='model1.learning_rate']").fill("3x")
    page.locator("[name='model2.batch_size']").fill("0")
    page.click("#start")
    learning_rate = page.locator(".field[data-name='model1.learning_rate']")
    expect(learning_rate.locator(".fault")).to_have_text(
        'Learning rate must be a number above 0 and at most 10, got "3x"'
    )
    expect(page.locator(".field[data-name='model2.batch_size'] .fault")).to_contain_text("Batch size must be")
    expect(page.locator("[name='model1.learning_rate']")).to_be_focused()
    expect(page.locator("[name='model1.learning_rate']")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#start")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()
    page.locator("[name='model1.learning_rate']").fill("0.01")
    expect(learning_rate.locator(".fault")).to_have_text("")


def test_rows_stay_level_when_a_layer_has_a_fault(page: Page, faults: Faults) -> None:
    faults.expected = re.compile("400")
    show_settings(page)
    page.locator("[name='model1.kernels.1']").fill("0")
    expect(page.locator(".field[data-name='model1.kernels'] .fault")).to_have_text(
        re.compile(r"^Kernels must each be a whole number from 1 to 1024, got 0\b")
    )
    tops = (
        "(rows) => rows.map((row) => { const {top, height} = row.getBoundingClientRect(); return top + height / 2; })"
    )
    for key in ("kernels", "kernel_sizes", "seed"):
        rows = page.locator(f"#settings [data-name$='.{key}'], [data-mark='{key}']").evaluate_all(tops)
        assert len(rows) == 3
        assert max(rows) - min(rows) < 1
    box = page.locator(".field[data-name='model1.kernels'] .fault").bounding_box()
    card = page.locator("#model1").bounding_box()
    assert box is not None and card is not None
    assert box["x"] + box["width"] <= card["x"] + card["width"]


def test_model_2_is_set_like_model_1_wholly_or_but_for_one_setting(page: Page) -> None:
    show_settings(page)
    page.select_option("#preset", label="Optimizer Impact")
    page.get_by_role("button", name="Copy 1 → 2").click()
    expect(page.locator("#difference")).to_have_text("Both models are set alike")
    expect(page.locator("[name='model2.optimizer']")).to_have_value("adam")
    page.locator("[name='model2.seed']").fill("9")
    page.select_option("#except", "dropout")
    expect(page.locator("[name='model2.seed']")).to_have_value("0")
    expect(page.locator("[name='model2.dropout']")).to_be_focused()
    page.keyboard.type("0.1")
    expect(page.locator("#difference")).to_have_text("One setting differs: Dropout")
    page.select_option("#except", "momentum")
    expect(page.locator("[name='model2.momentum']")).to_be_focused()


def test_layer_shapes_and_work_follow_what_is_typed(page: Page) -> None:
    show_settings(page)
    page.select_option("#preset", label="Deep vs Shallow")
    chain = page.locator("#model2 .chain")
    expect(chain).to_have_text("1×28×28 → 16×14×14 → 32×7×7 → 64×3×3 → 128×1×1 → 128 → 10")
    page.locator("[name='model2.kernels.4']").fill("99")
    expect(chain).to_contain_text("99×1×1")
    page.locator("#model2 .shapes summary").click()
    expect(page.locator("#model1 .shapes tbody tr")).to_have_count(6)
    expect(page.locator("#model2 .shapes tbody tr").first).to_contain_text("conv116×14×14160226 kFLOP")


def test_a_bad_setting_shows_while_one_types(page: Page, faults: Faults) -> None:
    faults.expected = re.compile("400")
    show_settings(page)
    page.locator("[name='model2.dropout']").fill("1.5")
    expect(page.locator(".field[data-name='model2.dropout'] .fault")).to_contain_text("0.95")
