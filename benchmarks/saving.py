"""What saving and looking inside cost the training.

    python benchmarks/saving.py [--epochs 5] [--pairs 2] [--json]

Two default models train side by side, in turns with and without a history, each turn a run of its own. From within a
run with a history: the processor time of the thread that saves, as a share of both cores' time, and the time that the
trainers spend on looks (validation images, training sample, what is inside), on the test images at the end and on
checkpoints, as a share of the time of the run; and a look as a share of an epoch. Those shares are exact where the
ratio of two speeds drowns in the noise of a shared machine.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import train  # noqa: E402
from config import MODEL_NAMES, ModelConfig  # noqa: E402
from history import records  # noqa: E402
from history.log import MetricsLog  # noqa: E402
from history.store import RunKeeper, RunStore  # noqa: E402
from train import Comparison, ModelTrainer  # noqa: E402
from training.engine import Engine  # noqa: E402
from training.examiner import Examiner  # noqa: E402
from training.images import FashionMNIST, load_fashion_mnist  # noqa: E402
from training.machine import (  # noqa: E402
    available_cores,
    best_device,
    environment,
)

WATCHED = {
    "looks": (Examiner, "validate"),
    "of which inside": (Engine, "inspect"),
    "test images": (Examiner, "test"),
    "checkpoints": (ModelTrainer, "_keep"),
}


class Watch:
    """Adds up the wall-clock seconds that some methods take, in whatever thread."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def __enter__(self) -> "Watch":
        self._kept = {name: getattr(owner, method) for name, (owner, method) in WATCHED.items()}
        for name, (owner, method) in WATCHED.items():
            setattr(owner, method, self._timed(name, self._kept[name]))
        return self

    def __exit__(self, *_: object) -> None:
        for name, (owner, method) in WATCHED.items():
            setattr(owner, method, self._kept[name])

    def _timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*arguments)
            finally:
                self.seconds[name] += time.perf_counter() - began

        return timed


def thread_seconds(native_id: int) -> float:
    """Return the processor time that a thread has used (Linux)."""
    ticks = Path(f"/proc/self/task/{native_id}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return sum(map(int, ticks)) / 100


def plain_run(dataset: FashionMNIST, epochs: int) -> float:
    """Train without a history; return steps a second."""
    comparison = Comparison(dict.fromkeys(MODEL_NAMES, ModelConfig(epochs=epochs)), dataset)
    return steps_per_second(comparison)


def steps_per_second(comparison: Comparison) -> float:
    began = time.perf_counter()
    comparison.start()
    comparison.join()
    return sum(comparison.metrics.status(name).step for name in MODEL_NAMES) / (time.perf_counter() - began)


def saved_run(dataset: FashionMNIST, epochs: int, folder: Path) -> dict[str, Any]:
    """Train with a history; return steps a second and the shares of time."""
    store = RunStore(folder)
    configs = dict.fromkeys(MODEL_NAMES, ModelConfig(epochs=epochs))
    run, metrics = records.new_run_id(), MetricsLog(configs, keep_unsaved=True)
    comparison = Comparison(configs, dataset, metrics=metrics, run_id=run, keeper=RunKeeper(store, run))
    store.record(run, metrics, configs, environment())
    (writer,) = (thread.native_id for thread in threading.enumerate() if thread.name == "store")
    assert writer is not None
    began, before = time.perf_counter(), thread_seconds(writer)
    with Watch() as watch:
        speed = steps_per_second(comparison)
    took = time.perf_counter() - began
    saving = (thread_seconds(writer) - before) / (took * available_cores())
    store.close()
    both = took * len(configs)
    shares = {name: watch.seconds[name] / both for name in WATCHED}
    looks = sum(len(metrics.evaluations(name)) for name in configs)
    look = {f"a look, of an epoch ({looks // len(configs)} looks)": shares["looks"] * epochs * len(configs) / looks}
    return {"steps_per_second": speed, "saving": saving} | shares | look


def measure(epochs: int, pairs: int) -> dict[str, Any]:
    dataset = load_fashion_mnist(ROOT / "data").to(best_device())
    train.warm_up(dataset)
    turns = []
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as folder:
            saved = saved_run(dataset, epochs, Path(folder))
        turns.append(saved | {"ratio": saved.pop("steps_per_second") / plain_run(dataset, epochs)})
    return {name: [turn[name] for turn in turns] for name in turns[0]} | {"epochs": epochs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.epochs, options.pairs)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    epochs = result.pop("epochs")
    print(f"Shares of the time of a run of {epochs} epochs, test images included; ratio of the speeds, with / without")
    for name, values in result.items():
        middle, low, high = statistics.median(values), min(values), max(values)
        print(f"{name}: {middle:.2%} ({low:.2%} to {high:.2%}, n = {len(values)})")


if __name__ == "__main__":
    main()
