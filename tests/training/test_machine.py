"""What besides the settings a run depends on."""

import json
from pathlib import Path

import pytest
import torch

from training import machine


def test_available_cores_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert machine.available_cores() == 3
    monkeypatch.delattr(machine.os, "sched_getaffinity")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: None)
    assert machine.available_cores() == 1


def test_environment_tells_what_else_the_numbers_depend_on() -> None:
    environment = machine.environment()
    assert set(environment) == {"python", "torch", "device", "cores", "platform", "revision"}
    assert environment["torch"] == torch.__version__
    assert environment["revision"] == machine.git_revision(Path(__file__).resolve().parents[2])
    json.dumps(environment)


def test_git_revision_is_read_without_git(tmp_path: Path) -> None:
    assert machine.git_revision(tmp_path) is None
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert machine.git_revision(tmp_path) is None  # nothing committed yet
    (git / "packed-refs").write_text(f"# pack-refs\n{'b' * 40} refs/heads/other\n{'c' * 40} refs/heads/main\n")
    assert machine.git_revision(tmp_path) == "c" * 40
    (git / "refs" / "heads" / "main").write_text("a" * 40 + "\n")
    assert machine.git_revision(tmp_path) == "a" * 40
    (git / "HEAD").write_text("d" * 40 + "\n")
    assert machine.git_revision(tmp_path) == "d" * 40


def test_git_revision_of_a_worktree_is_that_of_its_own_branch(tmp_path: Path) -> None:
    kept = tmp_path / "main" / ".git" / "worktrees" / "side"
    kept.mkdir(parents=True)
    (kept / "HEAD").write_text("ref: refs/heads/side\n")
    (kept / "commondir").write_text("../..\n")
    (tmp_path / "main" / ".git" / "refs" / "heads").mkdir(parents=True)
    (tmp_path / "main" / ".git" / "refs" / "heads" / "side").write_text("e" * 40)
    (tmp_path / "side").mkdir()
    (tmp_path / "side" / ".git").write_text(f"gitdir: {kept}\n")
    assert machine.git_revision(tmp_path / "side") == "e" * 40


def test_device_is_named_as_the_page_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "best_device", lambda: torch.device("cpu"))
    assert machine.device_name() == "cpu"
    monkeypatch.setattr(machine, "best_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    assert machine.device_name() == "NVIDIA H200"
