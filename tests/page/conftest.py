"""A server that trains on real images, and a page of it in a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import (
    CHROMIUM,
    FLAGS,
    LONG,
    PATIENCE_MS,
    TWO_SMALL,
    BriskServer,
    Faults,
    Launch,
    Server,
    ask,
    fresh_page,
    stop_training,
    tell,
    train_to_the_end,
    wait_for,
)
from drawn import DROPOUT, EARLY, OPTIMIZER, Shown
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright
from recorded_runs import put


@pytest.fixture(scope="session")
def server(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = BriskServer(data_dir, tmp_path_factory.mktemp("runs"))
    server.start()
    wait_for(server.is_ready, "readiness of the server")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """Start a Chromium for the pages of a server.

    It has a cache on the disk, where Plotly stays compiled: else that takes two seconds for every test.
    """
    assert CHROMIUM, "no Chromium found: install one or name it in the environment variable CHROMIUM"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:

        def launch(url: str) -> BrowserContext:
            profile = tmp_path_factory.mktemp("profile")
            context = playwright.chromium.launch_persistent_context(
                profile, executable_path=CHROMIUM, args=FLAGS, base_url=url, viewport={"width": 1280, "height": 800}
            )
            context.set_default_timeout(PATIENCE_MS)
            return context

        yield launch


@pytest.fixture(scope="session")
def context(launch: Launch, server: Server) -> Iterator[BrowserContext]:
    with launch(server.url) as context:
        yield context


@pytest.fixture
def faults() -> Iterator[Faults]:
    """What goes wrong in the browser; nothing may."""
    faults = Faults()
    yield faults
    assert faults == []


@pytest.fixture
def blank(context: BrowserContext, server: Server, faults: Faults) -> Iterator[Page]:
    """A page that has not been opened yet."""
    with fresh_page(context, server.url, faults) as page:
        yield page
        stop_training(page)


@pytest.fixture
def page(blank: Page) -> Page:
    """The page, ready to train; what an earlier test has trained may still be shown."""
    blank.goto("/")
    expect(blank.locator("#start")).to_be_enabled()
    return blank


@pytest.fixture(scope="session")
def run_to_look_at() -> dict[str, str]:
    """Remembers which run has finished, so that it need not be trained for every test."""
    return {}


@pytest.fixture
def finished(blank: Page, run_to_look_at: dict[str, str]) -> Page:
    """The page with two small models that have been trained to the end, and a run before that in the history."""
    if not ask(blank, "runs")["runs"]:
        tell(blank, "start", LONG)
        stop_training(blank)
    if blank.request.get("/api/metrics").json()["run"] != run_to_look_at.get("id", ""):
        train_to_the_end(blank, TWO_SMALL)
        run_to_look_at["id"] = blank.request.get("/api/metrics").json()["run"]
    blank.goto("/")
    expect(blank.locator("#state")).to_have_text("Finished")
    blank.wait_for_selector("#chart[data-drawn]")
    expect(blank.locator("#significance")).to_be_visible()  # the last to come; what comes late may take the focus away
    return blank


@pytest.fixture(scope="session")
def modules(context: BrowserContext) -> Iterator[Page]:
    """A page to import modules of pure functions in, loaded once."""
    page = context.new_page()
    page.goto("/")
    yield page
    page.close()


@pytest.fixture(scope="session")
def recorded(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose history holds recorded runs."""
    runs = tmp_path_factory.mktemp("recorded")
    put("optimizer", runs, OPTIMIZER)
    put("dropout", runs, DROPOUT)
    put("optimizer", runs, EARLY, epochs=0.3, state="stopped")
    server = Server(data_dir, runs)
    server.start()
    wait_for(server.is_ready, "readiness of the server")  # while PyTorch comes, a busy machine's answers take too long
    yield server
    server.stop()


@pytest.fixture(scope="session")
def recorded_context(launch: Launch, recorded: Server) -> Iterator[BrowserContext]:
    with launch(recorded.url) as context:
        yield context


@pytest.fixture
def shown(recorded_context: BrowserContext, recorded: Server, faults: Faults) -> Iterator[Shown]:
    with fresh_page(recorded_context, recorded.url, faults) as page:
        shown = Shown(page, OPTIMIZER)
        page.route("**/api/metrics*", shown.answer_metrics)
        page.route("**/api/comparison*", shown.answer_comparison)
        yield shown


@pytest.fixture
def own_server(data_dir: Path, tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own, with no history, to be killed and started again."""
    server = Server(data_dir, tmp_path / "runs")
    server.start()
    wait_for(server.is_ready, "readiness of the server")
    yield server
    server.stop()


@pytest.fixture
def own_page(launch: Launch, own_server: Server, faults: Faults) -> Iterator[Page]:
    faults.expected = re.compile("ERR_|503")
    with launch(own_server.url) as context, fresh_page(context, own_server.url, faults) as page:
        page.goto("/")
        expect(page.locator("#start")).to_be_enabled()
        yield page
        stop_training(page)
