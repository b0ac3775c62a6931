"""A damaged file that another takes the place of while a run is being saved: the run is saved in that one, whole."""

import pytest
from histories import history_file, points, recorded, running, saved_points

from history.errors import Damaged
from history.store import RunStore
from history.waiting import Batch

pytestmark = pytest.mark.usefixtures("quiet")
RUN = "20260102-030405-abcd"


def repair(store: RunStore) -> None:
    """Have a new file take the history's place, in which the run is not: its row could not be read."""
    with history_file(store.directory) as database:
        database.execute("UPDATE runs SET environment = '{' WHERE id = ?", (RUN,))
    store._database.repair(Damaged("a test"), store._database.repairs)


def test_repair_between_what_is_written_and_what_is_forgotten_costs_nothing(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = recorded(store, RUN)
    log.publish("model1", running("model1"), points(1, 10))
    waiting = store._waiting
    forget = waiting.forget

    def forget_late(batch: Batch) -> None:
        monkeypatch.setattr(waiting, "forget", forget)
        repair(store)
        forget(batch)

    monkeypatch.setattr(waiting, "forget", forget_late)
    store.save()
    assert store._database.repairs == 1
    assert "was damaged" in str(store.warning)
    log.publish("model1", running("model1"), points(11, 20))
    store.save()
    assert store.problem is None
    assert [row[0] for row in saved_points(store.directory)] == list(range(1, 21))
    assert [run["id"] for run in store.runs()] == [RUN]


def test_repair_between_what_is_taken_and_what_is_written_costs_nothing(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = recorded(store, RUN)
    store.save()
    log.publish("model1", running("model1"), points(1, 10))
    waiting = store._waiting
    batch = waiting.batch

    def batch_early() -> Batch:
        monkeypatch.setattr(waiting, "batch", batch)
        taken = batch()
        repair(store)
        return taken

    monkeypatch.setattr(waiting, "batch", batch_early)
    for last in (10, 20):
        log.publish("model1", running("model1"), points(last + 1, last + 10))
        store.save()
        assert store.problem is None
    assert [row[0] for row in saved_points(store.directory)] == list(range(1, 31))


def test_runs_are_entered_again_before_anyone_can_write_to_the_new_file(store: RunStore) -> None:
    recorded(store, RUN)
    store.save()
    locks: list[bool] = []
    store._database.on_repair = lambda: locks.append(store._database._writing.locked())
    repair(store)
    assert locks == [True]
