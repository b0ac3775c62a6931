"""The memory that model.py counts, against what PyTorch really holds on to in a training step."""

import contextlib

import pytest
import torch
import torch.nn.functional as F
from helpers import CPU

from config import DEFAULTS, ModelConfig
from training.builder import build_model
from training.cost import describe_model
from training.engine import build_optimizer

CONFIGS = {
    "default": DEFAULTS,
    "shallow": ModelConfig(kernels=(16, 32, 64, 128), batch_size=32),
    "batch norm": ModelConfig(kernels=(8, 16, 32), batch_norm=True, hidden_units=8),
    "eight layers": ModelConfig(kernels=(2, 3, 4, 5, 6, 7, 8, 9), kernel_sizes=(1, 3, 5, 7, 7, 5, 3, 1)),
    "pool after every second layer": ModelConfig(kernels=(4, 8, 8, 8), pool_every=2, batch_size=8),
    "batch norm, pool after every third": ModelConfig(kernels=(4, 4, 4, 4), pool_every=3, batch_norm=True),
    "5x5": ModelConfig(kernel_sizes=(5, 5, 5, 5), batch_size=16),
    "no dropout, large batch": ModelConfig(kernels=(4,), dropout=0, batch_size=500, hidden_units=512),
}


def bytes_held_in_a_step(config: ModelConfig) -> int:
    """Return the bytes of weights, gradients, optimizer state, and of all that autograd saves, each storage once."""
    model = build_model(config, CPU)
    model.dropout.generator = torch.Generator()
    weights = list(model.parameters())
    optimizer = build_optimizer(config, weights)
    lasting = {weight.untyped_storage().data_ptr() for weight in weights}
    saved: dict[int, torch.Tensor] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address is used twice
        return tensor

    half = config.precision == "bfloat16"
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        with torch.autocast("cpu", dtype=torch.bfloat16) if half else contextlib.nullcontext():
            logits = model(torch.randn(config.batch_size, 1, 28, 28))
        loss = F.cross_entropy(logits.float(), torch.zeros(config.batch_size, dtype=torch.long))
    activations = sum(tensor.untyped_storage().nbytes() for key, tensor in saved.items() if key not in lasting)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    state = [value for values in optimizer.state.values() for value in values.values() if torch.is_tensor(value)]
    held = [*weights, *(weight.grad for weight in weights if weight.grad is not None), *state]
    return activations + sum(tensor.nbytes for tensor in held)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_counted_memory_is_what_a_step_holds_on_to(config: ModelConfig, precision: str) -> None:
    config = config.model_copy(update={"precision": precision})
    assert describe_model(config)["memory_bytes"] == pytest.approx(bytes_held_in_a_step(config), rel=0.03)


@pytest.mark.parametrize(
    ("settings", "values_per_weight"),
    [
        ({"optimizer": "adam"}, 4),
        ({"optimizer": "rmsprop"}, 3),
        ({"optimizer": "sgd"}, 3),
        ({"optimizer": "sgd", "momentum": 0}, 2),
    ],
)
def test_optimizer_state_is_counted(settings: dict[str, object], values_per_weight: int) -> None:
    config = ModelConfig(**({"precision": "float32"} | settings))  # type: ignore[arg-type]
    described = describe_model(config)
    plain = describe_model(ModelConfig(optimizer="sgd", momentum=0, precision="float32"))
    difference = described["memory_bytes"] - plain["memory_bytes"]
    assert difference == (values_per_weight - 2) * 4 * described["parameters"]
    assert described["memory_bytes"] == pytest.approx(bytes_held_in_a_step(config), rel=0.03)


def test_activations_grow_with_the_batch() -> None:
    memory = {size: describe_model(ModelConfig(batch_size=size))["memory_bytes"] for size in (64, 128, 192)}
    assert memory[192] - memory[128] == memory[128] - memory[64] > 0
