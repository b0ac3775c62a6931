"""The history's table among many trainings: found, sorted, grouped, set against a baseline, noted, compared."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import (
    LONG,
    SMALL,
    Faults,
    Launch,
    Server,
    ask,
    check_with_axe,
    do_with,
    fresh_page,
    is_wider_than_screen,
    latest,
    row_of,
    stop_training,
    tell,
    train_to_the_end,
    wait_for,
)
from playwright.sync_api import BrowserContext, Page, expect
from recorded_runs import put

RECORDED = 38  # runs, beside two that are trained here
WIDE = "20260220-000000-aaaa"  # the one whose models have more hidden units


def recorded_id(number: int) -> str:
    return f"202601{number:02}-000000-aaaa" if number < 30 else f"202602{number - 29:02}-000000-aaaa"


@pytest.fixture(scope="module")
def many(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with forty runs: recorded ones of several seeds, one of them wider, and two trained to the end."""
    runs = tmp_path_factory.mktemp("many")
    for number in range(1, RECORDED):
        seed = number % 4  # those of one seed have been looked at as often
        put("optimizer", runs, recorded_id(number), epochs=0.3 + 0.4 * seed, settings={"seed": seed})
    put("optimizer", runs, WIDE, epochs=0.3, settings={"hidden_units": 512})
    server = Server(data_dir, runs)
    server.start()
    wait_for(server.is_ready, "readiness of the server")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def context_of_many(launch: Launch, many: Server) -> Iterator[BrowserContext]:
    with launch(many.url) as context:
        yield context


@pytest.fixture
def table(context_of_many: BrowserContext, many: Server, faults: Faults) -> Iterator[Page]:
    """The history tab of a page of that server, as a new visitor sees it."""
    with fresh_page(context_of_many, many.url, faults) as page:
        if len(ask(page, "runs")["runs"]) == RECORDED:
            for settings in ({"kernels": [8]}, {"kernels": [4], "learning_rate": 0.01}):
                train_to_the_end(page, {"model1": SMALL, "model2": SMALL | settings})
        page.goto("/")
        page.evaluate("sessionStorage.clear()")
        page.click("#tab-history")
        expect(page.locator("#runs tbody tr").first).to_be_visible()
        yield page


def found(page: Page) -> list[str]:
    return [
        str(row)
        for row in page.locator("#runs tbody tr").evaluate_all("rows => rows.map((row) => row.dataset.training)")
    ]


def expect_found(page: Page, count: int) -> None:
    expect(page.locator("#history-count")).to_have_text(re.compile(rf"^{count} (trainings|settings)"))


def test_forty_runs_from_a_setting_to_a_disagreement_that_a_link_opens_again(
    table: Page, many: Server, launch: Launch
) -> None:
    expect_found(table, 80)
    expect(table.locator("#runs tbody tr")).to_have_count(50)
    table.select_option("#history-setting", "hidden_units=512")
    expect_found(table, 2)
    assert found(table) == [f"{WIDE}/model1", f"{WIDE}/model2"]
    row_of(table, WIDE).get_by_role("checkbox").check()  # stays chosen while others are looked for
    table.get_by_role("button", name="Also others than Hidden units 512").click()
    expect_found(table, 80)
    row_of(table, WIDE).get_by_role("checkbox").uncheck()

    table.locator("[data-sort='test_accuracy']").click()
    accuracies = table.locator("[data-column='test_accuracy'] .told")
    expect(accuracies.first).to_have_text(re.compile(r"\d"))
    known = [float(text.split()[0]) for text in accuracies.all_text_contents() if text != "–"]
    assert known == sorted(known, reverse=True)
    best, second = (
        found(table)[0],
        next(each for each in found(table)[1:4] if each.split("/")[0] != found(table)[0].split("/")[0]),
    )

    table.locator(f"tr[data-training='{second}'] [data-star]").click()
    expect(table.locator(f"tr[data-training='{second}']")).to_have_class("baseline")
    gained = table.locator(f"tr[data-training='{best}'] [data-column='test_accuracy'] .from-baseline")
    expect(gained).to_have_text(re.compile(r"^[+]\d+\.\d points$"))

    for training in (best, second):
        table.locator(f"tr[data-training='{training}']").get_by_role("checkbox").check()
    table.get_by_role("button", name="Compare these two").click()
    table.wait_for_url(re.compile(re.escape(f"/compare?a={best}&b={second}&among=80")))
    table.locator("#significance [data-found='only1']").click()
    expect(table.locator("#gallery li").first).to_be_visible()
    images = table.locator("#gallery li").evaluate_all("each => each.map(({dataset}) => dataset.image)")
    verdict = table.locator("[data-verdict='first']").text_content() or ""
    second_sentence = table.locator("[data-verdict='second']").text_content() or ""

    with launch(many.url) as other, fresh_page(other, many.url, Faults()) as fresh:
        fresh.goto(table.url)
        expect(fresh.locator("[data-verdict='first']")).to_have_text(verdict)
        expect(fresh.locator("[data-verdict='second']")).to_have_text(second_sentence)
        fresh.locator("#significance [data-found='only1']").click()
        expect(fresh.locator("#gallery li").first).to_be_visible()
        assert fresh.locator("#gallery li").evaluate_all("each => each.map(({dataset}) => dataset.image)") == images


def test_a_table_that_the_server_did_not_answer_is_asked_for_again(table: Page, faults: Faults) -> None:
    faults.expected = re.compile("ERR_FAILED")
    table.route("**/api/trainings?*", lambda route: route.abort())
    with table.expect_event("requestfailed"):
        table.fill("#history-search", WIDE)
    table.unroute_all(behavior="wait")
    expect_found(table, 2)


def test_text_state_and_day_narrow_what_is_listed_and_all_is_shown_again(table: Page) -> None:
    table.fill("#history-search", "sgd")
    expect_found(table, RECORDED)
    table.select_option("#history-state", "running")
    expect(table.locator("#history-count")).to_have_text("Nothing in the history is like that.")
    table.reload()  # the question is kept for the visit
    expect(table.locator("#history-search")).to_have_value("sgd")
    expect(table.locator("#history-count")).to_have_text("Nothing in the history is like that.")
    table.click("#history-all")
    expect_found(table, 80)
    table.fill("#history-after", "2999-01-01")
    expect(table.locator("#history-count")).to_have_text("Nothing in the history is like that.")
    table.click("#history-all")
    expect_found(table, 80)


def test_pages_follow_one_another_and_the_arrow_keys_lead_through_the_rows(table: Page) -> None:
    first = found(table)
    table.locator("#history-pager button").last.click()
    expect(table.locator("#history-pager span")).to_have_text("51 to 80 of 80 trainings")
    assert set(found(table)).isdisjoint(first)
    expect(table.locator("#runs tbody input").first).to_be_focused()
    expect(table.locator("#runs tbody input").first).to_be_in_viewport()
    table.locator("#history-pager button").first.click()
    expect(table.locator("#runs tbody tr")).to_have_count(50)
    table.locator("#runs tbody tr .run-name").nth(0).focus()
    table.keyboard.press("ArrowDown")
    expect(table.locator("#runs tbody tr .run-name").nth(1)).to_be_focused()
    table.keyboard.press("ArrowUp")
    expect(table.locator("#runs tbody tr .run-name").nth(0)).to_be_focused()


def test_seeds_of_one_setting_stand_in_one_line_with_mean_and_interval(table: Page) -> None:
    table.check("#history-grouped")
    groups = ask(table, "trainings?group=seed&limit=100")
    expect_found(table, groups["total"])
    rows = table.locator("#runs tbody tr")
    expect(rows).to_have_count(groups["total"])
    of_four = rows.filter(has_text="4 seeds").first
    expect(of_four.locator("[data-column='best_val_accuracy'] .beside")).to_have_text(
        re.compile(r"^[\d.]+ to [\d.]+ \(95 %\), 4 seeds$")
    )
    expect(of_four.locator("[data-column='config.seed']")).to_have_text("0, 1, 2, 3")
    of_four.get_by_role("checkbox").check()
    expect(table.locator("#chosen > span")).to_have_text(re.compile(r"^\d+ chosen$"))


def test_a_note_is_written_in_its_place_kept_and_found(table: Page) -> None:
    row = table.locator("#runs tbody tr").nth(2)
    training = row.get_attribute("data-training") or ""
    row.locator(".own-words").click()
    row.locator("textarea").fill("bumpy <b>start</b>")
    table.keyboard.press("Enter")
    expect(row.locator(".own-words")).to_have_text("bumpy <b>start</b>")
    expect(row.locator(".own-words")).to_be_focused()
    row.locator(".own-words").click()
    row.locator("textarea").fill("not this")
    table.keyboard.press("Escape")
    expect(row.locator(".own-words")).to_have_text("bumpy <b>start</b>")
    table.fill("#history-search", "bumpy")
    expect_found(table, 1)
    assert found(table) == [training]
    lines = table.request.get(table.locator("#history-export").get_attribute("href") or "").text().splitlines()
    assert len(lines) == 2
    assert "bumpy <b>start</b>" in lines[1]


def test_columns_are_chosen_and_remembered(table: Page) -> None:
    heads = table.locator("#runs thead th")
    expect(heads.filter(has_text="Parameters")).to_have_count(0)
    table.click("#history-columns summary")
    table.get_by_label("Parameters").check()
    expect(heads.filter(has_text="Parameters")).to_have_count(1)
    table.reload()
    expect(heads.filter(has_text="Parameters")).to_have_count(1)
    table.click("#history-columns summary")
    table.get_by_label("Parameters").uncheck()
    expect(heads.filter(has_text="Parameters")).to_have_count(0)


def test_several_are_deleted_together_and_each_comes_back(table: Page) -> None:
    runs = [recorded_id(1), recorded_id(2)]
    for run in runs:
        table.fill("#history-search", run)
        expect_found(table, 2)
        row_of(table, run).get_by_role("checkbox").check()
    table.locator("[data-do='delete']").click()
    for run in runs:
        expect(row_of(table, run)).to_have_count(0)
    for run in runs:
        table.locator(f"#deleted [data-run='{run}'] button").click()
        expect(table.locator(f"#deleted [data-run='{run}']")).to_have_count(0)
    wait_for(lambda: len(ask(table, "runs")["runs"]) == RECORDED + 2, "both runs")


def test_a_family_is_shown_and_a_child_compared_with_its_parent(table: Page) -> None:
    parent = ask(table, "runs")["runs"][0]["id"]
    table.request.post(f"/api/runs/{parent}/resume", data={"more_epochs": 1})
    wait_for(
        lambda: not {"idle", "running"} & {model["state"] for model in ask(table, "metrics")["models"].values()}, "end"
    )
    child = ask(table, "metrics")["run"]
    assert child != parent
    do_with(row_of(table, child), "Family")
    tree = table.locator("#family li")
    expect(tree).to_have_count(2)
    table.locator("#family").get_by_role("button", name="◆ against its parent").click()
    table.wait_for_url(re.compile(re.escape(f"/compare?a={parent}/model2&b={child}/model2")))
    table.request.post(f"/api/runs/{child}/delete")


def test_room_on_the_disk_is_told_and_made_by_hand(table: Page) -> None:
    expect(table.locator("#disk > span")).to_have_text(
        re.compile(r"^The history takes .* on the disk, .* of it checkpoints; .* are free\.$")
    )
    run = ask(table, "runs")["runs"][1]["id"]
    row_of(table, run).locator("[aria-haspopup='menu']").click()
    menu = table.locator("#training-menu")
    expect(menu).to_contain_text(re.compile(r"Takes .*: checkpoint .*, figures and answers"))
    table.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    row_of(table, run).get_by_role("checkbox").check()
    table.locator("[data-do='weights']").click()
    table.locator("#confirm").get_by_role("button", name="Keep only the weights").click()
    expect(table.locator("#chosen > span")).to_have_text(re.compile(r"are free again\.$"))
    row_of(table, run).locator("[aria-haspopup='menu']").click()
    expect(menu).to_contain_text(re.compile(r"Takes .*: weights .*, figures and answers"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_a_phone_needs_no_sideways_scroll(table: Page, theme: str) -> None:
    table.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    table.locator("#runs tbody tr").nth(0).get_by_role("checkbox").check()
    check_with_axe(table, "history", "#panel-history")
    table.set_viewport_size({"width": 390, "height": 844})
    assert not is_wider_than_screen(table)
    expect(table.locator("#history-sort")).to_be_visible()
    table.select_option("#history-sort", "best_val_accuracy")
    told = table.locator("[data-column='best_val_accuracy'] .told")
    first = told.first.text_content() or ""
    table.click("#history-order")
    expect(told.first).not_to_have_text(first)


def test_a_note_is_written_on_while_the_table_changes_beneath_it(table: Page, faults: Faults) -> None:
    faults.expected = re.compile("409")  # a run that trains is not deleted
    training = found(table)[2]
    row = table.locator(f"#runs tr[data-training='{training}']")
    row.locator(".own-words").click()
    table.keyboard.type("begun ")
    tell(table, "start", LONG)
    live = str(latest(table))
    wait_for(lambda: ask(table, "trainings?limit=1")["trainings"][0]["run"] == live, "run in the history")
    expect(table.locator("#state")).to_contain_text("Training")
    table.wait_for_timeout(2500)  # the list of runs is asked for meanwhile
    table.keyboard.type("and ended")
    expect(row.locator("textarea")).to_have_value("begun and ended")
    table.keyboard.press("Enter")
    expect(row.locator(".own-words")).to_have_text("begun and ended")
    expect(row_of(table, live)).to_be_visible()  # what came meanwhile
    own = row_of(table, live).locator("[data-column='note']")
    own.locator(".own-words").click()
    told = row_of(table, live).locator("[data-column='state']").text_content() or ""
    expect(row_of(table, live).locator("[data-column='state']")).not_to_have_text(told)
    expect(own.locator("textarea")).to_be_focused()
    table.keyboard.press("Escape")
    row_of(table, live).get_by_role("checkbox").check()
    table.locator("[data-do='delete']").click()
    expect(table.locator("#problem")).to_contain_text("is still on")
    table.wait_for_timeout(2500)
    expect(table.locator("#banner")).to_be_visible()  # until it is read
    stop_training(table)
    table.request.post(f"/api/runs/{live}/delete")


def test_the_focus_stays_where_it_was_after_sorting_and_after_the_menu(table: Page) -> None:
    head = table.locator("[data-sort='best_val_accuracy']")
    head.focus()
    table.keyboard.press("Enter")
    expect(table.locator("#runs [aria-sort='descending'] button")).to_have_text(re.compile("Best validation"))
    expect(head).to_be_focused()
    training = found(table)[0]
    more = table.locator(f"#runs tr[data-training='{training}'] [aria-haspopup='menu']")
    more.click()
    expect(table.locator("#training-menu")).to_be_visible()
    table.request.post("/api/trainings/baseline", data={"training": training})
    table.evaluate("window.dispatchEvent(new Event('focus'))")  # as when one comes back from another window
    expect(table.locator(f"#runs tr[data-training='{training}']")).to_have_class("baseline")
    table.keyboard.press("Escape")
    expect(more).to_be_focused()
    table.request.post("/api/trainings/baseline", data={"training": None})


def test_what_waits_for_a_guess_is_not_told_by_its_row_group_family_or_comparison(table: Page) -> None:
    run = found(table)[2].split("/")[0]
    table.evaluate("(run) => localStorage.setItem('guesses', JSON.stringify({[run]: ''}))", run)
    table.reload()
    outcomes = row_of(table, run).locator("[data-column='best_val_accuracy'], [data-column='test_accuracy']")
    expect(outcomes).to_have_text(["guess first", "guess first"])
    for model in ("model1", "model2"):
        row_of(table, run, model).get_by_role("checkbox").check()
    table.get_by_role("button", name="Compare these two").click()
    expect(table.locator("#problem")).to_contain_text("Guess first")
    do_with(row_of(table, run), "Family")
    expect(table.locator("#family div:has(.asked) [data-of='model1']")).to_have_text(re.compile("guess first"))
    table.keyboard.press("Escape")
    table.fill("#history-search", run)
    table.check("#history-grouped")
    expect(table.locator("#runs [data-column='best_val_accuracy'] .told").first).to_have_text("guess first")


def test_what_can_be_done_with_the_chosen_stays_in_sight(table: Page) -> None:
    for number in (40, 45):
        table.locator("#runs tbody tr").nth(number).get_by_role("checkbox").check()
    expect(table.get_by_role("button", name="Compare these two")).to_be_in_viewport()
    table.set_viewport_size({"width": 390, "height": 844})
    table.locator("#runs tbody tr").nth(20).scroll_into_view_if_needed()
    expect(table.get_by_role("button", name="Compare these two")).to_be_in_viewport()
    assert not is_wider_than_screen(table)
