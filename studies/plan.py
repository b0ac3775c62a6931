"""Plan: which settings and seeds a series trains. Pure."""

import itertools
from collections.abc import Collection, Mapping

from config import MODEL_NAMES, ModelConfig, differing_fields

FEWEST, MOST = 3, 20  # pairs


class NothingToRepeat(Exception):
    """Both models of each pair would train alike; `fields` says why."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        super().__init__(next(iter(fields.values())))


def check_settings(configs: Mapping[str, ModelConfig], precisions: Mapping[str, str]) -> None:
    """Raise NothingToRepeat unless the models differ in more than the seed, which both models of a pair share.

    precisions: what each model's comes to on this machine.
    """
    differing = set(differing_fields(*configs.values()))
    if len(set(precisions.values())) == 1:
        differing -= {"precision"}
    if differing - {"seed"}:
        return
    why = "both models of a pair get the same seed, and would train alike"
    fields = {"runs": f"Repeats need two models that differ in more than the seed: {why}"}
    if len({config.precision for config in configs.values()}) > len(set(precisions.values())):
        [precision] = set(precisions.values())
        fields[f"{MODEL_NAMES[1]}.precision"] = f"precision is {precision} for both models on this machine: {why}"
    if differing:
        fields[f"{MODEL_NAMES[1]}.seed"] = f"seed must not be all that differs where pairs are repeated: {why}"
    raise NothingToRepeat(fields)


def new_seeds(config: ModelConfig, pairs: int, used: Collection[int] = ()) -> list[int]:
    """Return seeds for so many pairs: the next ones after the config's own, which has been looked at, not in `used`."""
    following = ((config.seed + number) % 2**32 for number in itertools.count(1))
    return list(itertools.islice((seed for seed in following if seed not in used), pairs))
