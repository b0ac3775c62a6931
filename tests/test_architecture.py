"""Who may import whom: parsed from the sources, so that a new import is a decision and not an accident."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob("*.py"))}

# At module level. What stands under `if __name__ == "__main__"` or in a function is listed in LAZY.
MAY_IMPORT: dict[str, set[str]] = {
    "batches": set(),
    "config": {"batches"},
    "data": set(),
    "measures": {"batches"},
    "smoothing": {"measures"},
    "metrics": {"smoothing"},
    "gauges": set(),
    "guard": set(),
    "database": set(),
    "insight": set(),
    "pictures": set(),
    "polls": {"smoothing"},
    "predictions": {"measures"},
    "repeats": {"config", "measures", "metrics"},
    "branches": {"config"},
    "model": {"config"},
    "inside": {"config", "insight", "pictures", "predictions", "store"},
    "inspector": {"config", "data", "insight", "model"},
    "statement": {"measures"},
    "verdict": {"batches", "config", "measures", "metrics", "statement"},
    "engine": {"config", "data", "insight", "model"},
    "store": {"config", "database", "insight", "metrics", "predictions"},
    "export": {"metrics", "store"},
    "machine": {"engine"},
    "train": {
        "config",
        "data",
        "engine",
        "gauges",
        "machine",
        "insight",
        "measures",
        "metrics",
        "model",
        "predictions",
        "store",
    },
    "report": {"config", "measures", "metrics", "store"},
    "monitor": {"branches", "config", "inside", "measures", "metrics", "predictions", "repeats", "store", "verdict"},
    "headless": set(MODULES) - {"export", "guard", "headless", "monitor", "polls", "server"},
    "server": set(MODULES) - {"server"},
}
LAZY: dict[str, set[str]] = {
    "train": {"headless"},
    "monitor": {"data", "inspector", "machine", "model", "train"},
}
WITHOUT_TORCH = sorted(
    set(MODULES) - {"data", "engine", "headless", "inspector", "machine", "model", "report", "train"}
)


def imported_by(node: ast.AST) -> set[str]:
    """Return the top-level names of the modules that a statement imports, also by import_module("name")."""
    match node:
        case ast.Import():
            return {alias.name.split(".")[0] for alias in node.names}
        case ast.ImportFrom():
            return {(node.module or "").split(".")[0]}
        case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module"), args=[argument, *_]):
            assert isinstance(argument, ast.Constant), "a module imported by a name that is not written out"
            return {str(argument.value).split(".")[0]}
    return set()


def imports(module: str) -> tuple[set[str], set[str]]:
    """Return what a module imports as it is loaded, and what only later or only as a program."""
    tree = MODULES[module]
    at_once: set[str] = set()
    later: set[str] = set()
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, lazy = waiting.pop()
        (later if lazy else at_once).update(imported_by(node))
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_main_guard(node)
        waiting += [(child, lazy) for child in ast.iter_child_nodes(node)]
    return at_once, later


def is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def test_every_module_has_its_rule() -> None:
    assert set(MODULES) == set(MAY_IMPORT)


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_what_it_may(module: str) -> None:
    at_once, later = imports(module)
    assert at_once & set(MODULES) <= MAY_IMPORT[module]
    assert later & set(MODULES) <= MAY_IMPORT[module] | LAZY.get(module, set())


def test_imports_of_ours_go_in_one_direction() -> None:
    left = {module: imports(module)[0] & set(MODULES) for module in MODULES}
    while left:
        free = {module for module, needs in left.items() if not needs & set(left)}
        assert free, f"a circle among {sorted(left)}"
        left = {module: needs for module, needs in left.items() if module not in free}


def test_nobody_imports_the_server() -> None:
    assert [module for module in MODULES if "server" in set.union(*imports(module))] == []


@pytest.mark.parametrize(
    ("package", "modules"), [("flask", {"server"}), ("werkzeug", {"server"}), ("waitress", {"polls"})]
)
def test_only_one_module_knows_flask_and_one_waitress(package: str, modules: set[str]) -> None:
    assert {module for module in MODULES if package in set.union(*imports(module))} == modules


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_module_that_the_page_waits_for_names_no_torch(module: str) -> None:
    assert not {"torch", "torchvision"} & set.union(*imports(module))


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_loading_such_a_module_really_loads_no_torch(module: str) -> None:
    heavy = "{'torch', 'torchvision', 'scipy', 'matplotlib', 'plotly'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_no_module_imports_a_test() -> None:
    tests = {path.stem for path in (ROOT / "tests").glob("*.py")} | {"pytest", "hypothesis"}
    assert [module for module in MODULES if tests & set.union(*imports(module))] == []
