"""What the page costs a browser: bytes and requests, the first seconds on a slow line, shifts, long tasks, redraws.

python benchmarks/page.py [--loads 3] [--seconds 60] [--json]

Needs Playwright and a Chromium. The figure is that of a real run, and redraws are those of two models that
train on the same machine.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright
from serving import Server, percentile, running_server

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SLOW = {"offline": False, "latency": 100, "downloadThroughput": 200_000, "uploadThroughput": 200_000}  # 1.6 Mbit/s
SMALL = {"kernels": [4], "batch_size": 512, "epochs": 2}
PATIENCE_MS = 60_000

# Notes in the page what is asked for: the times of what one waits for, shifts, long tasks, what Plotly is called for.
WATCH = """() => {
    const seen = window.seen = {shifts: [], tasks: [], plotly: null, busyUntil: 0, calls: 0, redraws: []};
    const nameOf = ({node}) => (node?.id ? `#${node.id}` : node?.className || node?.nodeName);
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
        const what = entry.sources.map(nameOf).join(" ");
        if (!entry.hadRecentInput) seen.shifts.push({value: entry.value, at: entry.startTime, what});
    })).observe({type: "layout-shift", buffered: true});
    new PerformanceObserver((list) => list.getEntries().forEach((entry) =>
        seen.tasks.push({at: entry.startTime, ms: entry.duration}))).observe({type: "longtask", buffered: true});
    const once = (name, holds) => {
        const look = () => { if (seen[name] === undefined && holds()) seen[name] = performance.now(); };
        const all = {subtree: true, childList: true, attributes: true, characterData: true};
        new MutationObserver(look).observe(document, all);
    };
    once("fields", () => document.querySelector("#start"));
    once("forms", () => document.querySelector("#difference")?.textContent);
    once("start", () => document.querySelector("#start")?.disabled === false);
    once("chart", () => document.querySelector("#chart")?.dataset.drawn);
    let library;
    Object.defineProperty(window, "Plotly", {configurable: true, get: () => library, set: (given) => {
        library = given;
        seen.plotly ??= performance.now();
        for (const name of ["react", "newPlot", "restyle", "relayout", "update", "extendTraces", "redraw"]) {
            const call = given[name];
            given[name] = (...all) => {
                seen.calls += 1;
                const done = call(...all);
                const end = () => {
                    document.querySelector("#chart").getBoundingClientRect(); // what is drawn is laid out, too
                    seen.busyUntil = performance.now();
                };
                return Promise.resolve(done).then((result) => { end(); return result; });
            };
        }
    }});
}"""

TASKS = "seen.tasks.map(({at, ms}) => ({ms, has: at <= seen.plotly && seen.plotly <= at + ms}))"

# A redraw is all that the page does from the news to the end of what Plotly is called for.
MEASURE_REDRAWS = """async () => {
    const base = document.querySelector("script[src$='/main.js']").src;
    const { onShown } = await import(new URL("run/state.js", base));
    onShown((isNews) => {
        const [from, calls] = [performance.now(), seen.calls];
        if (isNews) setTimeout(() => { if (seen.calls > calls) seen.redraws.push(seen.busyUntil - from); }, 1000);
    });
}"""


class Traffic:
    """What came over the wire since the page was opened, headers included."""

    def __init__(self, page: Page) -> None:
        self.requests: dict[str, dict[str, Any]] = {}
        self._in_memory: set[str] = set()
        self.session = page.context.new_cdp_session(page)
        self.session.send("Network.enable")
        self.session.on("Network.responseReceived", self._note)
        self.session.on("Network.requestServedFromCache", lambda event: self._in_memory.add(event["requestId"]))
        self.session.on("Network.loadingFinished", self._end)

    def _note(self, event: dict[str, Any]) -> None:
        response = event["response"]
        cached = response.get("fromDiskCache") or event["requestId"] in self._in_memory
        self.requests[event["requestId"]] = {
            "path": urlsplit(response["url"]).path,
            "status": response["status"],
            "cached": bool(cached),
            "bytes": 0,
        }

    def _end(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self.requests:
            self.requests[event["requestId"]]["bytes"] = event["encodedDataLength"]

    def summary(self, name: str) -> dict[str, float]:
        """Return bytes and requests without those of /api/, which has its own, and without what no line carried."""
        sent = [one for one in self.requests.values() if not one["cached"] and one["path"].startswith("/")]
        api = [one for one in sent if one["path"].startswith("/api/")]
        rest = [one for one in sent if one not in api]
        return {
            f"{name} kB": sum(one["bytes"] for one in rest) / 1000,
            f"{name} requests": len(rest),
            f"{name} answered 304": sum(one["status"] == 304 for one in rest),
            f"{name} kB of /api/": sum(one["bytes"] for one in api) / 1000,
        }


@contextmanager
def browser(playwright: Playwright) -> Iterator[BrowserContext]:
    """A Chromium that knows nothing yet; it has its cache on a disk, as a user's has."""
    with tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=FLAGS, viewport={"width": 1280, "height": 800}
        )
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(f"({WATCH})()")
        yield context
        context.close()


def open_page(page: Page, server: Server, chart: bool = True) -> None:
    page.goto(server.url)
    page.wait_for_function("seen.start && seen.plotly && (seen.chart || !known)".replace("known", json.dumps(chart)))
    page.wait_for_timeout(1000)  # what is drawn later shifts later


def shift(page: Page) -> float:
    return float(page.evaluate("seen.shifts.reduce((sum, {value}) => sum + value, 0)"))


def longest_task(page: Page) -> float:
    """Return the ms of the longest task but for the one in which Plotly came; tasks under 50 ms are not told: 0."""
    return max((ms for ms, has_plotly in tasks(page) if not has_plotly), default=0.0)


def tasks(page: Page) -> list[tuple[float, bool]]:
    """Return the ms of each long task, and whether it is the one in which Plotly came."""
    return [(each["ms"], each["has"]) for each in page.evaluate(TASKS)]


def measure_loads(playwright: Playwright, server: Server) -> dict[str, float]:
    """Return what the first and the second load of a finished run's page take."""
    found: dict[str, float] = {}
    with browser(playwright) as context:
        for name in ("first load", "second load"):
            page = context.new_page()
            traffic = Traffic(page)
            open_page(page, server)
            found |= traffic.summary(name)
            found |= {f"{name} layout shift": shift(page), f"{name} longest task ms": longest_task(page)}
            found[f"{name} task of Plotly ms"] = max((ms for ms, has_plotly in tasks(page) if has_plotly), default=0.0)
            page.close()
    return found


def measure_slow(playwright: Playwright, server: Server) -> dict[str, float]:
    """Return the seconds from the opening on a slow line until each part is there."""
    with browser(playwright) as context:
        page = context.new_page()
        traffic = Traffic(page)
        traffic.session.send("Network.emulateNetworkConditions", SLOW)
        open_page(page, server)
        seen = page.evaluate("seen")
        waits = {"fields are there": "fields", "forms answer": "forms", "Start is ready": "start", "chart": "chart"}
        return {f"slow line: {what} s": seen[name] / 1000 for what, name in waits.items()} | {
            "slow line: layout shift": shift(page)
        }


def measure_training(playwright: Playwright, server: Server, seconds: float) -> tuple[dict[str, float], list[float]]:
    """Start two models on an empty page; return shifts, draws out of sight, and the ms of each redraw.

    One is the default, the other has less dropout.
    """
    with browser(playwright) as context:
        page = context.new_page()
        open_page(page, server, chart=False)
        found = {"empty page: layout shift": shift(page), "empty page: longest task ms": longest_task(page)}
        page.locator("[name='model2.dropout']").fill("0.25")  # twins would be asked about first
        page.evaluate(MEASURE_REDRAWS)
        before = shift(page)
        page.click("#start")
        page.wait_for_timeout(1000 * seconds)
        found["first minute of a run: layout shift"] = shift(page) - before
        redraws = page.evaluate("seen.redraws")
        page.evaluate("document.querySelector('#chart').scrollIntoView()")
        page.evaluate("document.body.style.setProperty('padding-top', '3000px'); window.scrollTo(0, 0)")
        page.wait_for_timeout(3000)
        calls = page.evaluate("seen.calls")
        page.wait_for_timeout(9000)
        found["draws in 9 s out of sight"] = page.evaluate("seen.calls") - calls
        return found, redraws


def wait_until(server: Server, state: str) -> None:
    server.wait_for(
        "/api/metrics", lambda answer: {model["state"] for model in answer["models"].values()} == {state}, 0.2
    )


def measure(options: argparse.Namespace) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}

    def note(figures: dict[str, float]) -> None:
        for name, value in figures.items():
            found.setdefault(name, []).append(value)

    with sync_playwright() as playwright:
        for _ in range(options.runs):
            with running_server() as server:
                server.wait_for("/api/config", lambda answer: answer["status"] == "ready")
                figures, redraws = measure_training(playwright, server, options.seconds)
                note(figures)
                found.setdefault("redraw ms", []).extend(redraws)
        with running_server() as server:
            server.wait_for("/api/config", lambda answer: answer["status"] == "ready")
            server.post("/api/start", {"model1": SMALL, "model2": SMALL | {"kernels": [8]}})
            wait_until(server, "finished")
            for _ in range(options.loads):
                note(measure_loads(playwright, server))
                note(measure_slow(playwright, server))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", type=int, default=3)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, values in found.items():
        middle, low, high = statistics.median(values), min(values), max(values)
        late = f", p95 {percentile(values, 0.95):.3g}" if name == "redraw ms" else ""
        print(f"{name}: {middle:.4g}{late} (from {low:.4g} to {high:.4g}, n = {len(values)})")


if __name__ == "__main__":
    main()
