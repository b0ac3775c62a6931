"""Predictor: asks trained networks what they make of pictures, beside the training and without touching it."""

import base64
import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from config import ModelConfig
from data import IMAGE_SIDE
from model import Network
from training.builder import DEFAULT_NETWORK, Builder, build_model
from training.images import normalise

CPU = torch.device("cpu")
MOST_NETWORKS = 4  # are kept: of two pages that look at two trainings each
MOST_MAPS = 16  # of a layer's maps are shown


def as_maps(name: str, maps: NDArray[Any]) -> dict[str, Any]:
    """Return a layer's maps (kernels, side, side), or its units (units,), in bytes, 255 being the largest value."""
    is_map = maps.ndim == 3
    shown = maps[:MOST_MAPS] if is_map else maps
    largest = float(maps.max(initial=0.0))
    levels = np.rint(np.clip(shown, 0, None) / (largest or 1.0) * 255).astype(np.uint8)
    return {
        "name": name,
        "count": len(maps),
        "shown": len(shown),
        "side": maps.shape[1] if is_map else 1,
        "largest": largest,
        "maps": base64.b64encode(levels.tobytes()).decode(),
    }


class Source(NamedTuple):
    """Weights to ask: which model of which run they are of, and after how many steps."""

    run: str
    model: str
    step: int
    epoch: float
    config: ModelConfig
    precision: str
    weights: Mapping[str, Tensor]
    build: Builder = DEFAULT_NETWORK


class Predictor:
    """Safe to call from any thread; one at a time is served, on a core of the CPU even where training is on a GPU."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "predictor", initializer=torch.set_num_threads, initargs=(1,))
        self._networks: dict[tuple[str, str, int], Network] = {}  # by run, model and step, the last asked at the end

    def look(self, source: Source, pixels: Tensor, *, layers: bool) -> dict[str, Any]:
        """Return a model's probabilities for an image (28, 28) uint8 and, if wanted, what each layer makes of it."""
        return self._worker.submit(self._look, source, pixels, layers).result()

    def close(self) -> None:
        self._worker.shutdown(cancel_futures=True)

    @torch.inference_mode()
    def _look(self, source: Source, pixels: Tensor, layers: bool) -> dict[str, Any]:
        network = self._network(source)
        products = torch.autocast("cpu", torch.bfloat16) if source.precision == "bfloat16" else contextlib.nullcontext()
        with products:
            found = network.activations(normalise(pixels.view(1, IMAGE_SIDE, IMAGE_SIDE)))
        _, logits = found.popitem()
        probabilities = logits.float().softmax(1)[0]
        answer: dict[str, Any] = {
            "step": source.step,
            "epoch": source.epoch,
            "probabilities": [round(each, 6) for each in probabilities.tolist()],
        }
        if layers:
            answer["layers"] = [as_maps(name, maps[0].float().numpy()) for name, maps in found.items()]
        return answer

    def _network(self, source: Source) -> Network:
        key = (source.run, source.model, source.step)
        network = self._networks.pop(key, None)
        if network is None:
            network = build_model(source.config, CPU, source.build).eval()
            network.load_state_dict(source.weights)
        self._networks[key] = network
        if len(self._networks) > MOST_NETWORKS:
            del self._networks[next(iter(self._networks))]
        return network
