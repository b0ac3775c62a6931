"""Inspector: asks trained networks what they make of pictures, beside the training and without touching it."""

import contextlib
import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
from torch import Tensor

from config import ModelConfig
from data import IMAGE_SIDE, normalise
from insight import as_maps
from model import CNN, build_model

CPU = torch.device("cpu")


class Source(NamedTuple):
    """Weights to ask: which model of which run they are of, and after how many steps."""

    run: str
    model: str
    step: int
    epoch: float
    config: ModelConfig
    precision: str
    weights: Mapping[str, Tensor]


class Inspector:
    """Safe to call from any thread; one at a time is served, on a core of the CPU even where training is on a GPU."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "inspector", initializer=torch.set_num_threads, initargs=(1,))
        self._models: dict[str, tuple[tuple[str, int], CNN]] = {}  # by name: which weights they have, and the network

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
        probabilities = found.pop("output").float().softmax(1)[0]
        answer: dict[str, Any] = {
            "step": source.step,
            "epoch": source.epoch,
            "probabilities": [round(each, 6) for each in probabilities.tolist()],
        }
        if layers:
            answer["layers"] = [as_maps(name, maps[0].float().numpy()) for name, maps in found.items()]
        return answer

    def _network(self, source: Source) -> CNN:
        key = (source.run, source.step)
        known = self._models.get(source.model)
        if known is None or known[0] != key:
            network = build_model(source.config, CPU).eval()
            network.load_state_dict(source.weights)
            self._models[source.model] = known = (key, network)
        return known[1]


def read_weights(checkpoint: bytes) -> tuple[int, dict[str, Tensor]]:
    """Return after how many steps a checkpoint was taken, and its weights."""
    state = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)["engine"]
    return state["step"], state["model"]
