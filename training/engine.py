"""Engine: one model, its optimizer and its random streams, trained a batch at a time on one device."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from config import ModelConfig
from history.records import Insight, Layer, take_filters
from model import Network
from training.builder import DEFAULT_NETWORK, Builder, build_model
from training.checkpoint import Header
from training.images import FashionMNIST, Split, augment, normalise, shuffled_order
from training.machine import resolve_precision
from training.schedule import scheduled_learning_rate

EVALUATION_BATCH = 125  # eight times as many take twice as long: the maps fall out of the cache
INSIGHT_IMAGES = 250  # of the validation images, that tell which units are dead: two batches


class StepResult(NamedTuple):
    """What one training step gave: mean cross-entropy of its batch, how many of its images came out right.

    The plain cross-entropy, also where labels are smoothed for the gradient: smoothing adds a floor to the loss.
    """

    loss: float
    correct: int


class Examination(NamedTuple):
    """What a model did on a split: mean cross-entropy, accuracy (fraction), probabilities (N, 10) float32.

    right_images: which images came out right, a bit each, as history.records.Evaluation keeps them. truth: the images'
    classes (N,). dead: of the validation images, of each layer with a ReLU, which share of its units stays 0 for all of
    the first INSIGHT_IMAGES.
    """

    loss: float
    accuracy: float
    probabilities: np.ndarray
    right_images: bytes
    truth: np.ndarray
    dead: Mapping[str, float] = {}


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

    def __init__(
        self, config: ModelConfig, dataset: FashionMNIST, device: torch.device, build: Builder = DEFAULT_NETWORK
    ) -> None:
        self.config = config
        self.device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self.precision = resolve_precision(config.precision, device)
        self.data = dataset.to(device)
        self.model: Network = build_model(config, device, build)
        self.optimizer = build_optimizer(config, list(self.model.parameters()))
        self.batches = config.batches(len(self.data.train))
        self.steps_per_epoch = self.batches.steps
        self.total_steps = self.steps_per_epoch * config.epochs
        self.step = 0
        self.heed: Callable[[], object] = lambda: None  # called before each batch that is looked at; may break it off
        self.learning_rate = config.learning_rate  # the schedule's peak; may be changed between two steps
        self._generators = {purpose: torch.Generator(device) for purpose in ("augmentation", "dropout")}
        self.model.draw_from(self._generators["dropout"])
        self._order = torch.empty(0)
        self._gradient_norms: Tensor | None = None  # (layers,) of the latest epoch's last whole batch
        self._restored_norms: Tensor | None = None  # (layers,) of the step before a restore; no gradient is left of it
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
        return self.batches.seen(self.step)

    @property
    def epoch(self) -> float:
        """Epochs trained so far, fractional: images seen / training images."""
        return self.batches.epoch(self.step)

    def train_step(self) -> None:
        """Take the next batch and update the weights once."""
        position = self.step % self.steps_per_epoch
        if position == 0:
            self._begin_epoch(self.step // self.steps_per_epoch)
        batch = self._order[self.batches.cut(position)]
        labels = self.data.train.labels[batch]  # (B,)
        images = augment(self.data.train.images[batch], self.config.augment, self._generators["augmentation"])
        for group in self.optimizer.param_groups:
            group["lr"] = scheduled_learning_rate(self.config, self.step, self.total_steps, self.learning_rate)
        with self._autocast():
            logits = self.model(normalise(images))  # (B, 10)
        scores = logits.float()
        smoothing = self.config.label_smoothing
        loss = F.cross_entropy(scores, labels, label_smoothing=smoothing)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._restored_norms = None
        if position == self.batches.whole_steps - 1:
            self._gradient_norms = self._measure_gradients()
        self.optimizer.step()
        plain = F.cross_entropy(scores.detach(), labels) if smoothing else loss.detach()
        self._pending.append(torch.stack([plain, (logits.argmax(1) == labels).sum().float()]))
        self.step += 1

    def read(self) -> list[StepResult]:
        """Return the results of all steps since the last call. Synchronises with the device."""
        if not self._pending:
            return []
        rows = torch.stack(self._pending).tolist()
        self._pending.clear()
        return [StepResult(loss, round(correct)) for loss, correct in rows]

    @torch.inference_mode()
    def evaluate(self, split: Split) -> Examination:
        """Examine the model on a split, in eval mode. An answer is the class of the highest probability.

        Raises what `heed` raises.
        """
        answers: list[Tensor] = []
        alive: dict[str, Tensor] = {}
        watched = INSIGHT_IMAGES if split is self.data.validation else 0
        with self._in_eval_mode(), self._autocast():
            for start in range(0, len(split), EVALUATION_BATCH):
                self.heed()
                images = normalise(split.images[start : start + EVALUATION_BATCH])
                answers.append(self._watch(images, alive) if start < watched else self.model(images))
        logits = torch.cat(answers)
        loss = F.cross_entropy(logits.float(), split.labels).item()
        probabilities = logits.float().softmax(1).cpu().numpy()
        truth = split.labels.cpu().numpy()
        right = probabilities.argmax(1) == truth
        bits = np.packbits(right).tobytes()
        return Examination(loss, float(right.mean()), probabilities, bits, truth, shares_dead(alive))

    def _watch(self, images: Tensor, alive: dict[str, Tensor]) -> Tensor:
        """Return the logits of images, and note which units of each layer with a ReLU answer to any of them."""
        found = self.model.activations(images)
        _, logits = found.popitem()  # they have no ReLU
        for name, values in found.items():
            units = (values != 0).flatten(2).any(2).any(0) if values.dim() == 4 else (values != 0).any(0)
            alive[name] = alive[name] | units if name in alive else units
        return logits

    @contextlib.contextmanager
    def _in_eval_mode(self) -> Iterator[None]:
        self.model.eval()
        try:
            yield
        finally:
            self.model.train()

    @torch.inference_mode()
    def inspect(self, dead: Mapping[str, float]) -> Insight:
        """Look inside the model as it is, and at the gradients of a whole batch; `dead` is as it was examined last.

        That batch is the latest: an epoch's last one is smaller as a rule, and its gradients larger for that alone.
        """
        weights = self.model.weights_by_layer()
        kernels = self.model.filters().detach().float().cpu().numpy()  # (K, side, side)
        noted = self._gradient_norms if self.step % self.steps_per_epoch == 0 else None
        gradients = self._measure_gradients() if noted is None else noted
        norms = torch.cat([gradients, torch.stack(torch._foreach_norm(list(weights.values())))]).tolist()
        layers = {
            name: Layer(norms[place], norms[len(weights) + place], dead.get(name)) for place, name in enumerate(weights)
        }
        return Insight(self.step, self.epoch, layers, take_filters(kernels))

    @torch.no_grad()
    def _measure_gradients(self) -> Tensor:
        """Return the norm of the last step's gradient for each layer's weights (layers,), 0 before the first step."""
        weights = self.model.weights_by_layer().values()
        if self._restored_norms is not None:
            return self._restored_norms
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in weights]
        return torch.stack(torch._foreach_norm(gradients))

    def state(self) -> dict[str, Any]:
        """Return all that the following steps depend on, as `restore` takes it and torch.save can write it."""
        return {
            "step": self.step,
            "learning_rate": self.learning_rate,
            "schedule": self.config.schedule,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "gradient_norms": self._gradient_norms,
            "latest_norms": self._measure_gradients(),
            "generators": {name: generator.get_state() for name, generator in self._generators.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken; on a CPU the steps that follow are the same to the bit.

        The optimizer's settings stay those of this engine's config, its rate that of the step before; without
        "optimizer" its memory begins anew.
        """
        self.model.load_state_dict(state["model"])
        if "optimizer" in state:
            settings = [
                {key: group[key] for key in group if key not in ("params", "lr")}
                for group in self.optimizer.param_groups
            ]
            self.optimizer.load_state_dict(state["optimizer"])
            for group, ours in zip(self.optimizer.param_groups, settings, strict=True):
                group.update(ours)
        self.step = state["step"]
        self.learning_rate = Header.of_engine(state).peak_under(self.config)
        self._gradient_norms = state.get("gradient_norms")
        self._restored_norms = state.get("latest_norms")
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


def shares_dead(alive: Mapping[str, Tensor]) -> dict[str, float]:
    """Return which share of each layer's units (units,) answers to nothing."""
    return {name: 1 - units.float().mean().item() for name, units in alive.items()}
