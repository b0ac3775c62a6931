"""The network: what every network offers to those who train, cost and inspect it, and the CNN, the first of them."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import ModelConfig
from data import CLASSES, IMAGE_SIDE

SMALL_SIDE = 2  # maps up to this side are convolved as a matrix product


class LayerCost(NamedTuple):
    """What a layer takes, of one image where it depends on the images.

    flops: of the forward pass of the textbook's layer, a multiply-add being two; computed_flops: of them, those that
    are done, as what nothing looks at may be left out. saved_values, saved_bytes: what autograd saves of the layer's
    work for the backward pass: values in the precision of the products, and bytes that do not depend on it.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    flops: int
    computed_flops: int
    saved_values: int
    saved_bytes: int = 0


class Network(Protocol):
    """What the engine, the predictor and the costs need of a network: all that another one must offer to be trained.

    Every torch.nn.Module has the methods after the first five. Layers are those with weights, by names of its own
    choice; the same layer has the same name in all of its answers, and the order is that of the forward pass.
    """

    def draw_from(self, generator: torch.Generator) -> None:
        """Take all that is random in training, such as dropout, from this generator, on the network's device.

        Nothing may come from PyTorch's global generator, which the models in training would share.
        """

    def activations(self, images: Tensor) -> dict[str, Tensor]:
        """Return what each layer puts out: maps (B, C, S, S) or units (B, U), after ReLU; the last: logits (B, 10)."""

    def weights_by_layer(self) -> dict[str, Tensor]:
        """Return each layer's weights, without biases."""

    def filters(self) -> Tensor:
        """Return the kernels (K, side, side) that look at the image itself."""

    def costs(self) -> list[LayerCost]:
        """Return what each layer takes. May be asked of a network on the meta device, which has no weights."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits (B, 10) of images (B, 1, 28, 28) float32, normalised."""

    def parameters(self) -> Iterator[nn.Parameter]: ...
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...
    def named_modules(self) -> Iterator[tuple[str, nn.Module]]: ...
    def train(self) -> Self: ...
    def eval(self) -> Self: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...
    def to_empty(self, *, device: torch.device) -> Self: ...
    def to(self, *, memory_format: torch.memory_format) -> Self: ...


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
        self.shape = shape
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

    def cost(self, name: str) -> LayerCost:
        shape, maps_after = self.shape, self.shape.kernels * self.shape.side_after**2
        weights = self.conv.weight.numel()
        saved = maps_after  # after ReLU
        if self.side < shape.side:
            is_product = self.side <= SMALL_SIDE
            saved += (
                weights // shape.kernels * self.side**2
                if is_product
                else shape.channels * (self.side + 2 * self.padding[0]) ** 2
            )
        if self.norm is not None:
            saved += shape.kernels * shape.side**2
        if shape.pools:
            saved += shape.kernels * self.side**2  # what the pool saw
        return LayerCost(
            name,
            "convolution",
            (shape.kernels, shape.side_after, shape.side_after),
            sum(each.numel() for each in self.parameters()),
            flops=2 * weights * shape.side**2,
            computed_flops=2 * weights * self.side**2,
            saved_values=saved,
            saved_bytes=8 * maps_after if shape.pools else 0,  # which it took, as int64
        )


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

    Its weights are of no use before training/builder.py has filled them in from the run's seed.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        shapes = conv_shapes(config)
        self.layers = nn.Sequential()
        for number, shape in enumerate(shapes, 1):
            self.layers.add_module(f"conv{number}", ConvLayer(shape, config.batch_norm))
        self.flattening_copies = shapes[-1].side_after > 1
        self.hidden = nn.Linear(shapes[-1].kernels * shapes[-1].side_after ** 2, config.hidden_units)
        self.dropout = SeededDropout(config.dropout)
        self.output = nn.Linear(config.hidden_units, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.layers(images)  # (B, C, S, S)
        units = F.relu(self.hidden(maps.flatten(1)))  # (B, hidden_units)
        return self.output(self.dropout(units))  # (B, 10)

    def activations(self, images: Tensor) -> dict[str, Tensor]:
        found, maps = {}, images
        for name, layer in self.layers.named_children():
            found[name] = maps = layer(maps)
        found["hidden"] = F.relu(self.hidden(maps.flatten(1)))
        found["output"] = self.output(self.dropout(found["hidden"]))
        return found

    def weights_by_layer(self) -> dict[str, Tensor]:
        convolutions = {name: layer.conv.weight for name, layer in self._convolutions()}
        return {**convolutions, "hidden": self.hidden.weight, "output": self.output.weight}

    def filters(self) -> Tensor:
        _, first = next(self._convolutions())
        return first.conv.weight[:, 0]  # of the one channel, grey

    def draw_from(self, generator: torch.Generator) -> None:
        self.dropout.generator = generator

    def costs(self) -> list[LayerCost]:
        units = self.hidden.out_features
        flattened = self.hidden.in_features if self.flattening_copies else 0
        after = units * (3 if self.dropout.probability else 1)  # after ReLU, mask, after dropout
        return [
            *(layer.cost(name) for name, layer in self._convolutions()),
            linear_cost("hidden", self.hidden, saved_values=flattened + after),
            linear_cost("output", self.output, saved_bytes=4 * CLASSES),  # the logits, in float32
        ]

    def _convolutions(self) -> Iterator[tuple[str, ConvLayer]]:
        for name, layer in self.layers.named_children():
            assert isinstance(layer, ConvLayer)
            yield name, layer


def linear_cost(name: str, layer: nn.Linear, *, saved_values: int = 0, saved_bytes: int = 0) -> LayerCost:
    """Return what a fully connected layer takes: each weight is multiplied and added once."""
    flops = 2 * layer.weight.numel()
    parameters = sum(each.numel() for each in layer.parameters())
    return LayerCost(name, "linear", (layer.out_features,), parameters, flops, flops, saved_values, saved_bytes)
