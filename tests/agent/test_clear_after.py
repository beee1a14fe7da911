"""After a clearing that failed, on odd targets, and what others make of one that did not."""

from __future__ import annotations

from pathlib import Path

import pytest

from fence_prbarrier.key import Key

from .resource import (
    EVICTED,
    FIRST_PORT,
    GENERIC,
    SECOND_PORT,
    Resource,
    assert_fails,
    clear_faults,
    two_paths,
)
from .stage import Stage, assert_refused, initiator
from .test_clear import ALL, cleared, foreign, joined_, shape
from .test_watchdog import FINE, _check


def test_a_command_that_fails_in_the_middle_and_the_next_run(joined: Stage) -> None:
    """It tells what is cleared and what was not begun; run again it finishes."""
    joined.fault("sense:3/11/00 op=5f/05 skip=1", 0)
    result = joined.do("n1", "clear", **ALL)
    assert result.code == 1 and "Success" not in result.out
    assert "run clear again; not begun: naa." in result.err and result.err.count("\n") == 1
    assert joined.keys("n3", 1)
    cleared(joined.do("n1", "clear", **ALL))
    assert all(picture[-2:] == ["nobody registered", "not reserved"] for picture in shape(joined))


@pytest.mark.parametrize("by, plug", [("n2", ""), ("n2", "n2"), ("n1", "n2")])
def test_a_run_whose_path_dies_leaves_nothing_that_the_next_one_keeps(
    joined: Stage, by: str, plug: str
) -> None:
    """A temporary key was registered and could not be taken back: it counts as this node's."""
    own = joined.keys("n2")
    for unit in (0, 1):
        joined.fault("dead-path op=5f skip=2", unit)  # after the probe and the registration
    result = joined.do("n2", "clear", **ALL)
    assert result.code == 1 and "NO_CONNECT" in result.err and "run clear again" in result.err
    left = joined.keys("n2")
    assert left != own and [Key(key).node for key in left] == [2]
    assert joined.do("n1", "status", "n2").out == "Status: ON\n"
    clear_faults(joined)
    cleared(joined.do(by, "clear", plug, **ALL))
    assert joined.keys("n2") == joined.keys("n2", 1) == []
    assert bool(joined.keys("n1")) == bool(plug)


def test_who_has_rebooted_and_not_joined_again(joined: Stage) -> None:
    """It is no member of this boot: its own old keys or all, not another node's."""
    joined.reboot("n2")
    before = joined.pictures()
    refused = joined.do("n2", "clear", "n3", **ALL)
    assert_refused(refused, "not registered on the LU in this boot", *joined_(joined))
    assert joined.pictures() == before
    cleared(joined.do("n2", "clear", "n2", **ALL))
    assert joined.keys("n2") == joined.keys("n2", 1) == [] and joined.keys("n1", 1)


@pytest.mark.parametrize("plug, skip", [("n2", 0), ("n2", 2), ("", 0), ("", 2)])
def test_a_path_that_cannot_be_read(joined: Stage, plug: str, skip: int) -> None:
    """It opens and does not read: nothing is begun; or, at the read-back, it is no success."""
    devices = two_paths(joined.units[0])
    before = joined.pictures()
    # Each of the two looks before reads by it once.
    joined.fault(f"dead-path op=5e port=2 skip={skip}")
    result = joined.do("n1", "clear", plug, devices=devices, **ALL)
    words = ["could not be read by device", SECOND_PORT, "NO_CONNECT", "bring the path back"]
    if skip:
        assert result.code == 1 and "removed, but not read back" in result.err, result
        assert all(word in result.err for word in words) and result.err.count("\n") == 1
        assert not joined.keys("n2")
    else:
        assert_refused(result, *words)
        assert joined.pictures() == before
    assert "Success" not in result.out and f"{FIRST_PORT} (" not in result.err
    clear_faults(joined)
    again = joined.do("n1", "clear", plug, devices=devices, **ALL)
    assert again.code == 0 and again.err == ""
    assert ("Success: Already clear" in again.out) == bool(skip)


@pytest.mark.parametrize("plug", ["n2", ""])
def test_a_path_that_cannot_be_opened(bare: Stage, plug: str) -> None:
    """Known from the join: a warning, and the registration through it goes too; else an error."""
    devices = two_paths(bare.units[0])
    for node in ("n2", "n1"):
        assert bare.do(node, "on", node, devices=devices).code == 0
    bare.fault(f"dead-path initiator={initiator('n1')} port=2")
    result = bare.do("n1", "clear", plug, devices=devices, **ALL)
    assert (result.code, result.out.splitlines()[-1]) == (0, "Success: Cleared"), result
    assert "a path is lost" in result.err and SECOND_PORT in result.err
    assert bare.keys("n2") == [] and len(bare.keys("n1")) == (2 if plug else 0)
    bare.reboot("n1")
    result = bare.do("n1", "clear", devices=devices, **ALL)
    assert result.code == 1 and SECOND_PORT in result.err and "NO_CONNECT" in result.err


@pytest.mark.parametrize("profile, code", [("lio", 0), ("tgt", 1), ("liar", 1)])
def test_targets(tmp_path: Path, profile: str, code: int) -> None:
    """tgt has no PREEMPT AND ABORT, istgt says GOOD and does nothing: said, and nothing else."""
    stage = Stage(tmp_path, lus=1, profile=profile).join_all()
    keys = [stage.keys(node) for node in ("n1", "n2", "n3")]
    for plug in ("n2", ""):
        result = stage.do("n3", "clear", plug, **ALL)
        assert (result.code, "Success: Cleared" in result.out) == (code, not code), result
        if code:
            words = {"tgt": "does not know PREEMPT AND ABORT", "liar": "did not become clear"}
            assert words[profile] in result.err and result.err.count("\n") == 1
            assert [stage.keys(node) for node in ("n1", "n2", "n3")] == keys
            assert any(line.startswith("reserved type 5 ") for line in stage.pictures()[0])
    assert code or stage.pictures()[0][1:] == ["nobody registered", "not reserved"]


def test_a_cleared_lu_is_no_eviction(joined: Stage) -> None:
    """Watchdog and resource agent tell the two apart; this boot's memory is left alone."""
    clone = Resource(joined, "n2").started()
    before = joined.memories()
    cleared(joined.do("n1", "clear", **ALL))
    assert joined.memories() == before
    for node in ("n1", "n2"):
        told = _check(joined.state(node))
        assert told.code == FINE and "was cleared or has lost its state" in told.out
    told = clone.do("monitor")
    assert_fails(told, GENERIC, "lost every registration")
    assert told.code != EVICTED
    assert joined.do("n1", "on", "n1") == (0, "Success: Powered ON\n", "")


def test_a_cleared_lu_that_bears_foreign_keys(joined: Stage) -> None:
    """It is not bare: no eviction to the watchdog, and one to the clone and to on (rule 4)."""
    clone = Resource(joined, "n2").started()
    foreign(joined)
    cleared(joined.do("n1", "clear", **ALL))
    assert _check(joined.state("n2")).code == FINE
    assert_fails(clone.do("monitor"), EVICTED, "evicted")
    assert_refused(joined.do("n2", "on", "n2"), "rejoin=allow")
    result = joined.do("n2", "on", "n2", rejoin="allow")
    assert (result.code, result.out) == (0, "Success: Powered ON\n")


def test_one_node_cleared_is_an_eviction(joined: Stage) -> None:
    """The barrier stands without its key, so its watchdog has it rebooted."""
    cleared(joined.do("n1", "clear", "n2", **ALL))
    assert "has been evicted" in _check(joined.state("n2")).out
