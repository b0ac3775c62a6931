"""What the browser tests share: the program as a user starts it, and hands to work its page with."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Locator, Page, Response, expect
from served import free_port

from config import MODEL_NAMES

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
Launch = Callable[[str], BrowserContext]  # starts a Chromium for the pages of a server
PATIENCE_MS = 120_000  # for a busy machine; nothing waits that long in the ordinary

COUNT_POINTS = """(wanted) => {
    const lines = document.querySelector("#chart").data ?? [];
    return ["Model 1 training", "Model 2 training"].every((name) =>
        lines.filter((line) => line.name === name).some((line) => line.y.filter(Number.isFinite).length >= wanted));
}"""
SMALL = {"kernels": [4], "batch_size": 128, "epochs": 1}
TWO_SMALL = {"model1": SMALL, "model2": SMALL | {"kernels": [8]}}
LONG = {name: config | {"epochs": 500} for name, config in TWO_SMALL.items()}
DIVERGING = {"optimizer": "sgd", "learning_rate": 10.0, "weight_decay": 1.0}  # a step multiplies weights by −9


def wait_for(
    condition: Callable[[], bool], what: str, seconds: float = 120, told: Callable[[], object] = lambda: ""
) -> None:
    """Return once the condition holds; fail after so many seconds, with what is told then."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} within {seconds:g} s {told()}"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


class Server:
    """The program as a user starts it, on a port that stays the same when it is started again."""

    program = "server.py"

    def __init__(self, data_dir: Path, runs_dir: Path, *options: str) -> None:
        self.runs_dir = runs_dir
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/"
        self._options = ["--data-dir", str(data_dir), "--runs-dir", str(runs_dir), *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, self.program, "--port", str(self._port), *self._options]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: answers(self.url), "answer from the server")

    def is_ready(self) -> bool:
        """Whether the data and PyTorch are there, so that a comparison can start."""
        with urllib.request.urlopen(f"{self.url}api/config", timeout=30) as response:
            return bool(json.load(response)["status"] == "ready")

    def kill(self) -> None:
        """End it as a crash or a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=30)

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=30)


class BriskServer(Server):
    """A server on a fifth of the training images."""

    program = "tests/page/fewer_images.py"


class Faults(list[str]):
    """What went wrong in the browser. Chromium reports every refused request as an error; `expected` are such."""

    expected = re.compile("$^")

    def watch(self, page: Page, origin: str) -> None:
        page.on("console", lambda message: self._note(message.type, f"{message.text} ({message.location['url']})"))
        page.on("pageerror", lambda error: self.append(f"page error: {error}"))
        page.on("request", lambda request: self._check_origin(request.url, origin))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not self.expected.search(text):
            self.append(f"console {kind}: {text}")

    def _check_origin(self, url: str, origin: str) -> None:
        if url.startswith("http") and urlsplit(url)[:2] != urlsplit(origin)[:2]:
            self.append(f"left the origin: {url}")


@contextmanager
def fresh_page(context: BrowserContext, origin: str, faults: Faults) -> Iterator[Page]:
    """Give a page that remembers nothing of the one before."""
    page = context.new_page()
    page.goto("/static/icon.svg")
    page.evaluate("localStorage.clear()")
    faults.watch(page, origin)
    yield page
    page.unroute_all(behavior="ignoreErrors")
    page.close()
    context.clear_permissions()


# What one asks of the server beside the page


def ask(page: Page, path: str) -> Any:
    return page.request.get(f"/api/{path}").json()


def states(page: Page) -> list[str]:
    return [model["state"] for model in ask(page, "metrics")["models"].values()]


def tell(page: Page, path: str, body: dict[str, Any]) -> None:
    response = page.request.post(f"/api/{path}", data=body)
    assert response.ok, response.text()


def stop_training(page: Page) -> None:
    """End what is running, whatever the page shows."""
    if {"running", "paused"} & set(states(page)):
        tell(page, "stop", {})
        page.request.post("/api/stop", data={})  # a second one leaves the test images out
        wait_for(lambda: not {"running", "paused"} & set(states(page)), "stop")


def train_to_the_end(page: Page, configs: dict[str, Any]) -> None:
    """Train two models and return once both have ended."""
    wait_for(lambda: ask(page, "config")["status"] == "ready", "readiness of the server")
    stop_training(page)
    tell(page, "start", configs)
    wait_for(lambda: not {"idle", "running"} & set(states(page)), "end of the run")


def latest(page: Page) -> Any:
    return ask(page, "metrics")["run"]


def train_beside(page: Page) -> str:
    """Start a long run as another window would, and return its id once this page knows of it."""
    tell(page, "start", LONG)
    expect(page.locator("#state")).to_contain_text("Training")
    return str(latest(page))


# What one does on the page


def choose(page: Page, view: str, value: str) -> None:
    """Choose one of a switch above the figure or in the verdict."""
    page.locator(f"[data-view='{view}'][value='{value}']").check(force=True)


def show_settings(page: Page) -> None:
    """Unfold the forms where an earlier run has folded them."""
    if page.locator("#fold").get_attribute("aria-expanded") == "false":
        page.click("#fold")


def open_tab(page: Page, name: str) -> None:
    page.click(f"#tab-{name}")
    page.locator(f"#panel-{name}").scroll_into_view_if_needed()


def saved(page: Page, kind: str) -> tuple[str, bytes]:
    """Export from the menu; return the file's name and content."""
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.locator(f"[data-export='{kind}']").click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def assert_exports_are_of(page: Page, run: str, steps: dict[str, int]) -> None:
    name, content = saved(page, "csv")
    rows = list(csv.DictReader(content.decode().splitlines()))
    assert {
        model: sum(row["model"] == model and row["kind"] == "training" for row in rows) for model in MODEL_NAMES
    } == steps
    whole = json.loads(saved(page, "json")[1])
    assert {model: len(whole["models"][model]["points"]["loss"]) for model in MODEL_NAMES} == steps
    picture, content = saved(page, "png")
    assert content.startswith(b"\x89PNG")
    assert name.startswith(f"fashionmnist-{run}")
    assert picture == name.replace(".csv", ".png")


def set_quick_models(page: Page, epochs: int = 500, batch_size: int = 128) -> None:
    """Set both models so small that the CPU gives them several hundred steps a second."""
    show_settings(page)
    page.select_option("#preset", index=1)  # whatever was trained before
    for model, kernels in zip(MODEL_NAMES, ("4", "8"), strict=True):
        while page.locator(f"#{model} [data-layers='-1']").is_enabled():
            page.click(f"#{model} [data-layers='-1']")
        page.locator(f"[name='{model}.kernels.1']").fill(kernels)
        page.locator(f"[name='{model}.batch_size']").fill(str(batch_size))
        page.locator(f"[name='{model}.epochs']").fill(str(epochs))


def row_of(page: Page, run: str | None, model: str = "model1") -> Locator:
    """Return the row of a training in the history's table."""
    return page.locator(f"#runs tr[data-training='{run}/{model}']")


def open_row(row: Locator) -> None:
    """Open the run of a training as a user does, by its name in the history's table."""
    row.locator(".run-name").click()


def open_from_history(page: Page, run: str | None) -> None:
    page.click("#tab-history")
    open_row(row_of(page, run))


def do_with(row: Locator, what: str) -> None:
    """Choose something from the menu of a row in the history's table."""
    row.locator("[aria-haspopup='menu']").click()
    row.page.locator("#training-menu").get_by_role("menuitem", name=what).click()


def lay_behind(page: Page, *runs: str) -> None:
    """Lay both models of runs behind the curves, from the history's table."""
    page.click("#tab-history")
    for run in runs:
        for model in MODEL_NAMES:
            row_of(page, run, model).get_by_role("checkbox").check()
    page.locator("[data-do='behind']").click()
    page.locator("[data-do='none']").click()


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


def check_with_axe(page: Page, state: str = "", part: str | None = None) -> None:
    """Fail where axe finds something on the page, or on the part of it that a selector names."""
    found = Axe().run(page, part).response["violations"]
    assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found] == [], state


def run_in(page: Page, module: str, expression: str) -> Any:
    """Return what an expression about a module `m` of the page gives: the one that the page itself has loaded."""
    address = f"new URL('{module}.js', document.querySelector('script[src$=\"/main.js\"]').src)"
    return page.evaluate(f"async () => {{ const m = await import({address}); return {expression}; }}")


def lines(page: Page) -> dict[str, Any]:
    """Return the figure's lines by what they are: how many points, and whether they are shown."""
    return page.evaluate(
        "Object.fromEntries(document.querySelector('#chart')._fullData.map((line) =>"
        " [line.uid, {x: [...(line.x ?? [])], y: [...(line.y ?? [])], visible: line.visible}]))"
    )
