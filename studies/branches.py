"""Branches: runs that go on from another one, which stays as it was: forks, and finished runs that are trained further.

What such a run's models are set to, and what is said of the change. No torch here.
"""

from typing import Any

from config import SCHEMA, ModelConfig, parse_config

MAX_EPOCHS: int = SCHEMA["properties"]["epochs"]["maximum"]
FORKABLE = (  # what a copy of a model can differ in and still take over its weights and its place in the epoch
    "optimizer",
    "learning_rate",
    "dropout",
    "epochs",
    "seed",
    "momentum",
    "weight_decay",
    "schedule",
    "augment",
    "label_smoothing",
    "precision",
)


class TooManyEpochs(Exception):
    """No run may have as many epochs as were asked for; the message, also in `fields`, says how many."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.fields = {"more_epochs": message}


class BadFork(Exception):
    """A copy of a model cannot have these settings; `fields` says why."""

    def __init__(self, changed: list[str]) -> None:
        forbidden = [name for name in changed if name not in FORKABLE]
        allowed = f"one of {', '.join(FORKABLE)}"
        said = dict.fromkeys(forbidden, f"cannot be changed in a copy: change {allowed}")
        self.fields = said or {"settings": f"exactly one must differ from model 1's: {allowed}; got {len(changed)}"}
        super().__init__("A fork changes exactly one setting")


def change_one(source: ModelConfig, settings: dict[str, Any]) -> tuple[str, ModelConfig]:
    """Return the one setting that a copy of a model changes, and the copy's settings.

    Raises InvalidSettings, and BadFork where not exactly one setting differs, or one that may not.
    """
    config = parse_config(source.model_dump(mode="json") | settings, "settings")
    # all that was changed, be it without effect for this optimizer
    changed = [name for name in ModelConfig.model_fields if getattr(source, name) != getattr(config, name)]
    if len(changed) != 1 or changed[0] not in FORKABLE:
        raise BadFork(changed)
    return changed[0], config


def say_change(source: ModelConfig, config: ModelConfig, name: str) -> str:
    """Return a changed setting in words, such as "learning rate 0.001 → 0.0001"."""
    title = SCHEMA["properties"][name]["title"].lower()
    before, now = (getattr(each, name) for each in (source, config))
    return f"{title} {before:.4g} → {now:.4g}" if isinstance(before, float) else f"{title} {before} → {now}"


def add_epochs(config: ModelConfig, more: int) -> ModelConfig:
    """Return a config with more epochs. Raises TooManyEpochs."""
    if config.epochs + more > MAX_EPOCHS:
        raise TooManyEpochs(
            f"more_epochs must be at most {MAX_EPOCHS - config.epochs}, so that the run has {MAX_EPOCHS}, got {more}"
        )
    return config.model_copy(update={"epochs": config.epochs + more})
