"""Values: every figure of one model, computed."""

from collections.abc import Mapping

from analysis import measures
from analysis.entrant import Entrant, reached
from history.records import known


def figure_values(
    each: Entrant, block: int, images: Mapping[str, int], gpu_use: float | None
) -> dict[str, float | None]:
    """Return all figures of one model by key, each in the unit that FIGURES names; None where not known yet."""
    model, evaluations = each.model, each.evaluations
    blocks = each.blocks(block, images["train"])
    rate = each.loss_reduction_rate(images["train"])
    target = reached(each, measures.CONVERGENCE, images["train"]) or {}
    accuracies = [accuracy for accuracy in evaluations["accuracy"] if known(accuracy)]
    cost = each.description or {}
    speed, computed = model["images_per_second"], each.computed_flops_per_image
    return {
        "best_accuracy": _scale(max(accuracies, default=None), 100),
        "test_accuracy": _scale(model["test_accuracy"], 100),
        "epochs_to_target": target.get("epochs"),
        "seconds_to_target": target.get("seconds"),
        "loss_reduction_rate": rate,
        "half_life": measures.half_life(rate),
        "instability": measures.instability(blocks.loss),
        "spikes": measures.spikes_per_thousand(blocks.loss, blocks.images),
        "drawdown": _scale(measures.drawdown(evaluations), 100),
        "plateau": measures.epochs_without_improvement(evaluations),
        "overfitting": _scale(measures.overfitting(evaluations), 100),
        "batches_per_second": model["batches_per_second"],
        "images_per_second": speed,
        "training_time": model["elapsed_seconds"] if model["step"] else None,
        "parameters": model["parameters"] or cost.get("parameters"),
        "flops_per_image": _scale(cost.get("flops_per_image"), 1e-6),
        "training_flops_per_image": _scale(each.flops_per_image, 1e-6),
        "achieved_flops": computed * speed / 1e9 if computed and speed else None,
        "memory": _scale(cost.get("memory_bytes"), 1e-6),
        "gpu_use": _scale(gpu_use, 100),
    }


def _scale(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
