"""The page in a real browser, on a real server that trains on real images."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response, expect, sync_playwright

from config import MODEL_NAMES, PRESETS, SCHEMA

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PATIENCE_MS = 15_000  # for a busy machine; nothing waits that long in the ordinary

COUNT_POINTS = """(wanted) => {
    const lines = document.querySelector("#chart").data ?? [];
    return ["Model 1 training", "Model 2 training"].every((name) =>
        lines.filter((line) => line.name === name).some((line) => line.y.filter(Number.isFinite).length >= wanted));
}"""


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Return once the condition holds; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} within {seconds:g} s"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


class Server:
    """The program as a user starts it, on a port that stays the same when it is started again."""

    def __init__(self, data_dir: Path, runs_dir: Path) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/"
        self._options = ["--data-dir", str(data_dir), "--runs-dir", str(runs_dir)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "server.py", "--port", str(self._port), *self._options]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: answers(self.url), "answer from the server")

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=30)


@pytest.fixture(scope="module")
def server(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(data_dir, tmp_path_factory.mktemp("runs"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "no Chromium found: install one or name it in the environment variable CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Faults(list[str]):
    """What went wrong in the browser. Chromium reports every refused request as an error; `expected` are such."""

    expected = re.compile("$^")

    def watch(self, page: Page, origin: str) -> None:
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.append(f"page error: {error}"))
        page.on("request", lambda request: self._check_origin(request.url, origin))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not self.expected.search(text):
            self.append(f"console {kind}: {text}")

    def _check_origin(self, url: str, origin: str) -> None:
        if url.startswith("http") and urlsplit(url)[:2] != urlsplit(origin)[:2]:
            self.append(f"left the origin: {url}")


@pytest.fixture
def faults() -> Iterator[Faults]:
    faults = Faults()
    yield faults
    assert faults == []


@pytest.fixture
def page(browser: Browser, server: Server, faults: Faults) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page = context.new_page()
    faults.watch(page, server.url)
    page.goto(server.url)
    expect(page.locator("#start")).to_be_enabled()
    yield page
    if not page.is_closed() and page.locator("#stop").is_enabled():
        page.click("#stop")
        expect(page.locator("#start")).to_be_enabled()
    context.close()


def show_settings(page: Page) -> None:
    """Unfold the forms where an earlier run has folded them."""
    if page.locator("#fold").get_attribute("aria-expanded") == "false":
        page.click("#fold")


def set_quick_models(page: Page, epochs: int = 100) -> None:
    """Set both models so small that the CPU gives them several hundred steps a second."""
    show_settings(page)
    for model, kernels in zip(MODEL_NAMES, ("4", "8"), strict=True):
        while page.locator(f"#{model} [data-layers='-1']").is_enabled():
            page.click(f"#{model} [data-layers='-1']")
        page.locator(f"[name='{model}.kernels.1']").fill(kernels)
        page.locator(f"[name='{model}.batch_size']").fill("128")
        page.locator(f"[name='{model}.epochs']").fill(str(epochs))


def start(page: Page) -> None:
    """Start a run and return once the figure shows it, and no longer the run before."""
    drawn = page.locator("#chart").evaluate("chart => chart.dataset.drawn ?? null")
    page.click("#start")
    page.wait_for_function("(drawn) => (document.querySelector('#chart').dataset.drawn ?? null) !== drawn", arg=drawn)


def badges(page: Page, state: str) -> None:
    for model in MODEL_NAMES:
        expect(page.locator(f"#{model} .badge")).to_have_text(state)


def steps(page: Page) -> list[str]:
    return page.locator("[data-figure='step']").all_text_contents()


def brings_nothing_new(response: Response) -> bool:
    return "/api/metrics" in response.url and response.json()["models"] == {}


def is_wider_than_screen(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


# What a module of pure functions returns, evaluated in the browser.


def run_in(page: Page, module: str, expression: str) -> object:
    return page.evaluate(f"async () => {{ const m = await import('/static/{module}.js'); return {expression}; }}")


def test_thinning_keeps_ends_and_every_spike(page: Page) -> None:
    wave = "Array.from({length: 5000}, (_, i) => i === 1234 ? 99 : i === 4321 ? -99 : Math.sin(i))"
    kept = run_in(page, "series", f"m.thin({wave}, 1000)")
    assert isinstance(kept, list)
    assert len(kept) <= 1000
    assert kept == sorted(set(kept))
    assert {0, 1234, 4321, 4999} <= set(kept)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("m.thin([], 10)", []),
        ("m.thin([3, 1, 2], 10)", [0, 1, 2]),
        ("m.append({a: [1]}, {a: [2, 3]})", {"a": [1, 2, 3]}),
        ("m.append({}, {a: [2]})", {"a": [2]}),
        ("m.pick([5, 6, 7], [0, 2])", [5, 7]),
        ("m.smooth([0.1, 0.2, 0.3], [2, 2, 2], 0.05).map((v) => +v.toFixed(9))", [2, 2, 2]),
        ("m.smooth([0.1, 0.2], [null, 4], 0.05)", [None, 4]),
        ("m.bound({a: [1, 2, 3, 4, 5, 6, 7, 8, 9]}, 'a', 8).a.length <= 4", True),
    ],
)
def test_series_functions_return_what_they_say(page: Page, expression: str, expected: object) -> None:
    assert run_in(page, "series", expression) == expected


def test_smoothing_is_equal_in_images_for_two_batch_sizes(page: Page) -> None:
    curve = "(n) => Array.from({length: n}, (_, i) => (i + 1) / n)"
    ends = run_in(page, "series", f"[100, 1000].map((n) => m.smooth(({curve})(n), ({curve})(n), 0.1).at(-1))")
    assert isinstance(ends, list)
    assert ends[0] == pytest.approx(ends[1], abs=0.01)


def test_a_reset_replaces_the_history_and_a_delta_extends_it(page: Page) -> None:
    models = "{model1: {state: 'running', points: {step: [step], loss: [1]}, evaluations: {}}}"
    answer = f"({{reset, step}}) => ({{boot: 'b', run: 'r', next: step, reset, models: {models}}})"
    answers = "[{reset: true, step: 1}, {reset: false, step: 2}, {reset: true, step: 9}]"
    merge = f"((known) => (each) => (known = m.merge(known, ({answer})(each))).models.model1.points.step)(m.NO_HISTORY)"
    assert run_in(page, "history", f"{answers}.map({merge})") == [[1], [1, 2], [9]]


def test_an_idle_answer_leaves_the_models_as_they_are(page: Page) -> None:
    known = "{boot: 'b', run: 'r', next: 5, models: {model1: {state: 'paused'}}}"
    merged = run_in(page, "history", f"m.merge({known}, {{boot: 'b', run: 'r', next: 5, reset: false, models: {{}}}})")
    assert merged == {"boot": "b", "run": "r", "next": 5, "models": {"model1": {"state": "paused"}}}


def test_retries_wait_twice_as_long_each_time_but_never_over_half_a_minute_and_a_bit(page: Page) -> None:
    assert run_in(page, "poller", "[1, 2, 3, 9].map((n) => m.retryDelay(n, 0.5))") == [2000, 4000, 8000, 30000]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [("null", "–"), ("7.4", "7.4 s"), ("38", "38 s"), ("125", "2 min 05 s"), ("3780", "1 h 03 min")],
)
def test_durations_read_naturally(page: Page, seconds: str, text: str) -> None:
    assert run_in(page, "format", f"m.duration({seconds})") == text


# The page itself.


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
            shown = page.evaluate("async (m) => (await import('/static/form.js')).readSettings(m)", model)
            assert shown == config.model_dump(mode="json")
        differing = [key for key, value in preset.model1 if value != getattr(preset.model2, key)]
        marked = page.locator(".mark.differs").evaluate_all("marks => marks.map((mark) => mark.dataset.mark)")
        assert marked == differing
        for key in differing:
            expect(page.locator("#difference")).to_contain_text(SCHEMA["properties"][key]["title"])


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
    expect(learning_rate.locator(".fault")).to_have_text(re.compile('learning_rate must be .* got "3x"'))
    expect(page.locator(".field[data-name='model2.batch_size'] .fault")).to_contain_text("batch_size must be")
    expect(page.locator("[name='model1.learning_rate']")).to_be_focused()
    expect(page.locator("[name='model1.learning_rate']")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#start")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()
    page.locator("[name='model1.learning_rate']").fill("0.01")
    expect(learning_rate.locator(".fault")).to_have_text("")


def test_a_bad_setting_shows_while_one_types(page: Page, faults: Faults) -> None:
    faults.expected = re.compile("400")
    show_settings(page)
    page.locator("[name='model2.dropout']").fill("1.5")
    expect(page.locator(".field[data-name='model2.dropout'] .fault")).to_contain_text("0.95")


def test_a_comparison_starts_grows_pauses_resumes_and_stops(page: Page) -> None:
    set_quick_models(page)
    start(page)
    badges(page, "running")
    page.wait_for_function(COUNT_POINTS, arg=2)
    expect(page.locator("#empty")).to_be_hidden()
    expect(page.locator("#start")).to_be_disabled()
    expect(page.locator("#model1 .fields")).to_be_hidden()
    page.wait_for_function(COUNT_POINTS, arg=200)
    expect(page.locator("#model1 [data-figure='accuracy']")).to_contain_text("%")

    page.click("#pause")
    badges(page, "paused")
    expect(page.locator("#state")).to_have_text("Paused")
    with page.expect_response(brings_nothing_new):  # the batch under way at the pause has been told by then
        pass
    at_pause = steps(page)
    with page.expect_response(brings_nothing_new):
        pass
    assert steps(page) == at_pause

    page.click("#pause")
    badges(page, "running")
    expect(page.locator("#model1 [data-figure='step']")).not_to_have_text(at_pause[0])
    expect(page.locator("#model2 [data-figure='step']")).not_to_have_text(at_pause[1])

    page.click("#stop")
    badges(page, "stopped")
    expect(page.locator("#start")).to_be_enabled()


def test_one_model_pauses_while_the_other_goes_on(page: Page) -> None:
    set_quick_models(page)
    start(page)
    badges(page, "running")
    page.get_by_role("button", name="Pause model 1").click()
    expect(page.locator("#model1 .badge")).to_have_text("paused")
    expect(page.locator("#model2 .badge")).to_have_text("running")
    page.get_by_role("button", name="Resume model 1").click()
    badges(page, "running")
    page.get_by_role("button", name="Stop model 2").click()
    expect(page.locator("#model2 .badge")).to_have_text("stopped")
    expect(page.locator("#model1 .badge")).to_have_text("running")


def test_a_finished_run_shows_both_test_accuracies(page: Page) -> None:
    set_quick_models(page, epochs=1)
    start(page)
    badges(page, "finished")
    expect(page.locator("#state")).to_have_text("Finished")
    for model in MODEL_NAMES:
        expect(page.locator(f"#{model} [data-figure='test_accuracy']")).to_have_text(re.compile(r"^\d\d\.\d %$"))


def test_pointing_at_the_figure_tells_model_step_epoch_loss_accuracy_and_time(page: Page) -> None:
    set_quick_models(page, epochs=1)
    start(page)
    badges(page, "finished")
    box = page.locator("#chart .nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=5)
    label = page.locator("#chart .hoverlayer")
    for word in ("epoch 0.", "Model 1 loss", "Model 2 loss", "Model 1 accuracy", "Model 2 accuracy", "step", " s"):
        expect(label).to_contain_text(word)


def test_a_zoom_is_kept_when_new_points_arrive(page: Page) -> None:
    set_quick_models(page)
    start(page)
    page.wait_for_function(COUNT_POINTS, arg=50)
    box = page.locator("#chart .nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5, steps=4)
    page.mouse.up()
    zoomed = page.evaluate("document.querySelector('#chart').layout.xaxis.range")
    before = page.locator("#model1 [data-figure='step']").text_content()
    expect(page.locator("#model1 [data-figure='step']")).not_to_have_text(before or "")
    assert page.evaluate("document.querySelector('#chart')._fullLayout.xaxis.range") == zoomed


def test_a_reload_shows_the_running_comparison_and_its_settings(page: Page) -> None:
    set_quick_models(page)
    start(page)
    badges(page, "running")
    page.reload()
    badges(page, "running")
    page.wait_for_function(COUNT_POINTS, arg=2)
    expect(page.locator("[name='model2.kernels.1']")).to_have_value("8")
    expect(page.locator("[name='model2.kernels.1']")).to_be_disabled()


def test_a_running_comparison_fits_on_a_screen_of_1280_by_800(page: Page) -> None:
    set_quick_models(page)
    start(page)
    page.wait_for_function(COUNT_POINTS, arg=2)
    assert page.evaluate("document.documentElement.scrollHeight <= window.innerHeight")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_follows_the_system_until_one_is_chosen_and_remembered(page: Page, theme: str) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    by_system = page.evaluate(ground)
    page.emulate_media(color_scheme="light" if theme == "dark" else "dark")
    assert page.evaluate(ground) != by_system
    page.locator(f"[name='theme'][value='{theme}']").check()
    assert page.evaluate(ground) == by_system
    page.reload()
    expect(page.locator(f"[name='theme'][value='{theme}']")).to_be_checked()
    assert page.evaluate(ground) == by_system


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scroll(page: Page, theme: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    show_settings(page)
    for summary in page.locator(".advanced summary").all():
        if not summary.evaluate("summary => summary.parentElement.open"):
            summary.click()
    assert not is_wider_than_screen(page)
    set_quick_models(page)
    start(page)
    page.wait_for_function(COUNT_POINTS, arg=2)
    assert not is_wider_than_screen(page)


def test_the_page_says_when_the_server_is_gone_and_finds_it_again(page: Page, server: Server, faults: Faults) -> None:
    faults.expected = re.compile("ERR_CONNECTION|ERR_EMPTY|503")
    server.stop()
    try:
        expect(page.locator("#banner")).to_contain_text("Lost touch with the server")
        expect(page.locator("#connection")).to_have_text("no connection")
    finally:
        server.start()
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#start")).to_be_enabled()
