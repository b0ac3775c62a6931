"""The house: who may import whom, parsed from the sources, so that a new arrow is a decision and no accident.

A file that no rule covers fails.
"""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ELSEWHERE = {"tests", "benchmarks", "docs"}  # they may import anything and are imported by nobody

# The rooms, and for each the rooms that it may import from, beside itself, as it is loaded.
ROOMS: dict[str, set[str]] = {
    "install": set(),
    "data": set(),
    "config": {"data"},
    "model": {"config", "data"},
    "training": {"model", "history", "data", "config"},
    "history": {"config", "data"},
    "analysis": {"history", "data", "config"},
    "train": {"training", "history", "data", "config"},
    "studies": {"train", "training", "history", "analysis", "config", "data"},
    "exports": {"analysis", "history", "config", "data"},
    "terminal": {"train", "training", "studies", "exports", "analysis", "history", "config", "data"},
    "web": {"training", "studies", "exports", "analysis", "history", "config", "data"},
    "server": {"web", "training", "studies", "exports", "analysis", "history", "config", "data"},
}
LAZY = {"train": {"terminal"}}  # `python train.py` opens the terminal
TORCH = {"train", "model", "training", "terminal"}  # where torch may be named
FOLDERS: dict[str, set[str]] = {  # of static/, downwards only
    "": {"tabs", "run", "figure", "settings", "base"},
    "tabs": {"history", "run", "figure", "settings", "base"},
    "history": {"run", "figure", "settings", "base"},
    "run": {"figure", "settings", "base"},
    "figure": {"base"},
    "settings": {"base"},
    "base": set(),
}


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def is_ours(path: Path) -> bool:
    """Whether git knows the file, or would: not an environment, not a cache."""
    return subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 1


TOP = [path for path in ROOT.iterdir() if path.name not in {".git", *ELSEWHERE} and is_ours(path)]
SOURCES = {
    dotted(path): path
    for top in sorted(TOP)
    for path in ([top] if top.suffix == ".py" else sorted(top.rglob("*.py")) if top.is_dir() else [])
}
MODULES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}
SCRIPTS = {path.relative_to(ROOT / "static").as_posix(): path for path in sorted((ROOT / "static").rglob("*.js"))}


def room_of(module: str) -> str:
    return module.split(".")[0]


def imported_by(node: ast.AST) -> set[str]:
    """Return the dotted names of what a statement imports, also by import_module("name")."""
    match node:
        case ast.Import():
            return {alias.name for alias in node.names}
        case ast.ImportFrom():
            assert not node.level, "a relative import"
            return {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
        case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module"), args=[argument, *_]):
            assert isinstance(argument, ast.Constant), "a module imported by a name that is not written out"
            return {str(argument.value)}
    return set()


def imports(module: str) -> tuple[set[str], set[str]]:
    """Return what a module imports as it is loaded, and what only later, as a program or for the type checker."""
    at_once: set[str] = set()
    later: set[str] = set()
    waiting: list[tuple[ast.AST, bool]] = [(MODULES[module], False)]
    while waiting:
        node, lazy = waiting.pop()
        (later if lazy else at_once).update(imported_by(node))
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_guard(node)
        waiting += [(child, lazy) for child in ast.iter_child_nodes(node)]
    return at_once, later


def is_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("__name__ == '__main__'", "TYPE_CHECKING")


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name in MODULES}


# Python


def test_every_source_stands_in_a_room_and_every_room_has_sources() -> None:
    assert {room_of(module) for module in MODULES} == set(ROOMS)


def packages() -> set[str]:
    return {room for room in ROOMS if (ROOT / room / "__init__.py").exists()}


def test_types_are_checked_in_every_room() -> None:
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["files"]
    assert packages() | {"*.py"} <= set(checked)


def test_tests_stand_where_what_they_test_does() -> None:
    folders = {path.parent.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    assert folders <= {".", "page"} | packages()


def test_each_room_says_what_belongs_there() -> None:
    packages = [module for module in MODULES if SOURCES[module].name == "__init__.py"]
    assert {*packages} == {room for room in ROOMS if not (ROOT / f"{room}.py").exists()}
    assert [name for name in packages if "Not here:" not in (ast.get_docstring(MODULES[name]) or "")] == []


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_from_the_rooms_that_it_may(module: str) -> None:
    room = room_of(module)
    at_once, later = imports(module)
    assert {room_of(name) for name in ours(at_once)} <= ROOMS[room] | {room}
    assert {room_of(name) for name in ours(later)} <= ROOMS[room] | {room} | LAZY.get(room, set())


def test_imports_of_ours_go_in_one_direction() -> None:
    left = {module: ours(imports(module)[0]) - {module} for module in MODULES}
    while left:
        free = {module for module, needs in left.items() if not needs & set(left)}
        assert free, f"a circle among {sorted(left)}"
        left = {module: needs for module, needs in left.items() if module not in free}


@pytest.mark.parametrize("package", ["flask", "werkzeug", "waitress"])
def test_only_the_web_knows_flask_and_waitress(package: str) -> None:
    users = [module for module in MODULES if package in {room_of(name) for name in set.union(*imports(module))}]
    assert {room_of(module) for module in users} <= {"web", "server"}


def names_torch(module: str) -> bool:
    at_once, later = imports(module)
    return bool({"torch", "torchvision"} & {room_of(name) for name in at_once | later})


@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) not in TORCH | {"data"}])
def test_module_that_the_page_waits_for_names_no_torch(module: str) -> None:
    assert not names_torch(module)


@pytest.mark.parametrize("room", sorted(set(ROOMS) - TORCH))
def test_loading_such_a_room_really_loads_no_torch(room: str) -> None:
    modules = ", ".join(module for module in MODULES if room_of(module) == room)
    heavy = "{'torch', 'torchvision', 'scipy', 'matplotlib', 'plotly'}"
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_no_module_imports_a_test() -> None:
    tests = {path.stem for path in (ROOT / "tests").rglob("*.py")} - {"__init__"} | {"pytest", "hypothesis"}
    strangers = {module: {room_of(name) for name in set.union(*imports(module))} & tests for module in MODULES}
    assert {module: found for module, found in strangers.items() if found} == {}


LARGEST_CLASS, LONGEST_FUNCTION, LONGEST_MODULE, LONGEST_TEST_FILE = 250, 60, 350, 400  # lines


@pytest.mark.parametrize("module", MODULES)
def test_no_part_is_larger_than_one_can_read(module: str) -> None:
    assert len(SOURCES[module].read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            most = LARGEST_CLASS if isinstance(node, ast.ClassDef) else LONGEST_FUNCTION
            assert (node.end_lineno or 0) - node.lineno < most, node.name


def test_no_test_file_is_longer_than_one_can_read() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "tests").rglob("*.py")}
    assert [path.name for path, length in lengths.items() if length >= LONGEST_TEST_FILE] == []


# ES modules


def imported_scripts(name: str) -> set[str]:
    """Return the paths under static/ of what a script imports."""
    path = SCRIPTS[name]
    found = re.findall(r"""(?:\bfrom|\bimport)\s*\(?\s*["'](\.[^"']+)["']""", path.read_text(encoding="utf-8"))
    return {(path.parent / target).resolve().relative_to(ROOT / "static").as_posix() for target in found}


def folder_of(name: str) -> str:
    return name.rpartition("/")[0]


def test_every_script_stands_in_a_folder_and_only_main_above_them() -> None:
    assert {folder_of(name) for name in SCRIPTS} == set(FOLDERS)
    assert [name for name in SCRIPTS if not folder_of(name)] == ["main.js"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_imports_only_what_is_there_and_below_it(name: str) -> None:
    targets = imported_scripts(name)
    assert targets <= set(SCRIPTS)
    assert {folder_of(target) for target in targets} <= FOLDERS[folder_of(name)] | {folder_of(name)}


def test_scripts_import_each_other_in_one_direction() -> None:
    left = {name: imported_scripts(name) for name in SCRIPTS}
    while left:
        free = {name for name, needs in left.items() if not needs & set(left)}
        assert free, f"a circle among {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


def reached_templates() -> set[str]:
    """Return the templates that the page is made of, by way of what each of them imports."""
    reached: set[str] = set()
    waiting = ["monitor.html"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            text = (ROOT / "templates" / name).read_text(encoding="utf-8")
            waiting += re.findall(r"""{%-?\s*(?:from|import|include|extends)\s+["']([^"']+)""", text)
    return reached


def files_below(folder: str) -> set[str]:
    return {path.relative_to(ROOT / folder).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}


def test_every_file_of_the_page_is_part_of_it() -> None:
    assert files_below("templates") == reached_templates()
    page = (ROOT / "templates" / "monitor.html").read_text(encoding="utf-8")
    linked = set(re.findall(r"filename='([^']+)'", page))
    assert files_below("static") == linked | set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_is_larger_than_one_can_read(name: str) -> None:
    most = 120 if name == "main.js" else LARGEST_CLASS  # that one only puts parts together
    assert len(SCRIPTS[name].read_text(encoding="utf-8").splitlines()) < most


def test_every_script_is_reached_from_the_page() -> None:
    reached: set[str] = set()
    waiting = ["main.js", "base/theme.js"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += imported_scripts(name)
    assert reached == set(SCRIPTS)
