"""The README is held to what the program does."""

import re
import shlex
from pathlib import Path

import pytest

import config
import server
import terminal
from studies import presets

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SERVED = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "server.py", *(ROOT / "web").glob("*.py")))
BLOCKS: list[str] = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("  #")[0].strip() for block in BLOCKS for line in block.splitlines()]


def test_settings_table_is_the_one_that_config_prints() -> None:
    assert config.settings_table() in README


def test_every_preset_is_named() -> None:
    assert [preset.name for preset in presets.PRESETS if f"| {preset.name} |" not in README] == []


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("make ")])
def test_make_targets_exist(command: str) -> None:
    target = command.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("python train.py")])
def test_training_commands_are_understood(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    options = terminal.build_parser().parse_args(shlex.split(command)[2:])
    model1, model2 = terminal.read_configs(options).values()
    assert (model1.epochs, model2.optimizer, model2.learning_rate) == (2, "sgd", 0.01)


def test_server_options_and_default_port_are_those_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        server.parse_arguments(["--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert [option for option in options if f"`{option}" not in README] == []
    assert f"default {server.DEFAULT_PORT}" in README


def test_every_room_and_route_is_documented() -> None:
    rooms = {path.name for path in ROOT.glob("*.py")} | {f"{path.parent.name}/" for path in ROOT.glob("*/__init__.py")}
    assert [name for name in rooms if f"`{name}`" not in README] == []
    routes = set(re.findall(r'@\w+\.(?:get|post)\("(/api/[a-z]+)', SERVED))
    assert routes
    assert [route for route in routes if f"http://localhost:8080{route}" not in README] == []


def test_every_change_of_a_past_run_is_shown_with_curl() -> None:
    changes = re.findall(r'@\w+\.post\("/api/runs/<run>/(\w+)"', SERVED)
    assert len(changes) == 4
    assert [
        one for one in changes if not re.search(rf"curl .*http://localhost:8080/api/runs/\S+/{one}$", README, re.M)
    ] == []


def test_pictures_are_there() -> None:
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README)
    assert pictures
    assert [picture for picture in pictures if not (ROOT / picture).is_file()] == []
