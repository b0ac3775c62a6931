"""Real runs, recorded once, to show the page with and to measure its figure on, without an hour of training.

Recorded by `python train.py --out FILE` on two CPU cores, with `--preset "Optimizer Impact"` (5 epochs) and with
`--epochs 30 --kernels 16,32,64 --kernel_sizes 3,3,3 --model2.dropout 0.2`. `python tests/recorded_runs.py FILE NAME`
keeps of such a file every step's loss and running accuracy to three digits, and all evaluations as they are.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "recorded"
IMAGES = 55_000
COLUMNS = ("loss", "accuracy")


def keep(source: Path, name: str) -> None:
    """Write a run that train.py has written as JSON into the folder of recorded runs."""
    models = json.loads(source.read_text(encoding="utf-8"))
    arrays = {
        f"{model}.{column}": np.array([point[column] for point in each["points"]], np.float16)
        for model, each in models.items()
        for column in COLUMNS
    }
    about = {model: {key: value for key, value in each.items() if key != "points"} for model, each in models.items()}
    np.savez_compressed(FOLDER / f"{name}.npz", about=json.dumps(about), **arrays)


def put(
    name: str,
    runs: Path,
    run: str,
    *,
    epochs: float | None = None,
    state: str | None = None,
    settings: dict[str, Any] | None = None,
) -> None:
    """Enter a recorded run into the history in a folder that no server has open, as far as some epochs if given.

    settings: in place of those that both models had.
    """
    from config import ModelConfig
    from history.log import MetricsLog
    from history.records import Evaluation, Event, Point, Status
    from history.store import RunStore

    with np.load(FOLDER / f"{name}.npz") as file:
        about: dict[str, Any] = json.loads(str(file["about"]))
        columns = {model: [file[f"{model}.{column}"].astype(float) for column in COLUMNS] for model in about}
    configs = {model: ModelConfig(**(each["config"] | (settings or {}))) for model, each in about.items()}
    metrics = MetricsLog(configs, keep_unsaved=True)
    for model, each in about.items():
        losses, accuracies = columns[model]
        batch = configs[model].batch_size
        whole, place = np.divmod(np.arange(len(losses)), -(-IMAGES // batch))
        at = whole + np.minimum(IMAGES, (place + 1) * batch) / IMAGES
        looked = [Evaluation(**evaluation) for evaluation in each.pop("evaluations")]
        seconds = np.interp(at, [0.0, *(one.epoch for one in looked)], [0.0, *(one.seconds for one in looked)])
        rows = zip(range(1, len(at) + 1), *map(np.ndarray.tolist, (at, seconds, losses, accuracies)), strict=True)
        points = [Point(*row) for row in rows if epochs is None or row[1] <= epochs]
        looked = [one for one in looked if epochs is None or one.epoch <= epochs]
        last, seen = points[-1], looked[-1] if looked else None
        if epochs is not None:
            each |= {"step": last.step, "epoch": last.epoch, "elapsed_seconds": last.seconds, "test_accuracy": None}
            each |= {"loss": last.loss, "accuracy": last.accuracy}
            each |= {"val_loss": seen and seen.loss, "val_accuracy": seen and seen.accuracy}
        each["state"] = state or each["state"]
        end = Event(each["state"], last.step, last.epoch, last.seconds)
        metrics.publish(model, Status(**each), points, looked, [Event("running", 0, 0.0, 0.0), end], flush=True)
    store = RunStore(runs)
    store.record(run, metrics, configs, {})
    store.close()


if __name__ == "__main__":
    keep(Path(sys.argv[1]), sys.argv[2])
