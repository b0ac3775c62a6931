"""Pictures of the page in every state and of every tab, of real runs: `make screenshots`. Takes about five minutes.

Writes docs/screenshots/<state>-<light|dark>-<width>.png, and for the README docs/screenshot.png and the tour's
docs/tour-<tab>.png. Looks at each for sideways scroll and for errors in the console; exit 1 when there was any.
"""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from recorded_runs import put  # noqa: E402 - it lies beside the tests

FOLDER = ROOT / "docs" / "screenshots"
PORT = 8497
URL = f"http://127.0.0.1:{PORT}"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
SIZES = {1280: 800, 390: 844}
SMALL = {"kernels": [8, 16], "batch_size": 128, "epochs": 3}
RACE = {"model1": SMALL | {"epochs": 30}, "model2": SMALL | {"epochs": 30, "optimizer": "sgd", "learning_rate": 0.01}}
DUEL = {"model1": {}, "model2": {"optimizer": "sgd", "learning_rate": 0.01}}  # the tour's: 5 epochs at full size
SPRINT = {"model1": SMALL, "model2": SMALL | {"optimizer": "sgd", "learning_rate": 0.01}}
TABS = ("mistakes", "classes", "inside", "tryit", "repeats", "history")
TOUR = ("mistakes", "classes", "inside", "tryit", "repeats")
ENDS = {"20260101-000000-aaaa": "optimizer", "20260102-000000-aaaa": "dropout"}  # recorded runs, at their end
BREAK = {"model1": SMALL, "model2": SMALL | {"kernels": [8], "optimizer": "sgd", "learning_rate": 10.0}}

faults: list[str] = []


@contextmanager
def served(runs: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program on a port of its own, ready to train."""
    command = [sys.executable, "server.py", "--port", str(PORT), "--runs-dir", str(runs)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: ask("config")["status"] == "ready")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def wait_for(condition: Any, seconds: float = 900) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except OSError:
            pass  # not listening yet
        time.sleep(0.2)
    sys.exit(f"waited {seconds:g} s in vain")


def ask(path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}/api/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


def models() -> list[dict[str, Any]]:
    return list(ask("metrics")["models"].values())


def train(configs: Any, until_epoch: float | None = None) -> None:
    """Start a run and return at an epoch that both models have reached, or once both have ended."""
    ask("start", configs)
    if until_epoch is None:
        wait_for(lambda: not {"idle", "running"} & {model["state"] for model in models()})
    else:
        wait_for(lambda: min(model["epoch"] for model in models()) >= until_epoch)


def open_page(browser: Browser, width: int, theme: str, height: int | None = None, **how: Any) -> Page:
    size: Any = {"width": width, "height": height or SIZES[width]}
    page = browser.new_page(viewport=size, color_scheme=theme, **how)  # type: ignore[arg-type]
    page.on("pageerror", lambda error: faults.append(f"page error: {error}"))
    page.on("console", lambda message: message.type == "error" and faults.append(message.text))
    page.goto(URL)
    page.wait_for_function("() => !['Loading…', ''].includes(document.querySelector('#state').textContent)")
    return page


def save(page: Page, path: Path) -> None:
    """Save what is on the screen, on a narrow one the whole page."""
    page.wait_for_timeout(1500)
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        faults.append(f"{path.name} scrolls sideways")
    full = page.viewport_size is not None and page.viewport_size["width"] < 500
    save_small(page.screenshot(full_page=full), path)


def save_small(png: bytes, path: Path) -> None:
    """Save a picture in 256 colours: a quarter of the size, and nobody sees it."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(256, kmeans=2, dither=Image.Dither.NONE).save(path, optimize=True)


def take(browser: Browser, state: str) -> None:
    """Take the state that the server is in, at both widths in both themes."""
    for width in SIZES:
        for theme in ("light", "dark"):
            page = open_page(browser, width, theme)
            save(page, FOLDER / f"{state}-{theme}-{width}.png")
            page.close()


def take_lesson(browser: Browser) -> None:
    """Take a lesson's question and its end, as they are on the page that has chosen it."""
    page = open_page(browser, 1280, "light")
    page.locator(".lesson-card").first.click()
    save_everywhere(page, "lesson-guess")
    page.locator("[data-lesson-guess='close']").click()
    page.locator("#lesson[data-ended='true']").wait_for(timeout=120_000)
    save_everywhere(page, "lesson-end")
    shutil.copy(FOLDER / "lesson-end-light-1280.png", ROOT / "docs" / "screenshot.png")
    page.close()


def save_everywhere(page: Page, state: str) -> None:
    """Save what a page shows at both widths in both themes."""
    for width, height in SIZES.items():
        for theme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            save(page, FOLDER / f"{state}-{theme}-{width}.png")


def take_ends(browser: Browser) -> None:
    """Take the ends of recorded runs, opened from the history, at both widths in both themes."""
    with tempfile.TemporaryDirectory() as runs:
        for run, name in ENDS.items():
            put(name, Path(runs), run)
        with served(Path(runs)):
            for width in SIZES:
                for theme in ("light", "dark"):
                    page = open_page(browser, width, theme)
                    for run, name in ENDS.items():
                        open_run(page, run)
                        save(page, FOLDER / f"end-{name}-{theme}-{width}.png")
                    page.close()
            take_for_everyone(browser, next(iter(ENDS)))


def take_for_everyone(browser: Browser, run: str) -> None:
    """Take a run as it is presented, enlarged to 200 %, in forced colours, and on paper."""
    ways: dict[str, tuple[int, int, dict[str, Any]]] = {
        "presentation": (1920, 1080, {}),
        "zoom": (640, 400, {"device_scale_factor": 2}),
        "forced": (1280, 800, {"forced_colors": "active"}),
        "print": (703, 1000, {}),
    }
    for way, (width, height, how) in ways.items():
        for theme in ("light",) if way == "print" else ("light", "dark"):
            page = open_page(browser, width, theme, height, **how)
            open_run(page, run)
            if way == "presentation":
                page.keyboard.press("p")
            if way == "print":
                page.emulate_media(media="print")
                page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
            save(page, FOLDER / f"{way}-{theme}-{width}.png")
            page.close()


def open_run(page: Page, run: str) -> None:
    """Show a past run."""
    show_tab(page, "history")
    page.locator(f"#runs tr[data-training='{run}/model1'] .run-name").click()
    page.wait_for_selector(f"#chart[data-drawn='{run}']")


def take_tabs(browser: Browser) -> None:
    """Take every tab of the run that the server shows, at both widths in both themes."""
    for width in SIZES:
        for theme in ("light", "dark"):
            page = open_page(browser, width, theme)
            for tab in TABS:
                show_tab(page, tab)
                save(page, FOLDER / f"tab-{tab}-{theme}-{width}.png")
            page.close()


def take_tour(browser: Browser) -> None:
    """Take the tabs for the README."""
    page = open_page(browser, 1280, "light")
    for tab in TOUR:
        show_tab(page, tab)
        page.wait_for_timeout(1500)
        save_small(page.locator(f"#panel-{tab}").screenshot(), ROOT / "docs" / f"tour-{tab}.png")
    page.close()


def show_tab(page: Page, tab: str) -> None:
    page.locator(f"#tab-{tab}").click()
    if tab == "tryit":  # a picture to look at
        page.locator("#picks button").first.click()
    page.wait_for_load_state("networkidle")


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as runs:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        take_ends(browser)
        with served(Path(runs)):
            take(browser, "empty")
            take_lesson(browser)
            train(RACE, until_epoch=1.2)
            take(browser, "running")
            ask("pause", {})
            take(browser, "paused")
            ask("stop", {})
            train(SPRINT)
            take(browser, "finished")
            train(BREAK)
            take(browser, "failed")
            train(DUEL)
            ask("repeats", {"runs": 5} | SPRINT)
            wait_for(lambda: ask("repeats")["state"] == "finished")
            take_tabs(browser)
            take_tour(browser)
            wait_for(lambda: "running" not in {model["state"] for model in models()})
            gone = [(open_page(browser, width, theme), width, theme) for width in SIZES for theme in ("light", "dark")]
        told = list(faults)
        for page, width, theme in gone:
            page.bring_to_front()
            page.locator("#banner").wait_for(state="visible")
            save(page, FOLDER / f"gone-{theme}-{width}.png")
        faults[:] = told  # that nobody answered is what these show
        browser.close()
    print("\n".join(faults) or f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
