"""ModelTrainer: one model's run in a thread of its own. Comparison: two of them, started together.

`python train.py --help` trains without a server (see headless.py).
"""

import contextlib
import io
import logging
import math
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import torch

from config import ModelConfig
from history.log import MetricsLog
from history.records import Evaluation, Event, Insight, Point, Predictions, new_run_id
from history.states import ACTIVE_STATES, LEGAL_MOVES, IllegalTransition
from training.engine import Engine, StepResult
from training.failures import TrainingFailed, explain_failure, give_memory_back, is_out_of_memory
from training.gauges import RunningAccuracy, Speedometer, Stopwatch
from training.images import FashionMNIST
from training.machine import available_cores, best_device

log = logging.getLogger(__name__)
READ_INTERVAL = 0.1  # seconds between two looks at the losses: each makes a GPU wait
FIRST_LOOK = 0.25  # of the first epoch: a verdict within seconds, before the one at its end
TRAINING_SAMPLE = 1_000  # training images looked at beside the 5,000 of the validation: each look costs time


class Stopped(Exception):
    """A stop has come: the run ends where it is."""


def evaluation_steps(steps_per_epoch: int, epochs: int) -> frozenset[int]:
    """Return after which steps the validation images are looked at: a quarter of the first epoch, each epoch's end."""
    ends = {steps_per_epoch * epoch for epoch in range(1, epochs + 1)}
    return frozenset(ends | {math.ceil(steps_per_epoch * FIRST_LOOK)})


class Snapshot(NamedTuple):
    """A model's weights on the CPU as they were at an evaluation, for whoever wants its answers meanwhile."""

    step: int
    epoch: float
    weights: dict[str, torch.Tensor]


class Keeper(Protocol):
    """Takes what a trainer hands over to be kept; returns at once. A RunStore, bound to a run."""

    def save_checkpoint(self, model: str, checkpoint: bytes) -> None:
        """Take a checkpoint: at each epoch's end, at a stop, and when the run is steered."""

    def save_insight(self, model: str, insight: Insight, predictions: Predictions) -> None:
        """Take what an evaluation showed of the inside of the model, and its answers to the validation images."""

    def save_predictions(self, model: str, predictions: Predictions) -> None:
        """Take the answers to the test images, at a run's end."""


class ModelTrainer(threading.Thread):
    """One run of one model. start, pause, resume and stop may be called from any thread."""

    def __init__(
        self,
        name: str,
        config: ModelConfig,
        dataset: FashionMNIST,
        metrics: MetricsLog,
        *,
        device: torch.device,
        threads: int,
        start_line: threading.Barrier,
        checkpoint: bytes | None = None,
        keeper: Keeper | None = None,
        run_id: str = "alone",
        finished: bool = False,
    ) -> None:
        """Prepare a run that starts anew, or where `checkpoint` was taken; one that has `finished` before stays so."""
        super().__init__(name=name, daemon=False)
        self.config = config
        self.threads = threads
        self._run_id = run_id  # for the log
        self._dataset = dataset
        self._batches = config.batches(len(dataset.train))
        self._metrics = metrics
        self._device = device
        self._start_line = start_line
        self._checkpoint = checkpoint
        self._keeper = keeper
        self.snapshot: Snapshot | None = None  # replaced whole at each evaluation
        self._lock = threading.RLock()  # guards _state and _status
        self._state = "finished" if finished else "idle"
        self._status = before = metrics.status(name)  # what an earlier part of the run has left, if any
        self._may_train = threading.Event()
        self._wanted_learning_rate: float | None = None  # from the next step on
        self._stopwatch = Stopwatch()
        self._speed = Speedometer()
        self._running_accuracy = RunningAccuracy()
        self._positions: list[tuple[int, float, float]] = []  # step, epoch, seconds of steps not yet read
        if not finished:
            self._announce(
                error=None,
                config=config.model_dump(mode="json"),
                threads=threads,
                plain_loss_from=before.step if before.plain_loss_from is None else before.plain_loss_from,
                learning_rate=config.learning_rate,
                test_accuracy=None,
                eta_seconds=None,
            )

    @property
    def state(self) -> str:
        return self._state

    def start(self) -> None:
        """Begin the run. Raises IllegalTransition unless idle."""
        self._move_to("running", source="idle")
        self._may_train.set()
        super().start()

    def pause(self) -> None:
        """Hold before the next batch. Raises IllegalTransition unless running."""
        with self._lock:  # state and event change as one: a stop in between would be waited for forever
            self._move_to("paused")
            self._may_train.clear()

    def resume(self) -> None:
        """Go on where pause held. Raises IllegalTransition unless paused."""
        with self._lock:
            self._move_to("running", source="paused")
            self._may_train.set()

    def stop(self) -> None:
        """End the run before the next batch, keeping what was measured. Raises IllegalTransition once it is over."""
        with self._lock:
            self._move_to("stopped")
            self._may_train.set()

    def end(self) -> None:
        """Stop where it is still on; one that has ended by itself, be it this very moment, stays as it is."""
        with self._lock:
            if self._state in ACTIVE_STATES:
                self.stop()

    def steer(self, learning_rate: float) -> None:
        """Change the learning rate, a schedule's peak, from the next step on. Raises IllegalTransition once over."""
        with self._lock:
            if self._state not in ACTIVE_STATES:
                raise IllegalTransition(self.name, self._state, "steered", " or ".join(sorted(ACTIVE_STATES)))
            self._wanted_learning_rate = learning_rate

    def run(self) -> None:
        try:
            torch.set_num_threads(self.threads)  # of this thread alone
            with torch.autograd.set_multithreading_enabled(False):
                self._build_and_train()
        except Exception as error:
            self._fail(error)

    def _build_and_train(self) -> None:
        """Hold the engine in a frame of its own: an error's traceback would keep that of `run`."""
        with self._reaching_start_line():
            engine = Engine(self.config, self._dataset, self._device)
            engine.heed = self._heed_stop
            self._restore(engine)
            self._announce(
                parameters=sum(weights.numel() for weights in engine.model.parameters()),
                precision=engine.precision,
                steps_per_epoch=engine.steps_per_epoch,
                total_steps=engine.total_steps,
                learning_rate=engine.learning_rate,
            )
        with engine.in_its_stream():
            try:
                self._train(engine)
            except Stopped:
                self._publish_steps(engine, flush=True)
                self._keep(engine)

    @contextlib.contextmanager
    def _reaching_start_line(self) -> Iterator[None]:
        """Prepare, then wait for the other trainer, also when preparing failed: it must not wait forever."""
        try:
            yield
        finally:
            self._start_line.wait()

    def _train(self, engine: Engine) -> None:
        evaluate_after = evaluation_steps(engine.steps_per_epoch, self.config.epochs)
        self._stopwatch.run()
        last_read = -math.inf
        if engine.step in evaluate_after and not self._has_evaluated(engine.step):  # a stop has broken it off
            self._publish_evaluation(engine)
        while engine.step < engine.total_steps:
            self._wait_while_paused(engine)
            self._heed_stop()
            if self._wanted_learning_rate is not None:
                self._steer(engine)
            engine.train_step()
            self._positions.append((engine.step, engine.epoch, self._stopwatch.seconds))
            if time.perf_counter() - last_read >= READ_INTERVAL:
                self._publish_steps(engine)
                last_read = time.perf_counter()
            if engine.step in evaluate_after:
                self._publish_steps(engine)
                self._publish_evaluation(engine)
            if engine.step % engine.steps_per_epoch == 0:
                self._keep(engine)
        self._finish(engine)

    def _finish(self, engine: Engine) -> None:
        """Look at the test images. Raises Stopped."""
        test = engine.evaluate(engine.data.test)
        answers = Predictions("test", engine.step, engine.epoch, test.probabilities)
        with self._lock:
            self._heed_stop()
            if self._keeper:
                self._keeper.save_predictions(self.name, answers)
            self._move_to("finished", flush=True, test_accuracy=test.accuracy, eta_seconds=0.0)

    def _wait_while_paused(self, engine: Engine) -> None:
        """Wait with the stopwatch held until a resume or a stop."""
        if self._state == "paused":
            self._stopwatch.hold()
            self._publish_steps(engine, flush=True)
            self._may_train.wait()
            self._speed.skip()
            self._stopwatch.run()

    def _heed_stop(self) -> None:
        """Raise Stopped where a stop has come. Called between batches, of an evaluation too."""
        if self._state == "stopped":
            raise Stopped

    def _has_evaluated(self, step: int) -> bool:
        return any(evaluation.step == step for evaluation in self._metrics.evaluations(self.name))

    def _steer(self, engine: Engine) -> None:
        """Change the learning rate as asked, put it on record, and keep a checkpoint: a resumed run stays steered."""
        with self._lock:
            rate, self._wanted_learning_rate = self._wanted_learning_rate, None
        assert rate is not None
        detail = f"learning rate {engine.learning_rate:g} → {rate:g}"
        engine.learning_rate = rate
        self._publish_steps(engine, flush=True)
        event = Event("steered", engine.step, engine.epoch, self._stopwatch.seconds, detail)
        self._announce(events=[event], learning_rate=rate)
        self._keep(engine)
        log.info("run %s: %s steered at step %d: %s", self._run_id, self.name, engine.step, detail)

    def _keep(self, engine: Engine) -> None:
        """Hand over a checkpoint of everything that the rest of the run depends on."""
        if self._keeper is None:
            return
        state = {
            "engine": engine.state(),
            "elapsed_seconds": self._stopwatch.seconds,
            "running_accuracy": self._running_accuracy.batches,
        }
        file = io.BytesIO()
        torch.save(state, file)
        self._keeper.save_checkpoint(self.name, file.getvalue())

    def _restore(self, engine: Engine) -> None:
        if self._checkpoint is None:
            return
        state = torch.load(io.BytesIO(self._checkpoint), map_location=self._device, weights_only=True)
        engine.restore(state["engine"])
        self._stopwatch = Stopwatch(state["elapsed_seconds"])
        self._running_accuracy = RunningAccuracy(state["running_accuracy"])
        self._checkpoint = None

    def _publish_steps(self, engine: Engine, *, flush: bool = False) -> None:
        """Read what the device has computed since the last time and make it public."""
        results = engine.read()
        points = [self._point(*pair) for pair in zip(self._positions, results, strict=True)]
        self._positions.clear()
        broken = next((place for place, point in enumerate(points, 1) if not math.isfinite(point.loss)), None)
        points = points[:broken]  # what came after the break means nothing
        seconds = self._stopwatch.seconds
        self._speed.note(seconds, engine.step, engine.images_seen)
        news: dict[str, Any] = {"elapsed_seconds": seconds}
        if points:
            last = points[-1]
            news |= {"step": last.step, "epoch": last.epoch, "loss": last.loss, "accuracy": last.accuracy}
            news["eta_seconds"] = seconds * (engine.total_steps - last.step) / last.step
        self._announce(
            points=points,
            flush=flush,
            batches_per_second=self._speed.batches_per_second,
            images_per_second=self._speed.images_per_second,
            **news,
        )
        if broken:
            value = "NaN" if math.isnan(last.loss) else "infinite"
            raise TrainingFailed(
                f"The loss became {value} at step {last.step} (epoch {last.epoch:.2f}): the updates were too large. "
                f"Start again with a lower learning rate, {self.config.learning_rate / 10:g} for example."
            )

    def _point(self, position: tuple[int, float, float], result: StepResult) -> Point:
        step, epoch, seconds = position
        (images,) = self._batches.counts(step, step)
        return Point(step, epoch, seconds, result.loss, self._running_accuracy.add(result.correct, images))

    def _publish_evaluation(self, engine: Engine) -> None:
        """Look at the validation images and inside the model; make all of it public, or, raising Stopped, nothing."""
        found = engine.evaluate(engine.data.validation)
        train_accuracy = None
        if engine.step % engine.steps_per_epoch == 0:
            train_accuracy = engine.evaluate(engine.data.train.first(TRAINING_SAMPLE)).accuracy
        if self._keeper:
            answers = Predictions("validation", engine.step, engine.epoch, found.probabilities)
            self._keeper.save_insight(self.name, engine.inspect(), answers)
            weights = {name: values.detach().cpu().clone() for name, values in engine.model.state_dict().items()}
            self.snapshot = Snapshot(engine.step, engine.epoch, weights)
        self._speed.skip()
        seconds = self._stopwatch.seconds
        evaluation = Evaluation(
            engine.step, engine.epoch, seconds, found.loss, found.accuracy, train_accuracy, found.right_images
        )
        self._announce(
            evaluations=[evaluation], val_loss=found.loss, val_accuracy=found.accuracy, elapsed_seconds=seconds
        )

    def _move_to(self, state: str, *, source: str | None = None, **news: Any) -> None:
        """Change the state, the only place that does; with `source`, only from there.

        Raises IllegalTransition where the table or the source forbids it.
        """
        with self._lock:
            if state not in LEGAL_MOVES[self._state] or source not in (None, self._state):
                raise IllegalTransition(self.name, self._state, state, source)
            self._state = state
            status = self._status
            event = Event(state, status.step, status.epoch, news.get("elapsed_seconds", status.elapsed_seconds))
            self._announce(events=[event], **news)
        log.info("run %s: %s %s at step %d", self._run_id, self.name, state, status.step)

    def _announce(
        self,
        *,
        points: Sequence[Point] = (),
        evaluations: Sequence[Evaluation] = (),
        events: Sequence[Event] = (),
        flush: bool = False,
        **news: Any,
    ) -> None:
        """Make a change public: new values of the status, and what was measured or happened with it."""
        with self._lock:
            self._status = replace(self._status, state=self._state, **news)
            self._metrics.publish(self.name, self._status, points, evaluations, events, flush=flush)

    def _fail(self, error: Exception) -> None:
        expected = isinstance(error, TrainingFailed)
        log.error("run %s: %s failed: %s", self._run_id, self.name, error, exc_info=None if expected else error)
        with self._lock:
            if self._state in ACTIVE_STATES:
                self._move_to("failed", flush=True, error=explain_failure(error), eta_seconds=None)
        if is_out_of_memory(error):
            give_memory_back(error)


def warm_up(dataset: FashionMNIST) -> None:
    """Take one throw-away step, so that the first run does not wait for what PyTorch loads lazily."""
    engine = Engine(ModelConfig(), dataset, best_device())
    with engine.in_its_stream():
        engine.train_step()
        engine.read()


class Comparison:
    """Trainers built together and let go together, so that their wall-clock times compare."""

    def __init__(
        self,
        configs: Mapping[str, ModelConfig],
        dataset: FashionMNIST,
        *,
        device: torch.device | None = None,
        metrics: MetricsLog | None = None,
        run_id: str | None = None,
        checkpoints: Mapping[str, bytes] | None = None,
        keeper: Keeper | None = None,
        finished: Collection[str] = (),
    ) -> None:
        """Prepare a new comparison, or the rest of one: then run_id, metrics and checkpoints are those that it left.

        The models named in `finished` keep the result that the metrics have of them; the others go on.
        """
        self.run_id = run_id or new_run_id()
        self.metrics = metrics or MetricsLog(configs)
        threads = max(1, available_cores() // len(configs))  # kept for the whole run, whoever ends first
        start_line = threading.Barrier(len(configs) - len(finished))
        self.trainers = {
            name: ModelTrainer(
                name,
                config,
                dataset,
                self.metrics,
                device=device or best_device(),
                threads=threads,
                start_line=start_line,
                checkpoint=(checkpoints or {}).get(name),
                keeper=keeper,
                run_id=self.run_id,
                finished=name in finished,
            )
            for name, config in configs.items()
        }

    @property
    def active(self) -> bool:
        """Whether any trainer is running or paused."""
        return any(trainer.state in ACTIVE_STATES for trainer in self.trainers.values())

    def start(self) -> None:
        for trainer in self.trainers.values():
            if trainer.state == "idle":
                trainer.start()

    def pause(self, model: str | None = None) -> None:
        self._command("pause", model)

    def resume(self, model: str | None = None) -> None:
        self._command("resume", model)

    def stop(self, model: str | None = None) -> None:
        self._command("stop", model)

    def end(self) -> None:
        """Stop what is still on, if anything is; `join` then waits for the last batch."""
        for trainer in self.trainers.values():
            trainer.end()

    def steer(self, model: str, learning_rate: float) -> None:
        """Change a model's learning rate from its next step on. Raises IllegalTransition once it is over."""
        self.trainers[model].steer(learning_rate)

    def join(self, timeout: float | None = None) -> bool:
        """Wait for every trainer's thread to end; return whether all have within `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        for trainer in self.trainers.values():
            if trainer.ident is not None:
                trainer.join(None if end is None else max(0.0, end - time.monotonic()))
        return not any(trainer.is_alive() for trainer in self.trainers.values())

    def _command(self, command: str, model: str | None) -> None:
        """Give a command to one trainer, or to every one that admits it.

        Raises IllegalTransition when the one, or each of them, refuses.
        """
        refusals = []
        trainers = [self.trainers[model]] if model else list(self.trainers.values())
        for trainer in trainers:
            try:
                getattr(trainer, command)()
            except IllegalTransition as refusal:
                refusals.append(refusal)
        if len(refusals) == len(trainers):
            raise refusals[0]


if __name__ == "__main__":
    from terminal import main

    sys.exit(main())
