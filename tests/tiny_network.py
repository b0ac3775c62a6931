"""A second network, which shares no class with the CNN: what model.Network asks of it, and no more."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import ModelConfig
from data import CLASSES
from model import LayerCost, SeededDropout

SIDE = 6  # of its maps: 28 pixels, seen 5 × 5 at a time, four apart


class TinyNetwork(nn.Module):
    """Two convolutions, a skip connection around the second, and the mean of each map: (B, 1, 28, 28) to (B, 10)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        maps = config.kernels[0]
        self.stem = nn.Conv2d(1, maps, 5, stride=4)
        self.block = nn.Conv2d(maps, maps, 3, padding=1)
        self.dropout = SeededDropout(config.dropout)
        self.head = nn.Linear(maps, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.activations(images)["head"]

    def activations(self, images: Tensor) -> dict[str, Tensor]:
        stem = F.relu(self.stem(images))  # (B, maps, 6, 6)
        block = F.relu(stem + self.block(stem))
        return {"stem": stem, "block": block, "head": self.head(self.dropout(block.mean((2, 3))))}

    def weights_by_layer(self) -> dict[str, Tensor]:
        return {"stem": self.stem.weight, "block": self.block.weight, "head": self.head.weight}

    def filters(self) -> Tensor:
        return self.stem.weight[:, 0]

    def draw_from(self, generator: torch.Generator) -> None:
        self.dropout.generator = generator

    def costs(self) -> list[LayerCost]:
        maps = self.stem.out_channels
        stem, block, head = (2 * each.numel() for each in self.weights_by_layer().values())
        shape, values = (maps, SIDE, SIDE), maps * SIDE**2
        return [
            LayerCost("stem", "convolution", shape, stem // 2 + maps, stem * SIDE**2, stem * SIDE**2, values),
            LayerCost("block", "convolution", shape, block // 2 + maps, block * SIDE**2, block * SIDE**2, values),
            LayerCost("head", "linear", (CLASSES,), head // 2 + CLASSES, head, head, 3 * maps, 4 * CLASSES),
        ]
