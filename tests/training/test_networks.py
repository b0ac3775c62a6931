"""Another network than the CNN goes through the same doors: it trains, is costed, looked into and compared."""

import pytest
import torch
from helpers import CPU, PATIENCE, FullLog, losses_of, quick, train
from tiny_network import TinyNetwork
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from analysis.verdict import compare
from config import ModelConfig
from history.records import Insight, Predictions
from model import CNN
from train import Comparison
from training.builder import build_model
from training.checkpoint import read_checkpoint, write_checkpoint
from training.cost import describe_model, describe_pairing
from training.engine import Engine
from training.images import FashionMNIST
from training.predictor import Predictor, Source

CONFIG = quick(kernels=(8, 8), epochs=3, learning_rate=0.01, dropout=0.2)
LAYERS = ["stem", "block", "head"]


class Kept:
    """A keeper that remembers what it was given last of each model."""

    def __init__(self) -> None:
        self.checkpoints: dict[str, bytes] = {}
        self.insights: dict[str, Insight] = {}
        self.answers: dict[str, Predictions] = {}

    def save_checkpoint(self, model: str, checkpoint: bytes) -> None:
        self.checkpoints[model] = checkpoint

    def save_insight(self, model: str, insight: Insight, predictions: Predictions) -> None:
        self.insights[model] = insight

    def save_predictions(self, model: str, predictions: Predictions) -> None:
        self.answers[model] = predictions


def tiny_engine(dataset: FashionMNIST, config: ModelConfig = CONFIG) -> Engine:
    return Engine(config, dataset, CPU, TinyNetwork)


def test_it_learns(small_fashion_mnist: FashionMNIST) -> None:
    engine = tiny_engine(small_fashion_mnist)
    before = engine.evaluate(small_fashion_mnist.validation)
    losses_of(engine, engine.total_steps)
    after = engine.evaluate(small_fashion_mnist.validation)
    assert after.loss < 0.8 * before.loss
    assert after.accuracy > 0.3


def test_all_that_is_random_in_it_comes_from_the_seed(small_fashion_mnist: FashionMNIST) -> None:
    runs = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        before = torch.get_rng_state()
        runs.append(losses_of(tiny_engine(small_fashion_mnist), 20))
        assert torch.equal(torch.get_rng_state(), before)
    assert runs[0] == runs[1]
    assert losses_of(tiny_engine(small_fashion_mnist, quick(dropout=0.5)), 20) != runs[0]


def test_it_goes_on_from_a_checkpoint_as_if_nothing_had_been(small_fashion_mnist: FashionMNIST) -> None:
    through, taken_up = tiny_engine(small_fashion_mnist), tiny_engine(small_fashion_mnist)
    losses_of(through, 20)
    taken_up.restore(read_checkpoint(write_checkpoint({"engine": through.state()}))["engine"])
    assert losses_of(taken_up, 10) == losses_of(through, 10)


def test_it_is_looked_into_by_the_names_of_its_own_layers(small_fashion_mnist: FashionMNIST) -> None:
    engine = tiny_engine(small_fashion_mnist)
    losses_of(engine, 5)
    insight = engine.inspect(engine.evaluate(engine.data.validation).dead)
    assert list(insight.layers) == LAYERS
    assert (insight.filters.kernels, insight.filters.side) == (8, 5)
    assert all(layer.gradient_norm > 0 and layer.weight_norm > 0 for layer in insight.layers.values())
    assert [layer.dead_share is None for layer in insight.layers.values()] == [False, False, True]


def test_its_costs_are_those_that_pytorch_counts() -> None:
    network, described = build_model(CONFIG, CPU, TinyNetwork), describe_model(CONFIG, TinyNetwork)
    with FlopCounterMode(display=False) as forward:
        logits = network(torch.zeros(1, 1, 28, 28))
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    assert described["flops_per_image"] == described["computed_flops_per_image"] == forward.get_total_flops()
    assert described["training_flops_per_image"] == forward.get_total_flops() + backward.get_total_flops()
    assert described["parameters"] == sum(weights.numel() for weights in network.parameters())
    assert [layer["name"] for layer in described["layers"]] == LAYERS
    shapes = [list(values[0].shape) for values in network.activations(torch.zeros(1, 1, 28, 28)).values()]
    assert [layer["output_shape"] for layer in described["layers"]] == shapes


def test_what_two_networks_share_by_construction_is_said_truly() -> None:
    assert describe_pairing(CONFIG, CONFIG, builders=(TinyNetwork, TinyNetwork))["initial_weights"] == LAYERS
    beside = describe_pairing(CONFIG, CONFIG, builders=(CNN, TinyNetwork))
    assert beside["initial_weights"] == []
    assert beside["batch_order"]
    fork = describe_pairing(CONFIG, CONFIG, copy="model1", builders=(TinyNetwork, TinyNetwork))
    assert fork["initial_weights"] == LAYERS
    assert "model 1 is a copy of model 2" in fork["text"]


class Alike(TinyNetwork):
    """Has a layer of the name and shape of the CNN's last, which stands at another place in the network."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.model_copy(update={"kernels": (config.hidden_units,)}))

    def weights_by_layer(self) -> dict[str, torch.Tensor]:
        return {"stem": self.stem.weight, "block": self.block.weight, "output": self.head.weight}


def test_layers_of_one_name_and_shape_that_draw_from_different_streams_are_not_called_alike() -> None:
    assert describe_pairing(CONFIG, CONFIG, builders=(CNN, Alike))["initial_weights"] == []
    first, second = (build_model(CONFIG, CPU, build).weights_by_layer()["output"] for build in (CNN, Alike))
    assert first.shape == second.shape
    assert not torch.equal(first, second)


def test_it_is_compared_with_the_cnn_whose_numbers_stay_what_they_are(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.available_cores", lambda: 2)  # one thread each, as alone
    kept, configs = Kept(), {"model1": CONFIG, "model2": CONFIG}
    log = FullLog(configs)
    comparison = Comparison(
        configs, small_fashion_mnist, device=CPU, metrics=log, keeper=kept, builders={"model2": TinyNetwork}
    )
    comparison.start()
    assert comparison.join(PATIENCE)
    assert {log.status(name).state for name in configs} == {"finished"}
    assert log.losses("model1") == train(small_fashion_mnist, model1=CONFIG, model2=CONFIG).losses("model1")
    assert log.losses("model2") == losses_of(tiny_engine(small_fashion_mnist), 48)
    assert list(kept.insights["model2"].layers) == LAYERS
    assert set(kept.checkpoints) == set(kept.answers) == set(configs)

    descriptions = {"model1": describe_model(CONFIG), "model2": describe_model(CONFIG, TinyNetwork)}
    assert log.status("model2").parameters == descriptions["model2"]["parameters"]
    models = {name: log.summary(name) for name in configs}
    recent = {name: log.recent(name) for name in configs}
    images = {"train": 1024, "validation": 256, "test": 256}
    answer = compare("run", models, "flops", recent, descriptions, images)
    rows = {row["key"]: row for row in answer["rows"]}
    assert [rows["parameters"][name] for name in configs] == [descriptions[name]["parameters"] for name in configs]
    assert rows["parameters"]["better"] == "model2"
    assert answer["verdict"]["accuracy"]["at"] is not None


def test_it_is_asked_about_a_picture(small_fashion_mnist: FashionMNIST) -> None:
    engine = tiny_engine(small_fashion_mnist)
    losses_of(engine, 10)
    weights = engine.model.state_dict()
    source = Source("run", "model2", 10, engine.epoch, CONFIG, engine.precision, weights, TinyNetwork)
    predictor = Predictor()
    try:
        answer = predictor.look(source, small_fashion_mnist.test.images[0], layers=True)
    finally:
        predictor.close()
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert [(layer["name"], layer["count"], layer["side"]) for layer in answer["layers"]] == [
        ("stem", 8, 6),
        ("block", 8, 6),
    ]


def test_part_whose_first_weights_no_rule_tells_is_refused() -> None:
    class Unruled(TinyNetwork):
        def __init__(self, config: ModelConfig) -> None:
            super().__init__(config)
            self.scale = nn.LayerNorm(4)

    with pytest.raises(TypeError, match="no rule for the first weights of scale, a LayerNorm"):
        build_model(CONFIG, CPU, Unruled)
