"""Training from the command line, as a user would call it."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import terminal

ROOT = Path(__file__).parent.parent
QUICK = ["--kernels", "4,8", "--batch_size", "512", "--epochs", "1"]


def train_command(data_dir: Path, *flags: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), "--data-dir", str(data_dir), *QUICK, *flags]


def run_training(data_dir: Path, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = train_command(data_dir, *flags)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_two_models_train_and_leave_table_picture_and_json(data_dir: Path, tmp_path: Path) -> None:
    done = run_training(
        data_dir, tmp_path, "--model2.optimizer", "sgd", "--plot", "curves.png", "--out", "metrics.json"
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"optimizer +adam +sgd", done.stdout)
    assert re.search(r"test accuracy +\d+\.\d+% +\d+\.\d+%", done.stdout)
    assert "model1" in done.stderr and "val_acc=" in done.stderr
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    for model in ("model1", "model2"):
        assert [point["step"] for point in metrics[model]["points"]] == list(range(1, 109))
        assert metrics[model]["state"] == "finished"
        assert len(metrics[model]["evaluations"]) == 3
    verdict = r"\(p [=<] [\d.]+\): of 10,000 test images model 1 alone is right on ([\d,]+), model 2 alone on ([\d,]+)"
    found = re.search(verdict, done.stdout)
    assert found is not None
    only1, only2 = (int(count.replace(",", "")) for count in found.groups())
    accuracies = [metrics[model]["test_accuracy"] for model in ("model1", "model2")]
    assert re.search(r"(more than chance|within chance) between these two networks \(p", done.stdout)
    assert "One setting differs (optimizer)." in done.stdout
    assert only1 - only2 == round(10_000 * (accuracies[0] - accuracies[1]))


def test_a_failed_model_gives_exit_code_1_and_the_other_still_finishes(data_dir: Path, tmp_path: Path) -> None:
    flags = ["--model1.learning_rate", "10", "--model1.optimizer", "sgd", "--model1.weight_decay", "1"]
    done = run_training(data_dir, tmp_path, *flags, "--out", "metrics.csv")
    assert done.returncode == 1
    assert re.search(r"model1 failed: The loss became (NaN|infinite) at step \d+", done.stderr)
    assert re.search(r"state +failed +finished", done.stdout)
    assert "test images" not in done.stdout
    assert re.search(r"Model 1 failed at epoch \d\.\d\d; model 2 alone has a result\.", done.stdout)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert {row["split"] for row in rows} == {"training", "validation"}
    assert {row["model"] for row in rows} == {"model1", "model2"}


def test_ctrl_c_leaves_what_was_measured(data_dir: Path, tmp_path: Path) -> None:
    command = train_command(data_dir, "--epochs", "500", "--out", "metrics.json")
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stderr is not None
        seen = b""
        while b"epoch" not in seen:  # the bars appear when training has begun
            seen += os.read(process.stderr.fileno(), 4096)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == terminal.EXIT_INTERRUPTED
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert {model["state"] for model in metrics.values()} == {"stopped"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model1.optimizer", "lion"], '--model1.optimizer: optimizer must be one of adam, sgd, rmsprop, got "lion"'),
        (["--epochs", "0"], "--model2.epochs: epochs must be a whole number from 1 to 500, got 0"),
        (["--kernels", "4,x"], "--model1.kernels: kernels must each be a whole number"),
        (["--out", "metrics.txt"], "must end in .json or .csv, got metrics.txt"),
        (["--plot", "nowhere/curves.png"], "the folder nowhere does not exist"),
    ],
)
def test_bad_flags_are_named_before_anything_starts(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = terminal.main(flags)
    except SystemExit as exit:
        code = exit.code
    assert code == terminal.EXIT_USAGE
    assert message in capsys.readouterr().err


def test_flags_for_one_model_go_before_flags_for_both_and_those_before_the_preset() -> None:
    flags = ["--preset", "Optimizer Impact", "--learning_rate", "0.5", "--model2.learning_rate", "0.25"]
    model1, model2 = terminal.read_configs(terminal.build_parser().parse_args(flags)).values()
    assert (model1.optimizer, model1.learning_rate) == ("adam", 0.5)
    assert (model2.optimizer, model2.learning_rate) == ("sgd", 0.25)
