"""Batches: how an epoch's images are cut into steps. All that counts steps or images counts them here."""

from typing import NamedTuple


class Batches(NamedTuple):
    """Steps of `size` images each (at most `images`, those of an epoch); an epoch's last step takes what is left.

    Where fewer than `smallest` are left, they join the batch before. Steps are counted from 1, through all epochs.
    """

    images: int
    size: int
    smallest: int = 1

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        whole, rest = divmod(self.images, self.size)
        return max(1, whole + (rest >= self.smallest))

    @property
    def whole_steps(self) -> int:
        """How many of an epoch's steps, the first ones, take `size` images."""
        return self.steps - (self.images != self.steps * self.size)

    @property
    def last(self) -> int:
        """Images of an epoch's last step."""
        return self.images - (self.steps - 1) * self.size

    def cut(self, position: int) -> slice:
        """Return which of an epoch's images, in their order, its step number `position`, counted from 0, takes."""
        start = position * self.size
        return slice(start, self.images if position == self.steps - 1 else start + self.size)

    def seen(self, step: int) -> int:
        """Return how many images have been trained on after `step` steps."""
        epochs, position = divmod(step, self.steps)
        return epochs * self.images + position * self.size

    def epoch(self, step: int) -> float:
        """Return how many epochs, fractional, have been trained after `step` steps."""
        return self.seen(step) / self.images

    def counts(self, first: int, last: int) -> list[int]:
        """Return how many images each of the steps from `first` to `last` takes."""
        counts = [self.size] * (last - first + 1)
        for end in range(first + -first % self.steps, last + 1, self.steps):
            counts[end - first] = self.last
        return counts
