"""Cost: what a network's settings come to: layers, parameters, FLOPs, memory."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from config import MODEL_NAMES, ModelConfig
from data import IMAGE_SIDE
from history.records import label
from model import LayerCost
from training.builder import DEFAULT_NETWORK, Builder, build_blank


@lru_cache(maxsize=64)  # a poll of two trainings asks again and again
def initial_weights(config: ModelConfig, build: Builder = DEFAULT_NETWORK) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return of each layer what its first weights follow from, beside the seed: their name in the network and shape."""
    network = build_blank(config, build)
    names = {id(weights): name for name, weights in network.named_parameters()}
    return {name: (names[id(each)], tuple(each.shape)) for name, each in network.weights_by_layer().items()}


def describe_pairing(
    config1: ModelConfig,
    config2: ModelConfig,
    *,
    copy: str | None = None,
    reseeded: bool = False,
    builders: tuple[Builder, Builder] = (DEFAULT_NETWORK, DEFAULT_NETWORK),
) -> dict[str, Any]:
    """Return what two runs have in common by construction, so that it cannot be behind a gap between them.

    "batch_order": whether both see the same images in the same order; "initial_weights": the layers
    that start alike; "text": the same in a sentence. copy: the model, "model1" or "model2", that was forked from
    the other: all its weights were copied, whatever its seed. reseeded: the seeds are those of the beginning, and one
    was changed on the way.
    """
    if copy:
        return _describe_fork(config1, config2, copy, builders[0])
    same_seed = config1.seed == config2.seed
    weights1, weights2 = initial_weights(config1, builders[0]), initial_weights(config2, builders[1])
    alike = [name for name, origin in weights1.items() if same_seed and weights2.get(name) == origin]
    batch_order = same_seed and not reseeded and config1.batch_size == config2.batch_size
    if len(alike) == len(weights1) == len(weights2):
        weights = "the same initial weights"
    else:
        weights = f"the same initial weights in {', '.join(alike)} only" if alike else "different initial weights"
    order = "the same batch order" if batch_order else "a different batch order"
    text = f"Both models have the same images in the same split, {order}, and {weights}."
    return {"split": True, "batch_order": batch_order, "initial_weights": alike, "text": text}


def _describe_fork(config1: ModelConfig, config2: ModelConfig, copy: str, build: Builder) -> dict[str, Any]:
    source = next(name for name in MODEL_NAMES if name != copy)
    batch_order = config1.seed == config2.seed and config1.batch_size == config2.batch_size
    order = "the same batch order" if batch_order else "a different batch order"
    text = (
        f"Both models have the same images in the same split; {label(copy).lower()} is a copy of "
        f"{label(source).lower()}, weights included, and has had {order} since the fork."
    )
    weights = list(initial_weights(config1, build))
    return {"split": True, "batch_order": batch_order, "initial_weights": weights, "text": text}


def describe_model(config: ModelConfig, build: Builder = DEFAULT_NETWORK) -> dict[str, Any]:
    """Return the layer table, parameter count and FLOPs of a model, without giving it weights.

    FLOPs are those of the textbook network, a multiply-add being two, as PyTorch's FlopCounterMode
    counts them (a test holds the two together; the mode itself hooks every module of the process,
    also those in training). "computed_…" are the FLOPs that remain where a layer leaves out what nothing looks at.
    """
    costs = layer_costs(config, build)
    textbook, computed = [cost.flops for cost in costs], [cost.computed_flops for cost in costs]
    return {
        "layers": [
            {"name": cost.name, "kind": cost.kind, "output_shape": list(cost.output_shape)}
            | {"parameters": cost.parameters, "flops": cost.flops}
            for cost in costs
        ],
        "parameters": sum(cost.parameters for cost in costs),
        "flops_per_image": sum(textbook),
        "training_flops_per_image": training_flops(textbook),
        "computed_flops_per_image": sum(computed),
        "computed_training_flops_per_image": training_flops(computed),
        "memory_bytes": count_memory(config, costs),
    }


@lru_cache(maxsize=64)  # a poll asks again and again, and even a blank network takes some milliseconds to build
def layer_costs(config: ModelConfig, build: Builder) -> tuple[LayerCost, ...]:
    return tuple(build_blank(config, build).costs())


def training_flops(forward: list[int]) -> int:
    """Return the FLOPs of a training step from those of each layer's forward pass, in order.

    Backward costs a layer as much again for its weights, and for its inputs, which the first has no use for.
    """
    return 3 * sum(forward) - forward[0]


def count_memory(config: ModelConfig, costs: Sequence[LayerCost]) -> int:
    """Return the bytes that a training step holds on to, counted: weights, gradients, optimizer state, activations.

    Activations are those that autograd saves for the backward pass of one batch (a test compares them
    with what it really saves). Left out: the data set, the scratch memory of single operations, and what
    the allocator keeps. Precision "auto" counts as float32: who knows the hardware resolves it before.
    """
    number = 2 if config.precision == "bfloat16" else 4  # bytes of a value of an activation
    state = {"adam": 2, "rmsprop": 1, "sgd": int(config.momentum > 0)}[config.optimizer]  # values for each weight
    copies = 2 if number == 2 else 0  # of the weights, for the products
    weights = sum(cost.parameters for cost in costs) * (4 * (2 + state) + copies)
    saved = number * (IMAGE_SIDE**2 + sum(cost.saved_values for cost in costs))
    return weights + config.batch_size * (saved + sum(cost.saved_bytes for cost in costs))
