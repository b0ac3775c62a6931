"""How often the program says "better" or "leads" of two models that differ by nothing but chance.

    python benchmarks/claims.py [--trials 5000] [--quick] [--seed 0]

Each sentence and mark with such a claim is said by the program itself, in many comparisons simulated without a true
effect; the table gives the share in which it names a model, with its standard error. What is simulated:

- pairs of a series: differences of test accuracy that are normal, or exponential (skewed to either side), with a mean
  of zero; with trainings that fail by chance; and, for what is found, with a true difference.
- images: on 3 % of them only model 1 is right, on 3 % only model 2, drawn anew for each evaluation and split.
- curves: of 15 epochs, evaluated when a trainer does, the same for both models but for those images and the noise of
  batches.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from analysis import repeats as repeats_module  # noqa: E402
from analysis.case import Case  # noqa: E402
from analysis.entrant import IMAGES, Entrant  # noqa: E402
from analysis.significance import significance  # noqa: E402
from analysis.statement import make_statement  # noqa: E402
from analysis.verdict import compare, read_test  # noqa: E402
from config import DEFAULTS, MODEL_NAMES  # noqa: E402
from data import TRAINING_SAMPLE  # noqa: E402
from history.records import Recent  # noqa: E402
from training.schedule import evaluation_steps  # noqa: E402

TRIALS, QUICK_TRIALS = 5000, 200
SPREAD = 0.003  # standard deviation of a pair's difference; a fraction
FAILING = 0.2  # share of trainings that fail, where some do
APART = 0.06  # share of images on which only one of two models is right
EPOCHS = 15
BATCH_LOSS, BATCH_NOISE = 0.3, 0.08  # mean and standard deviation of a batch's training loss
CLOCK_NOISE = 0.02  # standard deviation of how long an epoch of one model takes, as a share of the other's
NOTES = ("jump", "fluctuation", "overfitting")  # of one model, and false of those simulated here

Numbers = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Numbers]


class Rate(NamedTuple):
    """In how many of so many trials a sentence named a model."""

    sentence: str
    where: str
    claims: int
    trials: int

    @property
    def share(self) -> float:
        return self.claims / self.trials

    @property
    def standard_error(self) -> float:
        return math.sqrt(self.share * (1 - self.share) / self.trials)


# A series of repeats: "Model 1's settings are better"


def normal(rng: np.random.Generator, pairs: int) -> Numbers:
    return rng.normal(0, SPREAD, pairs)


def exponential(rng: np.random.Generator, pairs: int) -> Numbers:
    return rng.choice((-1, 1)) * (rng.exponential(SPREAD, pairs) - SPREAD)


def partly_failing(rng: np.random.Generator, pairs: int) -> Numbers:
    lost1, lost2 = rng.random((2, pairs)) < FAILING
    differences = np.where(lost1, -math.inf, np.where(lost2, math.inf, normal(rng, pairs)))
    return np.where(lost1 & lost2, math.nan, differences)


def truly_different(rng: np.random.Generator, pairs: int) -> Numbers:
    return normal(rng, pairs) + 1.5 * SPREAD


def repeats_name_a_winner(differences: Numbers) -> bool:
    found = repeats_module.result(differences.tolist(), ended=True)
    return found is not None and "better" in found["text"]


def series_rates(draw: Draw, where: str, rng: np.random.Generator, trials: int) -> Iterator[Rate]:
    for pairs in (5, 10, 20):
        claims = sum(repeats_name_a_winner(draw(rng, pairs)) for _ in range(trials))
        yield Rate("Repeats: “… settings are better”", f"{pairs} pairs, {where}", claims, trials)


# The test images: "Model 1 scores 0.31 points more on the test images, more than chance between these two networks"


def mcnemar_names_a_winner(only1: int, only2: int, images: int, among: int | None = None) -> bool:
    both = images - only1 - only2
    found = significance({"both_right": both, "only1": only1, "only2": only2, "both_wrong": 0})
    one, two = (Entrant(name, {}, Recent(0, []), None) for name in MODEL_NAMES)
    tested = read_test(one, two, found, among)
    states, epochs = dict.fromkeys(MODEL_NAMES, "finished"), dict.fromkeys(MODEL_NAMES, 1.0)
    return "more than chance" in make_statement(Case(states, epochs, tested=tested, among=among)).first


def mcnemar_rates(rng: np.random.Generator, trials: int) -> Iterator[Rate]:
    for share in (APART, 0.002):  # of the second so few that the exact form is taken
        apart = rng.multinomial(IMAGES["test"], (share / 2, share / 2, 1 - share), trials)
        claims = sum(mcnemar_names_a_winner(int(only1), int(only2), IMAGES["test"]) for only1, only2, _ in apart)
        yield Rate(
            "Test images: “… more than chance between these two networks”",
            f"{share:.1%} of the images answered apart",
            claims,
            trials,
        )


def chosen_rates(rng: np.random.Generator, trials: int) -> Iterator[Rate]:
    """Of so many equal networks the best and the worst are compared."""
    unsure = int(2 * APART * IMAGES["test"])  # images that a network gets right by the toss of a coin
    for among in (5, 40):
        claims = 0
        for _ in range(trials):
            right = rng.random((among, unsure)) < 0.5
            best, worst = right[right.sum(axis=1).argmax()], right[right.sum(axis=1).argmin()]
            only1, only2 = int((best & ~worst).sum()), int((worst & ~best).sum())
            claims += mcnemar_names_a_winner(only1, only2, IMAGES["test"], among)
        yield Rate("Test images: “… also of two chosen among …”", f"best and worst of {among}", claims, trials)
    for among in (5, 40):
        leads = (lead_of_chosen(rng, among) for _ in range(trials))
        yield Rate("Verdict: “… leads … also of two chosen among …”", f"best and worst of {among}", sum(leads), trials)


def lead_of_chosen(rng: np.random.Generator, among: int) -> bool:
    """Whether of so many equal networks, which were stopped, the best leads the worst by more than the noise."""
    images = IMAGES["validation"]
    unsure = rng.random((among, int(2 * APART * images))) < 0.5
    right = np.hstack([unsure, np.ones((among, images - unsure.shape[1]), bool)])
    counts = right.sum(axis=1)
    chosen = right[[counts.argmax(), counts.argmin()]]
    seen = cut(alike(rng, epochs=1), 1)
    for name, answers in zip(MODEL_NAMES, chosen, strict=True):
        seen["models"][name] |= {"state": "stopped"}
        seen["models"][name]["evaluations"]["accuracy"] = [float(answers.mean())]
        seen["right_images"][name] = [np.packbits(answers).tobytes()]
    said = told(seen, among=among)
    return verdict_names_a_leader(said) or "Best validation accuracy" in marked(said)


# One comparison: who leads, the marks of the table, the notes


def alike(rng: np.random.Generator, *, epochs: int = EPOCHS, pace: float = 1.0) -> dict[str, Any]:
    """Return what `verdict.compare` takes of two models with the same settings and the same course but for chance.

    Model 2 takes `pace` times as long.
    """
    batches = DEFAULTS.batches(IMAGES["train"])
    epoch = np.array([batches.epoch(step) for step in sorted(evaluation_steps(batches.steps, epochs))])
    accuracy = 0.91 - 0.11 * np.exp(-epoch / 3)  # 83 % after an epoch
    counts = answered(rng, accuracy, IMAGES["validation"])
    seen = shares(counts)
    trained = shares(answered(rng, accuracy, TRAINING_SAMPLE))
    test_counts = answered(rng, accuracy[-1:], IMAGES["test"])
    tested = shares(test_counts)
    steps, at_end = batches.steps, epoch == np.rint(epoch)  # where the training accuracy is measured
    models, recent = {}, {}
    for number, name in enumerate(MODEL_NAMES):
        seconds = 10.0 * epoch * (pace if number else 1.0)
        columns = {
            "epoch": epoch.tolist(),
            "seconds": seconds.tolist(),
            "loss": (2.5 * (1 - seen[number])).tolist(),
            "accuracy": seen[number].tolist(),
            "train_accuracy": [
                float(share) if end else None for share, end in zip(trained[number], at_end, strict=True)
            ],
        }
        models[name] = {
            "state": "finished", "error": None, "config": DEFAULTS.model_dump(mode="json"), "parameters": None,
            "epoch": float(epochs), "step": steps * epochs, "elapsed_seconds": float(seconds[-1]),
            "learning_rate": None, "loss": BATCH_LOSS, "accuracy": float(accuracy[-1]),
            "val_loss": columns["loss"][-1], "val_accuracy": columns["accuracy"][-1],
            "test_accuracy": float(tested[number][0]), "batches_per_second": None, "images_per_second": None,
            "evaluations": columns,
        }  # fmt: skip
        recent[name] = Recent(steps * epochs, rng.normal(BATCH_LOSS, BATCH_NOISE, steps).tolist())
    outcomes = dict(zip(("both_right", "only1", "only2", "both_wrong"), test_counts[0].tolist(), strict=True))
    return {
        "models": models,
        "recent": recent,
        "right_images": {name: right_images(counts, place) for place, name in enumerate(MODEL_NAMES)},
        "significance": significance(outcomes),
    }


def answered(rng: np.random.Generator, accuracy: Any, images: int) -> NDArray[np.int64]:
    """Return on how many images both, only the first, only the second, and neither of two equally good models is right.

    One row for each evaluation.
    """
    apart = rng.multinomial(images, (APART / 2, APART / 2, 1 - APART), len(accuracy))
    both = rng.binomial(images - apart[:, 0] - apart[:, 1], (accuracy - APART / 2) / (1 - APART))
    return np.column_stack([both, apart[:, 0], apart[:, 1], images - both - apart[:, 0] - apart[:, 1]])


def shares(counts: NDArray[np.int64]) -> tuple[Any, Any]:
    """Return the accuracies of both models at each evaluation."""
    images = counts.sum(axis=1)
    return (counts[:, 0] + counts[:, 1]) / images, (counts[:, 0] + counts[:, 2]) / images


def right_images(counts: NDArray[np.int64], place: int) -> list[bytes]:
    """Return which images the first (0) or the second model (1) had right at each evaluation, a bit each."""
    right = ([1, 1, 0, 0], [1, 0, 1, 0])[place]
    return [np.packbits(np.repeat(right, row)).tobytes() for row in counts]


def told(seen: dict[str, Any], axis: str = "epochs", among: int | None = None) -> dict[str, Any]:
    """Return what the program says of two models; among: of how many they were chosen."""
    return compare(
        "run",
        seen["models"],
        axis,
        seen["recent"],
        {},
        significance=seen["significance"],
        right_images=seen["right_images"],
        among=among,
    )


def cut(seen: dict[str, Any], evaluations: int) -> dict[str, Any]:
    """Return the same comparison as it was after so many evaluations, without the losses, which tell nothing here."""
    models = {
        name: model | {"evaluations": {key: values[:evaluations] for key, values in model["evaluations"].items()}}
        for name, model in seen["models"].items()
    }
    right = {name: bits[:evaluations] for name, bits in seen["right_images"].items()}
    return {"models": models, "recent": {}, "right_images": right, "significance": None}


def verdict_names_a_leader(said: dict[str, Any]) -> bool:
    """Whether one model leads by more than the noise of the images."""
    accuracy = said["verdict"]["accuracy"]
    return accuracy["leader"] is not None and not accuracy["within_noise"]


def verdict_rates(rng: np.random.Generator, trials: int) -> Iterator[Rate]:
    once = ever = 0
    for _ in range(trials):
        seen = alike(rng)
        count = len(seen["right_images"][MODEL_NAMES[0]])
        looks = [verdict_names_a_leader(told(cut(seen, number))) for number in range(1, count + 1)]
        once, ever = once + looks[-1], ever + any(looks)
    sentence = "Verdict: a lead larger than the noise shown beside it"
    yield Rate(sentence, "at the last evaluation", once, trials)
    yield Rate(sentence, f"at one or more of {count} evaluations", ever, trials)


def marked(said: dict[str, Any]) -> list[str]:
    """Return the titles of the figures of which one is marked better."""
    return [row["title"] for row in said["rows"] if row["better"]]


def noted(said: dict[str, Any]) -> list[str]:
    """Return of which kinds there is a note, of one model or both."""
    return [kind for kind in NOTES if any(note["id"].startswith(f"{kind}-") for note in said["notes"])]


def table_rates(rng: np.random.Generator, trials: int) -> Iterator[Rate]:
    marks: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    lessons: Counter[str] = Counter()
    for _ in range(trials):
        said = told(alike(rng, pace=rng.normal(1, CLOCK_NOISE)))
        marks.update(marked(said))
        notes.update(noted(said))
        lessons.update(key for key, outcome in said["outcomes"]["figures"].items() if outcome["higher"])
    titles = [row["title"] for row in said["rows"] if row["lower_is_better"] is not None and row["model1"] is not None]
    for title in titles:
        yield Rate("Table: ✓ for the better one", title, marks[title], trials)
    for key in said["outcomes"]["figures"]:
        yield Rate("Lesson's end: more than chance", key.replace("_", " "), lessons[key], trials)
    for kind in NOTES:
        yield Rate("Note on one model", kind, notes[kind], trials)


def says_that_the_winner_flips(said: dict[str, Any]) -> bool:
    return any(note["id"] == "flip" for note in said["notes"])


def flip_rates(rng: np.random.Generator, trials: int) -> Iterator[Rate]:
    claims = sum(says_that_the_winner_flips(told(alike(rng, pace=1.5))) for _ in range(trials))
    yield Rate("Note: “leads at equal epochs, … at equal seconds”", "model 2 takes 1.5 times as long", claims, trials)


def false_claims(rng: np.random.Generator, trials: int) -> Iterator[Rate]:
    """Yield the rate of false claims of each sentence, one after another."""
    yield from series_rates(normal, "normal", rng, trials)
    yield from series_rates(exponential, "exponential", rng, trials)
    yield from series_rates(partly_failing, f"{FAILING:.0%} of the trainings fail", rng, trials)
    yield from mcnemar_rates(rng, trials)
    few = max(1, trials // 5)  # of what takes longer to simulate
    yield from chosen_rates(rng.spawn(1)[0], few)
    yield from verdict_rates(rng, few)
    yield from table_rates(rng, few)
    yield from flip_rates(rng, few)


def print_table(title: str, rates: Iterator[Rate]) -> None:
    print(f"| {title} | where | share | standard error |")
    print("|---|---|---|---|")
    for rate in rates:
        print(f"| {rate.sentence} | {rate.where} | {rate.share:.1%} | {rate.standard_error:.1%} |", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TRIALS} trials")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng, trials = np.random.default_rng(options.seed), QUICK_TRIALS if options.quick else options.trials
    print_table("said although nothing differs but chance", false_claims(rng, trials))
    print()
    print_table("said where it is so", series_rates(truly_different, "1.5 standard deviations apart", rng, trials))


if __name__ == "__main__":
    main()
