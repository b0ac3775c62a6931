"""Try it: what both models make of one picture, drawn or of the data set."""

from typing import TYPE_CHECKING, Any

from flask import Blueprint

from config import MODEL_NAMES, say
from data import IMAGE_SIDE
from history.log import Latest
from history.records import Training
from studies.origins import stored_config
from studies.workshop import Workshop
from web.monitor import Monitor
from web.requests import BadRequest, check_numbers, identifier, picture_of, read_object
from web.slots import Slots, slots_asked_for, slots_of

if TYPE_CHECKING:
    from training.predictor import Source

MOST_READ = 4  # trainings whose weights are kept: of two pages that look at two each


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("tryit", __name__)
    weights = LatestWeights(monitor)

    @routes.post("/api/predict")
    def predict() -> dict[str, Any]:
        given = read_object(("run", "pixels", "split", "image", "layers"))
        slots = slots_asked_for(*monitor.known)
        if "run" in given:
            slots = slots_in_place(slots, identifier("run", given["run"]))
        layers = given.get("layers", False)
        if not isinstance(layers, bool):
            raise BadRequest("Bad layers", {"layers": f"layers must be true or false, got {say(layers)}"})
        workshop = monitor.loading.require()
        return ask_models(weights, workshop, slots, picture_of(given), layers)

    return routes


def slots_in_place(asked: Slots, run: str) -> Slots:
    """Return both models of the run in a body. Raises BadRequest where the query names trainings as well."""
    if asked.are_chosen:
        raise BadRequest("No two trainings to compare", {"run": f"give either run, or a and b, got run {say(run)} too"})
    return slots_of(run)


class LatestWeights:
    """The latest weights of any model of any run. Safe to call from any thread."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._ended: dict[Training, tuple[Latest, Source]] = {}  # lately read of what is over, and which run was latest

    def of(self, workshop: Workshop, training: Training) -> "Source | None":
        """Return a training's latest weights, or None where there are none yet.

        Those of its latest evaluation while it trains, then of its checkpoint where that is later. Raises UnknownRun,
        or Conflict where the run is not whole.
        """
        store, control = self._monitor.store, self._monitor.control
        run, model = training
        config = stored_config(store, training)
        latest, comparison = control.latest, control.comparison
        trainer = comparison.trainers[model] if comparison and comparison.run_id == run else None
        is_over = trainer is None or not trainer.is_alive()
        if is_over and training in self._ended:
            since, known = self._ended[training]
            if since is latest:  # asked many times while someone draws; no run has begun since
                return known
        precision = store.run_status(run, model).precision
        snapshot = None if trainer is None else trainer.snapshot
        checkpoint = store.checkpoint(run, model) if is_over or snapshot is None else None
        there = [workshop.source(run, model, config, precision, each) for each in (snapshot, checkpoint) if each]
        if not there:
            return None
        source = max(there, key=lambda each: each.step)
        if is_over:
            self._ended[training] = latest, source
            if len(self._ended) > MOST_READ:
                del self._ended[next(iter(self._ended))]
        return source


def ask_models(
    weights: LatestWeights, workshop: Workshop, slots: Slots, picture: list[int] | tuple[str, int], layers: bool
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
    sources = {slot: weights.of(workshop, training) for slot, training in slots.trainings.items()}
    return slots.as_json() | {
        "label": label,
        "models": {
            name: workshop.predictor.look(source, image, layers=layers) if (source := sources.get(name)) else None
            for name in MODEL_NAMES
        },
    }
