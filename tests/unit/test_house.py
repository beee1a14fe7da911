"""The walls of the house: who may import whom, who may touch what, and how large a room may be."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

import fence_prbarrier

PACKAGE = Path(fence_prbarrier.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 60
OLDEST_PYTHON = (3, 9)

# Each part and the parts of the package that it may import: errors, key <- scsi <- barrier <-
# dispatcher <- agent.  Names are the top level's modules and packages.
MAY_IMPORT = {
    "__init__": set(),
    "errors": set(),
    "key": {"errors"},
    "scsi": {"errors", "key"},
    "barrier": {"errors", "key", "scsi"},
    "simulator": set(),
    "transport": {"errors", "scsi", "simulator"},
    "cluster": {"errors", "files", "key"},
    "files": {"errors"},
    "state": {"errors", "files", "key", "barrier"},
    "devices": {"errors", "files", "scsi", "barrier", "transport"},
    "sightings": {"errors", "key", "barrier", "files"},
    "threads": {"errors"},
    "finding": {"errors"},
    "lvm": {"errors"},
    "volume_groups": {"errors", "files", "finding", "lvm"},
    "dispatcher": {"errors", "scsi", "barrier", "devices", "threads"},
    "discovery": {"errors", "barrier", "devices", "dispatcher", "threads"},
    "supervisor": {"dispatcher", "errors"},
    "agent": {
        "__init__", "errors", "key", "barrier", "cluster", "devices", "discovery", "dispatcher",
        "files", "finding", "sightings", "state", "supervisor", "threads", "volume_groups",
    },
    "__main__": {"agent"},
    # For people, outside the fence: they may look at everything below the agent.
    "explain": {"errors", "key", "scsi"},
    "demo": {"errors", "key", "scsi", "barrier", "explain", "transport", "simulator"},
}  # fmt: skip

# Known by a type checker only, further than at run time.
TYPES_ONLY = {"dispatcher": {"state"}}
# Of scsi a transport knows the values that it carries and hands back, not their meaning.
SCSI_FOR_TRANSPORTS = {"outcome"}
MOCK_ONLY = {"simulator"}
# Modules of the standard library and the few that may import them at run time.
ONLY_HERE = {
    "lxml": {"agent/metadata.py"},
    "fcntl": {"transport/sgio.py", "files.py", "simulator/store.py"},
    "subprocess": {"demo.py"},
    "ctypes": set(),
    "socket": set(),
    "threading": set(),
    "logging": set(),
    "argparse": {"simulator/__main__.py"},
    "syslog": {"agent/log.py"},
    "getopt": {"agent/cli.py"},
}
# What a sans-IO procedure must not even be able to name.
NOT_IN_BARRIER = {
    "os", "time", "socket", "select", "fcntl", "sys", "io", "signal", "random", "subprocess",
    "threading", "_thread", "datetime", "pathlib",
}  # fmt: skip
FACES = {
    "agent/cli.py", "agent/ocf.py", "agent/watchdog.py", "agent/log.py", "__main__.py", "demo.py",
    "simulator/__main__.py",
}  # fmt: skip


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _run_time(tree: ast.AST) -> list[ast.AST]:
    """Every node but those that only a type checker reads."""
    found = []
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo.extend(node.orelse)
            continue
        found.append(node)
        todo.extend(ast.iter_child_nodes(node))
    return found


def _imports(path: Path, everything: bool = False) -> set[str]:
    """Absolute names of what is imported: at run time, or by a type checker too."""
    tree = ast.parse(path.read_text())
    home = ["fence_prbarrier", *path.relative_to(PACKAGE).parts[:-1]]
    names = set()
    for node in ast.walk(tree) if everything else _run_time(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = home[: len(home) + 1 - node.level] if node.level else []
            base = [*base, *(node.module or "").split(".")]
            module = ".".join(part for part in base if part)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def _parts(path: Path, everything: bool = False) -> set[str]:
    """The parts of the package that a module imports, but its own."""
    found = set()
    for name in _imports(path, everything):
        head, *rest = name.split(".")
        if head == "fence_prbarrier":
            first = rest[0] if rest else "__init__"
            known = (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").exists()
            found.add(first if known else "__init__")
    return found - {_part(path)}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_point_one_way(path: Path) -> None:
    """Those that only a type checker sees as well: a type is knowledge too."""
    allowed = MAY_IMPORT[_part(path)]
    if _part(path) == "transport" and path.name != "mock.py":
        allowed = allowed - MOCK_ONLY
    assert _parts(path) <= allowed
    assert _parts(path, everything=True) <= allowed | TYPES_ONLY.get(_part(path), set())


def test_the_graph_of_parts_has_no_ring() -> None:
    """The table above is a direction, not a list of exceptions."""
    order: list[str] = []
    while len(order) < len(MAY_IMPORT):
        ready = [p for p in MAY_IMPORT if p not in order and MAY_IMPORT[p] <= set(order)]
        assert ready, f"a ring among {set(MAY_IMPORT) - set(order)}"
        order += ready


@pytest.mark.parametrize("path", sorted((PACKAGE / "transport").glob("*.py")), ids=_name)
def test_transports_know_the_values_of_scsi_only(path: Path) -> None:
    prefix = "fence_prbarrier.scsi."
    used = {name[len(prefix) :].split(".")[0] for name in _imports(path) if name.startswith(prefix)}
    assert used <= SCSI_FOR_TRANSPORTS


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_some_modules_have_one_door(path: Path) -> None:
    for name in _imports(path):
        head = name.split(".")[0]
        if head in ONLY_HERE:
            assert _name(path) in ONLY_HERE[head], name


@pytest.mark.parametrize("path", sorted((PACKAGE / "barrier").glob("*.py")), ids=_name)
def test_the_procedures_are_sans_io(path: Path) -> None:
    heads = {name.split(".")[0] for name in _imports(path, everything=True)}
    assert not heads & NOT_IN_BARRIER
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "input", "print", "exec", "eval", "__import__"}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_who_calls_ioctl_prints_and_exits(path: Path) -> None:
    name = _name(path)
    for node in _run_time(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.split(".")[-1] == "ioctl":
                assert name == "transport/sgio.py"
            if called in ("print", "input", "exit", "quit", "sys.exit"):
                assert name in FACES, called
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "sys":
            if node.attr in ("argv", "stdin", "stdout"):
                assert name in FACES - {"agent/log.py"}, node.attr
            if node.attr == "stderr":
                assert name in FACES
        if isinstance(node, ast.Raise) and node.exc is not None:
            assert not ast.unparse(node.exc).startswith("SystemExit")


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_rooms_are_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno + 1 <= MAX_FUNCTION_LINES, node.name


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_the_oldest_python_can_read_it(path: Path) -> None:
    """Syntax by the parser; and, of the library, no annotation is evaluated at run time."""
    tree = ast.parse(path.read_text(), feature_version=OLDEST_PYTHON)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    small = sum(not isinstance(node, ast.Expr) for node in tree.body) < 4
    assert small or any(node.module == "__future__" for node in imports)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_no_check_that_optimisation_takes_away(path: Path) -> None:
    """python -O strips assert: a safety check is a raise."""
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}"
        assert not (isinstance(node, ast.Name) and node.id == "__debug__")


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_no_error_is_passed_over_unseen(path: Path) -> None:
    """No bare except; an ignored error says why in a comment."""
    lines = path.read_text().splitlines()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ExceptHandler):
            continue
        assert node.type is not None, f"line {node.lineno}: bare except"
        silent = len(node.body) == 1 and isinstance(node.body[0], (ast.Pass, ast.Continue))
        if silent and "FileNotFoundError" not in ast.unparse(node.type):
            line = node.body[0].lineno
            said = lines[node.lineno - 1] + lines[line - 1] + lines[line - 2]
            assert "#" in said or "FileExists" in said, f"line {line}"


def test_only_the_standard_library_and_lxml_are_imported() -> None:
    known = getattr(sys, "stdlib_module_names", None)
    if known is None:
        pytest.skip("Python before 3.10 does not tell the names of its library")
    for path in MODULES:
        heads = {name.split(".")[0] for name in _imports(path)}
        assert heads <= {*known, "fence_prbarrier", "lxml", "_sha256"}, path


# Four kernels and half an hour: `make cluster`.
NOT_IN_MAKE_TEST = {"cluster"}


def test_every_folder_of_tests_is_run() -> None:
    """A folder that `make test` does not know would pass unseen."""
    root = PACKAGE.parent
    settings = (root / "pyproject.toml").read_text()
    listed = set(
        re.findall(r'"tests/(\w+)",', settings.partition("testpaths")[2].partition("]")[0])
    )
    there = {path.parent.name for path in (root / "tests").glob("*/test_*.py")}
    assert listed == there - NOT_IN_MAKE_TEST
