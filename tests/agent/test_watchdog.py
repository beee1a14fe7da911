"""The watchdog daemon's check: 255 for an eviction that was seen, and for nothing else."""

from __future__ import annotations

import binascii
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fence_prbarrier.agent import watchdog
from fence_prbarrier.agent.parameters import DEFAULT_STATE_DIR
from fence_prbarrier.simulator import store
from fence_prbarrier.simulator.unit import LogicalUnit

from .resource import Resource, clear_faults, doubly
from .stage import PROCESS_LIMIT_SECONDS, ROOT, Result, Stage, environment

FINE, EVICTED, USAGE = 0, 255, 1
TEST = ("test",)
REPAIR = ("repair", "255")
HANGS_MS = 60_000
CLEAR = 3
# Plays what install/watchdog.in does; a test may shorten its limits.
PROGRAM = """
import sys
from fence_prbarrier.agent import watchdog
state_dir, watchdog.SECONDS, watchdog.COMMAND_SECONDS = sys.argv[1], *map(float, sys.argv[2:4])
sys.argv[1:] = sys.argv[4:]
watchdog.script(state_dir)
"""


def _check(
    state: Path, words: tuple[str, ...] = TEST, seconds: float = 20.0, command: float = 5.0
) -> Result:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(state), str(seconds), str(command), *words],
        env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PROCESS_LIMIT_SECONDS, check=False,
    )  # fmt: skip
    return Result(done.returncode, done.stdout, done.stderr)


def _assert_both(stage: Stage, code: int, *words: str) -> None:
    """test and repair say the same, on stdout only, and change nothing."""
    before = stage.pictures(), stage.memories()
    for arguments in (TEST, REPAIR):
        result = _check(stage.state("n1"), arguments)
        assert (result.code, result.err) == (code, ""), result
        assert bool(result.out) == bool(words), result
        for word in words:
            assert word in result.out
    assert (stage.pictures(), stage.memories()) == before


def _evict(stage: Stage, unit: int, **options: object) -> None:
    devices = f"mock:{stage.units[unit]}"
    assert stage.do("n2", "off", "n1", **{"devices": devices, **options}).code == 0


def test_never_joined(bare: Stage) -> None:
    """Without a state_dir, with an empty one, and with one of locks and markers only."""
    _assert_both(bare, FINE)
    bare.state("n1").mkdir(mode=0o700)
    _assert_both(bare, FINE)
    for name in ("running-x", "2a97-0001.lock", "2a97-0001.new", "zzzz-0001", "2A97-0001", "note"):
        (bare.state("n1") / name).write_text("x")
    _assert_both(bare, FINE)


def test_joined(joined: Stage) -> None:
    _assert_both(joined, FINE)


@pytest.mark.parametrize("unit", [0, 1])
def test_evicted_from_one_of_two(joined: Stage, unit: int) -> None:
    _evict(joined, unit)
    _assert_both(joined, EVICTED, "has been evicted", f"mock:{joined.units[unit]}")


@pytest.mark.parametrize(
    "words", ["dead-path", "dead-path op=5e", "truncated:9 op=5e times=always"]
)
@pytest.mark.parametrize("unit", [0, 1])
def test_a_lu_that_cannot_be_read_says_nothing(joined: Stage, words: str, unit: int) -> None:
    """Not evicted; nor does it hide that another LU shows an eviction."""
    joined.fault(words, unit)
    _assert_both(joined, FINE, "not known whether", f"mock:{joined.units[unit]}")
    _evict(joined, 1 - unit)
    _assert_both(joined, EVICTED, "not known whether", "has been evicted")


def test_a_lost_path_is_none_of_its_business(bare: Stage) -> None:
    """The other path is asked."""
    for node in ("n1", "n2"):
        assert bare.do(node, "on", node, devices=doubly(bare)).code == 0
    bare.fault("dead-path port=2")
    _assert_both(bare, FINE)
    clear_faults(bare)
    bare.fault("dead-path port=1")
    _assert_both(bare, FINE)
    _evict(bare, 0, devices=f"mock:{bare.units[0]}?port=2")
    _assert_both(bare, EVICTED, "?port=2")


def test_a_lu_that_lost_its_state_is_no_eviction(joined: Stage) -> None:
    """And one that is another disk now is none either."""
    assert joined.reserve_out("n2", CLEAR, joined.keys("n2")[0]) == 0
    _assert_both(joined, FINE, "not an eviction")
    joined.units[1].unlink()
    store.create(str(joined.units[1]), LogicalUnit("spec", serial="another"))
    _assert_both(joined, FINE, "not an eviction")
    joined.units[1].unlink()
    result = _check(joined.state("n1"))
    assert result.code == FINE and "is not there" in result.out


@pytest.mark.parametrize("what", ["", "op=5e"])
def test_a_lu_that_hangs(joined: Stage, what: str) -> None:
    """The answer comes in time, and the other LU's eviction with it."""
    joined.fault(f"delay:{HANGS_MS} times=always {what}")
    for evicted in (False, True):
        began = time.monotonic()
        result = _check(joined.state("n1"), seconds=8, command=0.5)
        assert time.monotonic() - began < 6
        assert result.code == (EVICTED if evicted else FINE), result
        assert str(joined.units[0]) in result.out and "hangs" in result.out
        if not evicted:
            _evict(joined, 1)


def test_nobody_answers_before_the_limit(joined: Stage) -> None:
    """More hangs than can be waited for: not known, so not evicted."""
    joined.fault(f"delay:{HANGS_MS} times=always")
    began = time.monotonic()
    result = _check(joined.state("n1"), seconds=1)
    assert result.code == FINE and "timed out" in result.out
    assert time.monotonic() - began < 4


def test_its_own_limits_leave_the_watchdog_daemon_time() -> None:
    """test-timeout of watchdog.conf(5) is 60 s."""
    assert watchdog.SECONDS + watchdog.COMMAND_SECONDS < 60 / 2


def test_a_memory_that_cannot_be_trusted(joined: Stage) -> None:
    """Nobody is rebooted for it; and the memory of another cluster is looked at all the same."""
    state = joined.state("n1")
    (memory,) = state.glob("????-????")
    broken = state / "0000-0001"
    broken.write_bytes(memory.read_bytes()[:-2])
    _assert_both(joined, FINE, str(broken))
    _evict(joined, 0)
    _assert_both(joined, EVICTED, str(broken), "has been evicted")
    memory.unlink()
    _assert_both(joined, FINE, str(broken))
    state.chmod(0o777)
    _assert_both(joined, FINE, "writable by nobody else")


def test_a_state_dir_of_another_owner(joined: Stage) -> None:
    _evict(joined, 0)
    if os.geteuid():
        pytest.skip("only root can give a directory away")
    os.chown(joined.state("n1"), 65534, 65534)
    _assert_both(joined, FINE, "must belong to user 0")


def test_another_boots_memory_never_says_evicted(joined: Stage) -> None:
    _evict(joined, 0)
    (memory,) = joined.state("n1").glob("????-????")
    lines = memory.read_bytes().splitlines(keepends=True)[:-1]
    lines[1] = b"boot 00000000-0000-0000-0000-000000000000\n"
    body = b"".join(lines)
    memory.write_bytes(body + b"end %08x\n" % binascii.crc32(body))
    _assert_both(joined, FINE)


def test_a_node_that_was_let_in_again_is_not_evicted(joined: Stage) -> None:
    _evict(joined, 0)
    _evict(joined, 1)
    assert joined.do("n1", "on", "n1", rejoin="allow").code == 0
    _assert_both(joined, FINE)


@pytest.mark.parametrize("words", [(), ("tests",), ("--help",), ("",)])
def test_usage(joined: Stage, words: tuple[str, ...]) -> None:
    result = _check(joined.state("n1"), words)
    assert (result.code, result.err) == (USAGE, "") and "test | repair" in result.out


@pytest.mark.parametrize("output", ["/dev/full", None])
def test_an_output_that_nobody_takes_changes_no_code(joined: Stage, output: str | None) -> None:
    """Code 1 of a full log would get a sound node rebooted."""
    joined.fault("dead-path", 1)
    for code in (FINE, EVICTED):
        with open(output or os.devnull, "w") as sink:
            done = subprocess.run(
                ["/bin/sh", "-c", 'exec "$@" >&-' if output is None else 'exec "$@"', "sh",
                 sys.executable, "-c", PROGRAM, str(joined.state("n1")), "20", "5", "test"],
                env=environment(), stdout=sink, stderr=subprocess.PIPE, timeout=60, check=False,
            )  # fmt: skip
        assert (done.returncode, done.stderr) == (code, b"")
        if code == FINE:
            _evict(joined, 0)


def test_the_installed_script_looks_where_the_agent_keeps_its_memory() -> None:
    text = (ROOT / "install" / "watchdog.in").read_text()
    assert f'STATE_DIR = "{DEFAULT_STATE_DIR}"\n' in text


def test_a_lu_that_was_taken_off_the_list_is_no_news(joined: Stage) -> None:
    """Whoever has it now may have cleared it; back on the list, rule 4 still holds."""
    first, second = joined.devices.split(",")
    assert Resource(joined).do("start").code == 0
    assert Resource(joined).do("monitor", devices=first) == (0, "", "")
    (memory,) = joined.state("n1").glob("????-????")
    assert memory.read_text().count("\nunlisted ") == 1
    _evict(joined, 1)
    _assert_both(joined, FINE)
    assert Resource(joined).do("monitor", devices=first).code == 0
    refused = joined.do("n1", "on", "n1")
    assert refused.code == 1 and "has been evicted since" in refused.err
    assert joined.do("n1", "on", "n1", devices=second).code == 1


def test_a_lu_that_is_back_on_the_list_is_watched_again(joined: Stage) -> None:
    first, _ = joined.devices.split(",")
    for devices in (first, joined.devices):
        assert joined.do("n1", "on", "n1", devices=devices).out == "Success: Already ON\n"
    _evict(joined, 1)
    _assert_both(joined, EVICTED, "it has been evicted")
