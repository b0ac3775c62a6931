"""Try it: what both models make of one picture, drawn or of the data set."""

from typing import TYPE_CHECKING, Any

from flask import Blueprint

from config import MODEL_NAMES, say
from data import IMAGE_SIDE
from history.log import Latest
from studies.origins import stored_configs
from studies.workshop import Workshop
from web.monitor import Monitor
from web.requests import BadRequest, check_numbers, identifier, picture_of, read_object

if TYPE_CHECKING:
    from training.predictor import Source


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("tryit", __name__)
    weights = LatestWeights(monitor)

    @routes.post("/api/predict")
    def predict() -> dict[str, Any]:
        given = read_object(("run", "pixels", "split", "image", "layers"))
        run = identifier("run", given["run"]) if "run" in given else monitor.run
        layers = given.get("layers", False)
        if not isinstance(layers, bool):
            raise BadRequest("Bad layers", {"layers": f"layers must be true or false, got {say(layers)}"})
        workshop = monitor.loading.require()
        return ask_models(weights, workshop, run, picture_of(given), layers)

    return routes


class LatestWeights:
    """The latest weights of any model of any run. Safe to call from any thread."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._ended: dict[str, tuple[Latest, Source]] = {}  # last read of a run that is over, by model, and what was on

    def of(self, workshop: Workshop, run: str, model: str) -> "Source | None":
        """Return a model's latest weights, or None where there are none yet.

        Those of its latest evaluation while it trains, then of its checkpoint where that is later. Raises UnknownRun,
        or Conflict where the run is not whole.
        """
        store, control = self._monitor.store, self._monitor.control
        config = stored_configs(store, run)[model]
        latest, comparison = control.latest, control.comparison
        trainer = comparison.trainers[model] if comparison and comparison.run_id == run else None
        is_over = trainer is None or not trainer.is_alive()
        if is_over and model in self._ended:
            since, known = self._ended[model]
            if since is latest and known.run == run:  # asked many times while someone draws; no run has begun since
                return known
        precision = store.run_status(run, model).precision
        snapshot = None if trainer is None else trainer.snapshot
        checkpoint = store.checkpoint(run, model) if is_over or snapshot is None else None
        there = [workshop.source(run, model, config, precision, each) for each in (snapshot, checkpoint) if each]
        if not there:
            return None
        source = max(there, key=lambda each: each.step)
        if is_over:
            self._ended[model] = latest, source
        return source


def ask_models(
    weights: LatestWeights, workshop: Workshop, run: str | None, picture: list[int] | tuple[str, int], layers: bool
) -> dict[str, Any]:
    """Return what both models make of 784 pixels, or of an image of a split.

    Raises UnknownRun, Conflict or NothingThere.
    """
    if isinstance(picture, list):
        image, label = workshop.dataset.test.images.new_tensor(picture).view(IMAGE_SIDE, IMAGE_SIDE).cpu(), None
    else:
        split, number = picture
        check_numbers(workshop, split, [number])
        image, label = workshop.split(split).images[number].cpu(), int(workshop.labels[split][number])
    sources = {name: weights.of(workshop, run, name) if run else None for name in MODEL_NAMES}
    return {
        "run": run,
        "label": label,
        "models": {
            name: workshop.predictor.look(source, image, layers=layers) if source else None
            for name, source in sources.items()
        },
    }
