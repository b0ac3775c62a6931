"""Whether each lesson shows its point: both its models trained side by side, with several seeds.

    python benchmarks/lessons.py [--lesson optimizer] [--seeds 5] [--first-seed 0] [--file FILE]

A line for each lesson and seed: the figure of both models, who has more of it beyond noise, the seconds until both had
ended, and half of the processor's seconds: what two cores need that nothing else is using.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from analysis.mistakes import count_agreement  # noqa: E402
from analysis.significance import significance  # noqa: E402
from analysis.verdict import compare  # noqa: E402
from config import MODEL_NAMES, ModelConfig  # noqa: E402
from history.log import MetricsLog  # noqa: E402
from studies.lessons import SHIPPED, Lesson, read_lessons  # noqa: E402
from terminal import TestAnswers  # noqa: E402
from train import Comparison  # noqa: E402
from training.images import FashionMNIST, load_fashion_mnist  # noqa: E402
from training.machine import best_device  # noqa: E402


def compare_with_seed(lesson: Lesson, seed: int, dataset: FashionMNIST) -> tuple[dict[str, Any], float, float]:
    """Train a lesson's models; return the answer of analysis.verdict.compare, seconds, and half of the processor's."""
    given: dict[str, ModelConfig] = {name: getattr(lesson, name) for name in MODEL_NAMES}
    configs = {name: config.model_copy(update={"seed": seed}) for name, config in given.items()}
    metrics, answers = MetricsLog(configs), TestAnswers()
    comparison = Comparison(configs, dataset, metrics=metrics, keeper=answers)
    begun, worked = time.perf_counter(), time.process_time()
    comparison.start()
    comparison.join()
    seconds, work = time.perf_counter() - begun, (time.process_time() - worked) / 2
    tested = None
    if set(answers.of) == set(MODEL_NAMES):
        labels = dataset.test.labels.cpu().numpy()
        tested = significance(count_agreement(labels, *(answers.of[name] for name in MODEL_NAMES)))
    answer = compare(
        None,
        {name: metrics.summary(name) for name in MODEL_NAMES},
        lesson.axis,
        recent={},
        descriptions={},
        significance=tested,
        right_images={name: [each.right_images for each in metrics.evaluations(name)] for name in MODEL_NAMES},
        events={name: metrics.events(name) for name in MODEL_NAMES},
    )
    return answer, seconds, work


def say_figures(figure: str, answer: dict[str, Any]) -> str:
    rows = {row["key"]: row for row in answer["rows"]}
    key = {"validation_accuracy": "best_accuracy"}.get(figure, figure)
    return f"{rows[key]['text1']} / {rows[key]['text2']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lesson", help="id of one lesson (default: all)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--file", type=Path, help="lessons of your own, as for server.py --lessons")
    options = parser.parse_args()
    lessons = read_lessons(options.file) if options.file else SHIPPED
    chosen = [lesson for lesson in lessons if options.lesson in (None, lesson.id)]
    if not chosen:
        known = ", ".join(lesson.id for lesson in lessons)
        print(f"--lesson must be one of {known}, got {options.lesson}", file=sys.stderr)
        return 2
    dataset = load_fashion_mnist(ROOT / "data").to(best_device())
    print("| lesson | seed | figure | model 1 / model 2 | more, beyond noise | seconds | on two free cores |")
    print("|---|---|---|---|---|---|---|")
    for lesson in chosen:
        shown, longest = 0, 0.0
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            answer, seconds, work = compare_with_seed(lesson, seed, dataset)
            figure = lesson.expects.figure
            found = answer["outcomes"]["figures"].get(figure, {"higher": None})
            shown += found["higher"] == lesson.expects.model
            longest = max(longest, work)
            who = found["higher"] or "nobody"
            cells = (lesson.id, seed, figure, say_figures(figure, answer), who, f"{seconds:.1f}", f"{work:.1f}")
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
        expected = f"{lesson.expects.model} as expected in {shown} of {options.seeds}"
        print(f"{lesson.title} {expected}, {longest:.1f} s at most on two free cores", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
