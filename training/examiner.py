"""Examiner: looks at images that a model does not train on, at intervals and at the end, and publishes its answers."""

from data import TRAINING_SAMPLE
from history.records import Evaluation, Predictions
from training.engine import Engine
from training.gauges import Gauges
from training.keeper import Keeper, Snapshot, take_snapshot
from training.lifecycle import Lifecycle
from training.schedule import next_evaluation_step


def next_look(engine: Engine) -> int | None:
    """Return after which step an engine's model looks at the validation images next; None where it does no more."""
    return next_evaluation_step(engine.step, engine.steps_per_epoch, engine.config.epochs)


class Examiner:
    """Examines one model, in its trainer's thread."""

    def __init__(self, name: str, life: Lifecycle, keeper: Keeper | None) -> None:
        self.snapshot: Snapshot | None = None  # replaced whole at each look at the validation images
        self._name = name
        self._life = life
        self._keeper = keeper

    def validate(self, engine: Engine, gauges: Gauges) -> None:
        """Look at the validation images and inside the model; make all of it public, or, raising Stopped, nothing."""
        found = engine.evaluate(engine.data.validation)
        train_accuracy = None
        if engine.step % engine.steps_per_epoch == 0:
            train_accuracy = engine.evaluate(engine.data.train.first(TRAINING_SAMPLE)).accuracy
        if self._keeper:
            answers = Predictions("validation", engine.step, engine.epoch, found.probabilities, found.truth)
            self._keeper.save_insight(self._name, engine.inspect(found.dead), answers)
            self.snapshot = take_snapshot(engine)
        gauges.speed.skip()
        seconds = gauges.stopwatch.seconds
        evaluation = Evaluation(
            engine.step, engine.epoch, seconds, found.loss, found.accuracy, train_accuracy, found.right_images
        )
        self._life.announce(
            evaluations=[evaluation],
            val_loss=found.loss,
            val_accuracy=found.accuracy,
            elapsed_seconds=seconds,
            next_evaluation_step=next_look(engine),
        )

    def test(self, engine: Engine, end: str) -> None:
        """Look at the test images, and be "finished" or "stopped". Raises Stopped where it is to end at once."""
        engine.heed = self._life.heed_end  # a stop that comes now finds nothing left to stop
        self._life.announce(testing=True)
        found = engine.evaluate(engine.data.test)
        answers = Predictions("test", engine.step, engine.epoch, found.probabilities, found.truth)
        with self._life.lock:
            self._life.heed_end()
            if self._keeper:
                self._keeper.save_predictions(self._name, answers)
            if end == "finished":
                self._life.announce(eta_seconds=0.0)
            self._life.move_to(end, flush=True, testing=False, test_accuracy=found.accuracy)
