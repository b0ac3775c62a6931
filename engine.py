"""Engine: one model, its optimizer and its random streams, trained a batch at a time on one device."""

import contextlib
import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from config import ModelConfig
from data import FashionMNIST, Split, augment, normalise, shuffled_order
from model import build_model

EVALUATION_BATCH = 250  # four times as many take half as long again: the maps fall out of the cache
WARM_UP_SHARE = 0.25  # of a one-cycle run, spent climbing to the peak learning rate


class StepResult(NamedTuple):
    """What one training step gave: mean loss of its batch, how many of its images came out right."""

    loss: float
    correct: int


def best_device() -> torch.device:
    """Return the CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_precision(wanted: str, device: torch.device) -> str:
    """Return "float32" or "bfloat16"; "auto" takes bfloat16 where the hardware multiplies it natively.

    A capability check rather than a measurement, so that the same machine always answers alike.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if native else "float32"


def scheduled_learning_rate(config: ModelConfig, step: int, total_steps: int) -> float:
    """Return the learning rate of step 0 to total_steps-1."""
    progress = step / max(1, total_steps)
    # 1) the same all along
    if config.schedule == "constant":
        return config.learning_rate
    # 2) climbing: from a tenth of the peak
    if config.schedule == "one_cycle" and progress < WARM_UP_SHARE:
        return config.learning_rate * (0.1 + 0.9 * progress / WARM_UP_SHARE)
    # 3) falling: half a cosine from the peak towards zero
    if config.schedule == "one_cycle":
        progress = (progress - WARM_UP_SHARE) / (1 - WARM_UP_SHARE)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def build_optimizer(config: ModelConfig, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimizer of a config over a model's parameters."""
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=config.momentum, weight_decay=decay, fused=True)
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=rate, weight_decay=decay)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)


class Engine:
    """One model in training, by one thread and, on a GPU, in one stream of its own (see `in_its_stream`).

    Nothing here waits for the device except read and evaluate.
    """

    def __init__(self, config: ModelConfig, dataset: FashionMNIST, device: torch.device) -> None:
        self.config = config
        self.device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self.precision = resolve_precision(config.precision, device)
        self.data = dataset.to(device)
        self.model = build_model(config, device)
        self.optimizer = build_optimizer(config, list(self.model.parameters()))
        self.steps_per_epoch = math.ceil(len(self.data.train) / config.batch_size)
        self.total_steps = self.steps_per_epoch * config.epochs
        self.step = 0
        self._generators = {purpose: torch.Generator(device) for purpose in ("augmentation", "dropout")}
        self.model.dropout.generator = self._generators["dropout"]
        self._order = torch.empty(0)
        self._pending: list[Tensor] = []  # (2,) loss and correct answers of each step not yet read

    def in_its_stream(self) -> contextlib.AbstractContextManager[Any]:
        """Send the calling thread's GPU work to the engine's stream, so that two engines overlap; on a CPU nothing.

        What was queued before, the weights and the data above all, is waited for by the stream, not by the thread.
        """
        if self._stream is None:
            return contextlib.nullcontext()
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        return torch.cuda.stream(self._stream)

    @property
    def images_seen(self) -> int:
        epochs, steps = divmod(self.step, self.steps_per_epoch)
        return epochs * len(self.data.train) + min(steps * self.config.batch_size, len(self.data.train))

    @property
    def epoch(self) -> float:
        """Epochs trained so far, fractional: images seen / training images."""
        return self.images_seen / len(self.data.train)

    def train_step(self) -> None:
        """Take the next batch and update the weights once."""
        position = self.step % self.steps_per_epoch
        if position == 0:
            self._begin_epoch(self.step // self.steps_per_epoch)
        batch = self._order[position * self.config.batch_size : (position + 1) * self.config.batch_size]
        labels = self.data.train.labels[batch]  # (B,)
        images = augment(self.data.train.images[batch], self.config.augment, self._generators["augmentation"])
        for group in self.optimizer.param_groups:
            group["lr"] = scheduled_learning_rate(self.config, self.step, self.total_steps)
        with self._autocast():
            logits = self.model(normalise(images))  # (B, 10)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.config.label_smoothing)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._pending.append(torch.stack([loss.detach(), (logits.argmax(1) == labels).sum().float()]))
        self.step += 1

    def read(self) -> list[StepResult]:
        """Return the results of all steps since the last call. Synchronises with the device."""
        if not self._pending:
            return []
        rows = torch.stack(self._pending).tolist()
        self._pending.clear()
        return [StepResult(loss, round(correct)) for loss, correct in rows]

    @torch.inference_mode()
    def evaluate(self, split: Split) -> tuple[float, float]:
        """Return mean cross-entropy and accuracy (fraction) over a split, in eval mode."""
        loss, correct = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        self.model.eval()
        for first in range(0, len(split), EVALUATION_BATCH):
            images, labels = (
                split.images[first : first + EVALUATION_BATCH],
                split.labels[first : first + EVALUATION_BATCH],
            )
            with self._autocast():
                logits = self.model(normalise(images))
            loss += F.cross_entropy(logits.float(), labels, reduction="sum")
            correct += (logits.argmax(1) == labels).sum()
        self.model.train()
        return loss.item() / len(split), correct.item() / len(split)

    def state(self) -> dict[str, Any]:
        """Return all that the following steps depend on, as `restore` takes it and torch.save can write it."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": {name: generator.get_state() for name, generator in self._generators.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken; on a CPU the steps that follow are the same to the bit."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        epoch, position = divmod(self.step, self.steps_per_epoch)
        if position:
            self._begin_epoch(epoch)
        for name, generator in self._generators.items():
            generator.set_state(state["generators"][name].cpu())

    def _begin_epoch(self, epoch: int) -> None:
        """Seed every random stream from the epoch's number, so that a run can be taken up at any epoch."""
        seed = self.config.random_seed
        self._order = shuffled_order(len(self.data.train), seed(f"order of epoch {epoch}")).to(self.device)
        for purpose, generator in self._generators.items():
            generator.manual_seed(seed(f"{purpose} of epoch {epoch}"))

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)
