"""Presets: pairs of settings that show something when they train side by side."""

from pydantic import BaseModel, ConfigDict

from config import DEFAULTS, ModelConfig


class Preset(BaseModel):
    """A ready comparison: a question, and the two configurations that answer it.

    lesson: the id of one that changes a single setting, where this changes more.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    model1: ModelConfig
    model2: ModelConfig
    lesson: str | None = None


PRESETS = (
    Preset(
        name="Deep vs Shallow",
        description="Twice as many kernels in every layer: does the larger model earn its time?",
        model1=DEFAULTS,
        model2=ModelConfig(kernels=(16, 32, 64, 128)),
    ),
    Preset(
        name="Optimizer Impact",
        description="Adam at 0.001 against SGD at 0.01: two settings differ, since each has its own usual rate.",
        model1=DEFAULTS,
        model2=ModelConfig(optimizer="sgd", learning_rate=0.01),
        lesson="optimizer",
    ),
    Preset(
        name="Regularization Effect",
        description="Dropout 0.5 against 0.3, all else equal.",
        model1=DEFAULTS,
        model2=ModelConfig(dropout=0.3),
    ),
    Preset(
        name="Kernel Size",
        description="3×3 kernels against 5×5 kernels in every layer.",
        model1=DEFAULTS,
        model2=ModelConfig(kernel_sizes=(5, 5, 5, 5)),
    ),
    Preset(
        name="Strong baseline",
        description="What good habits bring: the default model against twice its time spent on the advanced settings.",
        model1=ModelConfig(epochs=15),
        model2=ModelConfig(
            kernels=(16, 24, 40, 64, 96, 128),
            pool_every=2,
            batch_norm=True,
            batch_size=128,
            epochs=15,
            optimizer="sgd",
            learning_rate=0.1,
            schedule="one_cycle",
            weight_decay=0.0005,
            dropout=0.3,
            label_smoothing=0.1,
            augment="flip_erase",
        ),
    ),
)
