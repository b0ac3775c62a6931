"""The history tab: what was trained can be opened, laid behind, used, renamed, deleted, brought back, gone on with."""

import re

import pytest
from browser import (
    LONG,
    ask,
    badges,
    do_with,
    lay_behind,
    open_row,
    row_of,
    set_quick_models,
    start,
    stop_training,
    tell,
    wait_for,
)
from playwright.sync_api import Locator, Page, expect

from studies.presets import PRESETS


@pytest.fixture
def history(finished: Page) -> Page:
    finished.click("#tab-history")
    expect(finished.locator("#runs tbody tr").first).to_be_visible()
    return finished


def newest(page: Page) -> Locator:
    return page.locator("#runs tbody tr").first


def test_runs_stand_newest_first_with_what_they_came_to(history: Page) -> None:
    listed = ask(history, "runs")
    runs = listed["runs"]
    shown = history.locator("#runs tbody tr").evaluate_all("(rows) => rows.map((row) => row.dataset.training)")
    assert shown == [f"{run['id']}/{model}" for run in runs for model in run["models"]][:50]
    expect(newest(history)).to_contain_text(f"{100 * runs[0]['models']['model1']['test_accuracy']:.1f} %")
    expect(newest(history)).to_contain_text("Kernels")


def test_a_run_is_opened_as_it_was_and_left_again(history: Page) -> None:
    open_row(newest(history))
    expect(history.locator("#past")).to_contain_text("A past run: Kernels 4 → 8 · ")
    expect(history.locator("#figures tbody tr").first).to_be_attached()
    history.get_by_role("button", name="Back to the latest run").click()
    expect(history.locator("#past")).to_be_hidden()


def test_a_run_is_laid_behind_the_curves_and_taken_away(history: Page) -> None:
    run = newest(history).get_attribute("data-run") or ""
    count = "() => document.querySelector('#chart').data.filter((line) => /^overlay-.*(loss|accuracy)$/.test(line.uid)).length"
    lay_behind(history, run)
    chart = history.locator("#chart")
    chart.scroll_into_view_if_needed()  # what is out of sight is not drawn
    history.wait_for_function(f"() => ({count})() === 4")
    row_of(history, run, "model2").get_by_role("checkbox").check()
    behind = history.locator("[data-do='behind']")
    expect(behind).to_have_attribute("aria-pressed", "true")
    behind.click()  # one of the two alone
    chart.scroll_into_view_if_needed()
    history.wait_for_function(f"() => ({count})() === 2")
    history.locator("[data-do='clear']").click()
    chart.scroll_into_view_if_needed()
    history.wait_for_function(f"() => ({count})() === 0")
    history.locator("[data-do='none']").click()
    expect(history.locator("#chosen")).to_be_hidden()


def test_its_settings_are_put_into_the_forms_again_and_what_was_typed_can_be_put_back(history: Page) -> None:
    rate = history.locator("[data-name='model1.learning_rate'] input")
    undo = history.locator("#put-back")
    history.click("#fold")
    rate.fill("0.25")
    expect(undo).to_be_hidden()
    do_with(newest(history), "Use settings")
    expect(rate).to_have_value("0.001")
    undo.click()
    expect(rate).to_have_value("0.25")
    history.select_option("#preset", label=PRESETS[0].name)
    expect(rate).to_have_value("0.001")
    do_with(newest(history), "Use settings")  # what was typed is still kept
    undo.click()
    expect(rate).to_have_value("0.25")
    expect(undo).to_be_hidden()


def test_a_run_is_renamed_and_script_in_a_name_is_only_text(history: Page) -> None:
    do_with(newest(history), "Rename")
    history.fill("#rename-name", "<b>My</b> run")
    history.locator("#rename").get_by_role("button", name="Rename").click()
    expect(newest(history).locator(".run-name")).to_have_text("<b>My</b> run")


def test_deleting_can_be_undone(history: Page) -> None:
    run = newest(history).get_attribute("data-run")
    do_with(newest(history), "Delete")
    expect(history.locator(f"#deleted [data-run='{run}']")).to_contain_text("Deleted:")
    assert run not in [one["id"] for one in ask(history, "runs")["runs"]]
    history.locator(f"#deleted [data-run='{run}']").get_by_role("button", name="Undo").click()
    expect(row_of(history, run)).to_be_visible()
    assert run in [one["id"] for one in ask(history, "runs")["runs"]]


def test_a_finished_run_goes_on_for_another_epoch_as_a_new_one(history: Page, run_to_look_at: dict[str, str]) -> None:
    old = newest(history).get_attribute("data-run")
    title = newest(history).locator(".run-name").text_content()
    before = ask(history, f"runs/{old}")
    run_to_look_at.clear()  # it will be another one for the tests that follow
    history.click("#tab-mistakes")
    about = history.locator("#mistakes-about")
    expect(about).to_contain_text("test images, model 1 after 1.00 epochs, model 2 after 1.00")
    history.click("#tab-history")
    do_with(newest(history), "Train further")
    expect(history.locator("#resume-epochs")).to_have_value("1")
    expect(history.locator("#resume-new")).to_contain_text("new run")
    history.locator("#resume").get_by_role("button", name="Go on training").click()
    expect(newest(history)).not_to_have_attribute("data-run", old or "")
    history.evaluate("localStorage.setItem('history columns', JSON.stringify({parent: true}))")
    history.reload()
    expect(newest(history).locator("[data-column='parent']")).to_have_text(f"continues {title}")
    history.click("#tab-mistakes")
    expect(about).to_contain_text(re.compile("validation images, model 1 after 1.00 epochs|test images.*2.00"))
    expect(history.locator("#state")).to_have_text("Finished")
    expect(about).to_contain_text("test images, model 1 after 2.00 epochs, model 2 after 2.00")
    expect(history.locator("#significance")).to_contain_text("McNemar, after 2.00 epochs")
    for model in ask(history, "metrics")["models"].values():
        assert model["epoch"] == 2
        assert model["evaluations"]["epoch"] == pytest.approx([0.25, 0.5, 1, 1.5, 2], abs=0.01)
    assert ask(history, f"runs/{old}") == before
    marks = "document.querySelector('#chart').layout.annotations.map(({text}) => text.replace('<br>', ' ')).join()"
    history.wait_for_function(f"() => {marks}.includes('continued for 1 more epoch')")
    history.click("#tab-history")
    expect(row_of(history, old)).to_contain_text(f"{100 * before['models']['model1']['test_accuracy']:.1f} %")
    do_with(row_of(history, old), "Delete")
    history.reload()
    history.click("#tab-history")
    origin = newest(history).locator("[data-column='parent']")
    expect(origin).to_have_text("continues a run that is no longer here")  # its name is out of the list with it


def test_a_stopped_run_is_resumed_under_its_own_name(page: Page) -> None:
    set_quick_models(page)
    start(page)
    badges(page, "running")
    page.click("#stop")
    page.locator("#confirm").get_by_role("button", name="Stop").click()
    badges(page, "stopped")
    page.click("#tab-history")
    run = ask(page, "metrics")["run"]
    row = row_of(page, run)
    do_with(row, "Resume")
    expect(page.locator("#resume-epochs")).to_have_value("0")
    expect(page.locator("#resume-new")).to_be_hidden()
    expect(page.locator("#resume-schedule")).to_be_hidden()
    page.locator("#resume").get_by_role("button", name="Go on training").click()
    badges(page, "running")
    assert ask(page, "metrics")["run"] == run
    how_far = row.locator("[data-column='state']")
    row.locator("[data-star]").focus()
    for _ in range(2):  # as it trains, the row goes on with it
        expect(how_far).to_have_text(re.compile(r"^runningepoch \d"))
        expect(how_far).not_to_have_text(how_far.text_content() or "")
    expect(row.locator("[data-star]")).to_be_focused()


def test_who_gives_more_epochs_is_told_that_a_schedule_is_left(page: Page) -> None:
    tell(page, "start", {name: config | {"schedule": "cosine"} for name, config in LONG.items()})
    wait_for(lambda: ask(page, "metrics")["models"]["model1"]["epoch"] > 0, "first steps")
    stop_training(page)
    page.reload()
    page.click("#tab-history")
    do_with(newest(page), "Resume")
    expect(page.locator("#resume-schedule")).to_contain_text("leaves its schedule where it is")
