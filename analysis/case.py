"""Case: all that is known of two models, as plain facts; statement.py says it in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.significance import alpha_of_pair
from config import MODEL_NAMES, SCHEMA
from history.states import ACTIVE_STATES

SAME_LENGTH = 0.02  # of the longer training: two that are stopped at once are not at the same step


@dataclass(frozen=True)
class Lead:
    """Who is ahead in validation accuracy at an equal place on an axis: `gap` and `noise` are fractions.

    leader: None where the gap is too small to be shown; known: False where `noise` is the widest that chance can have,
    because it was not kept which images each model had right.
    """

    axis: str
    leader: str | None
    gap: float
    noise: float
    known: bool = True

    @property
    def is_within_noise(self) -> bool:
        return self.leader is None or self.gap < self.noise


@dataclass(frozen=True)
class McNemar:
    """What McNemar's test found on the test images. ahead: who has more of them right, None for equally many.

    among: of how many trainings these two were chosen, None where they were not; see significance.alpha_of_pair.
    """

    ahead: str | None
    gap: float
    p_value: float
    among: int | None = None

    @property
    def leader(self) -> str | None:
        """Return who has more of them right where chance does not explain it, else None."""
        return self.ahead if self.p_value < alpha_of_pair(self.among) else None


@dataclass(frozen=True)
class Case:
    """What is known of two models.

    states, epochs: by model; differing: the settings in which they differ, of a fork the one that it changed; steered:
    the learning rates, in their order, of each model whose rate was changed on the way; forked: what a fork changed,
    such as "dropout 0.5 → 0.2", in the model named by `copy`, which is a copy of the other; repeats: what
    repeats.result tells of a series with the same settings, or None; went_on: how each model with a schedule went on
    for more epochs, where the other did not go on in the same way, such as "for 1 more epoch: cosine schedule over,
    learning rate held at 1e-05"; both_evaluated: whether both models have been, be it nowhere at the same place on the
    axis; cut_short: whether a model ended before its first evaluation; tests_pending, work_pending: whether the answers
    to the test images, or the work per image that the lead's axis needs, can only be told once PyTorch has loaded.

    apart: of trainings of different runs the conditions that differ, such as "device", None of models of one run;
    forks: by model what a fork changed in one that is no copy of the other; by_clock: whether they would be compared
    by the seconds of different runs, which nobody can; among: of how many trainings they were chosen, None of those
    that were not.
    """

    states: Mapping[str, str]
    epochs: Mapping[str, float]
    lead: Lead | None = None
    tested: McNemar | None = None
    differing: Sequence[str] = ()
    steered: Mapping[str, Sequence[float]] | None = None
    forked: str | None = None
    repeats: Mapping[str, Any] | None = None
    went_on: Mapping[str, str] | None = None
    both_evaluated: bool = False
    cut_short: bool = False
    tests_pending: bool = False
    work_pending: bool = False
    apart: Sequence[str] | None = None
    forks: Mapping[str, str] | None = None
    by_clock: bool = False
    among: int | None = None
    copy: str = MODEL_NAMES[1]

    @property
    def is_live(self) -> bool:
        return any(state in ACTIVE_STATES for state in self.states.values())

    @property
    def failed(self) -> list[str]:
        return [model for model, state in self.states.items() if state == "failed"]

    @property
    def causes(self) -> int:
        """Return how many things differ, any of which may be why the models do not do alike."""
        went_on_alike = len({(self.went_on or {}).get(model) for model in self.states}) == 1
        settings = 1 if self.forked else len(self.differing)
        changes = len(self.steered or {}) + len(self._forks_beside_settings) + (not went_on_alike)
        return settings + changes + self.is_unequally_long + bool(self.apart)

    @property
    def _forks_beside_settings(self) -> list[str]:
        """What forks changed that is not among the settings that differ, and so counted there."""
        titles = [f"{SCHEMA['properties'][name]['title'].lower()} " for name in self.differing]
        return [change for change in (self.forks or {}).values() if not change.startswith(tuple(titles))]

    @property
    def is_unequally_long(self) -> bool:
        """Return whether models are tested after different numbers of epochs because one was stopped."""
        longest = max(self.epochs.values())
        is_equal = longest - min(self.epochs.values()) <= SAME_LENGTH * longest
        return self.tested is not None and "stopped" in self.states.values() and not is_equal

    @property
    def is_as_set(self) -> bool:
        """Return whether both models have trained from the start as they are set, as the pairs of a series do."""
        return not self.forked and not self.forks and not self.steered and not self.went_on

    @property
    def pairs(self) -> int:
        """Return how many pairs of a series with the same settings have ended."""
        return self.repeats["pairs"] if self.repeats and self.is_as_set else 0

    @property
    def claim(self) -> str | None:
        """Return the model whose settings the repeats call better, None where they call none so."""
        return self.repeats.get("claim") if self.repeats and self.pairs else None
