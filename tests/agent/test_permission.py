"""No permission, no room, a directory that others could write to: one line, and nothing changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from .stage import ROOT, Result, Stage, assert_refused

NOBODY = 65534
IS_ROOT = os.geteuid() == 0
# The tests' own interpreter may lie where only root may go.
INTERPRETERS = ("/usr/bin/python3", os.path.realpath(sys.executable))
TMPFS_BYTES = 32768


def _need(condition: bool, why: str) -> None:
    """Skip with the reason; in CI, where root is at hand, fail."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture
def open_stage(joined: Stage):
    """A joined stage and the package in a folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="prbarrier-test-"))
    folder.chmod(0o755)
    shutil.copytree(joined.folder, folder / "stage")
    shutil.copytree(ROOT / "fence_prbarrier", folder / "package" / "fence_prbarrier")
    for path in (folder / "stage", *(folder / "stage").glob("lu*")):
        path.chmod(0o755)
    stage = Stage(folder / "stage", lus=0)
    stage.units = [stage.folder / path.name for path in joined.units]
    yield stage
    shutil.rmtree(folder)


def _interpreter(prefix: list[str]) -> str:
    """One that runs, and finds its library, without privilege."""
    for path in INTERPRETERS:
        trial = [*prefix, path, "-c", "import syslog, sys; sys.exit(sys.version_info < (3, 9))"]
        if os.path.exists(path) and subprocess.run(trial, check=False).returncode == 0:
            return path
    _need(False, f"none of {INTERPRETERS} can be run without privilege")
    return ""


def _as_nobody(stage: Stage, *words: str) -> Result:
    """An unprivileged user's agent; where the tests run without privilege, our own."""
    prefix = []
    if IS_ROOT:
        _need(shutil.which("setpriv") is not None, "setpriv (util-linux) is not there")
        ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        prefix = ["setpriv", *ids]
    run = subprocess.run(
        [*prefix, _interpreter(prefix), *words],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(stage.folder.parent / "package")},
        capture_output=True,
        text=True,
        check=False,
    )
    return Result(run.returncode, run.stdout, run.stderr)


def _agent(stage: Stage, action: str, plug: str = "", **options: object) -> Result:
    words = ["-m", "fence_prbarrier", "-o", action]
    words += ["-n", plug] if plug else []
    for name, value in stage.options("n1", options).items():
        words.append(f"--{name.replace('_', '-')}={value}")
    return _as_nobody(stage, *words)


def test_a_lu_that_may_not_be_read(open_stage: Stage) -> None:
    open_stage.units[1].chmod(0)
    result = _agent(open_stage, "status", "n2")
    assert_refused(result, f"device mock:{open_stage.units[1]}", "Permission denied")


def test_a_device_node_that_may_not_be_opened(open_stage: Stage) -> None:
    """EACCES at the edge itself: a node that sysfs would vouch for."""
    node = open_stage.folder / "node"
    node.write_text("")
    node.chmod(0)
    program = (
        "import sys\n"
        "from fence_prbarrier.errors import DeviceError\n"
        "from fence_prbarrier.transport.sgio import SgIo\n"
        "from fence_prbarrier.transport.sysfs import Node\n"
        "try:\n    SgIo(Node(sys.argv[1], 'block', 0, ''))\n"
        "except DeviceError as error:\n    print(error)\n"
    )
    result = _as_nobody(open_stage, "-c", program, str(node))
    assert result == (0, "cannot be opened: not allowed; run as root (EACCES)\n", "")


def test_a_path_below_a_closed_directory(open_stage: Stage) -> None:
    closed = open_stage.folder / "closed"
    closed.mkdir(mode=0)
    result = _agent(open_stage, "status", "n2", devices=closed / "sda")
    assert_refused(result, f"device {closed}/sda", "Permission denied")


@pytest.mark.parametrize("name", ["devices_file", "debug_file", "logfile"])
def test_a_file_that_may_not_be_opened(open_stage: Stage, name: str) -> None:
    file = open_stage.folder / "file"
    file.write_text("")
    file.chmod(0)
    result = _agent(open_stage, "status", "n2", **{name: file})
    assert_refused(result, f"{file}", name, "Permission denied")


def test_a_state_dir_that_cannot_be_made(open_stage: Stage) -> None:
    closed = open_stage.folder / "closed"
    closed.mkdir(mode=0o500)
    before = open_stage.pictures()
    for action, plug in (("on", "n1"), ("off", "n2")):
        result = _agent(open_stage, action, plug, state_dir=closed / "state")
        assert_refused(result, f"state_dir {closed}/state", "Permission denied")
    assert open_stage.pictures() == before


@pytest.mark.parametrize("action", ["on", "off", "monitor"])
def test_a_state_dir_of_somebody_else(open_stage: Stage, action: str) -> None:
    """Root's own, met by nobody; and nobody's, met by root: neither is believed."""
    _need(IS_ROOT, "only root can give a directory away")
    plug = {"on": "n1", "off": "n2", "monitor": ""}[action]
    state = open_stage.state("n1")
    state.chmod(0o755)
    before = open_stage.pictures()
    assert_refused(_agent(open_stage, action, plug), str(state), "owner 0")
    os.chown(state, NOBODY, NOBODY)
    assert_refused(open_stage.do("n1", action, plug), str(state), f"owner {NOBODY}")
    os.chown(state, 0, 0)
    state.chmod(0o770)
    assert_refused(open_stage.do("n1", action, plug), str(state), "mode 0770")
    assert open_stage.pictures() == before


def test_what_needs_no_privilege(open_stage: Stage) -> None:
    """Pacemaker asks for metadata as hacluster: no state directory, no device."""
    for action in ("manpage", "list"):
        result = _agent(open_stage, action, devices="/dev/none", state_dir="/none")
        assert (result.code, result.err) == (0, "") and result.out
    result = _as_nobody(open_stage, "-m", "fence_prbarrier", "-o", "metadata")
    if _as_nobody(open_stage, "-c", "import lxml").code:
        assert_refused(result, "lxml", "python3-lxml")
    else:
        assert (result.code, result.err) == (0, "") and "<resource-agent " in result.out


@pytest.fixture
def small_disk(joined: Stage):
    """A tmpfs of a few pages with n1's memory in it; its mount point."""
    _need(IS_ROOT, "mounting a tmpfs needs root")
    point = joined.folder / "disk"
    point.mkdir()
    options = f"size={TMPFS_BYTES},mode=0700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(point)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    _need(done.returncode == 0, f"no tmpfs can be mounted: {done.stderr}")
    for file in joined.state("n1").iterdir():
        shutil.copy(file, point)
    yield point
    # A worker that has given its answer may take a moment to end, with a log open there.
    for last in (False,) * 20 + (True,):
        if subprocess.run(["umount", str(point)], check=last).returncode == 0:
            break
        time.sleep(0.1)


def _fill(disk: Path) -> None:
    with open(disk / "filler", "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        for _ in range(TMPFS_BYTES):
            file.write(bytes(512))


@pytest.mark.parametrize("name", ["debug_file", "logfile"])
def test_a_log_on_a_full_disk_does_not_stop_a_fence(
    joined: Stage, small_disk: Path, name: str
) -> None:
    log = small_disk / "log"
    log.touch()
    _fill(small_disk)
    result = joined.do("n1", "off", "n2", verbose_level=1, **{name: log})
    assert (result.code, result.out) == (0, "Success: Powered OFF\n")
    assert log.read_text() == ""


def test_a_full_state_dir(joined: Stage, small_disk: Path) -> None:
    """A new life that cannot be remembered is not begun; an eviction needs no room."""
    _fill(small_disk)
    before = joined.pictures()
    memory = sorted(small_disk.glob("*-0001"))[0]
    remembered = memory.read_bytes()
    # n3 begins its first life in this directory; n1's next life is asked for by the operator.
    result = joined.do("n3", "on", "n3", state_dir=small_disk)
    assert_refused(result, str(small_disk), "No space left on device", "state_dir")
    assert joined.pictures() == before
    _evicts_and_says_what_it_forgets(joined, small_disk)
    assert joined.do("n3", "off", "n1").code == 0
    before = joined.pictures()
    result = joined.do("n1", "on", "n1", state_dir=small_disk, rejoin="allow")
    assert_refused(result, str(small_disk), "No space left on device", "state_dir")
    assert (joined.pictures(), memory.read_bytes()) == (before, remembered)


def _evicts_and_says_what_it_forgets(joined: Stage, state_dir: Path) -> None:
    """What was seen of others is worth a warning, and never an eviction."""
    result = joined.do("n1", "off", "n2", state_dir=state_dir)
    assert result[:2] == (0, "Success: Powered OFF\n")
    assert result.err.count("\n") == 1 and "not remembered" in result.err


def test_a_read_only_state_dir(joined: Stage, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    before = joined.pictures()
    for node in ("n1", "n3"):
        result = joined.do(node, "on", node, state_dir=small_disk)
        assert_refused(result, str(small_disk), "Read-only file system", "state_dir")
    assert joined.pictures() == before
    _evicts_and_says_what_it_forgets(joined, small_disk)
