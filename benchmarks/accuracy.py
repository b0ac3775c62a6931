"""What accuracy is reached, over several seeds: the strong baseline, and bfloat16 against float32.

    python benchmarks/accuracy.py [--what strong|precision|both] [--seeds 3] [--json]

Two seeds, or the two precisions of one seed, train side by side, as two models do in the app.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from config import DEFAULTS, ModelConfig  # noqa: E402
from history.records import Status  # noqa: E402
from studies.presets import PRESETS  # noqa: E402
from train import Comparison  # noqa: E402
from training.images import FashionMNIST, load_fashion_mnist  # noqa: E402
from training.machine import best_device  # noqa: E402

PRECISION_EPOCHS = 3


def train(configs: dict[str, ModelConfig], dataset: FashionMNIST) -> dict[str, Status]:
    """Train models side by side to their end; return their last status by name."""
    comparison = Comparison(configs, dataset)
    comparison.start()
    comparison.join()
    return {name: comparison.metrics.status(name) for name in configs}


def strong_baseline(seeds: int, dataset: FashionMNIST) -> list[dict[str, Any]]:
    config = next(preset for preset in PRESETS if preset.name == "Strong baseline").model2
    waiting = [f"seed {seed}" for seed in range(seeds)]
    results = []
    while waiting:
        pair, waiting = waiting[:2], waiting[2:]
        configs = {name: config.model_copy(update={"seed": int(name.split()[1])}) for name in pair}
        for name, status in train(configs, dataset).items():
            print(f"strong baseline, {name}: test {status.test_accuracy}", file=sys.stderr)
            results.append(
                {
                    "run": name,
                    "beside": len(pair) - 1,
                    "epochs": config.epochs,
                    "test_accuracy": status.test_accuracy,
                    "val_accuracy": status.val_accuracy,
                    "seconds": status.elapsed_seconds,
                }
            )
    return results


def precisions(seeds: int, dataset: FashionMNIST) -> list[dict[str, Any]]:
    results = []
    for seed in range(seeds):
        configs = {
            name: DEFAULTS.model_copy(update={"precision": name, "seed": seed, "epochs": PRECISION_EPOCHS})
            for name in ("bfloat16", "float32")
        }
        for name, status in train(configs, dataset).items():
            results.append({"run": f"{name}, seed {seed}", "precision": name, "test_accuracy": status.test_accuracy})
    return results


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.2%} (from {min(values):.2%} to {max(values):.2%}, n = {len(values)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=("strong", "precision", "both"), default="both")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    dataset = load_fashion_mnist(ROOT / "data").to(best_device())
    result: dict[str, list[dict[str, Any]]] = {}
    if options.what != "precision":
        result["strong"] = strong_baseline(options.seeds, dataset)
    if options.what != "strong":
        result["precision"] = precisions(options.seeds, dataset)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    if "strong" in result:
        for run in result["strong"]:
            print(f"strong baseline, {run['run']}: test {run['test_accuracy']:.2%}, {run['seconds']:.0f} s")
        print(f"strong baseline: test {spread([run['test_accuracy'] for run in result['strong']])}")
    for name in ("bfloat16", "float32") if "precision" in result else ():
        values = [run["test_accuracy"] for run in result["precision"] if run["precision"] == name]
        print(f"default model after {PRECISION_EPOCHS} epochs in {name}: test {spread(values)}")


if __name__ == "__main__":
    main()
