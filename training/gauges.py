"""Gauges: what a trainer reads off while it works: its time, its speed, its running accuracy."""

import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from data import RUNNING_WINDOW
from history.records import Point
from training.engine import Engine, StepResult

READ_INTERVAL = 0.1  # seconds between two looks at the losses: each makes a GPU wait
SPEED_WINDOW = 5.0  # seconds of training behind a speed


class Stopwatch:
    """Seconds of work since start, pauses left out; monotonic, so a change of the clock does no harm."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._since: float | None = None
        self._before = seconds

    def run(self) -> None:
        self._since = time.perf_counter()

    def hold(self) -> None:
        self._before, self._since = self.seconds, None

    @property
    def seconds(self) -> float:
        return self._before + (0.0 if self._since is None else time.perf_counter() - self._since)


class Speedometer:
    """Steps and images a second: the median over the last seconds of pure training."""

    def __init__(self) -> None:
        self._rates: deque[tuple[float, float, float]] = deque()  # seconds, steps/s, images/s
        self._mark: tuple[float, int, int] | None = None

    def skip(self) -> None:
        """Leave out the time until the next reading: it was not spent training."""
        self._mark = None

    def note(self, seconds: float, step: int, images: int) -> None:
        if self._mark is not None and seconds > self._mark[0]:
            took = seconds - self._mark[0]
            self._rates.append((seconds, (step - self._mark[1]) / took, (images - self._mark[2]) / took))
        self._mark = (seconds, step, images)
        while self._rates and self._rates[0][0] < seconds - SPEED_WINDOW:
            self._rates.popleft()

    @property
    def batches_per_second(self) -> float | None:
        return median(rate for _, rate, _ in self._rates) if self._rates else None

    @property
    def images_per_second(self) -> float | None:
        return median(rate for _, _, rate in self._rates) if self._rates else None


class RunningAccuracy:
    """Share of right answers among the last RUNNING_WINDOW training images, or the last batch if larger."""

    def __init__(self, batches: Iterable[Sequence[int]] = ()) -> None:
        self._batches: deque[tuple[int, int]] = deque((correct, images) for correct, images in batches)
        self._correct = sum(correct for correct, _ in self._batches)
        self._images = sum(images for _, images in self._batches)

    @property
    def batches(self) -> list[tuple[int, int]]:
        """Right answers and images of each batch in the window; a new one made of them goes on alike."""
        return list(self._batches)

    def add(self, correct: int, images: int) -> float:
        self._batches.append((correct, images))
        self._correct += correct
        self._images += images
        while self._images - self._batches[0][1] >= RUNNING_WINDOW:
            old_correct, old_images = self._batches.popleft()
            self._correct -= old_correct
            self._images -= old_images
        return self._correct / self._images


class Gauges:
    """All gauges of one trainer. Steps are noted as they are taken, and become points when the engine has been read."""

    def __init__(self, seconds: float = 0.0, running_accuracy: Iterable[Sequence[int]] = ()) -> None:
        self.stopwatch = Stopwatch(seconds)
        self.speed = Speedometer()
        self._running_accuracy = RunningAccuracy(running_accuracy)
        self._unread: list[tuple[int, float, float]] = []  # step, epoch, seconds
        self._looked_at = -math.inf

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds of them."""
        return {"elapsed_seconds": self.stopwatch.seconds, "running_accuracy": self._running_accuracy.batches}

    def note_step(self, step: int, epoch: float) -> None:
        self._unread.append((step, epoch, self.stopwatch.seconds))

    def look_is_due(self) -> bool:
        """Return whether READ_INTERVAL has passed since the last yes."""
        now = time.perf_counter()
        if now - self._looked_at < READ_INTERVAL:
            return False
        self._looked_at = now
        return True

    def read(self, engine: Engine) -> tuple[list[Point], dict[str, Any]]:
        """Return the points of the steps since the last call, and the values of the status that go with them.

        The points end with the first whose loss is NaN or infinite: what came after means nothing. Synchronises with
        the device.
        """
        points = [self._point(engine, *pair) for pair in zip(self._unread, engine.read(), strict=True)]
        self._unread.clear()
        broken = next((place for place, point in enumerate(points, 1) if not math.isfinite(point.loss)), None)
        points = points[:broken]
        seconds = self.stopwatch.seconds
        self.speed.note(seconds, engine.step, engine.images_seen)
        figures: dict[str, Any] = {
            "elapsed_seconds": seconds,
            "batches_per_second": self.speed.batches_per_second,
            "images_per_second": self.speed.images_per_second,
        }
        if points:
            last = points[-1]
            figures |= {"step": last.step, "epoch": last.epoch, "loss": last.loss, "accuracy": last.accuracy}
            figures["eta_seconds"] = seconds * (engine.total_steps - last.step) / last.step
        return points, figures

    def _point(self, engine: Engine, position: tuple[int, float, float], result: StepResult) -> Point:
        step, epoch, seconds = position
        (images,) = engine.batches.counts(step, step)
        return Point(step, epoch, seconds, result.loss, self._running_accuracy.add(result.correct, images))
