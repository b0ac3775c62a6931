"""The page: its HTML, the script that draws its charts, and what it needs to draw its form."""

import importlib.util
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, render_template, send_from_directory

from analysis.entrant import IMAGES
from analysis.measures import TARGETS
from config import DEFAULTS, MODEL_NAMES, SCHEMA
from data import CLASS_NAMES
from history.smoothing import WINDOWS
from studies.branches import FORKABLE, MAX_EPOCHS
from studies.presets import PRESETS
from web.answers import ONE_DAY
from web.monitor import Monitor
from web.requests import MAX_NAME


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("page", __name__)
    plotly = plotly_directory()
    form: dict[str, Any] = {
        "schema": SCHEMA,
        "defaults": DEFAULTS.model_dump(mode="json"),
        "presets": [preset.model_dump(mode="json") for preset in PRESETS],
    }

    @routes.get("/")
    @routes.get("/run/<run>")
    def page(run: str = "") -> str:
        """Answer the page; which run it shows it reads off its own address."""
        return render_template(
            "monitor.html",
            **form,
            model_names=MODEL_NAMES,
            images=IMAGES,
            smoothing=(0, *WINDOWS),
            targets=[round(100 * target) for target in TARGETS],
            most_epochs=MAX_EPOCHS,
            longest_name=MAX_NAME,
            lessons=[lesson.model_dump(mode="json") for lesson in monitor.lessons],
            has_run=monitor.run is not None,
        )

    @routes.get("/favicon.ico")
    def favicon() -> Response:
        """Answer what browsers ask for beside whatever is no page of ours: an export, JSON."""
        return send_from_directory(str(current_app.static_folder), "icon.svg", max_age=ONE_DAY)

    @routes.get("/vendor/plotly.min.js")
    def plotly_script() -> Response:
        return send_from_directory(plotly, "plotly.min.js", max_age=ONE_DAY)

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


def plotly_directory() -> Path:
    """Return the folder of the plotly package's data, without importing the package (0.5 s)."""
    spec = importlib.util.find_spec("plotly")
    assert spec is not None and spec.origin is not None, "plotly is in requirements.txt"
    return Path(spec.origin).parent / "package_data"
