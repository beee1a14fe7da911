"""The resource agent as a process: exit codes, markers, what it sends, and when it gives up."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading

import pytest

from fence_prbarrier.key import Key, tag_of_cluster
from fence_prbarrier.simulator import store
from fence_prbarrier.simulator.unit import LogicalUnit

from .resource import (
    AGENT,
    ARGS,
    CONFIGURED,
    EVICTED,
    EXIT_REASON,
    GENERIC,
    NOT_RUNNING,
    SUCCESS,
    UNIMPLEMENTED,
    Resource,
    assert_fails,
    change_nothing,
    clear_faults,
)
from .stage import CLUSTER, Result, Stage, initiator

QUIET = Result(SUCCESS, "", "")
ABSENT = Result(NOT_RUNNING, "", "")
TAG = tag_of_cluster(CLUSTER)
REGISTER, RESERVE, RELEASE, CLEAR, REGISTER_AND_IGNORE = 0, 1, 2, 3, 6
WERO = 5
LVM_KEY = 0x1000_0000_0001_0001
HANGS_MS = 60_000
# What an answer may take beyond its limit on a slow machine.
GRACE_SECONDS = 3.0


@pytest.fixture
def barrier(joined: Stage) -> Resource:
    """Started on n1 of three nodes."""
    return Resource(joined).started()


# --- Life ----------------------------------------------------------------------------------------


def test_not_running_before_start(bare: Stage) -> None:
    """Asked of nothing but the marker: devices need not be there, nothing is made."""
    assert Resource(bare).do("monitor") == ABSENT
    assert Resource(bare).do("monitor", devices="mock:/nowhere", nodes="x:1") == ABSENT
    assert not bare.state("n1").exists()


def test_start_joins_and_again_sends_nothing_that_changes_state(bare: Stage) -> None:
    barrier = Resource(bare).started()
    for unit in (0, 1):
        (key,) = bare.keys("n1", unit)
        assert (Key(key).tag, Key(key).node) == (TAG, 1)
        assert any(line.startswith(f"reserved type {WERO} ") for line in bare.pictures()[unit])
    before, memory = bare.pictures(), bare.memories()
    change_nothing(bare)
    for action in ("start", "monitor", "validate-all"):
        assert barrier.do(action) == QUIET
    assert (bare.pictures(), bare.memories()) == (before, memory)


def test_start_after_unfencing_keeps_its_key(joined: Stage) -> None:
    before = joined.pictures()
    change_nothing(joined)
    assert Resource(joined).started().do("monitor") == QUIET
    assert joined.pictures() == before


def test_stop_sends_nothing_at_all(barrier: Resource) -> None:
    """Rule 7; and what is stopped is not running, however often."""
    stage = barrier.stage
    before = stage.pictures()
    for unit in (0, 1):
        stage.fault(f"busy initiator={initiator('n1')}", unit)
    for _ in range(2):
        assert barrier.do("stop") == QUIET
        assert barrier.do("monitor") == ABSENT
    assert stage.pictures() == before
    assert all(len(store.read(str(path)).faults) == 1 for path in stage.units)


@pytest.mark.parametrize(
    "wrong",
    [{"devices": "mock:/gone"}, {"devices": None}, {"devices_file": "/gone"}, {"nodes": "n9:9"},
     {"nodes": "rubbish"}, {"aptpl": "perhaps"}, {"command_timeout": "-1"}, {"cluster_tag": "xyz"},
     {"CRM_meta_timeout": "soon"}],
    ids=lambda wrong: next(iter(wrong)),
)  # fmt: skip
def test_stop_needs_neither_devices_nor_a_right_configuration(
    barrier: Resource, wrong: dict[str, object]
) -> None:
    """A stop that fails gets the node fenced."""
    assert barrier.do("stop", **wrong) == QUIET
    assert barrier.do("monitor") == ABSENT


def test_stop_with_a_wrong_state_dir(barrier: Resource) -> None:
    assert barrier.do("stop", state_dir="relative") == QUIET
    assert barrier.do("stop", state_dir="/nowhere/at/all") == QUIET


def test_the_marker_of_another_boot_does_not_count(barrier: Resource) -> None:
    (marker,) = barrier.stage.state("n1").glob("running-*")
    assert stat.S_IMODE(marker.stat().st_mode) == 0o600
    for text in ("00000000-0000-0000-0000-000000000000\n", "", "\xff" * 99):
        marker.write_text(text, encoding="latin-1")
        assert barrier.do("monitor") == ABSENT
    assert barrier.started().do("monitor") == QUIET


def test_a_marker_that_cannot_be_trusted_is_an_error(barrier: Resource) -> None:
    state = barrier.stage.state("n1")
    state.chmod(0o777)
    for action in ("monitor", "start", "stop"):
        assert_fails(barrier.do(action), GENERIC, "writable by nobody else")
    state.chmod(0o700)
    (marker,) = state.glob("running-*")
    marker.unlink()
    marker.symlink_to("/dev/null")
    assert_fails(barrier.do("monitor"), GENERIC, marker.name)


def test_a_memory_that_went_away_is_no_health(barrier: Resource) -> None:
    """Without it nobody knows whether this boot was evicted."""
    (memory,) = barrier.stage.state("n1").glob("????-????")
    memory.write_bytes(memory.read_bytes()[:-3])
    assert_fails(barrier.do("monitor"), GENERIC, "cut off or changed")
    memory.unlink()
    before = barrier.stage.pictures()
    assert_fails(barrier.do("monitor"), GENERIC, "this boot has no key")
    assert barrier.stage.pictures() == before


# --- Instances -----------------------------------------------------------------------------------


def test_resources_do_not_share_a_marker_and_clones_do(joined: Stage) -> None:
    Resource(joined, instance="barrier:0").started()
    assert Resource(joined, instance="barrier").do("monitor") == QUIET
    assert Resource(joined, instance="barrier:12").do("monitor") == QUIET
    assert Resource(joined, instance="barrier-b").do("monitor") == ABSENT
    assert Resource(joined, instance="barrier:1").do("stop") == QUIET
    assert Resource(joined, instance="barrier:0").do("monitor") == ABSENT


ODD_NAMES = [
    "", ":1", "a.b", "a/../../b", "..", "/etc/passwd", "a b", "é", "\u00b2", "c3a9", "-", "_",
    "\udcff", "name\nline", "x" * 64, "x" * 65, "x" * 500, "x" * 499 + "y", "\U0001d400" * 64,
    "0" * 4 + "-" + "0" * 4,
]  # fmt: skip


def test_odd_names_have_files_of_their_own(joined: Stage) -> None:
    """Inside state_dir, all different, none of them taken for a memory."""
    before = set(joined.state("n1").iterdir())
    for count, name in enumerate(ODD_NAMES):
        barrier = Resource(joined, instance=name)
        if name != ":1":  # the empty name's clone
            assert barrier.do("monitor", devices="mock:/x") == ABSENT, name
            barrier.started()
        assert len(set(joined.state("n1").iterdir()) - before) == max(count, 1), name
    for name in ODD_NAMES:
        Resource(joined, instance=name).do("stop")
    assert set(joined.state("n1").iterdir()) - before == set()


def test_resources_that_start_at_once_wait_for_each_other(bare: Stage) -> None:
    """A start that failed would be final in Pacemaker: one join at a time, in turn."""
    bare.fault(f"delay:700 initiator={initiator('n1')} op=5f/06 times=always", 0)
    results: list[Result] = []

    def start(unit: int) -> None:
        barrier = Resource(bare, instance=f"barrier-{unit}")
        results.append(barrier.do("start", devices=f"mock:{bare.units[unit]}"))

    starts = [threading.Thread(target=start, args=(unit,)) for unit in (0, 1)]
    for each in starts:
        each.start()
    for each in starts:
        each.join()
    assert results == [QUIET, QUIET]
    assert bare.keys("n1", 0) == bare.keys("n1", 1) != []


# --- What is wrong, and whose it is to mend ------------------------------------------------------


def _evict(stage: Stage, unit: int) -> None:
    assert stage.do("n2", "off", "n1", devices=f"mock:{stage.units[unit]}").code == 0


def _assert_untouched(barrier: Resource, code: int, *words: str) -> None:
    """Of monitor and start; and neither changes anything."""
    before = barrier.stage.pictures()
    for action in ("monitor", "start"):
        assert_fails(barrier.do(action), code, *words)
    assert barrier.stage.pictures() == before


@pytest.mark.parametrize("unit", [0, 1])
def test_evicted_from_one_lu_of_two(barrier: Resource, unit: int) -> None:
    """Rule 4, as a hard error of this node; the first line says so in a few words."""
    _evict(barrier.stage, unit)
    _assert_untouched(
        barrier, EVICTED, f"{EXIT_REASON}evicted: reboot", str(barrier.stage.units[unit])
    )
    clear_faults(barrier.stage)
    assert barrier.do("stop") == QUIET
    _assert_start_fails(barrier, EVICTED)


def _assert_start_fails(barrier: Resource, code: int) -> None:
    assert_fails(barrier.do("start"), code)
    assert barrier.do("monitor") == ABSENT, "what did not start is not running"


@pytest.mark.parametrize(
    ("words", "shown"),
    [("dead-path", "NO_CONNECT"), ("dead-path op=5e", "NO_CONNECT"),
     ("truncated:12 op=5e times=always", "READ FULL STATUS")],
)  # fmt: skip
@pytest.mark.parametrize("unit", [0, 1])
def test_evicted_is_told_although_another_lu_cannot_be_read(
    barrier: Resource, unit: int, words: str, shown: str
) -> None:
    _evict(barrier.stage, unit)
    barrier.stage.fault(f"{words} initiator={initiator('n1')}", 1 - unit)
    _assert_untouched(barrier, EVICTED, "evicted", shown)


def test_evicted_is_told_although_another_lu_hangs(barrier: Resource) -> None:
    """The LU that hangs is given up; what the other one shows is what counts."""
    _evict(barrier.stage, 1)
    barrier.stage.fault(f"delay:{HANGS_MS} op=5e times=always initiator={initiator('n1')}", 0)
    found = barrier.timed("monitor", command_timeout=1, CRM_meta_timeout=20_000)
    assert_fails(found.result, EVICTED, "evicted", "hangs")
    assert found.seconds < 10


def test_evicted_from_a_lu_that_is_now_another_owners(barrier: Resource) -> None:
    _evict(barrier.stage, 0)
    assert barrier.stage.reserve_out("n3", REGISTER_AND_IGNORE, 0, LVM_KEY) == 0
    _assert_untouched(barrier, EVICTED, "evicted")


def _foreign_owner(stage: Stage) -> str:
    key = stage.keys("n1", 1)[0]
    assert stage.reserve_out("n1", RELEASE, key, kind=WERO, unit=1) == 0
    stranger = Key.build(0x7E57, 1, 77)
    assert stage.reserve_out("stranger", REGISTER_AND_IGNORE, 0, stranger, unit=1) == 0
    assert stage.reserve_out("stranger", RESERVE, stranger, kind=WERO, unit=1) == 0
    return "0x7e57"


def _lvm(stage: Stage) -> str:
    assert stage.reserve_out("stranger", REGISTER_AND_IGNORE, 0, LVM_KEY, unit=1) == 0
    return "LVM"


def _lost_state(stage: Stage) -> str:
    stage.units[1].unlink()
    store.create(str(stage.units[1]), LogicalUnit("spec", serial=f"{1:016x}"))
    return "lost every registration"


def _unreadable(stage: Stage) -> str:
    stage.fault(f"dead-path initiator={initiator('n1')}", 1)
    return "NO_CONNECT"


@pytest.mark.parametrize("spoil", [_foreign_owner, _lvm, _lost_state, _unreadable])
def test_what_no_join_can_mend(barrier: Resource, spoil: object) -> None:
    """One exit reason; Pacemaker's recovery, a stop and a start, changes nothing either."""
    word = spoil(barrier.stage)  # type: ignore[operator]
    _assert_untouched(barrier, GENERIC, word, str(barrier.stage.units[1]))
    assert barrier.do("stop") == QUIET
    before = barrier.stage.pictures()
    _assert_start_fails(barrier, GENERIC)
    assert barrier.stage.pictures() == before


def test_wrong_parameters(bare: Stage) -> None:
    """6 is the resource's, so no other node need try; 2 is this node's."""
    barrier = Resource(bare)
    for wrong in ({"aptpl": "perhaps"}, {"command_timeout": "0"}, {"verbose": "maybe"},
                  {"state_dir": "here"}):  # fmt: skip
        for action in ("start", "monitor", "validate-all"):
            assert_fails(barrier.do(action, **wrong), CONFIGURED, next(iter(wrong)))
    for wrong, word in (
        ({"local_name": "n9"}, "'n9', has no number"),
        ({"devices": " , "}, "no devices"),
        ({"devices_file": "/gone"}, "devices_file /gone"),
    ):
        for action in ("start", "validate-all"):
            assert_fails(barrier.do(action, **wrong), ARGS, word)
    assert not any(bare.state("n1").glob("running-*")) and bare.keys("n1") == []


@pytest.mark.parametrize(
    "words", [(), ("promote",), ("reload",), ("start", "now"), ("",), ("--help",)]
)
def test_unknown_actions(bare: Stage, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-IS", str(AGENT), *words], env=Resource(bare).environment({}),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert_fails(Result(done.returncode, done.stdout, done.stderr), UNIMPLEMENTED, "monitor")


def test_usage_tells_the_actions(bare: Stage) -> None:
    result = Resource(bare).do("usage", devices=None, state_dir="x")
    assert (result.code, result.err) == (0, "") and "monitor" in result.out
