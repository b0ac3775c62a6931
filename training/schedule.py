"""Schedule: at which steps of a run what is due: its learning rate, and its evaluations."""

import math

from config import ModelConfig

WARM_UP_SHARE = 0.25  # of a one-cycle run, spent climbing to the peak learning rate
EARLY_LOOKS = (0.25, 0.5, 1.5, 2.5)  # epochs, beside each epoch's end: most of what is learned is learned early


def scheduled_learning_rate(config: ModelConfig, step: int, total_steps: int, peak: float | None = None) -> float:
    """Return the learning rate of step 0 to total_steps-1; `peak` takes the place of the setting in a steered run."""
    peak = config.learning_rate if peak is None else peak
    progress = step / max(1, total_steps)
    # 1) the same all along
    if config.schedule == "constant":
        return peak
    # 2) climbing: from a tenth of the peak
    if config.schedule == "one_cycle" and progress < WARM_UP_SHARE:
        return peak * (0.1 + 0.9 * progress / WARM_UP_SHARE)
    # 3) falling: half a cosine from the peak towards zero
    if config.schedule == "one_cycle":
        progress = (progress - WARM_UP_SHARE) / (1 - WARM_UP_SHARE)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))


def evaluation_steps(steps_per_epoch: int, epochs: int) -> frozenset[int]:
    """Return after which steps the validation images are looked at: each epoch's end, and EARLY_LOOKS between these."""
    ends = {steps_per_epoch * epoch for epoch in range(1, epochs + 1)}
    return frozenset(ends | {math.ceil(steps_per_epoch * epoch) for epoch in EARLY_LOOKS if epoch < epochs})


def next_evaluation_step(step: int, steps_per_epoch: int, epochs: int) -> int | None:
    """Return after which step the validation images are looked at next, None where that was done for the last time."""
    return min((after for after in evaluation_steps(steps_per_epoch, epochs) if after > step), default=None)
