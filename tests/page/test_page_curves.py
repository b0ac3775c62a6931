"""The figure: that its lines are true, and that the winner is seen in it."""

import math
import re
import sqlite3
from typing import Any

import numpy as np
import pytest
from browser import (
    COUNT_POINTS,
    Faults,
    Server,
    ask,
    choose,
    lay_behind,
    lines,
    open_from_history,
    run_in,
    set_quick_models,
    start,
    stop_training,
    train_to_the_end,
    wait_for,
)
from drawn import DROPOUT, EARLY, NOISE, OPTIMIZER, Shown, look, look_until, sit_still, window
from histories import points_in
from playwright.sync_api import Page, Route, expect

from config import MODEL_NAMES

WINDOW = 2_750
QUANTITIES = ("loss", "accuracy")


# The lines are true


def losses_of(server: Server, run: str, model: str) -> list[tuple[float, float]]:
    """Return (epoch, loss) of every step that is on the disk."""
    database = sqlite3.connect(f"file:{server.runs_dir / 'history.sqlite'}?mode=ro", uri=True)
    rows = [(epoch, loss) for _, epoch, _, loss, _ in points_in(database, model, run)]
    database.close()
    return rows


def averages(points: list[tuple[float, float]], window: float) -> dict[str, float]:
    """Return the debiased moving average of all losses by its definition, by the epoch as the page knows it.

    window: in epochs.
    """
    found, total, before = {}, 0.0, 0.0
    for epoch, loss in points:
        share = -math.expm1(-(epoch - before) / window)
        total += share * (loss - total)
        found[f"{epoch:.6g}"] = total / -math.expm1(-epoch / window)
        before = epoch
    return found


def check_lines(page: Page, server: Server, run: str, window: int = WINDOW, least: int = 100) -> None:
    drawn, images = lines(page), ask(page, "config")["images"]["train"]
    for model in MODEL_NAMES:
        expected = averages(losses_of(server, run, model), window / images)
        line = drawn[f"{model}-loss"]
        assert len(line["x"]) > least
        wrong = [
            (x, y, expected[f"{x:.6g}"])
            for x, y in zip(line["x"], line["y"], strict=True)
            if abs(y / expected[f"{x:.6g}"] - 1) > 0.01
        ]
        assert wrong == []
        end = float(f"{line['x'][-1]:.6g}")
        everywhere = {float(epoch): average for epoch, average in expected.items() if float(epoch) <= end}
        joined = np.interp(list(everywhere), line["x"], line["y"])
        assert abs(np.mean(joined / list(everywhere.values())) - 1) < 0.01  # between its points, neither high nor low


def test_the_training_line_is_the_average_of_all_batches_live_after_a_reload_and_of_a_past_run(
    page: Page, server: Server
) -> None:
    configs = {
        name: {"kernels": [4], "batch_size": size, "epochs": 5}
        for name, size in zip(MODEL_NAMES, (16, 64), strict=True)
    }
    stop_training(page)
    run = page.request.post("/api/start", data=configs).json()["run"]
    page.wait_for_function(COUNT_POINTS, arg=200)
    with page.expect_response(re.compile("api/metrics")):
        pass  # a delta has been drawn behind the first answer
    page.wait_for_function(COUNT_POINTS, arg=300)
    drawn = lines(page)["model1-loss"]["x"][-1]
    wait_for(lambda: losses_of(server, run, "model1")[-1][0] > drawn, "points on the disk")
    check_lines(page, server, run)
    wait_for(
        lambda: not {"idle", "running"} & {m["state"] for m in ask(page, "metrics")["models"].values()}, "end", 300
    )
    page.reload()
    expect(page.locator("#state")).to_have_text("Finished")
    page.wait_for_selector("#chart[data-drawn]")
    check_lines(page, server, run)
    slider = page.get_by_role("slider", name="Smoothing")
    before = look(page, "data.find(({uid}) => uid === 'model1-loss').y.at(-1)")
    slider.fill("7")
    look_until(page, "data.find(({uid}) => uid === 'model1-loss').y.at(-1) !== known", before)
    check_lines(page, server, run, 27_500)
    before = lines(page)["model1-loss"]["y"][-1]
    slider.fill("1")
    look_until(page, "data.find(({uid}) => uid === 'model1-loss').y.at(-1) !== known", before)
    check_lines(page, server, run, 275)
    slider.fill("4")
    train_to_the_end(page, {name: {"kernels": [4], "batch_size": 4096, "epochs": 1} for name in MODEL_NAMES})
    page.click("#tab-history")
    open_from_history(page, run)
    page.wait_for_selector(f"#chart[data-drawn='{run}']")
    check_lines(page, server, run)


def test_the_card_shows_loss_and_accuracy_where_their_curves_end(finished: Page) -> None:
    for images, title in (("2,750", "Smoothed loss"), (None, "Batch loss")):
        if images is None:
            finished.get_by_role("slider", name="Smoothing").fill("0")
            look_until(finished, "data.find(({uid}) => uid === 'model1-raw-loss').visible === false")
        for model in MODEL_NAMES:
            card = finished.locator(f"#{model} .live")
            loss, accuracy = (
                card.locator(".stat", has=finished.locator(f"[data-figure='{name}']")) for name in QUANTITIES
            )
            expect(loss.locator("dt")).to_have_text(title)
            for titled in (loss, accuracy.locator("dd")):
                said = f"moving average over {images} images" if images else "while smoothing is off"
                expect(titled).to_have_attribute("title", re.compile(said))
            ends = [lines(finished)[f"{model}-{name}"]["y"][-1] for name in QUANTITIES]
            expect(loss.locator("dd")).to_have_text(f"{ends[0]:.3f}")
            expect(accuracy.locator("dd")).to_have_text(f"{100 * ends[1]:.1f} %")
    for model in MODEL_NAMES:
        loss = finished.locator(f"#{model} [data-figure='loss']")
        expect(loss).to_have_text(f"{ask(finished, 'metrics')['models'][model]['loss']:.3f}")


# What is seen, in the figures of recorded runs


def point_px(page: Page) -> float:
    """Return how many pixels high a tenth of a point of accuracy is."""
    return float(look(page, "full.yaxis2.l2p(0.8) - full.yaxis2.l2p(0.801)"))


@pytest.mark.parametrize("run", [OPTIMIZER, DROPOUT])
def test_a_tenth_of_a_point_between_the_ends_is_a_pixel(shown: Shown, run: str) -> None:
    shown.run = run
    page = shown.open()
    ends = [model["evaluations"]["accuracy"][-1] for model in ask(page, f"runs/{run}")["models"].values()]
    place = "data.find(({uid}) => uid === `${name}-validation-accuracy`).y.at(-1)"
    pixels = look(page, f"['model1', 'model2'].map((name) => full.yaxis2._offset + full.yaxis2.l2p({place}))")
    panel = look(page, "[full.yaxis2._offset, full.yaxis2._offset + full.yaxis2._length]")
    assert all(panel[0] <= pixel <= panel[1] for pixel in pixels)
    assert abs(pixels[0] - pixels[1]) >= 1000 * abs(ends[0] - ends[1])


def test_so_it_is_for_a_run_opened_from_the_history(shown: Shown) -> None:
    page = shown.open()
    page.click("#tab-history")
    open_from_history(page, DROPOUT)
    page.wait_for_selector(f"#chart[data-drawn='{DROPOUT}']")
    assert point_px(page) >= 1


def test_smoothing_that_is_moved_quickly_ends_where_the_slider_says(shown: Shown) -> None:
    page = shown.open()
    page.click("#tab-history")
    open_from_history(page, DROPOUT)
    page.wait_for_selector(f"#chart[data-drawn='{DROPOUT}']")
    slider = page.locator("[data-view='smoothing']")
    for key in ("End", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        slider.press(key)
    images = str(page.locator("#smoothing-images").text_content())
    loss = page.locator("#model1 .live [data-figure='loss']").locator("xpath=ancestor-or-self::*[@title][1]")
    expect(loss).to_have_attribute("title", re.compile(f"moving average over {images},"))
    slider.press("End")
    expect(loss).to_have_attribute("title", re.compile("moving average over 27,500 images,"))


def test_smoothing_that_the_server_did_not_answer_is_asked_for_again(shown: Shown, faults: Faults) -> None:
    page = shown.open()
    page.click("#tab-history")
    open_from_history(page, DROPOUT)
    page.wait_for_selector(f"#chart[data-drawn='{DROPOUT}']")
    faults.expected = re.compile("ERR_FAILED")
    wanted = f"**/api/runs/{DROPOUT}?smoothing=27500"
    page.route(wanted, lambda route: route.abort())
    page.locator("[data-view='smoothing']").press("End")
    expect(page.locator("#problem")).to_have_text("The curves cannot be smoothed anew: the server does not answer.")
    page.unroute(wanted)
    loss = page.locator("#model1 .live [data-figure='loss']").locator("xpath=ancestor-or-self::*[@title][1]")
    expect(loss).to_have_attribute("title", re.compile("moving average over 27,500 images,"))
    expect(page.locator("#problem")).to_be_hidden()


def test_the_first_tenth_leaves_the_window_in_marks_and_the_whole_range_shows_it(shown: Shown) -> None:
    page = shown.open()
    assert window(page, "yaxis")[1] < 1
    drawn = lines(page)
    for model in MODEL_NAMES:
        for line in ("loss", "accuracy", "validation-loss"):
            assert drawn[f"{model}-{line}-edges"]["x"], f"{line} of {model} ends in nothing"
    high = window(page, "yaxis")[1]
    assert set(drawn["model1-loss-edges"]["y"]) <= set(window(page, "yaxis"))
    page.get_by_label("Whole range").check()
    look_until(page, "full.yaxis.range[1] > 2 * known", high)
    whole = lines(page)
    for model in MODEL_NAMES:
        for axis, names in {
            "yaxis": ("loss", "raw-loss", "validation-loss"),
            "yaxis2": ("accuracy", "raw-accuracy"),
        }.items():
            low, high = window(page, axis)
            assert all(low <= y <= high for name in names for y in whole[f"{model}-{name}"]["y"])
        assert not whole[f"{model}-loss-edges"]["x"]


def zoom_x(page: Page, start: float, end: float) -> None:
    box = page.locator("#chart .nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * start, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, box["y"] + box["height"] * 0.5, steps=4)
    page.mouse.up()


def visible(page: Page, line: str) -> list[float]:
    low, high = window(page, "xaxis")
    found = lines(page)[line]
    return [y for x, y in zip(found["x"], found["y"], strict=True) if low <= x <= high]


def test_a_zoom_along_x_refits_y_unless_y_was_zoomed_by_hand(shown: Shown) -> None:
    page = shown.open()
    before = {axis: window(page, axis) for axis in ("yaxis", "yaxis2", "yaxis3")}
    zoom_x(page, 0.005, 0.06)  # the very start
    look_until(page, "full.yaxis.range[1] > known", before["yaxis"][1])
    low, high = window(page, "yaxis")
    for model in MODEL_NAMES:
        assert all(low <= y <= high for y in visible(page, f"{model}-loss"))
    page.locator("#chart .nsewdrag").first.dblclick()
    look_until(page, "full.yaxis.range[1] === known", before["yaxis"][1])
    box = page.locator("#chart .nsdrag").first.bounding_box()  # the axis of the loss
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + 20, steps=4)
    page.mouse.up()
    look_until(page, "full.yaxis.range[1] !== known", before["yaxis"][1])
    chosen = window(page, "yaxis")
    zoom_x(page, 0.6, 0.9)
    look_until(page, "full.yaxis2.range[0] !== known", before["yaxis2"][0])
    assert window(page, "yaxis") == chosen
    assert window(page, "yaxis2")[0] > before["yaxis2"][0]
    choose(page, "x", "images")
    look_until(page, "full.xaxis.range[0] === 0")


def break_down(answer: dict[str, Any]) -> None:
    """Let model 2 diverge after its first epoch, as far as numbers go."""
    model = answer["models"]["model2"]
    model["state"] = "failed"
    count = sum(epoch <= 1.1 for epoch in model["points"]["epoch"])
    for name, column in model["points"].items():
        model["points"][name] = column[:count]
    for name in ("loss", "smooth_loss"):
        model["points"][name][-5:] = [30.0, 5e6, 4e19, 1e31, None]
    for name, column in model["evaluations"].items():
        model["evaluations"][name] = column[:2]


@pytest.mark.parametrize("alter", [break_down, sit_still])
def test_a_model_that_is_lost_does_not_squeeze_the_other_and_is_marked(shown: Shown, alter: Any) -> None:
    shown.alter = alter
    page = shown.open()
    assert point_px(page) >= 1
    assert window(page, "yaxis")[1] < 1
    drawn = lines(page)
    for line in ("loss", "validation-loss", "validation-accuracy"):
        assert drawn[f"model2-{line}-edges"]["x"]
    texts = look(page, "layout.annotations.map(({text}) => text)")
    assert any(text.startswith("◆") and text.endswith("↓") for text in texts)
    page.get_by_label("Whole range").check()
    look_until(page, "full.yaxis.range[1] > 2")
    page.get_by_label("Log loss").check()
    look_until(page, "full.yaxis.type === 'log'")


def test_an_overlay_is_smoothed_like_a_run_of_its_own(shown: Shown) -> None:
    page = shown.open()
    lay_behind(page, EARLY)
    for position, smoothing in ((4, WINDOW), (6, 11_000)):
        page.get_by_role("slider", name="Smoothing").fill(str(position))
        points = ask(page, f"runs/{EARLY}?smoothing={smoothing}")["models"]["model1"]["points"]
        end = f"data.find(({{uid}}) => uid === 'overlay-{EARLY}-model1-loss')?.y.at(-1) === known"
        look_until(page, end, points["smooth_loss"][-1])
        drawn = lines(page)[f"overlay-{EARLY}-model1-loss"]
        assert set(zip(drawn["x"], drawn["y"], strict=True)) <= set(
            zip(points["epoch"], points["smooth_loss"], strict=True)
        )


def test_a_diverged_overlay_leaves_the_window_as_it_is(shown: Shown) -> None:
    page = shown.open()
    before = [window(page, axis) for axis in ("yaxis", "yaxis2")]

    def diverge(route: Route) -> None:
        answer = route.fetch().json()
        for model in answer["models"].values():
            model["points"]["smooth_loss"] = [1e31] * len(model["points"]["step"])
        route.fulfill(json=answer)

    page.route(f"**/api/runs/{EARLY}*", diverge)
    lay_behind(page, EARLY)
    look_until(page, "data.some(({uid}) => uid.startsWith('overlay-'))")
    assert [window(page, axis) for axis in ("yaxis", "yaxis2")] == before
    assert lines(page)[f"overlay-{EARLY}-model1-loss-edges"]["x"]


def test_the_strip_fits_recent_gaps_and_has_a_band_of_noise(shown: Shown) -> None:
    page = shown.open()
    gaps = lines(page)["gap"]["y"]
    low, high = window(page, "yaxis3")
    assert high < gaps[0]  # of a quarter of the first epoch
    assert max(gaps[2:]) <= high
    noise = 100 * NOISE
    band = look(page, "layout.shapes.find(({type}) => type === 'rect')")
    assert [band["y0"], band["y1"]] == pytest.approx([-noise, noise])
    assert low <= -noise
    assert lines(page)["gap-edges"]["x"]
    texts = look(page, "layout.annotations.map(({text}) => text)")
    assert f"● +{gaps[-1]:.1f}" in texts


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.5, 0.5, ["0.5", "0", "0.5"]),
        (-2.6, 1.2, ["2", "0"]),
        (-31, 60, ["0", "50"]),
        (0.5, 0.75, ["0.5", "0.6", "0.7"]),
        (0.31, 0.37, ["0.32", "0.34", "0.36"]),
    ],
)
def test_the_strip_counts_from_zero_to_both_sides(shown: Shown, low: float, high: float, expected: list[str]) -> None:
    assert run_in(shown.open(), "figure/figure", f"m.gapTicks([{low}, {high}]).ticktext") == expected


def test_start_of_a_training_shows_all_that_there_is(shown: Shown) -> None:
    shown.run = EARLY
    page = shown.open()
    for axis, line in (("yaxis", "loss"), ("yaxis2", "accuracy")):
        low, high = window(page, axis)
        for model in MODEL_NAMES:
            drawn = lines(page)
            recent = [y for x, y in zip(*(drawn[f"{model}-{line}"][axis] for axis in "xy"), strict=True) if x > 0.1]
            assert all(low <= y <= high for y in recent)
            assert low <= drawn[f"{model}-validation-{line}"]["y"][0] <= high


def test_neither_model_is_drawn_wholly_over_the_other(shown: Shown) -> None:
    page = shown.open()
    found = look(page, "Object.fromEntries(data.map(({uid, line}, index) => [uid, {index, ...line}]))")
    assert found["model1-loss"]["width"] > found["model2-loss"]["width"]
    assert found["model1-validation-loss"]["dash"] != found["model2-validation-loss"]["dash"]
    assert found["model2-raw-loss"]["index"] < found["model1-loss"]["index"] < found["model1-validation-loss"]["index"]


# On the way


def test_a_box_zoom_stays_while_points_arrive_and_the_house_ends_it(page: Page) -> None:
    set_quick_models(page)
    start(page)
    page.wait_for_function(COUNT_POINTS, arg=50)
    zoom_x(page, 0.2, 0.5)
    zoomed = window(page, "xaxis")
    end = "data.find(({uid}) => uid === 'model1-loss').x.at(-1)"
    look_until(page, f"{end} > known", look(page, end))
    assert window(page, "xaxis") == zoomed
    page.hover("#chart")
    page.locator("#chart .modebar-btn[data-title='Reset axes']").click()
    look_until(page, "full.xaxis.range[0] === 0")
