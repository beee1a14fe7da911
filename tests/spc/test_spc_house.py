"""The walls around the simulator, and its command line."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fence_prbarrier.simulator
from fence_prbarrier.simulator import store
from fence_prbarrier.simulator.__main__ import main

from .wire import APTPL_FLAG, IGNORE, KEY_A, KEY_B, RESERVE, WERO, A, B, out_cdb, plist

FOLDER = Path(fence_prbarrier.simulator.__file__).parent
ROOT = FOLDER.parent.parent
MODULES = sorted(FOLDER.glob("*.py"))
# What the unit and its file store may import from the standard library.
LIGHT = {"__future__", "binascii", "errno", "fcntl", "os", "sys", "time"}
HEAVY_MODULES = {"__main__.py"}
MAX_LINES = 350
MAX_FUNCTION_LINES = 60


def _imports(tree: ast.Module) -> set[str]:
    """Imports at run time: those under `if TYPE_CHECKING` are left out."""
    found: set[str] = set()
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped.update(each for part in node.body for each in ast.walk(part))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_it_imports_nothing_of_the_package_but_itself(module: Path) -> None:
    for name in _imports(ast.parse(module.read_text())):
        assert not name.startswith(".."), name
        assert not name.startswith("fence_prbarrier"), name
        if module.name not in HEAVY_MODULES and not name.startswith("."):
            assert name in LIGHT, name


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_files_and_functions_are_short_and_use_no_assert(module: Path) -> None:
    text = module.read_text()
    assert text.count("\n") <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        assert not isinstance(node, ast.Assert)
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name


def test_the_store_loads_nothing_heavy() -> None:
    heavy = "re json enum typing dataclasses argparse logging threading hashlib random struct"
    program = (
        "import sys; before = set(sys.modules); import fence_prbarrier.simulator.store;"
        f"print(sorted(set({heavy.split()!r}) & (set(sys.modules) - before)))"
    )
    run = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-B",
            "-c",
            f"import sys; sys.path[:0] = [{str(ROOT)!r}]; {program}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "[]\n"


# --- The command line ----------------------------------------------------------------------------


def test_a_session_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lu = str(tmp_path / "lu")

    def do(*words: str) -> tuple[int, str, str]:
        status = main([words[0], lu, *words[1:]])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    assert do("create", "--profile", "liar", "--blocks", "64", "--serial", "abc") == (0, "", "")
    assert do("create")[0] == 2
    assert do("write", "iqn.a:1", "5", "hello") == (0, "", "")
    assert do("read", "iqn.a:2", "5") == (0, "hello\n", "")
    assert do("read", "iqn.a:2,00023d000001,7", "6") == (0, "\n", "")
    assert do("read", "iqn.a:2", "64") == (1, "", "CHECK CONDITION, sense key 5h, 21h/00h\n")
    assert do("fault", "hold", "op=8a", "initiator=iqn.a:1") == (0, "", "")
    assert do("write", "iqn.a:1", "5", "later") == (1, "", "host status 03h\n")
    assert "task 1 in flight from iqn.a:1" in do("show")[1]
    assert do("complete", "1") == (0, "", "")
    assert do("complete", "1") == (1, "", "aborted or completed before\n")
    assert do("read", "iqn.a:2", "5")[1] == "later\n"
    assert do("fault", "busy", "times=always") == (0, "", "")
    assert do("read", "iqn.a:2", "5") == (1, "", "BUSY\n")
    assert "fault busy skip=0 times=always" in do("show")[1]
    assert do("clear-faults") == (0, "", "")
    assert do("reset")[0] == 0
    assert do("read", "iqn.a:2", "5") == (1, "", "CHECK CONDITION, sense key 6h, 29h/03h\n")
    assert do("power-cycle")[0] == 0
    assert "unit attention 29h/01h pending for iqn.a:1" in do("show")[1]
    assert do("fault", "bysy")[0] == 2
    assert do("read", "a b", "5")[0] == 2
    assert do("write", "iqn.a:1", "5", "x" * 513)[0] == 2


def test_show_names_holder_and_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lu = str(tmp_path / "lu")
    assert main(["create", lu]) == 0
    store.command(lu, A, out_cdb(IGNORE), plist(0, KEY_A))
    store.command(lu, B, out_cdb(IGNORE), plist(0, KEY_B, APTPL_FLAG))
    store.command(lu, A, out_cdb(RESERVE, WERO), plist(KEY_A))
    assert main(["show", lu]) == 0
    text = capsys.readouterr().out
    assert f"registered 0x{KEY_A:016x} {A.initiator},i,0x00023d000001 target port 1 RESERV" in text
    assert f"registered 0x{KEY_B:016x} {B.initiator},i,0x00023d000001 target port 1\n" in text
    assert "reserved type 5 (Write Exclusive, registrants only), key 0xa1a1" in text
    assert "persist through power loss" in text


def test_write_refused_by_a_reservation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lu = str(tmp_path / "lu")
    assert main(["create", lu]) == 0
    store.command(lu, A, out_cdb(IGNORE), plist(0, KEY_A))
    store.command(lu, A, out_cdb(RESERVE, WERO), plist(KEY_A))
    assert main(["write", lu, "iqn.evil:1", "5", "text"]) == 1
    assert capsys.readouterr().err == "RESERVATION CONFLICT\n"
    assert main(["show", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err


def test_as_a_program(tmp_path: Path) -> None:
    lu = str(tmp_path / "lu")
    for words, status in ((["create", lu], 0), (["show", lu], 0), (["show", lu + "x"], 2)):
        run = subprocess.run(
            [sys.executable, "-m", "fence_prbarrier.simulator", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == status, run.stderr
        assert "Traceback" not in run.stderr
