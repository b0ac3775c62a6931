"""Cost: what a network's settings come to: layers, parameters, FLOPs, memory."""

import math
from typing import Any

import torch

from config import IMAGE_SIDE, ModelConfig
from model import CLASSES, CNN, SMALL_SIDE, conv_shapes, unseen


def weight_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of each layer's weights."""
    with torch.device("meta"):
        model = CNN(config)
    return {
        name.removesuffix(".weight").removeprefix("layers.").removesuffix(".conv"): tuple(weights.shape)
        for name, weights in model.named_parameters()
        if name.endswith(".weight") and ".norm." not in name
    }


def describe_pairing(config1: ModelConfig, config2: ModelConfig, *, forked: bool = False) -> dict[str, Any]:
    """Return what two runs have in common by construction, so that it cannot be behind a gap between them.

    "batch_order": whether both see the same images in the same order; "initial_weights": the layers
    that start alike; "text": the same in a sentence. Where model 2 was forked from model 1 all its weights
    were copied, whatever its seed.
    """
    if forked:
        return _describe_fork(config1, config2)
    same_seed = config1.seed == config2.seed
    shapes1, shapes2 = weight_shapes(config1), weight_shapes(config2)
    alike = [name for name, shape in shapes1.items() if same_seed and shapes2.get(name) == shape]
    batch_order = same_seed and config1.batch_size == config2.batch_size
    if len(alike) == len(shapes1) == len(shapes2):
        weights = "the same initial weights"
    else:
        weights = f"the same initial weights in {', '.join(alike)} only" if alike else "different initial weights"
    order = "the same batch order" if batch_order else "a different batch order"
    text = f"Both models have the same images in the same split, {order}, and {weights}."
    return {"split": True, "batch_order": batch_order, "initial_weights": alike, "text": text}


def _describe_fork(config1: ModelConfig, config2: ModelConfig) -> dict[str, Any]:
    batch_order = config1.seed == config2.seed and config1.batch_size == config2.batch_size
    order = "the same batch order" if batch_order else "a different batch order"
    text = (
        "Both models have the same images in the same split; model 2 is a copy of model 1, weights included, "
        f"and has had {order} since the fork."
    )
    weights = list(weight_shapes(config1))
    return {"split": True, "batch_order": batch_order, "initial_weights": weights, "text": text}


def describe_model(config: ModelConfig) -> dict[str, Any]:
    """Return the layer table, parameter count and FLOPs of a model, without building it.

    FLOPs are those of the textbook network, a multiply-add being two, as PyTorch's FlopCounterMode
    counts them (a test holds the two together; the mode itself hooks every module of the process,
    also those in training). ConvLayer leaves out what no pool looks at: "computed_…" are the FLOPs that remain.
    """
    layers, computed = [], []
    for number, shape in enumerate(conv_shapes(config), 1):
        weights = shape.channels * shape.kernels * shape.kernel_size**2
        # a convolution has one bias for each kernel, batch norm a scale and a shift instead
        parameters = weights + shape.kernels * (2 if config.batch_norm else 1)
        output = [shape.kernels, shape.side_after, shape.side_after]
        layers.append(_layer(f"conv{number}", "convolution", output, parameters, 2 * weights * shape.side**2))
        computed.append(2 * weights * (shape.side - unseen(shape, config.batch_norm)) ** 2)
    inputs = math.prod(output)
    for name, units in (("hidden", config.hidden_units), ("output", CLASSES)):
        layers.append(_layer(name, "linear", [units], inputs * units + units, 2 * inputs * units))
        computed.append(layers[-1]["flops"])
        inputs = units
    textbook = [layer["flops"] for layer in layers]
    return {
        "layers": layers,
        "parameters": sum(layer["parameters"] for layer in layers),
        "flops_per_image": sum(textbook),
        "training_flops_per_image": training_flops(textbook),
        "computed_flops_per_image": sum(computed),
        "computed_training_flops_per_image": training_flops(computed),
        "memory_bytes": count_memory(config, sum(layer["parameters"] for layer in layers)),
    }


def training_flops(forward: list[int]) -> int:
    """Return the FLOPs of a training step from those of each layer's forward pass, in order.

    Backward costs a layer as much again for its weights, and for its inputs, which the first has no use for.
    """
    return 3 * sum(forward) - forward[0]


def count_memory(config: ModelConfig, parameters: int) -> int:
    """Return the bytes that a training step holds on to, counted: weights, gradients, optimizer state, activations.

    Activations are those that autograd saves for the backward pass of one batch (a test compares them
    with what it really saves). Left out: the data set, the scratch memory of single operations, and what
    the allocator keeps. Precision "auto" counts as float32: who knows the hardware resolves it before.
    """
    number = 2 if config.precision == "bfloat16" else 4  # bytes of a value of an activation
    state = {"adam": 2, "rmsprop": 1, "sgd": int(config.momentum > 0)}[config.optimizer]  # values for each weight
    image = IMAGE_SIDE**2 * number
    for shape in conv_shapes(config):
        dropped, size = unseen(shape, config.batch_norm), shape.kernel_size
        side = shape.side - dropped
        if dropped and side <= SMALL_SIDE:
            image += side**2 * size**2 * shape.channels * number  # patches
        elif dropped:
            image += shape.channels * (side + 2 * (size // 2)) ** 2 * number  # the padded input
        if shape.pools:  # what the pool saw, and which it took, as int64
            image += shape.kernels * (side**2 * number + shape.side_after**2 * 8)
        image += shape.kernels * shape.side**2 * number if config.batch_norm else 0
        image += shape.kernels * shape.side_after**2 * number  # after ReLU
    image += shape.kernels * shape.side_after**2 * number if shape.side_after > 1 else 0  # flattened
    image += config.hidden_units * number * (3 if config.dropout else 1)  # after ReLU, mask, after dropout
    image += CLASSES * 4
    copies = 2 if number == 2 else 0  # of the weights, for the products
    return parameters * (4 * (2 + state) + copies) + image * config.batch_size


def _layer(name: str, kind: str, output_shape: list[int], parameters: int, flops: int) -> dict[str, Any]:
    return {"name": name, "kind": kind, "output_shape": output_shape, "parameters": parameters, "flops": flops}
