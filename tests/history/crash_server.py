"""A nursery of servers to be killed: torch and a small part of the data set are loaded once, each server is a fork.

Reads lines of JSON from stdin, {"port", "runs", "die_at", "after"}, and answers each with the new process' id.
With die_at = n the server kills itself, as `kill -9` would, at its n-th write to the disk: of all, or where "after"
names one of the methods of Control or Room, of those that come after it has been called.
"""

import json
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import torch

import server
import train
from history import checkpoints, database, writer
from studies.control import Control
from studies.room import Room
from training import images
from training.images import FashionMNIST


class Deadline:
    """Counts the writes of a process and kills it at the n-th."""

    def __init__(self, last: int) -> None:
        self.left = last
        self.counting = True

    def begin_with(self, method: str) -> None:
        """Count from the first call of one of the methods of Control or Room on."""
        self.counting = False
        owner = Control if hasattr(Control, method) else Room
        call = getattr(owner, method)

        def call_counting(*arguments: Any) -> Any:
            self.counting = True
            return call(*arguments)

        setattr(owner, method, call_counting)

    def tick(self) -> None:
        if not self.counting:
            return
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class DoomedConnection:
    """A connection whose writes are counted: each statement, and the moments before and after each commit."""

    def __init__(self, database: sqlite3.Connection, deadline: Deadline) -> None:
        self._database = database
        self._deadline = deadline

    def execute(self, sql: str, *values: Any) -> Any:
        if not sql.startswith("SELECT"):
            self._deadline.tick()
        return self._database.execute(sql, *values)

    def executemany(self, sql: str, rows: Any) -> Any:
        self._deadline.tick()
        return self._database.executemany(sql, rows)

    def __enter__(self) -> Any:
        return self._database.__enter__()

    def __exit__(self, *error: Any) -> Any:
        self._deadline.tick()
        result = self._database.__exit__(*error)
        self._deadline.tick()
        return result

    def close(self) -> None:
        self._database.close()


def doom(die_at: int, after: str) -> None:
    """Have this process die at its n-th write: of the database, or of a checkpoint's file, also in its midst."""
    deadline = Deadline(die_at)
    if after:
        deadline.begin_with(after)
    open_history, replace_file, fsync, replace = database.open_history, checkpoints.replace_file, os.fsync, os.replace

    def open_doomed(path: Path) -> Any:
        connection, warning = open_history(path)
        return DoomedConnection(connection, deadline), warning

    def write_doomed(path: Path, content: bytes) -> None:
        if deadline.counting and deadline.left == 1:
            path.with_suffix(".part").write_bytes(content[: len(content) // 2])
        deadline.tick()
        replace_file(path, content)

    def fsync_doomed(descriptor: int) -> None:
        deadline.tick()
        fsync(descriptor)

    def replace_doomed(source: Any, target: Any) -> None:
        deadline.tick()
        replace(source, target)
        deadline.tick()

    database.open_history = open_doomed  # type: ignore[assignment]
    checkpoints.replace_file = write_doomed
    writer.SAVE_INTERVAL = 0.02
    os.fsync = fsync_doomed  # type: ignore[assignment]
    os.replace = replace_doomed  # type: ignore[assignment]


def small(dataset: FashionMNIST) -> FashionMNIST:
    """Return 1,024 training, 256 validation and 256 test images, as the tests have them elsewhere."""
    return FashionMNIST(dataset.train.first(1024), dataset.validation.first(256), dataset.test.first(256))


def main(data_dir: Path) -> None:
    torch.set_num_threads(1)  # no thread may be running when this process is forked
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    dataset = small(images.load_fashion_mnist(data_dir))
    train.warm_up(dataset)
    images.load_fashion_mnist = lambda _: dataset  # type: ignore[assignment]
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(2, 1)  # stdout is the nursery's
            if order["die_at"]:
                doom(order["die_at"], order["after"])
            code = server.main(["--port", str(order["port"]), "--runs-dir", order["runs"], "--data-dir", str(data_dir)])
            print(f"exit code {code}", file=sys.stderr, flush=True)
            os._exit(code)
        print(child, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
