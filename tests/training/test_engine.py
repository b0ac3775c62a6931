import copy
import math
from itertools import chain

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import CPU, losses_of, quick

from config import DEFAULTS, ModelConfig
from training.engine import Engine, build_optimizer
from training.images import FashionMNIST, Split, normalise, shuffled_order
from training.machine import best_device, resolve_precision
from training.schedule import scheduled_learning_rate

PARAMETERS = [torch.nn.Parameter(torch.ones(1))]


def part_of(dataset: FashionMNIST, count: int) -> FashionMNIST:
    return FashionMNIST(dataset.train.first(count), dataset.validation, dataset.test)


# Learning rate


def test_constant_schedule_never_changes_the_learning_rate() -> None:
    assert {scheduled_learning_rate(DEFAULTS, step, 100) for step in range(100)} == {0.001}


def test_cosine_schedule_falls_from_the_peak_to_almost_nothing() -> None:
    config = ModelConfig(schedule="cosine", learning_rate=0.4)
    rates = [scheduled_learning_rate(config, step, 1000) for step in range(1000)]
    assert rates[0] == 0.4
    assert rates[500] == pytest.approx(0.2)
    assert 0 < rates[-1] < 0.4 / 1000
    assert rates == sorted(rates, reverse=True)


def test_one_cycle_schedule_climbs_for_a_quarter_and_then_falls() -> None:
    config = ModelConfig(schedule="one_cycle", learning_rate=0.4)
    rates = [scheduled_learning_rate(config, step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.04)
    assert rates[250] == max(rates) == 0.4
    assert rates[:251] == sorted(rates[:251])
    assert rates[250:] == sorted(rates[250:], reverse=True)
    assert 0 < rates[-1] < 0.4 / 1000


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_learning_rate_stays_usable_in_the_shortest_run(schedule: str) -> None:
    assert 0 < scheduled_learning_rate(ModelConfig(schedule=schedule), 0, 1) <= 0.001


def test_optimizer_gets_the_scheduled_learning_rate_at_each_step(small_fashion_mnist: FashionMNIST) -> None:
    config = quick(schedule="one_cycle", batch_size=256, epochs=2)
    engine = Engine(config, small_fashion_mnist, CPU)
    for step in range(engine.total_steps):
        engine.train_step()
        assert engine.optimizer.param_groups[0]["lr"] == scheduled_learning_rate(config, step, 8)


# Optimizer and precision


@pytest.mark.parametrize(
    ("settings", "kind", "options"),
    [
        ({"optimizer": "adam", "weight_decay": 0.1}, torch.optim.AdamW, {"lr": 0.001, "weight_decay": 0.1}),
        (
            {"optimizer": "sgd", "learning_rate": 0.01, "momentum": 0.5, "weight_decay": 0.1},
            torch.optim.SGD,
            {"lr": 0.01, "momentum": 0.5, "weight_decay": 0.1},
        ),
        ({"optimizer": "rmsprop", "weight_decay": 0.1}, torch.optim.RMSprop, {"lr": 0.001, "weight_decay": 0.1}),
    ],
    ids=lambda part: part.get("optimizer", "") if isinstance(part, dict) else "",
)
def test_optimizer_is_the_chosen_one_with_the_chosen_settings(
    settings: dict[str, object], kind: type, options: dict[str, float]
) -> None:
    optimizer = build_optimizer(ModelConfig(**settings), PARAMETERS)  # type: ignore[arg-type]
    assert type(optimizer) is kind
    assert {name: optimizer.param_groups[0][name] for name in options} == options


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_every_optimizer_lowers_the_loss(small_fashion_mnist: FashionMNIST, optimizer: str) -> None:
    config = quick(optimizer=optimizer, learning_rate=0.01, dropout=0, batch_size=32, epochs=4)
    engine = Engine(config, small_fashion_mnist, CPU)
    before = engine.evaluate(small_fashion_mnist.validation).loss
    losses_of(engine, engine.total_steps)
    after = engine.evaluate(small_fashion_mnist.validation)
    assert after.loss < 0.6 * before
    assert after.accuracy > 0.5


@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
def test_wanted_precision_is_taken_as_it_is(wanted: str) -> None:
    assert resolve_precision(wanted, CPU) == wanted


@pytest.mark.parametrize(
    ("avx512", "amx", "resolved"), [(False, False, "float32"), (True, False, "bfloat16"), (False, True, "bfloat16")]
)
def test_auto_takes_bfloat16_where_the_cpu_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, avx512: bool, amx: bool, resolved: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert resolve_precision("auto", CPU) == resolved


@pytest.mark.parametrize(("present", "kind"), [(True, "cuda"), (False, "cpu")])
def test_best_device_is_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch, present: bool, kind: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present)
    assert best_device().type == kind


def test_bfloat16_trains_almost_like_float32(small_fashion_mnist: FashionMNIST) -> None:
    first, second = (
        losses_of(Engine(quick(precision=precision, dropout=0), small_fashion_mnist, CPU), 16)
        for precision in ("float32", "bfloat16")
    )
    assert first != second
    assert first == pytest.approx(second, rel=0.03)


# Steps and epochs


@pytest.mark.parametrize(
    ("images", "batch_size", "epochs"), [(100, 32, 2), (96, 32, 2), (10, 32, 3), (1, 1, 2), (100, 99, 1)]
)
def test_every_epoch_ends_on_a_whole_number_after_all_its_images(
    small_fashion_mnist: FashionMNIST, images: int, batch_size: int, epochs: int
) -> None:
    engine = Engine(quick(batch_size=batch_size, epochs=epochs), part_of(small_fashion_mnist, images), CPU)
    assert engine.steps_per_epoch == math.ceil(images / batch_size)
    assert engine.total_steps == engine.steps_per_epoch * epochs
    assert (engine.epoch, engine.images_seen) == (0, 0)
    for step in range(1, engine.total_steps + 1):
        engine.train_step()
        whole, within = divmod(step, engine.steps_per_epoch)
        assert engine.images_seen == whole * images + min(within * batch_size, images)
        assert engine.epoch == engine.images_seen / images
    assert engine.epoch == epochs


def test_every_image_is_trained_on_once_an_epoch_in_another_order(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 100
    marked = torch.zeros(count, 28, 28, dtype=torch.uint8)
    marked[:, 0, 0] = torch.arange(count, dtype=torch.uint8)  # the first pixel tells which image it is
    dataset = FashionMNIST(
        Split(marked, torch.zeros(count, dtype=torch.int64)), small_fashion_mnist.validation, small_fashion_mnist.test
    )
    batches: list[list[int]] = []

    def watch(images: torch.Tensor) -> torch.Tensor:
        batches.append(images[:, 0, 0].tolist())
        return normalise(images)

    monkeypatch.setattr("training.engine.normalise", watch)
    engine = Engine(quick(batch_size=32, epochs=2), dataset, CPU)
    losses_of(engine, engine.total_steps)
    assert [len(batch) for batch in batches] == [32, 32, 32, 4] * 2
    first, second = list(chain(*batches[:4])), list(chain(*batches[4:]))
    assert sorted(first) == sorted(second) == list(range(count))
    assert first != second != list(range(count))


def test_results_are_read_once_and_in_order(small_fashion_mnist: FashionMNIST) -> None:
    engine, other = (Engine(quick(), small_fashion_mnist, CPU) for _ in range(2))
    assert engine.read() == []
    one_by_one = [losses_of(engine, 1)[0] for _ in range(5)]
    assert losses_of(other, 5) == one_by_one
    assert engine.read() == []


def test_result_of_a_step_is_what_its_batch_gave(small_fashion_mnist: FashionMNIST) -> None:
    engine = Engine(quick(dropout=0, batch_size=2048), small_fashion_mnist, CPU)  # one batch holds all images
    train = small_fashion_mnist.train
    with torch.inference_mode():
        logits = engine.model(normalise(train.images))
    engine.train_step()
    (result,) = engine.read()
    assert result.loss == pytest.approx(F.cross_entropy(logits, train.labels).item(), rel=1e-4)
    assert result.correct == pytest.approx((logits.argmax(1) == train.labels).sum().item(), abs=2)


def test_label_smoothing_enters_the_gradient_and_no_loss_that_is_shown(small_fashion_mnist: FashionMNIST) -> None:
    plain, smooth = (Engine(quick(dropout=0, label_smoothing=share), small_fashion_mnist, CPU) for share in (0.0, 0.5))
    validation = small_fashion_mnist.validation
    assert plain.evaluate(validation)[:2] == smooth.evaluate(validation)[:2]
    by_hand = copy.deepcopy(smooth.model)
    assert losses_of(plain, 1) == losses_of(smooth, 1)
    assert losses_of(plain, 1) != losses_of(smooth, 1)
    batch = shuffled_order(len(small_fashion_mnist.train), smooth.config.random_seed("order of epoch 0"))[:64]
    logits = by_hand(normalise(small_fashion_mnist.train.images[batch]))
    F.cross_entropy(logits, small_fashion_mnist.train.labels[batch], label_smoothing=0.5).backward()
    optimizer = build_optimizer(smooth.config, list(by_hand.parameters()))
    optimizer.step()
    again = Engine(smooth.config, small_fashion_mnist, CPU)
    losses_of(again, 1)
    assert all(torch.equal(*pair) for pair in zip(by_hand.parameters(), again.model.parameters(), strict=True))


# Evaluation


@pytest.mark.parametrize("batch", [1000, 256, 100, 7])
def test_evaluation_gives_mean_loss_and_accuracy_whatever_the_batch(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("training.engine.EVALUATION_BATCH", batch)
    engine = Engine(quick(), small_fashion_mnist, CPU)
    losses_of(engine, 8)
    split = small_fashion_mnist.validation
    engine.model.eval()
    with torch.inference_mode():
        logits = engine.model(normalise(split.images))
    engine.model.train()
    loss, accuracy, probabilities, right, *_ = engine.evaluate(split)
    kept = np.unpackbits(np.frombuffer(right, np.uint8), count=len(split)).astype(bool)
    assert np.array_equal(kept, probabilities.argmax(1) == split.labels.numpy())
    assert probabilities.shape == (len(split), 10)
    assert np.allclose(probabilities.sum(1), 1)
    assert loss == pytest.approx(F.cross_entropy(logits, split.labels).item(), rel=1e-4)
    assert accuracy == pytest.approx((logits.argmax(1) == split.labels).float().mean().item(), abs=1 / 256)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_evaluation_does_not_disturb_the_training(small_fashion_mnist: FashionMNIST, batch_norm: bool) -> None:
    undisturbed, disturbed = (
        Engine(quick(batch_norm=batch_norm, augment="flip_shift"), small_fashion_mnist, CPU) for _ in range(2)
    )
    expected = losses_of(undisturbed, 10)
    losses = []
    for _ in range(10):
        losses += losses_of(disturbed, 1)
        disturbed.evaluate(small_fashion_mnist.validation)
        assert disturbed.model.training
    assert losses == expected


# Randomness


def test_epochs_draw_from_streams_of_their_own(small_fashion_mnist: FashionMNIST) -> None:
    """An engine set to the start of an epoch goes on exactly as one that has trained up to there."""
    config = quick(batch_size=128, epochs=2, augment="flip_shift")
    through, taken_up = (Engine(config, small_fashion_mnist, CPU) for _ in range(2))
    losses_of(through, 8)
    taken_up.model.load_state_dict(through.model.state_dict())
    taken_up.optimizer.load_state_dict(copy.deepcopy(through.optimizer.state_dict()))
    taken_up.step = 8
    assert losses_of(taken_up, 8) == losses_of(through, 8)


@pytest.mark.parametrize("augment", ["none", "flip", "flip_shift", "flip_erase"])
def test_global_generator_neither_matters_nor_moves(small_fashion_mnist: FashionMNIST, augment: str) -> None:
    runs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        runs.append(losses_of(Engine(quick(augment=augment), small_fashion_mnist, CPU), 20))
        assert torch.equal(torch.get_rng_state(), before)
    assert runs[0] == runs[1]


@pytest.mark.parametrize("settings", [{"seed": 1}, {"dropout": 0.2}, {"augment": "flip"}, {"batch_norm": True}])
def test_every_random_choice_makes_a_difference(small_fashion_mnist: FashionMNIST, settings: dict[str, object]) -> None:
    plain = losses_of(Engine(quick(), small_fashion_mnist, CPU), 5)
    assert losses_of(Engine(quick(**settings), small_fashion_mnist, CPU), 5) != plain
