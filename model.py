"""The CNN, and what it costs: layer table, parameters, FLOPs."""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import IMAGE_SIDE, ModelConfig

CLASSES = 10
SMALL_SIDE = 2  # maps up to this side are convolved as a matrix product


class SeededDropout(nn.Module):
    """Dropout whose masks come from a generator of its own, so that two models never share one."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.generator: torch.Generator | None = None

    def forward(self, units: Tensor) -> Tensor:
        if not self.training or self.probability == 0:
            return units
        keep = 1 - self.probability
        return units * torch.empty_like(units).bernoulli_(keep, generator=self.generator).div_(keep)


class ConvShape(NamedTuple):
    """Where a convolutional layer stands: its channels, kernel, the side of its input map, and whether it pools."""

    channels: int
    kernels: int
    kernel_size: int
    side: int
    pools: bool

    @property
    def side_after(self) -> int:
        return self.side // 2 if self.pools else self.side


def conv_shapes(config: ModelConfig) -> list[ConvShape]:
    """Return the convolutional layers of a model; the map is halved after every `pool_every`th, down to 1×1."""
    shapes: list[ConvShape] = []
    channels, side = 1, IMAGE_SIDE
    for number, (kernels, size) in enumerate(zip(config.kernels, config.kernel_sizes, strict=True), 1):
        shapes.append(ConvShape(channels, kernels, size, side, side > 1 and number % config.pool_every == 0))
        channels, side = kernels, shapes[-1].side_after
    return shapes


class ConvLayer(nn.Module):
    """Convolution (same padding) → optional batch norm → 2×2 max pool where the shape says so → ReLU.

    ReLU after the pool gives the same values as before it, for a quarter of the work. Nor is the
    last row and column of an odd map computed where the pool would drop them unseen.
    """

    def __init__(self, shape: ConvShape, batch_norm: bool) -> None:
        super().__init__()
        dropped = unseen(shape, batch_norm)
        margin = shape.kernel_size // 2
        self.padding = (margin, margin - dropped, margin, margin - dropped)
        self.side = shape.side - dropped
        self.conv = nn.Conv2d(shape.channels, shape.kernels, shape.kernel_size, padding=margin, bias=not batch_norm)
        self.norm = nn.BatchNorm2d(shape.kernels) if batch_norm else None
        self.pools = shape.pools

    def forward(self, maps: Tensor) -> Tensor:
        maps = self._convolve(maps)
        if self.norm is not None:
            maps = self.norm(maps)
        if self.pools:
            maps = max_pool(maps)
        return F.relu(maps)

    def _convolve(self, maps: Tensor) -> Tensor:
        """Return the maps (B, C, S, S) that the pool looks at."""
        if self.padding[0] == self.padding[1]:
            return self.conv(maps)
        maps = F.pad(maps, self.padding)
        if self.side <= SMALL_SIDE and maps.device.type == "cpu":
            return convolve_as_product(maps, self.conv.weight, self.conv.bias, self.side)
        return F.conv2d(maps, self.conv.weight, self.conv.bias)


def unseen(shape: ConvShape, batch_norm: bool) -> int:
    """Return how many rows and columns of a layer's map its pool drops and nothing else looks at: 0 or 1."""
    return shape.side % 2 if shape.pools and not batch_norm else 0  # batch norm takes its mean over the whole map


def max_pool(maps: Tensor) -> Tensor:
    """Return maps (B, C, S, S) after a 2×2 max pool, (B, C, S // 2, S // 2).

    PyTorch's notes where each maximum stood, which only a backward pass wants to know. Without one, the larger of
    neighbouring rows and then of columns takes a third of the time on a CPU (first layer, bfloat16, one thread).
    """
    if torch.is_grad_enabled() or maps.device.type != "cpu":
        return F.max_pool2d(maps, 2)
    even = maps.shape[2] // 2 * 2
    rows = torch.maximum(maps[:, :, 0:even:2], maps[:, :, 1:even:2])
    return torch.maximum(rows[:, :, :, 0:even:2], rows[:, :, :, 1:even:2])


def convolve_as_product(maps: Tensor, weight: Tensor, bias: Tensor | None, side: int) -> Tensor:
    """Return the convolution of padded maps as one matrix product: output (B, C, side, side).

    On a CPU, forward and backward of the default model's last layer take 1.5 ms in this way and
    3.1 ms in oneDNN's, which is made for larger maps (batch of 64, bfloat16, one thread).
    """
    kernels, _, size, _ = weight.shape
    maps = maps.permute(0, 2, 3, 1)  # (B, H, W, C)
    shifted = [maps[:, i : i + side, j : j + side] for i in range(size) for j in range(size)]
    patches = torch.cat(shifted, dim=3).flatten(0, 2)  # (B·side·side, size·size·C)
    product = F.linear(patches, weight.permute(0, 2, 3, 1).flatten(1), bias)
    return product.view(-1, side, side, kernels).permute(0, 3, 1, 2)


class CNN(nn.Module):
    """The convolutional network that a ModelConfig describes: images (B, 1, 28, 28) to logits (B, 10).

    Build it under torch.device("meta"), which costs nothing; build_model then fills in the weights.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        shapes = conv_shapes(config)
        self.layers = nn.Sequential()
        for number, shape in enumerate(shapes, 1):
            self.layers.add_module(f"conv{number}", ConvLayer(shape, config.batch_norm))
        self.hidden = nn.Linear(shapes[-1].kernels * shapes[-1].side_after ** 2, config.hidden_units)
        self.dropout = SeededDropout(config.dropout)
        self.output = nn.Linear(config.hidden_units, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.layers(images)  # (B, C, S, S)
        units = F.relu(self.hidden(maps.flatten(1)))  # (B, hidden_units)
        return self.output(self.dropout(units))  # (B, 10)

    def activations(self, images: Tensor) -> dict[str, Tensor]:
        """Return what each layer puts out: maps (B, C, S, S) and hidden units (B, U) after ReLU, and logits (B, 10)."""
        found, maps = {}, images
        for name, layer in self.layers.named_children():
            found[name] = maps = layer(maps)
        found["hidden"] = F.relu(self.hidden(maps.flatten(1)))
        found["output"] = self.output(self.dropout(found["hidden"]))
        return found

    def weights_by_layer(self) -> dict[str, Tensor]:
        """Return each layer's weights, without biases, by the names that `activations` has."""
        named = dict(self.named_parameters())
        convolutions = {name: named[f"layers.{name}.conv.weight"] for name, _ in self.layers.named_children()}
        return {**convolutions, "hidden": self.hidden.weight, "output": self.output.weight}


def initialise_weights(model: CNN, config: ModelConfig) -> None:
    """Fill the weights as PyTorch does by default (He et al. 2015, uniform), from the run's own seed.

    Each layer draws from its own stream, so two models that agree in seed and in the shape of a
    layer start with the same weights there, whatever the rest of them looks like.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            generator = torch.Generator().manual_seed(config.random_seed(f"weights {name}"))
            weight = torch.empty(module.weight.shape)
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
            with torch.no_grad():
                module.weight.copy_(weight)
                if module.bias is not None:
                    bound = 1 / math.sqrt(weight[0].numel())
                    module.bias.copy_(torch.empty(module.bias.shape).uniform_(-bound, bound, generator=generator))
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


def build_model(config: ModelConfig, device: torch.device) -> CNN:
    """Return the initialised network on a device, its convolutions in channels-last layout."""
    with torch.device("meta"):
        model = CNN(config)
    model.to_empty(device=device)
    initialise_weights(model, config)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


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
