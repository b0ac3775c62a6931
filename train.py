"""Trainings: one model's in a thread of its own (ModelTrainer), and several that start together (Comparison).

`python train.py --help` trains without a server (see terminal.py).
"""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Collection, Mapping

import torch

from config import ModelConfig
from history.events import say_rates
from history.log import MetricsLog
from history.records import Event, new_run_id
from history.states import IllegalTransition
from training.builder import DEFAULT_NETWORK, Builder
from training.checkpoint import read_checkpoint, write_checkpoint
from training.engine import Engine
from training.examiner import Examiner, next_look
from training.failures import TrainingFailed, check_loss, explain_failure, give_memory_back, is_out_of_memory
from training.gauges import Gauges
from training.images import FashionMNIST
from training.keeper import Keeper, Snapshot
from training.lifecycle import Lifecycle, Stopped
from training.machine import available_cores, best_device
from training.schedule import evaluation_steps

log = logging.getLogger(__name__)


class ModelTrainer(threading.Thread):
    """One run of one model. start, pause, resume, stop, end and steer may be called from any thread."""

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
        build: Builder = DEFAULT_NETWORK,
    ) -> None:
        """Prepare a run that starts anew, or where `checkpoint` was taken; one that has `finished` before stays so."""
        super().__init__(name=name, daemon=False)
        self.config = config
        self.threads = threads
        self.life = Lifecycle(name, metrics, run_id=run_id, state="finished" if finished else "idle")
        self._dataset = dataset
        self._metrics = metrics
        self._device = device
        self._start_line = start_line
        self._checkpoint = checkpoint
        self._keeper = keeper
        self._build = build
        self._gauges = Gauges()
        self._examiner = Examiner(name, self.life, keeper)
        before = metrics.status(name)
        self._trained_as = config.held_at(before.held_rate)
        if not finished:
            self.life.announce(
                error=None,
                config=config.model_dump(mode="json"),
                threads=threads,
                plain_loss_from=before.step if before.plain_loss_from is None else before.plain_loss_from,
                learning_rate=self._trained_as.learning_rate,
                test_accuracy=None,
                testing=False,
                eta_seconds=None,
            )

    @property
    def state(self) -> str:
        return self.life.state

    @property
    def snapshot(self) -> Snapshot | None:
        """The weights as they were at the latest look at the validation images; None before the first."""
        return self._examiner.snapshot

    def start(self) -> None:
        """Begin the run. Raises IllegalTransition unless idle."""
        self.life.start()
        super().start()

    def pause(self) -> None:
        """Hold before the next batch. Raises IllegalTransition unless running."""
        self.life.pause()

    def resume(self) -> None:
        """Go on where pause held. Raises IllegalTransition unless paused."""
        self.life.resume()

    def stop(self) -> None:
        """End the run before the next batch, and have a test result; a second stop leaves that out.

        Raises IllegalTransition once it is over.
        """
        self.life.stop()

    def end(self) -> None:
        """Stop at once where it is still on; one that has ended by itself, be it this very moment, stays as it is."""
        self.life.end()

    def steer(self, learning_rate: float) -> None:
        """Change the learning rate, a schedule's peak, from the next step on. Raises IllegalTransition."""
        self.life.steer(learning_rate)

    def run(self) -> None:
        try:
            torch.set_num_threads(self.threads)  # of this thread alone
            with torch.autograd.set_multithreading_enabled(False):
                self._build_and_train()
        except Exception as error:
            self._fail(error)

    def _build_and_train(self) -> None:
        """Hold the engine in a frame of its own: an error's traceback would keep that of `run`."""
        try:
            engine = self._build_engine()
        finally:
            self._start_line.wait()  # also where building failed: the other trainers must not wait forever
        with engine.in_its_stream():
            try:
                self._train(engine)
                self._examiner.test(engine, "finished")
            except Stopped:
                self._steer(engine)  # what goes on from here shall know of it
                self._publish_steps(engine, flush=True)
                self._keep(engine)
                self._test_what_was_stopped(engine)

    def _build_engine(self) -> Engine:
        """Return the engine, at the run's start or where the checkpoint was taken."""
        engine = Engine(self._trained_as, self._dataset, self._device, self._build)
        engine.heed = self.life.heed_stop
        if self._checkpoint is not None:
            state = read_checkpoint(self._checkpoint, self._device)
            engine.restore(state["engine"])
            self._gauges = Gauges(state["elapsed_seconds"], state["running_accuracy"])
            self._checkpoint = None
        self.life.announce(
            parameters=sum(weights.numel() for weights in engine.model.parameters()),
            precision=engine.precision,
            steps_per_epoch=engine.steps_per_epoch,
            total_steps=engine.total_steps,
            learning_rate=engine.learning_rate,
            next_evaluation_step=next_look(engine),
        )
        return engine

    def _train(self, engine: Engine) -> None:
        """Take every step that is left of the run. Raises Stopped and TrainingFailed."""
        evaluate_after = evaluation_steps(engine.steps_per_epoch, self.config.epochs)
        has_evaluated = any(each.step == engine.step for each in self._metrics.evaluations(self.name))
        self._gauges.stopwatch.run()
        if engine.step in evaluate_after and not has_evaluated:  # a stop has broken it off
            self._examiner.validate(engine, self._gauges)
        while engine.step < engine.total_steps:
            self._obey(engine)
            engine.train_step()
            self._gauges.note_step(engine.step, engine.epoch)
            if self._gauges.look_is_due():
                self._publish_steps(engine)
            if engine.step in evaluate_after:
                self._publish_steps(engine)
                self._examiner.validate(engine, self._gauges)
            if engine.step % engine.steps_per_epoch == 0:
                self._keep(engine)

    def _obey(self, engine: Engine) -> None:
        """Do what was asked for since the last step: wait until a resume or a stop, steer. Raises Stopped."""
        if self.state == "paused":
            self._gauges.stopwatch.hold()
            self._publish_steps(engine, flush=True)
            self.life.may_train.wait()
            self._gauges.speed.skip()
            self._gauges.stopwatch.run()
        self.life.heed_stop()
        if self._steer(engine):
            self._keep(engine)

    def _steer(self, engine: Engine) -> bool:
        """Change the learning rate where that was asked for, put it on record, and return whether it was."""
        rate = self.life.take_wanted_learning_rate(is_last=engine.step + 1 >= engine.total_steps)
        if rate is None:
            return False
        detail = say_rates(engine.learning_rate, rate)
        engine.learning_rate = rate
        self._publish_steps(engine, flush=True)
        event = Event("steered", engine.step, engine.epoch, self._gauges.stopwatch.seconds, detail)
        self.life.announce(events=[event], learning_rate=rate)
        log.info("run %s: %s steered at step %d: %s", self.life.run_id, self.name, engine.step, detail)
        return True

    def _publish_steps(self, engine: Engine, *, flush: bool = False) -> None:
        """Read what the device has computed since the last time and make it public. Raises TrainingFailed."""
        points, figures = self._gauges.read(engine)
        self.life.announce(points=points, flush=flush, **figures)
        check_loss(points, engine.learning_rate)

    def _test_what_was_stopped(self, engine: Engine) -> None:
        """Look at the test images, unless it is to end at once, and be stopped; its weights are kept already."""
        if self.life.is_stopping and engine.step:
            with contextlib.suppress(Stopped):
                self._examiner.test(engine, "stopped")
        self.life.end()

    def _keep(self, engine: Engine) -> None:
        """Hand over a checkpoint of everything that the rest of the run depends on."""
        if self._keeper:
            checkpoint = write_checkpoint({"engine": engine.state(), **self._gauges.state()})
            self._keeper.save_checkpoint(self.name, checkpoint)

    def _fail(self, error: Exception) -> None:
        expected = isinstance(error, TrainingFailed)
        log.error("run %s: %s failed: %s", self.life.run_id, self.name, error, exc_info=None if expected else error)
        with self.life.lock:
            if self.life.is_stopping and not expected:  # a loss that was lost before the stop is told all the same
                self.life.end()
            elif self.life.is_active:
                self.life.move_to("failed", flush=True, testing=False, error=explain_failure(error), eta_seconds=None)
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
        builders: Mapping[str, Builder] | None = None,
    ) -> None:
        """Prepare a new comparison, or the rest of one: then run_id, metrics and checkpoints are those that it left.

        The models named in `finished` keep the result that the metrics have of them; the others go on. builders: of
        the models that are another network than the CNN.
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
                build=(builders or {}).get(name, DEFAULT_NETWORK),
            )
            for name, config in configs.items()
        }

    @property
    def active(self) -> bool:
        """Whether any trainer is running or paused."""
        return any(trainer.life.is_active for trainer in self.trainers.values())

    @property
    def stopping(self) -> bool:
        """Whether all that is still on has been stopped, and only looks at the test images."""
        on = [trainer.life.is_stopping for trainer in self.trainers.values() if trainer.life.is_active]
        return bool(on) and all(on)

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
        """Stop at once what is still on, if anything is; `join` then waits for the last batch."""
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
