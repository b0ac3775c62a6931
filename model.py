"""The CNN, and what it costs: layer table, parameters, FLOPs."""

import math
from typing import NamedTuple

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
