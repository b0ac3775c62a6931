import pytest
from helpers import quick, trainer_alone

from history.log import MetricsLog
from history.states import ACTIVE_STATES, LEGAL_MOVES, IllegalTransition
from train import ModelTrainer
from training.images import FashionMNIST
from training.lifecycle import Lifecycle

pytestmark = pytest.mark.usefixtures("no_thread_is_left_behind")


PATHS = {
    "idle": (),
    "running": ("running",),
    "paused": ("running", "paused"),
    "finished": ("running", "finished"),
    "stopped": ("running", "stopped"),
    "failed": ("running", "failed"),
}


def trainer_in(state: str, dataset: FashionMNIST) -> ModelTrainer:
    trainer, _ = trainer_alone(dataset, quick())
    for step in PATHS[state]:
        trainer.life.move_to(step)
    return trainer


@pytest.mark.parametrize(("state", "wanted"), [(state, wanted) for state in LEGAL_MOVES for wanted in LEGAL_MOVES])
def test_only_the_moves_in_the_table_are_made(small_fashion_mnist: FashionMNIST, state: str, wanted: str) -> None:
    trainer = trainer_in(state, small_fashion_mnist)
    if wanted in LEGAL_MOVES[state]:
        trainer.life.move_to(wanted)
        assert trainer.state == wanted
    else:
        with pytest.raises(IllegalTransition, match=f"^model1 is {state} and cannot become {wanted}: only one that is"):
            trainer.life.move_to(wanted)
        assert trainer.state == state


def test_table_is_that_of_the_design() -> None:
    moves = {(state, wanted) for state, all_wanted in LEGAL_MOVES.items() for wanted in all_wanted}
    over = {"finished", "stopped", "failed"}
    assert moves == (
        {("idle", "running"), ("running", "paused"), ("paused", "running")}
        | {("running", end) for end in over}
        | {("paused", end) for end in over}
    )


@pytest.mark.parametrize(
    ("state", "command", "message"),
    [
        *(
            (state, "start", f"{state} and cannot become running: only one that is idle can")
            for state in LEGAL_MOVES
            if state != "idle"
        ),
        *(
            (state, "pause", f"{state} and cannot become paused: only one that is running can")
            for state in LEGAL_MOVES
            if state != "running"
        ),
        *(
            (state, "resume", f"{state} and cannot become running: only one that is paused can")
            for state in LEGAL_MOVES
            if state != "paused"
        ),
        *(
            (state, "stop", f"{state} and cannot become stopped: only one that is running or paused can")
            for state in LEGAL_MOVES
            if state not in ACTIVE_STATES
        ),
    ],
)
def test_illegal_command_is_refused(small_fashion_mnist: FashionMNIST, state: str, command: str, message: str) -> None:
    trainer = trainer_in(state, small_fashion_mnist)
    with pytest.raises(IllegalTransition, match=f"^model1 is {message}$"):
        getattr(trainer, command)()
    assert trainer.state == state


def test_every_move_is_published(small_fashion_mnist: FashionMNIST) -> None:
    trainer, log = trainer_alone(small_fashion_mnist, quick())
    for state in ("running", "paused", "running", "stopped"):
        trainer.life.move_to(state)
        assert log.status("model1").state == state


def test_stop_is_public_at_once_as_the_look_at_the_test_images_that_it_leads_to() -> None:
    metrics = MetricsLog(["model1"])
    life = Lifecycle("model1", metrics, run_id="run")
    life.start()
    life.stop()
    assert (metrics.status("model1").state, metrics.status("model1").testing) == ("running", True)
    life.stop()
    assert (metrics.status("model1").state, metrics.status("model1").testing) == ("stopped", False)
