"""Verdict, targets, figure, table and notes."""

import json
import re

import pytest
from browser import (
    COUNT_POINTS,
    DIVERGING,
    SMALL,
    Faults,
    ask,
    badges,
    choose,
    is_wider_than_screen,
    lines,
    run_in,
    set_quick_models,
    start,
    train_to_the_end,
)
from playwright.sync_api import Page, Route, expect

from config import MODEL_NAMES

# The verdict


@pytest.mark.parametrize("axis", ["epochs", "seconds", "images", "flops"])
def test_the_verdict_holds_at_an_equal_place_on_each_axis(finished: Page, axis: str) -> None:
    answer = ask(finished, f"comparison?axis={axis}")
    choose(finished, "axis", axis)
    for part in ("first", "second"):
        expect(finished.locator(f"[data-verdict='{part}']")).to_have_text(answer["verdict"][part])
    expect(finished.locator("[data-verdict='loss']")).to_have_text(answer["verdict"]["loss"]["text"])
    expect(finished.locator("[data-verdict='accuracies']")).to_contain_text("noise of the difference ±")
    expect(finished.locator("#verdict")).to_have_attribute("data-leader", answer["verdict"]["leader"] or "")
    reached = next(target for target in answer["targets"] if target["accuracy"] == 0.8)["model2"]
    place = run_in(finished, "base/format", f"m.position('{axis}', {json.dumps(reached and reached[axis])})")
    expect(finished.locator(".targets [data-row='model2'] td").first.locator("span").first).to_have_text(place)


def test_the_end_shows_test_accuracies_with_their_intervals(finished: Page) -> None:
    tests = ask(finished, "comparison?axis=epochs")["test"]
    for model in MODEL_NAMES:
        cell = finished.locator(f".targets [data-row='{model}'] td").last
        expect(cell).to_contain_text(f"{100 * tests[model]['accuracy']:.1f} %")
        expect(cell).to_contain_text(f"{100 * tests[model]['low']:.1f}–{100 * tests[model]['high']:.1f}")


def test_the_verdict_comes_with_the_first_evaluation_and_nothing_moves(page: Page) -> None:
    set_quick_models(page, batch_size=8)  # a while until the first
    start(page)
    expect(page.locator("[data-verdict='first']")).to_have_text(
        re.compile("^The first comparison|so far")
    )  # no other's
    box = page.locator("#chart").bounding_box()
    expect(page.locator("[data-verdict='first']")).to_have_text(re.compile("so far"))
    expect(page.locator("[data-verdict='interval']")).to_have_text(re.compile(r"at \d.*checked every 0\.25 epochs"))
    assert page.locator("#chart").bounding_box() == box


def test_the_statement_says_what_is_awaited_before_it_can_say_more(page: Page) -> None:
    set_quick_models(page)
    for model in MODEL_NAMES:
        page.locator(f"[name='{model}.batch_size']").fill("1")  # long until the first evaluation
    start(page)
    expect(page.locator("[data-verdict='first']")).to_have_text(re.compile("^The first comparison comes once both"))
    expect(page.locator("#repeat")).to_be_hidden()


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_moves_when_the_statement_gets_longer(finished: Page, width: int) -> None:
    finished.set_viewport_size({"width": width, "height": 800})
    tops = set()
    for first, second in (
        ("Too close to call so far: neither leads at equal epochs.", "This can still change. No setting differs."),
        (
            "Too close to call: model 1 scores 0.02 points more on the test images, within chance between these two "
            "networks (p = 0.96).",
            "3 settings differ (optimizer, learning rate, epochs). The gap cannot be put down to one of these. "
            "Repeats with other seeds tell more.",
        ),
    ):
        write = "(e, text) => { e.textContent = text; }"
        finished.locator("[data-verdict='first']").evaluate(write, first)
        finished.locator("[data-verdict='second']").evaluate(write, second)
        tops.add(finished.locator("#verdict").evaluate("strip => strip.getBoundingClientRect().height"))
    assert len(tops) == 1
    assert not is_wider_than_screen(finished)


def test_repeat_opens_the_repeats_with_what_is_shown_ready_for_five(page: Page) -> None:
    train_to_the_end(page, {"model1": SMALL, "model2": SMALL | {"dropout": 0.25}})
    expect(page.locator("#state")).to_have_text("Finished")
    set_quick_models(page)  # the forms say something else by now
    page.get_by_role("button", name="Repeat 5×").click()
    expect(page.locator("#panel-repeats")).to_be_visible()
    expect(page.locator("#repeats-count")).to_have_value("5")
    expect(page.locator("#repeats-start")).to_be_focused()
    expect(page.locator("[name='model2.dropout']")).to_have_value("0.25")
    expect(page.locator("#difference")).to_have_text("One setting differs: Dropout")
    expect(page.locator("#kept")).to_contain_text("What you had set comes back")
    page.wait_for_timeout(2500)  # a poll must not put it back over what is to be repeated
    expect(page.locator("[name='model2.dropout']")).to_have_value("0.25")
    page.click("#put-back")
    expect(page.locator("[name='model1.epochs']")).to_have_value("500")
    expect(page.locator("#kept")).to_have_text("")
    expect(page.locator("#put-back")).to_be_hidden()


# The table and the notes


def test_the_table_has_every_figure_and_marks_the_better_one(finished: Page) -> None:
    rows = ask(finished, "comparison?axis=epochs")["rows"]
    shown = finished.locator("#figures tbody tr")
    expect(shown).to_have_count(len(rows))
    for row in rows:
        line = finished.locator(f"[data-figure-row='{row['key']}']")
        expect(line.locator("th summary span").first).to_have_text(row["title"])
        for model, text in zip(MODEL_NAMES, (row["text1"], row["text2"]), strict=True):
            expect(line.locator(f"[data-of='{model}'] > span:nth-child(2)")).to_have_text(text)
        better = line.locator(".better").evaluate_all("cells => cells.map((cell) => cell.dataset.of)")
        assert better == ([row["better"]] if row["better"] else [])


def test_each_figure_explains_itself_and_cites_and_stays_open(page: Page) -> None:
    set_quick_models(page)
    start(page)
    row = next(row for row in ask(page, "comparison?axis=epochs")["rows"] if row["key"] == "instability")
    line = page.locator("[data-figure-row='instability']")
    line.locator("summary").click()
    expect(line.get_by_text(row["help"])).to_be_visible()
    expect(line.get_by_text(row["source"])).to_be_visible()
    with page.expect_response(re.compile("api/comparison")):
        pass
    with page.expect_response(re.compile("api/comparison")):
        pass
    expect(line.get_by_text(row["help"])).to_be_visible()


def add_notes(page: Page, *notes: dict[str, object]) -> None:
    """Let the server's comparison carry these notes."""

    def answer(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | {"notes": list(notes)})

    page.route("**/api/comparison*", answer)


def test_two_notes_are_shown_at_most_and_none_comes_back_once_dismissed(finished: Page) -> None:
    texts = {"plateau": "flat for 3 epochs", "overfit": "overfits: 3.1 points", "batch": "batch sizes differ"}
    add_notes(finished, *({"id": each, "model": "model2", "text": text} for each, text in texts.items()))
    choose(finished, "axis", "seconds")
    notes = finished.locator("#notes li .text")
    expect(notes).to_have_text(["flat for 3 epochs", "overfits: 3.1 points"])
    finished.locator("#notes li").first.get_by_role("button", name="Dismiss").click()
    expect(notes).to_have_text(["overfits: 3.1 points", "batch sizes differ"])
    finished.reload()
    expect(notes).to_have_text(["overfits: 3.1 points", "batch sizes differ"])


# The figure


def test_curves_are_training_and_validation_of_both_models_and_their_gap(finished: Page) -> None:
    drawn = lines(finished)
    for model in MODEL_NAMES:
        assert len(drawn[f"{model}-loss"]["x"]) == len(drawn[f"{model}-raw-loss"]["x"]) == 88
        assert drawn[f"{model}-loss"]["y"] != drawn[f"{model}-raw-loss"]["y"]
        assert drawn[f"{model}-validation-accuracy"]["x"] == pytest.approx([0.25, 0.5, 1], abs=0.01)
    models = ask(finished, "metrics")["models"]
    last = [100 * models[model]["evaluations"]["accuracy"][-1] for model in MODEL_NAMES]
    assert drawn["gap"]["y"][-1] == pytest.approx(last[0] - last[1])


def test_the_x_axis_is_epochs_seconds_or_images(finished: Page) -> None:
    points = ask(finished, "metrics")["models"]["model1"]["points"]
    seconds, epochs = points["seconds"][-1], points["epoch"][-1]
    ends = {"seconds": seconds, "images": epochs * ask(finished, "config")["images"]["train"], "epochs": epochs}
    for axis, end in ends.items():
        choose(finished, "x", axis)
        finished.wait_for_function(
            "([uid, end]) => Math.abs(document.querySelector('#chart').data.find((line) => line.uid === uid)"
            ".x.at(-1) - end) < 1e-6 * end",
            arg=["model1-loss", end],
        )


def test_loss_and_accuracy_are_stacked_or_overlaid_and_the_loss_logarithmic(finished: Page) -> None:
    axes = "(([a, b]) => [a, b])(['yaxis', 'yaxis2'].map((axis) => document.querySelector('#chart')._fullLayout[axis]))"
    state = f"{axes}.map((axis) => [axis.overlaying || '', axis.type])"
    assert finished.evaluate(state) == [["", "linear"], ["", "linear"]]
    choose(finished, "layout", "overlaid")
    finished.wait_for_function(f"() => {state}[1][0] === 'y'")
    finished.get_by_label("Log loss").check()
    finished.wait_for_function(f"() => {state}[0][1] === 'log'")
    finished.reload()
    finished.wait_for_selector("#chart[data-drawn]")
    assert finished.evaluate(state) == [["", "log"], ["y", "linear"]]


def test_the_slider_smooths_by_images_and_off_means_the_raw_line(finished: Page) -> None:
    slider = finished.get_by_role("slider", name="Smoothing")
    expect(finished.locator("#smoothing-images")).to_have_text("2,750 images")
    slider.fill("0")
    expect(finished.locator("#smoothing-images")).to_have_text("off")
    finished.wait_for_function(
        "() => !document.querySelector('#chart')._fullData.find((l) => l.uid === 'model1-raw-loss').visible"
    )
    raw = ask(finished, "metrics")["models"]["model1"]["points"]["loss"]
    assert lines(finished)["model1-loss"]["y"] == raw
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "275 images")


def test_a_click_on_the_legend_hides_a_line_and_new_points_leave_it_hidden(page: Page) -> None:
    set_quick_models(page)
    start(page)
    page.wait_for_function(COUNT_POINTS, arg=50)
    page.locator("#chart .legendtoggle").first.click()
    hidden = "document.querySelector('#chart')._fullData.find((line) => line.uid === 'model1-loss').visible"
    page.wait_for_function(f"() => {hidden} === 'legendonly'")
    with page.expect_response(re.compile("api/comparison")):
        pass
    with page.expect_response(re.compile("api/comparison")):
        pass
    assert page.evaluate(hidden) == "legendonly"


def test_pauses_and_ends_are_marked(page: Page) -> None:
    set_quick_models(page)
    start(page)
    page.wait_for_function(COUNT_POINTS, arg=50)
    page.click("#pause")
    badges(page, "paused")
    texts = "document.querySelector('#chart').layout.annotations.map(({text}) => text).join()"
    page.wait_for_function(f"() => {texts}.includes('paused')")
    page.click("#pause")
    badges(page, "running")
    page.click("#stop")
    page.locator("#confirm").get_by_role("button", name="Stop").click()
    badges(page, "stopped")
    page.wait_for_function(f"() => {texts}.includes('paused') && {texts}.includes('stopped')")


def test_a_triangle_marks_where_the_loss_stopped_being_a_number(page: Page) -> None:
    train_to_the_end(page, {"model1": SMALL, "model2": SMALL | DIVERGING})
    expect(page.locator("#model2 .badge")).to_have_text("failed")
    page.wait_for_function(
        "() => document.querySelector('#chart').data?.find((line) => line.uid === 'model2-broken').x.length === 1"
    )
    expect(page.locator("#chart .legend")).to_contain_text("Model 2 loss is not a number")
    expect(page.locator("#model2 .trouble")).to_contain_text(re.compile("^The loss became (NaN|infinite) at step"))
    expect(page.locator("#notes")).to_contain_text("Model 2 broke")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_picture_and_data_can_be_saved(finished: Page, faults: Faults) -> None:
    saved = {}
    for kind in ("png", "csv", "json"):
        finished.get_by_text("Export", exact=True).click()
        with finished.expect_download() as download:
            finished.locator(f"[data-export='{kind}']").click()
        assert download.value.suggested_filename.endswith(f".{kind}")
        saved[kind] = download.value.path().read_bytes()
    assert saved["png"].startswith(b"\x89PNG")
    assert len(saved["png"]) > 20_000
    models = ask(finished, "metrics")["models"]
    count = sum(models[m]["step"] + len(models[m]["evaluations"]["epoch"]) for m in MODEL_NAMES)
    assert len(saved["csv"].decode().splitlines()) == 1 + count
    losses = json.loads(saved["json"])["models"]["model1"]["points"]["loss"]
    assert len(losses) == models["model1"]["step"]
    assert losses[-1] == pytest.approx(models["model1"]["loss"])
