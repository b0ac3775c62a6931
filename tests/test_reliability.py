"""docs/reliability.md is held to the tests that there are."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
TABLE = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \|(.*)\|$", TABLE, re.MULTILINE)


def names_in(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_of_the_faults_has_its_row() -> None:
    assert [int(number) for number, _ in ROWS] == [*range(1, 33), 36]  # 33 to 35 are of what is yet to come


def test_every_row_names_tests_that_exist() -> None:
    for number, row in ROWS:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row)
        assert named, f"row {number} is not proved"
        assert [f"{file}::{test}" for file, test in named if test not in names_in(file)] == []


def test_everything_it_calls_a_benchmark_exists() -> None:
    named = re.findall(r"`(benchmarks/\w+\.py)`", TABLE)
    assert named
    assert [name for name in named if not (TESTS.parent / name).is_file()] == []
