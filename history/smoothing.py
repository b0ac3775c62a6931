"""Smoothing: the moving averages of a training curve, kept up at every step, before any point is left out."""

import math
from collections.abc import Sequence

from data import TRAINING_IMAGES

SMOOTHING_IMAGES = 2_750  # a twentieth of an epoch: what the page smooths by, too
WINDOWS = (275, 550, 1_375, SMOOTHING_IMAGES, 5_500, 11_000, 27_500)  # images; the page's slider adds 0 for off
Averages = tuple[float | None, float | None]  # of loss and accuracy; None where the loss is not finite


class Smoother:
    """Debiased exponential moving averages of loss and accuracy over several windows, by images.

    m ← βm + (1−β)L with β = exp(−images of the step / window), and m̂ = m / (1−Πβ): debiased as in Adam (Kingma & Ba
    2015, arXiv 1412.6980), for steps of unequal size. The images of a step follow from how far it has moved the epoch,
    so that the smaller last batch of an epoch counts for less, and two batch sizes are smoothed alike.
    """

    def __init__(self, windows: Sequence[int]) -> None:
        self._windows = windows
        self._means = [(0.0, 0.0, 0.0)] * len(windows)  # of loss and accuracy, and 1 − Πβ
        self._epoch = 0.0
        self._images = math.nan  # of the step for which _decays holds β
        self._decays: list[float] = []

    def add(self, epoch: float, loss: float, accuracy: float) -> list[Averages]:
        """Return the averages after one more step, one pair for each window; a loss that is not finite changes none."""
        images = round(max(0.0, epoch - self._epoch) * TRAINING_IMAGES, 3)
        self._epoch = epoch
        if not math.isfinite(loss):
            return [(None, None)] * len(self._windows)
        if images != self._images:
            self._images = images
            self._decays = [math.exp(-images / window) for window in self._windows]
        averages: list[Averages] = []
        for place, decay in enumerate(self._decays):
            mean_loss, mean_accuracy, weight = self._means[place]
            new = 1 - decay
            mean_loss = decay * mean_loss + new * loss
            mean_accuracy = decay * mean_accuracy + new * accuracy
            weight = decay * weight + new
            self._means[place] = (mean_loss, mean_accuracy, weight)
            averages.append((mean_loss / weight, mean_accuracy / weight) if weight else (loss, accuracy))
        return averages
