"""Workshop: the data set, and all else that needs PyTorch, behind one typed door.

PyTorch takes seconds to load, and the page must not wait for it: so it is imported inside the functions here, first by
`Loading.load` in a thread of its own.
"""

import logging
import threading
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.entrant import IMAGES
from config import ModelConfig
from history.log import MetricsLog
from history.records import SPLITS, Array
from history.store import RunKeeper
from studies.refusals import NotReady

if TYPE_CHECKING:
    from train import Comparison
    from training.checkpoint import Header
    from training.images import FashionMNIST, Split
    from training.keeper import Snapshot
    from training.predictor import Predictor, Source

log = logging.getLogger(__name__)


class Workshop:
    """What trains here, reads checkpoints and tells what models cost. Safe to call from any thread."""

    def __init__(self, dataset: "FashionMNIST", predictor: "Predictor", device: str, cores: int) -> None:
        self.dataset = dataset
        self.predictor = predictor
        self.device = device  # "cpu" or the GPU's name
        self.cores = cores  # that this process may use

    @cached_property
    def labels(self) -> dict[str, Array]:
        """The labels (N,) int64 of the validation and the test images."""
        return {name: self.split(name).labels.cpu().numpy() for name in SPLITS}

    @cached_property
    def images(self) -> dict[str, int]:
        """How many images each split has."""
        return {name: len(self.split(name)) for name in IMAGES}

    def split(self, name: str) -> "Split":
        """Return the images and labels of "train", "validation" or "test"."""
        return {"train": self.dataset.train, "validation": self.dataset.validation, "test": self.dataset.test}[name]

    def environment(self) -> dict[str, Any]:
        """Return what besides the settings a run's numbers depend on."""
        from training.machine import environment

        return environment()

    def gpu_use(self) -> float | None:
        """Return the share of the time (fraction) in which the GPU was lately busy; None without one."""
        from training.machine import gpu_use

        return gpu_use()

    def describe(self, config: ModelConfig) -> dict[str, Any]:
        """Return a model's layers, parameters, FLOPs and memory."""
        from training.cost import describe_model

        return describe_model(config)

    def precision(self, config: ModelConfig) -> str:
        """Return "float32" or "bfloat16": what a model trains in on this machine."""
        from training.machine import best_device, resolve_precision

        return resolve_precision(config.precision, best_device())

    def describe_pairing(
        self, configs: Mapping[str, ModelConfig], *, copy: str | None = None, reseeded: bool = False
    ) -> dict[str, Any]:
        """Return what two models have in common by construction, as training.cost.describe_pairing does."""
        from training.cost import describe_pairing

        return describe_pairing(*configs.values(), copy=copy, reseeded=reseeded)

    def steps_per_epoch(self, config: ModelConfig) -> int:
        return config.batches(len(self.dataset.train)).steps

    def total_steps(self, config: ModelConfig) -> int:
        return self.steps_per_epoch(config) * config.epochs

    def prepare(
        self,
        run: str,
        configs: Mapping[str, ModelConfig],
        metrics: MetricsLog,
        keeper: RunKeeper,
        checkpoints: Mapping[str, bytes] | None = None,
        finished: Collection[str] = (),
    ) -> "Comparison":
        """Return the trainers of a new run, or of the rest of one in which some have finished; not yet started."""
        from train import Comparison

        return Comparison(
            configs,
            self.dataset,
            metrics=metrics,
            run_id=run,
            checkpoints=checkpoints,
            keeper=keeper,
            finished=finished,
        )

    # Checkpoints

    def header(self, checkpoint: bytes) -> "Header":
        """Return what a checkpoint tells of itself."""
        from training.checkpoint import header_of

        return header_of(checkpoint)

    def learning_rate_after(self, config: ModelConfig, step: int, peak: float) -> float:
        """Return the rate at which a model takes the step after so many, by its schedule from a peak."""
        from training.schedule import scheduled_learning_rate

        return scheduled_learning_rate(config, step, self.total_steps(config), peak)

    def copy(self, checkpoint: bytes, changed: str) -> bytes:
        """Return a checkpoint for a copy of its model that goes on with one setting changed."""
        from training.checkpoint import fork_checkpoint

        return fork_checkpoint(checkpoint, changed)

    def with_schedule(self, checkpoint: bytes, schedule: str) -> bytes:
        """Return a checkpoint that tells under which schedule its learning rate holds."""
        from training.checkpoint import with_schedule

        return with_schedule(checkpoint, schedule)

    def reduce(self, checkpoint: bytes) -> bytes:
        """Return what is needed of a checkpoint to ask its model, and not to go on. Raises ValueError."""
        from training.checkpoint import reduce_to_weights

        return reduce_to_weights(checkpoint)

    def source(
        self, run: str, model: str, config: ModelConfig, precision: str | None, weights: "bytes | Snapshot"
    ) -> "Source":
        """Return the weights in a checkpoint, or of an evaluation, to be asked for answers."""
        from training.checkpoint import read_weights
        from training.predictor import Source

        if isinstance(weights, bytes):
            step, values = read_weights(weights)
            epoch = config.batches(len(self.dataset.train)).epoch(step)
        else:
            step, epoch, values = weights
        return Source(run, model, step, epoch, config, precision or "float32", values)


def open_workshop(data_dir: Path) -> Workshop:
    """Import PyTorch, find the data set and try it out. Raises data.DatasetError, and whatever an import can."""
    import training.checkpoint
    import training.cost  # noqa: F401 - both, so that no request has to wait for them
    from train import warm_up
    from training.images import load_fashion_mnist
    from training.machine import available_cores, best_device, device_name
    from training.predictor import Predictor

    dataset = load_fashion_mnist(data_dir).to(best_device())
    warm_up(dataset)
    return Workshop(dataset, Predictor(), device_name(), available_cores())


class Loading:
    """How far the loading of the workshop has come. Safe to call from any thread."""

    def __init__(self, data_dir: Path) -> None:
        self.status = "loading"  # then "ready" or "failed"
        self.problem: str | None = None  # why it has failed
        self.workshop: Workshop | None = None  # once it is ready
        self._data_dir = data_dir
        self._lock = threading.Lock()  # one retry at a time

    def load(self) -> None:
        """Open the workshop; from then on training can start. Called in a thread."""
        try:
            self.workshop = open_workshop(self._data_dir)
        except Exception as error:
            log.error("cannot train: %s", error, exc_info=type(error).__module__ != "data")
            self.problem = str(error) or type(error).__name__
            self.status = "failed"
        else:
            self.problem = None
            self.status = "ready"
            log.info("ready to train on %s", self.workshop.device)

    def load_in_background(self) -> None:
        threading.Thread(target=self.load, name="loader", daemon=True).start()

    def retry(self) -> None:
        """Where loading has failed, load again in the background, and raise NotReady: what was missing may be there."""
        with self._lock:
            if self.status == "failed":
                self.status = "loading"
                self.load_in_background()
                raise NotReady(str(self.problem))

    def require(self) -> Workshop:
        """Return the workshop. Raises NotReady where it is not open."""
        if self.status == "failed":
            raise NotReady(str(self.problem))
        if self.workshop is None:
            raise NotReady("Still loading PyTorch and the data set; this takes some seconds")
        return self.workshop
