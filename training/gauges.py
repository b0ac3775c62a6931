"""Gauges: what a trainer reads off while it works: its time, its speed, its running accuracy."""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from statistics import median

RUNNING_WINDOW = 1000  # training images behind a running accuracy
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
