"""Training without a server: `python train.py --model1.optimizer adam --model2.optimizer sgd`."""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from analysis.mistakes import count_agreement
from analysis.significance import significance
from analysis.verdict import compare
from config import (
    DEFAULTS,
    MODEL_NAMES,
    SCHEMA,
    InvalidSettings,
    ModelConfig,
    differing_fields,
    expected_values,
    parse_config,
    parse_text,
)
from data import DatasetError
from exports.files import METRIC_FORMATS, write_metrics
from exports.plots import PICTURE_FORMATS, plot_curves
from exports.records import ModelRecord, Records
from history.log import MetricsLog
from history.records import Insight, Predictions, Status
from studies.presets import PRESETS
from train import Comparison, ModelTrainer
from training.images import FashionMNIST, load_fashion_mnist
from training.machine import best_device

REFRESH = 0.2  # seconds between two looks at the trainers
LOG_INTERVAL = 10.0  # seconds between two lines of a bar that goes to a file
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


class TestAnswers:
    """A training.keeper.Keeper of the answers to the test images, by model; the rest nobody will ask for."""

    def __init__(self) -> None:
        self.of: dict[str, Predictions] = {}

    def save_checkpoint(self, model: str, checkpoint: bytes) -> None:
        """Let it go."""

    def save_insight(self, model: str, insight: Insight, predictions: Predictions) -> None:
        """Let it go."""

    def save_predictions(self, model: str, predictions: Predictions) -> None:
        self.of[model] = predictions


def build_parser() -> argparse.ArgumentParser:
    """Return the parser: a flag for each setting of both models at once, and one for each model's own."""
    parser = argparse.ArgumentParser(
        prog="train.py",
        description="Train two CNNs on FashionMNIST side by side and compare them.",
        epilog="A setting given without a model's name is meant for both: --epochs 3 --model2.optimizer sgd",
    )
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where FashionMNIST is, or goes")
    parser.add_argument("--preset", choices=[preset.name for preset in PRESETS], help="start from a ready comparison")
    parser.add_argument("--out", type=_path_ending(METRIC_FORMATS), help="write all metrics: .json or .csv")
    parser.add_argument("--plot", type=_path_ending(PICTURE_FORMATS), help="draw the curves: .png, .svg or .pdf")
    for field, schema in SCHEMA["properties"].items():
        default = DEFAULTS.model_dump(mode="json")[field]
        help_text = f"{schema['description']} {expected_values(field).capitalize()}. Default: {default}"
        parser.add_argument(f"--{field}", metavar="X", help=help_text.replace("%", "%%"))
        for model in MODEL_NAMES:
            parser.add_argument(f"--{model}.{field}", metavar="X", help=argparse.SUPPRESS)
    return parser


def _path_ending(endings: tuple[str, ...]) -> type[Path]:
    def check(text: str) -> Path:
        path = Path(text)
        if path.suffix not in endings:
            raise argparse.ArgumentTypeError(f"must end in {' or '.join(endings)}, got {text}")
        if not path.parent.is_dir():
            raise argparse.ArgumentTypeError(f"the folder {path.parent} does not exist")
        return path

    return check  # type: ignore[return-value]


def read_configs(options: argparse.Namespace) -> dict[str, ModelConfig]:
    """Return both models' settings: the preset's, then flags for both, then the model's own flags.

    Raises InvalidSettings naming every bad flag.
    """
    given = vars(options)
    configs: dict[str, ModelConfig] = {}
    fields: dict[str, str] = {}
    preset = next((preset for preset in PRESETS if preset.name == options.preset), None)
    for model in MODEL_NAMES:
        settings = getattr(preset, model).model_dump(mode="json", exclude_unset=True) if preset else {}
        for field in SCHEMA["properties"]:
            text = given[f"{model}.{field}"] or given[field]
            if text is not None:
                settings[field] = parse_text(field, text)
        try:
            configs[model] = parse_config(settings, model)
        except InvalidSettings as error:
            fields |= error.fields
    if fields:
        raise InvalidSettings(fields)
    return configs


@contextmanager
def progress_bars(comparison: Comparison) -> Iterator[dict[str, tqdm]]:
    """Give each trainer a bar in epochs, and close them in order."""
    bars = {
        name: tqdm(
            total=trainer.config.epochs,
            desc=name,
            position=position,
            mininterval=REFRESH if sys.stderr.isatty() else LOG_INTERVAL,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| epoch {n:.2f}/{total} [{elapsed}<{remaining}{postfix}]",
        )
        for position, (name, trainer) in enumerate(comparison.trainers.items())
    }
    try:
        yield bars
    finally:
        for bar in bars.values():
            bar.close()


def follow(comparison: Comparison, interrupted: threading.Event) -> None:
    """Show both trainers' progress until their threads have ended, or until interrupted."""
    with progress_bars(comparison) as bars:
        moving = list(comparison.trainers.values())
        while moving and not interrupted.is_set():
            moving[0].join(REFRESH)
            ended = [trainer for trainer in moving if not trainer.is_alive()]
            for trainer in moving:
                advance(bars[trainer.name], comparison.metrics.status(trainer.name))
            for trainer in ended:
                bars[trainer.name].refresh()
            moving = [trainer for trainer in moving if trainer not in ended]


def advance(bar: tqdm, status: Status) -> None:
    figures = {"loss": status.loss, "acc": status.accuracy, "val_acc": status.val_accuracy}
    shown = {name: f"{value:.4f}" for name, value in figures.items() if value is not None}
    bar.set_postfix(shown, refresh=False)
    bar.update(status.epoch - bar.n)


def main(arguments: list[str] | None = None) -> int:
    """Train, report, and return the exit code."""
    try:
        return train(build_parser().parse_args(arguments))
    except KeyboardInterrupt:  # before training began: nothing to keep
        return EXIT_INTERRUPTED


def train(options: argparse.Namespace) -> int:
    """Train what the options say until both models are done or Ctrl-C; return the exit code."""
    logging.basicConfig(level=logging.CRITICAL)  # the bars and the table say it all
    try:
        configs = read_configs(options)
        dataset = load_fashion_mnist(options.data_dir).to(best_device())
    except InvalidSettings as error:
        for field, message in error.fields.items():
            print(f"--{field}: {message}", file=sys.stderr)
        return EXIT_USAGE
    except DatasetError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    metrics = MetricsLog(configs, keep_unsaved=True)
    answers = TestAnswers()
    comparison = Comparison(configs, dataset, metrics=metrics, keeper=answers)
    interrupted = threading.Event()
    _stop_on_signal(interrupted)
    comparison.start()
    follow(comparison, interrupted)
    if interrupted.is_set():
        print("\nStopping; what was measured is kept. Ctrl-C again ends at once.", file=sys.stderr)
    comparison.end()
    comparison.join()
    records = {
        name: ModelRecord(news.status, news.points, news.evaluations) for name, news in metrics.take_news().items()
    }
    print(comparison_table(records))
    print(f"\n{say_verdict(dataset, metrics, answers)}")
    if options.out:
        write_metrics(records, options.out)
    if options.plot:
        plot_curves(records, options.plot)
    return exit_code(comparison.trainers, records)


def _stop_on_signal(interrupted: threading.Event) -> None:
    """Set the event at the first Ctrl-C or SIGTERM; a second one ends the process at once."""

    def stop(*_: object) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        interrupted.set()

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


def say_verdict(dataset: FashionMNIST, metrics: MetricsLog, answers: TestAnswers) -> str:
    """Return the statement that the page shows, and the counts of McNemar's test where both have finished."""
    tested = None
    if set(answers.of) == set(metrics.models):
        labels = dataset.test.labels.cpu().numpy()
        tested = significance(count_agreement(labels, *(answers.of[name] for name in MODEL_NAMES)))
    said = compare(
        None,
        {name: metrics.summary(name) for name in metrics.models},
        "epochs",
        recent={},
        descriptions={},
        images={split: len(getattr(dataset, split)) for split in ("train", "validation", "test")},
        significance=tested,
        right_images={name: [each.right_images for each in metrics.evaluations(name)] for name in metrics.models},
        events={name: metrics.events(name) for name in metrics.models},
    )["verdict"]
    return "\n".join(filter(None, (said["first"], said["second"], said["details"])))


def exit_code(trainers: dict[str, ModelTrainer], records: dict[str, ModelRecord]) -> int:
    """Return 0 when both finished, 1 when one failed (the reason is printed), 130 when stopped by Ctrl-C."""
    failed = {name: records[name].status.error for name, trainer in trainers.items() if trainer.state == "failed"}
    for name, error in failed.items():
        print(f"{name} failed: {error}", file=sys.stderr)
    if failed:
        return EXIT_FAILED
    return EXIT_INTERRUPTED if any(trainer.state == "stopped" for trainer in trainers.values()) else 0


def comparison_table(records: Records) -> str:
    """Return the outcome of all models side by side as text, with the settings that differ."""
    configs = [ModelConfig(**(record.status.config or {})) for record in records.values()]
    rows = [("", *records)]
    for field in differing_fields(configs[0], configs[-1]):
        rows.append((field, *(str(config.model_dump(mode="json")[field]) for config in configs)))
    for title, attribute, form in (
        ("state", "state", "{}"),
        ("parameters", "parameters", "{:,}"),
        ("epochs trained", "epoch", "{:.2f}"),
        ("training loss, last batch", "loss", "{:.4f}"),
        ("training accuracy, running", "accuracy", "{:.2%}"),
        ("validation loss", "val_loss", "{:.4f}"),
        ("validation accuracy", "val_accuracy", "{:.2%}"),
        ("test accuracy", "test_accuracy", "{:.2%}"),
        ("training time (s)", "elapsed_seconds", "{:.1f}"),
        ("batches/s", "batches_per_second", "{:.1f}"),
        ("images/s", "images_per_second", "{:,.0f}"),
    ):
        values = [getattr(record.status, attribute) for record in records.values()]
        rows.append((title, *("–" if value is None else form.format(value) for value in values)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{title:<{widths[0]}}  "
        + "  ".join(f"{value:>{width}}" for value, width in zip(values, widths[1:], strict=True))
        for title, *values in rows
    ]
    return "\n".join(lines)
