import math

import pytest
import torch
import torch.nn.functional as F
from helpers import CPU
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from config import DEFAULTS, ModelConfig
from model import ConvLayer, ConvShape, SeededDropout
from training.builder import build_model
from training.cost import describe_model
from training.images import normalise

CONFIGS = {
    "default": DEFAULTS,
    "shallow": ModelConfig(kernels=(16, 32, 64, 128)),
    "one layer": ModelConfig(kernels=(8,)),
    "two layers, 5 and 1": ModelConfig(kernels=(8, 16), kernel_sizes=(5, 1)),
    "pool every second": ModelConfig(kernels=(4, 4, 8, 8, 8), pool_every=2),
    "five layers": ModelConfig(kernels=(4, 4, 8, 8, 8)),
    "eight layers, every size": ModelConfig(kernels=(2, 3, 4, 5, 6, 7, 8, 9), kernel_sizes=(1, 3, 5, 7, 7, 5, 3, 1)),
    "7x7": ModelConfig(kernels=(8, 8), kernel_sizes=(7, 7), hidden_units=10),
    "batch norm": ModelConfig(kernels=(8, 16, 32), batch_norm=True, hidden_units=1),
}
each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def test_default_model_has_422026_parameters() -> None:
    assert describe_model(DEFAULTS)["parameters"] == 422_026
    assert sum(weights.numel() for weights in build_model(DEFAULTS, CPU).parameters()) == 422_026


@each_config
def test_described_parameters_are_those_of_the_real_model(config: ModelConfig) -> None:
    model = build_model(config, CPU)
    described = describe_model(config)
    assert described["parameters"] == sum(weights.numel() for weights in model.parameters())
    assert described["parameters"] == sum(layer["parameters"] for layer in described["layers"])


def textbook_network(config: ModelConfig) -> nn.Sequential:
    """Return the same network as a textbook would write it, ReLU before the pool, with the same weights."""
    model = build_model(config, CPU)
    stages: list[nn.Module] = []
    channels, side = 1, 28
    for number, (layer, kernels, size) in enumerate(
        zip(model.layers, config.kernels, config.kernel_sizes, strict=True), 1
    ):
        conv = nn.Conv2d(channels, kernels, size, padding="same", bias=not config.batch_norm)
        conv.load_state_dict(layer.get_submodule("conv").state_dict())
        stages.append(conv)
        if config.batch_norm:
            stages.append(nn.BatchNorm2d(kernels))
        stages.append(nn.ReLU())
        channels = kernels
        if side > 1 and number % config.pool_every == 0:
            stages.append(nn.MaxPool2d(2))
            side //= 2
    return nn.Sequential(*stages, nn.Flatten(), model.hidden, nn.ReLU(), model.output)


@each_config
def test_described_flops_are_those_that_pytorch_counts_in_the_textbook_network(config: ModelConfig) -> None:
    network = textbook_network(config).eval()
    with FlopCounterMode(display=False) as forward:
        logits = network(torch.zeros(1, 1, 28, 28))
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    described = describe_model(config)
    assert described["flops_per_image"] == forward.get_total_flops()
    assert described["training_flops_per_image"] == forward.get_total_flops() + backward.get_total_flops()
    assert described["flops_per_image"] == sum(layer["flops"] for layer in described["layers"])


@each_config
def test_computed_flops_are_those_that_pytorch_counts_in_a_training_step(config: ModelConfig) -> None:
    model, images = build_model(config, CPU), torch.zeros(2, 1, 28, 28)
    with FlopCounterMode(display=False) as forward:
        logits = model(images)
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    described = describe_model(config)
    assert 2 * described["computed_flops_per_image"] == forward.get_total_flops()
    both = forward.get_total_flops() + backward.get_total_flops()
    assert 2 * described["computed_training_flops_per_image"] == both
    assert described["computed_training_flops_per_image"] <= described["training_flops_per_image"]


def test_default_model_computes_three_quarters_of_the_textbooks_work() -> None:
    described = describe_model(DEFAULTS)
    assert (described["computed_flops_per_image"], described["flops_per_image"]) == (15_412_736, 20_278_784)


@pytest.mark.parametrize("mode", ["training", "eval"])
@each_config
def test_model_computes_what_the_textbook_network_computes(config: ModelConfig, mode: str) -> None:
    """Shortcuts (ReLU after the pool, rows left out, a matrix product) change values by rounding at most."""
    images = torch.randn(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 3, 5, 7, 9])
    config = config.model_copy(update={"dropout": 0.0})
    model, network = build_model(config, CPU), textbook_network(config)
    gradients = []
    for either in (model, network):
        either.train(mode == "training")
        loss = F.cross_entropy(either(images), labels)
        loss.backward()
        convolutions = [module for module in either.modules() if isinstance(module, nn.Conv2d)]
        gradients.append([loss, *(module.weight.grad for module in convolutions)])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@each_config
def test_described_shapes_and_flops_follow_from_arithmetic(config: ModelConfig) -> None:
    channels, side, expected = 1, 28, []
    for number, (kernels, size) in enumerate(zip(config.kernels, config.kernel_sizes, strict=True), 1):
        flops = 2 * side * side * kernels * channels * size * size
        weights = kernels * channels * size * size + kernels * (2 if config.batch_norm else 1)
        channels = kernels
        if side > 1 and number % config.pool_every == 0:
            side //= 2
        expected.append((f"conv{number}", "convolution", [channels, side, side], weights, flops))
    for name, inputs, outputs in (
        ("hidden", channels * side * side, config.hidden_units),
        ("output", config.hidden_units, 10),
    ):
        expected.append((name, "linear", [outputs], (inputs + 1) * outputs, 2 * inputs * outputs))
    keys = ("name", "kind", "output_shape", "parameters", "flops")
    assert [tuple(layer[key] for key in keys) for layer in describe_model(config)["layers"]] == expected


def test_description_of_the_largest_model_needs_no_memory_for_it() -> None:
    largest = ModelConfig(kernels=(1024,) * 8, kernel_sizes=(7,) * 8, hidden_units=4096)
    assert describe_model(largest)["parameters"] == 363_959_306  # 1.4 GB if it were built


@each_config
def test_model_turns_images_into_ten_logits(config: ModelConfig) -> None:
    model = build_model(config, CPU)
    model.dropout.generator = torch.Generator()
    logits = model(torch.randn(3, 1, 28, 28))
    assert logits.shape == (3, 10)
    assert logits.isfinite().all()


@given(
    st.integers(1, 4),
    st.sampled_from([1, 3, 5, 7]),
    st.booleans(),
    st.sampled_from([1, 2, 3, 7, 14]),
    st.integers(0, 9),
)
@settings(max_examples=60)
def test_layer_gives_the_values_of_convolution_relu_and_pool(
    channels: int, size: int, batch_norm: bool, side: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = ConvLayer(ConvShape(channels, 5, size, side, pools=side > 1), batch_norm)
    images = torch.randn(2, channels, side, side)
    maps = layer.conv(images)
    if layer.norm is not None:
        maps = layer.norm(maps)
    expected = F.relu(maps) if side == 1 else F.max_pool2d(F.relu(maps), 2)
    torch.testing.assert_close(layer(images), expected, rtol=1e-4, atol=1e-5)


def test_convolutions_stand_in_channels_last_layout() -> None:
    weight = build_model(DEFAULTS, CPU).get_parameter("layers.conv2.conv.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)


# Initial weights


def weights_of(config: ModelConfig) -> dict[str, torch.Tensor]:
    return {name: weights.detach() for name, weights in build_model(config, CPU).named_parameters()}


def test_same_seed_gives_the_same_initial_weights_whatever_the_global_generator() -> None:
    torch.manual_seed(1)
    first = weights_of(DEFAULTS)
    torch.manual_seed(2)
    second = weights_of(DEFAULTS)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_building_a_model_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    build_model(DEFAULTS, CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_layers_of_the_same_shape_start_alike_whatever_the_rest_of_the_model() -> None:
    first = weights_of(ModelConfig(kernels=(8, 16), hidden_units=20))
    second = weights_of(ModelConfig(kernels=(8, 16, 4), hidden_units=20, dropout=0.1, optimizer="sgd"))
    shared = ["layers.conv1.conv", "layers.conv2.conv", "output"]
    names = [f"{layer}.{part}" for layer in shared for part in ("weight", "bias")]
    assert all(torch.equal(first[name], second[name]) for name in names)


def test_different_seeds_give_different_weights_in_every_layer() -> None:
    first, second = weights_of(ModelConfig(seed=0)), weights_of(ModelConfig(seed=1))
    assert not any(torch.equal(first[name], second[name]) for name in first)


def test_layers_of_one_shape_within_a_model_start_differently() -> None:
    weights = weights_of(ModelConfig(kernels=(8, 8, 8)))
    assert not torch.equal(weights["layers.conv2.conv.weight"], weights["layers.conv3.conv.weight"])


@each_config
def test_initial_weights_have_the_range_that_pytorch_gives_them(config: ModelConfig) -> None:
    for name, module in build_model(config, CPU).named_modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            assert module.weight.abs().max().item() <= bound, name
            if module.weight.numel() > 1000:
                assert module.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1), name
                assert module.weight.abs().max().item() > 0.9 * bound, name
            if module.bias is not None:
                assert module.bias.abs().max().item() <= bound, name


def test_batch_norm_starts_neutral() -> None:
    norm = build_model(CONFIGS["batch norm"], CPU).get_submodule("layers.conv1.norm")
    state = {name: value.tolist() for name, value in norm.state_dict().items()}
    assert state == {
        "weight": [1.0] * 8,
        "bias": [0.0] * 8,
        "running_mean": [0.0] * 8,
        "running_var": [1.0] * 8,
        "num_batches_tracked": 0,
    }


# Dropout


def dropout(probability: float, seed: int = 0) -> SeededDropout:
    layer = SeededDropout(probability)
    layer.generator = torch.Generator().manual_seed(seed)
    return layer


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.95])
def test_dropout_keeps_the_expectation(probability: float) -> None:
    units = torch.ones(200_000)
    dropped = dropout(probability)(units)
    assert dropped.mean().item() == pytest.approx(1, abs=0.03)
    assert (dropped == 0).float().mean().item() == pytest.approx(probability, abs=0.01)
    assert sorted(set(dropped.tolist())) == pytest.approx([0, 1 / (1 - probability)])


def test_dropout_follows_its_generator_and_not_the_global_one() -> None:
    units = torch.ones(1000)
    torch.manual_seed(1)
    first = dropout(0.5, seed=3)(units)
    torch.manual_seed(2)
    assert torch.equal(dropout(0.5, seed=3)(units), first)
    assert not torch.equal(dropout(0.5, seed=4)(units), first)


def test_dropout_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    dropout(0.5)(torch.ones(1000))
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_does_nothing_outside_training_or_with_probability_0() -> None:
    units = torch.randn(100)
    assert torch.equal(dropout(0.5).eval()(units), units)
    assert torch.equal(dropout(0)(units), units)


def test_model_drops_hidden_units_in_training_only() -> None:
    model = build_model(DEFAULTS, CPU)
    model.dropout.generator = torch.Generator().manual_seed(0)
    images = normalise(torch.randint(0, 256, (4, 28, 28), dtype=torch.uint8))
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))
