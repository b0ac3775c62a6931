"""The page: its HTML, the script that draws its charts, and what it needs to draw its form."""

import importlib.util
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, render_template, url_for

from analysis.entrant import IMAGES
from analysis.measures import TARGETS
from config import DEFAULTS, MODEL_NAMES, SCHEMA
from data import CLASS_NAMES, RUNNING_WINDOW
from history.smoothing import SMOOTHING_IMAGES, WINDOWS
from studies.branches import FORKABLE, MAX_EPOCHS
from studies.presets import PRESETS
from web.answers import ONE_DAY
from web.files import ASK_AGAIN, FOREVER, File, Tree, answer, modules, serve_static
from web.monitor import Monitor
from web.requests import MAX_NAME

PLOTLY = "plotly.min.js"
ENTRIES = ("base/theme.js", "run/first.js", "main.js")  # of the page's script elements, in their order
KEPT_A_DAY = f"public, max-age={ONE_DAY}"


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("page", __name__)
    static = Tree(Path(__file__).resolve().parent.parent / "static")
    plotly = Tree(plotly_directory(), PLOTLY)
    serve_parts(routes, static, plotly)
    last = File(b"", "text/html")  # the page as it was sent last, with what it takes compressed
    form: dict[str, Any] = {
        "schema": SCHEMA,
        "defaults": DEFAULTS.model_dump(mode="json"),
        "presets": [preset.model_dump(mode="json") for preset in PRESETS],
    }

    @routes.get("/")
    @routes.get("/run/<run>")
    @routes.get("/compare")
    def page(run: str = "") -> Response:
        """Answer the page; which run, or which two trainings, it shows it reads off its own address."""
        nonlocal last
        html = render_template(
            "monitor.html",
            **form,
            modules=modules(static.now(), *ENTRIES),
            chart_library=url_for("page.plotly_script", version=plotly.now().name),
            model_names=MODEL_NAMES,
            images=IMAGES,
            running_window=RUNNING_WINDOW,
            smoothing=(0, *WINDOWS),
            default_smoothing=SMOOTHING_IMAGES,
            targets=[round(100 * target) for target in TARGETS],
            most_epochs=MAX_EPOCHS,
            longest_name=MAX_NAME,
            lessons=[lesson.model_dump(mode="json") for lesson in monitor.lessons],
            has_run=monitor.run is not None,  # what is there from the start shifts nothing when the figures come
        ).encode()
        sent = last = last if last.body == html else File(html, "text/html")
        return answer(sent, ASK_AGAIN)

    @routes.get("/api/config")
    def config() -> dict[str, Any]:
        """Answer what the page needs to draw its form, and how far loading has come."""
        loading = monitor.loading
        return {
            "boot": monitor.boot,
            "status": loading.status,
            "problem": loading.problem,
            "warning": monitor.store.warning,
            "device": loading.workshop and loading.workshop.device,
            **form,
            "cores": loading.workshop and loading.workshop.cores,
            "images": IMAGES,
            "classes": CLASS_NAMES,
            "forkable": FORKABLE,
        }

    return routes


def serve_parts(routes: Blueprint, static: Tree, plotly: Tree) -> None:
    """Serve what the page is made of: below /static/ and /vendor/, and its icon."""
    routes.record(lambda setup: serve_static(setup.app, static))

    @routes.get("/favicon.ico")
    def favicon() -> Response:
        """Answer what browsers ask for beside whatever is no page of ours: an export, JSON."""
        return answer(static.now().files["icon.svg"], KEPT_A_DAY)

    @routes.get("/vendor/plotly.min.js", defaults={"version": None})
    @routes.get("/vendor/<version>/plotly.min.js")
    def plotly_script(version: str | None) -> Response:
        now = plotly.now()
        return answer(now.files[PLOTLY], FOREVER if version == now.name else KEPT_A_DAY)


def plotly_directory() -> Path:
    """Return the folder of the plotly package's data, without importing the package (0.5 s)."""
    spec = importlib.util.find_spec("plotly")
    assert spec is not None and spec.origin is not None, "plotly is in requirements.txt"
    return Path(spec.origin).parent / "package_data"
