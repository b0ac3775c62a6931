"""Two windows: what was typed in the one while the other starts a run."""

import re

from browser import LONG, badges, do_with, latest, row_of, set_quick_models, stop_training, tell, train_beside
from playwright.sync_api import Page, expect


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
    do_with(row_of(page, run), "Use settings")
    expect(page.locator("[name='model1.dropout']")).to_have_value("0.125")
    expect(page.locator("#what-trains")).to_contain_text(
        "What trains now: model 1 with dropout 0.5; model 2 with dropout 0.5."
    )
    stop_training(page)
    badges(page, "stopped")
    expect(page.locator("[name='model1.dropout']")).to_have_value("0.125")
