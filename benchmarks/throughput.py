"""How fast two trainers learn together, against the plain PyTorch script a user would write instead.

    python benchmarks/throughput.py [--pairs 5] [--seconds 8] [--json]

The plain loop (torchvision's dataset, ToTensor and Normalize, a DataLoader, loss.item() each batch) and this
engine train the default model twice over, each in two threads, taking turns; a ratio is of one such pair.

What looking at the validation images costs is measured on two engines side by side, steps and looks in turns; from both
follows which share of a default run all looks take.
"""

import argparse
import itertools
import json
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torchvision import datasets, transforms

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


from config import DEFAULTS, ModelConfig  # noqa: E402
from data import SYSTEM_DIRECTORY, TRAINING_SAMPLE, find_files  # noqa: E402
from training.cost import describe_model  # noqa: E402
from training.engine import Engine  # noqa: E402
from training.images import PIXEL_MEAN, PIXEL_STD, FashionMNIST, load_fashion_mnist  # noqa: E402
from training.keeper import take_snapshot  # noqa: E402
from training.machine import (  # noqa: E402
    available_cores,
    best_device,
    device_name,
)
from training.schedule import evaluation_steps  # noqa: E402

WARM_UP_STEPS = 5
LOOK_TURNS, STEPS_A_TURN = 5, 40
READ_EVERY = 5  # steps; about what the trainers do

TakeStep = Callable[[], None]


class PlainModel(torch.nn.Module):
    """The default CNN as a tutorial writes it: ReLU before the pool, default layout, torch's own dropout."""

    def __init__(self) -> None:
        super().__init__()
        channels = [1, *DEFAULTS.kernels]
        self.convolutions = torch.nn.ModuleList(
            torch.nn.Conv2d(before, after, 3, padding=1) for before, after in itertools.pairwise(channels)
        )
        self.hidden = torch.nn.Linear(channels[-1], DEFAULTS.hidden_units)
        self.dropout = torch.nn.Dropout(DEFAULTS.dropout)
        self.output = torch.nn.Linear(DEFAULTS.hidden_units, 10)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        for convolution in self.convolutions:
            maps = F.max_pool2d(F.relu(convolution(maps)), 2)
        return self.output(self.dropout(F.relu(self.hidden(maps.flatten(1)))))


def plain_loop(data_dir: Path, device: torch.device) -> TakeStep:
    """Return a function that takes one step of the script a user would write."""
    normalize = transforms.Compose([transforms.ToTensor(), transforms.Normalize((PIXEL_MEAN,), (PIXEL_STD,))])
    dataset = PublishedFashionMNIST(data_dir, normalize)
    loader: Any = torch.utils.data.DataLoader(dataset, batch_size=DEFAULTS.batch_size, shuffle=True)
    model = PlainModel().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=DEFAULTS.learning_rate)
    batches = iter(loader)

    def take_step() -> None:
        nonlocal batches
        try:
            images, labels = next(batches)
        except StopIteration:
            batches = iter(loader)
            images, labels = next(batches)
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()

    return take_step


class PublishedFashionMNIST(datasets.FashionMNIST):  # type: ignore[misc]
    """torchvision's dataset, its per-image path untouched, over files that lie elsewhere than it expects."""

    def __init__(self, directory: Path, transform: Callable[..., Any]) -> None:
        from data import read_idx

        datasets.VisionDataset.__init__(self, str(directory), transform=transform)
        self.data = torch.from_numpy(read_idx(directory / "train-images-idx3-ubyte.gz"))
        self.targets = torch.from_numpy(read_idx(directory / "train-labels-idx1-ubyte.gz")).long()


def engine_loop(dataset: FashionMNIST, device: torch.device, config: ModelConfig) -> TakeStep:
    """Return a function that takes one step of this engine, and reads its results as the trainers do."""
    engine = Engine(config, dataset, device)

    def take_step() -> None:
        engine.train_step()
        if engine.step % READ_EVERY == 0:
            engine.read()

    return take_step


def images_per_second(builders: list[Callable[[], TakeStep]], seconds: float, threads: int | None) -> list[float]:
    """Run each loop in a thread of its own for a while, all at once; return the images/s of each.

    threads is the number of intra-op threads for each, with backward passes in the thread that asks for them, as the
    trainers have it; None leaves both to PyTorch, as a script does.
    """
    rates = [0.0] * len(builders)
    start_line = threading.Barrier(len(builders))

    def work(number: int) -> None:
        if threads:
            torch.set_num_threads(threads)
        with torch.autograd.set_multithreading_enabled(threads is None):
            run(number)

    def run(number: int) -> None:
        take_step = builders[number]()
        for _ in range(WARM_UP_STEPS):
            take_step()
        start_line.wait()
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            take_step()
            steps += 1
        if torch.cuda.is_available():
            torch.cuda.current_stream().synchronize()
        rates[number] = steps * DEFAULTS.batch_size / (time.perf_counter() - start)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(len(builders))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return rates


def looking(dataset: FashionMNIST, device: torch.device, threads: int) -> dict[str, float]:
    """Return what the looks of two engines that work side by side take, as shares of an epoch and of a default run."""
    took: dict[str, list[float]] = {"step": [], "between": [], "end": []}
    start_line = threading.Barrier(2)

    def timed(name: str, act: Callable[[], object], count: int = 1) -> None:
        began = time.perf_counter()
        for _ in range(count):
            act()
        took[name].append((time.perf_counter() - began) / count)

    def step(engine: Engine) -> None:
        engine.train_step()
        engine.read()

    def look(engine: Engine) -> None:
        engine.inspect(engine.evaluate(engine.data.validation).dead)
        take_snapshot(engine)

    def look_at_end(engine: Engine) -> None:
        look(engine)
        engine.evaluate(engine.data.train.first(TRAINING_SAMPLE))

    def work() -> None:
        torch.set_num_threads(threads)
        with torch.autograd.set_multithreading_enabled(False):
            engine = Engine(DEFAULTS, dataset, device)
            for _ in range(WARM_UP_STEPS):
                engine.train_step()
            look_at_end(engine)
            for _ in range(LOOK_TURNS):
                start_line.wait()
                timed("step", lambda: step(engine), STEPS_A_TURN)
                timed("between", lambda: look(engine))
                timed("end", lambda: look_at_end(engine))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    steps = DEFAULTS.batches(len(dataset.train)).steps
    epoch = steps * statistics.median(took["step"])
    between, end = (statistics.median(took[name]) / epoch for name in ("between", "end"))
    looks = len(evaluation_steps(steps, DEFAULTS.epochs))
    return {
        "look_between": between,
        "look_at_end": end,
        "looks": looks,
        "all_looks": (DEFAULTS.epochs * end + (looks - DEFAULTS.epochs) * between) / DEFAULTS.epochs,
    }


def matrix_product_ceiling(device: torch.device, precision: str, threads: int) -> float:
    """Return the FLOP/s of a large matrix product on all cores: what the hardware gives at best."""
    kind = getattr(torch, precision)
    side = 1024 if device.type == "cpu" else 8192
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    left, right = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    best = 0.0
    for _ in range(20):
        start = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * side**3 / (time.perf_counter() - start))
    torch.set_num_threads(before)
    return best


def measure(pairs: int, seconds: float) -> dict[str, Any]:
    device, cores = best_device(), available_cores()
    share = max(1, cores // 2)
    directory = find_files(ROOT / "data", SYSTEM_DIRECTORY)
    if directory is None:
        raise SystemExit("FashionMNIST is missing: run python data.py")
    dataset = load_fashion_mnist(directory).to(device)
    plain = [lambda: plain_loop(directory, device)] * 2
    ours = [lambda: engine_loop(dataset, device, DEFAULTS)] * 2
    rounds: list[dict[str, Any]] = []
    for _ in range(pairs):
        rounds.append(
            {
                "plain": images_per_second(plain, seconds, None),
                "together": images_per_second(ours, seconds, share),
                "alone": images_per_second(ours[:1], seconds, share)[0],
            }
        )
    precision = Engine(DEFAULTS, dataset, device).precision
    ceiling = matrix_product_ceiling(device, precision, cores)
    flops = describe_model(DEFAULTS)["computed_training_flops_per_image"]
    together = statistics.median(sum(entry["together"]) for entry in rounds)
    return {
        "machine": f"{device_name()}, {cores} cores, {platform.machine()}",
        "versions": f"torch {torch.__version__}, Python {platform.python_version()}",
        "precision": precision,
        "rounds": rounds,
        "ratio_to_plain": [sum(entry["together"]) / sum(entry["plain"]) for entry in rounds],
        "together_over_twice_alone": [sum(entry["together"]) / (2 * entry["alone"]) for entry in rounds],
        "ceiling_flops_per_second": ceiling,
        "share_of_ceiling": together * flops / ceiling,
        "looking": looking(dataset, device, share),
    }


def spread(values: list[float], form: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} (from {low:{form}} to {high:{form}}, n = {len(values)})"


def show(result: dict[str, Any]) -> None:
    rounds = result["rounds"]
    print(f"{result['machine']}; {result['versions']}; {result['precision']}; default model, batch 64, Adam")
    for title, key in (("plain loop", "plain"), ("this engine", "together")):
        for number in range(2):
            print(f"{title}, trainer {number + 1}: {spread([entry[key][number] for entry in rounds], ',.0f')} images/s")
        print(f"{title}, both: {spread([sum(entry[key]) for entry in rounds], ',.0f')} images/s")
    print(f"this engine, alone on half the cores: {spread([entry['alone'] for entry in rounds], ',.0f')} images/s")
    print(f"ratio to the plain loop: {spread(result['ratio_to_plain'], '.2f')}")
    print(f"together / twice alone: {spread(result['together_over_twice_alone'], '.2f')}")
    print(f"matrix-product ceiling: {result['ceiling_flops_per_second'] / 1e9:,.0f} GFLOP/s, all cores")
    print(f"share of the ceiling used: {result['share_of_ceiling']:.0%}")
    show_looking(result["looking"])


def show_looking(found: dict[str, float]) -> None:
    print(f"a look within an epoch: {found['look_between']:.2%} of an epoch; at its end: {found['look_at_end']:.2%}")
    print(f"all {found['looks']:.0f} looks of a default run: {found['all_looks']:.2%} of its training")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each run")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.pairs, options.seconds)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)


if __name__ == "__main__":
    main()
