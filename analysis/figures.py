"""Figures: what each line of the table is called, in which unit, how it is shown, and what it means."""

from dataclasses import dataclass

from analysis.measures import CONVERGENCE
from data import TEST_IMAGES, TRAINING_SAMPLE, VALIDATION_IMAGES

CLOCK_MARGIN = 0.05  # of the larger value: so far apart times and speeds of equal models lie on a busy machine
TARGET = f"{CONVERGENCE:.0%}".replace("%", " %")


@dataclass(frozen=True)
class Figure:
    """One line of the table: what it is called, how its values are shown, and what it means."""

    key: str
    title: str
    unit: str
    form: str
    lower_is_better: bool | None  # None where neither is
    help: str
    source: str
    # one value is called better only when the two differ by more than both of these
    margin: float = 0.0  # in the figure's unit
    relative_margin: float = 0.0  # of the larger value


FIGURES = (
    Figure(
        "best_accuracy",
        "Best validation accuracy",
        "%",
        "{:.1f}",
        False,
        f"Share of right answers on {VALIDATION_IMAGES:,} images that the model never trains on, at its best "
        "evaluation so far.",
        "Ours. Marked better only where the difference is beyond the paired noise, and the verdict says the same.",
    ),
    Figure(
        "test_accuracy",
        "Test accuracy",
        "%",
        "{:.2f}",
        False,
        f"Share of right answers on the {TEST_IMAGES:,} test images, once the run has finished or was stopped. They "
        "never choose anything; what else looks at them: Mistakes and Classes of such runs, the test images in Inside "
        "and Try it, and a run that goes on, when it ends again.",
        "Interval: Wilson 1927. Marked better only where McNemar's test finds more than chance.",
    ),
    Figure(
        "epochs_to_target",
        f"Epochs to {TARGET}",
        "epochs",
        "{:.2f}",
        True,
        f"Convergence speed: passes over the training images until the validation accuracy was first {TARGET}. "
        "It is known only at evaluations, so it is late by up to the interval between two. Marked better only where "
        "one model had it at the end of an earlier epoch than the other, with a whole epoch's end between them.",
        "Time to accuracy: DAWNBench (arXiv 1806.01427), MLPerf training rules",
    ),
    Figure(
        "seconds_to_target",
        f"Time to {TARGET}",
        "s",
        "{:.1f}",
        True,
        "Convergence speed by the clock: training time, evaluations included and pauses left out, "
        f"until the validation accuracy was first {TARGET}. Known only at evaluations; marked better as the "
        "epochs are, with 5 % of the time between.",
        "Time to accuracy: DAWNBench (arXiv 1806.01427), MLPerf training rules",
        relative_margin=CLOCK_MARGIN,
    ),
    Figure(
        "loss_reduction_rate",
        "Loss reduction rate",
        "per epoch",
        "{:.3f}",
        None,
        "How steeply the training loss fell from the last whole epoch but one to the last. 0.1 is about 10 % an epoch; "
        "below 0 the loss rises. Before two epochs are complete it compares the last two quarters of the images seen "
        "so far, and is marked early. Neither is the better one: a model that has learned most of it falls slowly.",
        "Ours: ln(mean loss of the epoch before / of the last), plain cross-entropy",
    ),
    Figure(
        "half_life",
        "Loss half-life",
        "epochs",
        "{:.2f}",
        None,
        "After how many epochs the loss would be halved if it went on falling at the loss reduction rate.",
        "ln 2 / loss reduction rate",
    ),
    Figure(
        "instability",
        "Instability S",
        "",
        "{:.3f}",
        True,
        "Training stability: how much the loss jumps from one group of images to the next, relative to its mean, "
        "over the last epoch. 0 is perfectly steady. Groups are equal for both models, or neither is marked better: "
        "batch sizes without a common multiple of at most a twentieth of an epoch have none.",
        "Ours, as there is no accepted standard: std of first differences / mean, from plain cross-entropy",
        relative_margin=0.1,
    ),
    Figure(
        "spikes",
        "Loss spikes",
        "per 1,000",
        "{:.1f}",
        None,  # so few that two equal models differ by a tenth one time in ten
        "Groups of images whose loss stands more than four standard deviations above the moving average before them. "
        "Groups as for the instability. Too few to mark one better.",
        "Ours, in the manner of a control chart with exponential weights (Roberts 1959)",
    ),
    Figure(
        "drawdown",
        "Drawdown",
        "points",
        "{:.1f}",
        True,
        "How far the validation accuracy is below its best so far.",
        "Ours: best − current",
        margin=1.0,
    ),
    Figure(
        "plateau",
        "Epochs without improvement",
        "epochs",
        "{:.1f}",
        None,
        "For how long the validation accuracy has not risen by more than 0.1 point; from 3 epochs on it is a plateau: "
        "the model has learned what it can with these settings.",
        "Keras EarlyStopping(min_delta=0.001, patience=3), on running medians of three (Tukey 1977)",
    ),
    Figure(
        "overfitting",
        "Overfitting",
        "points",
        "{:.1f}",
        True,
        f"How much better the model does on {TRAINING_SAMPLE:,} images it trains on than on the {VALIDATION_IMAGES:,} "
        "of the validation, both without dropout. Measured at the end of each epoch.",
        "Training accuracy − validation accuracy, both in eval mode",
        margin=2.0,  # the noise of 1,000 images: two equal models differ by more one time in fifty
    ),
    Figure(
        "batches_per_second",
        "Training speed, batches",
        "batches/s",
        "{:.1f}",
        False,
        "Training steps a second, over the last seconds of training. Models of different batch sizes do not compare by "
        "it: look at images/s. The better one is marked where that of images/s is.",
        "Median of the last 5 s of training, without pauses and evaluations",
        relative_margin=CLOCK_MARGIN,
    ),
    Figure(
        "images_per_second",
        "Training speed, images",
        "images/s",
        "{:,.0f}",
        False,
        "Training images a second, over the last seconds of training. Marked better only while both models train, and "
        "where one was the faster over the whole training, too.",
        "Median of the last 5 s of training, without pauses and evaluations",
        relative_margin=CLOCK_MARGIN,
    ),
    Figure(
        "training_time",
        "Training time",
        "s",
        "{:.1f}",
        True,
        "Time since the start with evaluations and without pauses. Marked better once both have finished, 5 % apart.",
        "MLPerf training rules: evaluation counts",
        relative_margin=CLOCK_MARGIN,
    ),
    Figure(
        "parameters",
        "Parameters",
        "",
        "{:,.0f}",
        True,
        "Numbers that the model learns: its size.",
        "Counted",
    ),
    Figure(
        "flops_per_image",
        "Work per image, forward",
        "MFLOP",
        "{:,.2f}",
        True,
        "Arithmetic to classify an image in the textbook network, to compare architectures by; a multiply-add is two "
        "operations. Not all of it is computed: what no pool looks at, a map's last row and column, is left out.",
        "torch.utils.flop_counter.FlopCounterMode",
    ),
    Figure(
        "training_flops_per_image",
        "Work per image, training",
        "MFLOP",
        "{:,.2f}",
        True,
        "Arithmetic to learn from an image in the textbook network: forward and backward.",
        "torch.utils.flop_counter.FlopCounterMode",
    ),
    Figure(
        "achieved_flops",
        "Achieved",
        "GFLOP/s",
        "{:,.1f}",
        False,
        "Arithmetic done a second: how well the model uses the hardware. Small models keep it less busy. What no pool "
        "looks at is not computed and not counted, so this can be less than images/s times the textbook's work. The "
        "better one is marked where that of images/s is.",
        "FLOPs done to learn from an image × images/s",
        relative_margin=CLOCK_MARGIN,
    ),
    Figure(
        "memory",
        "Memory",
        "MB",
        "{:,.1f}",
        True,
        "What a training step holds on to: weights, gradients, optimizer state, and activations at this batch size.",
        "Counted: live counters are for the whole process and cannot be split between two models",
    ),
    Figure(
        "gpu_use",
        "GPU use, shared by both",
        "%",
        "{:.0f}",
        None,
        "Share of the time in which the GPU was busy. It counts both models, and every other program.",
        "NVML utilisation of the device",
    ),
)
