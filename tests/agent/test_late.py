"""A registration that comes back after its life was ended: who notices, and what ends it again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from fence_prbarrier.barrier.memory import Memory
from fence_prbarrier.key import tag_of_cluster
from fence_prbarrier.simulator import store
from fence_prbarrier.simulator.values import Nexus
from fence_prbarrier.state import Store

from .resource import DEGRADED, SUCCESS, Resource, doubly
from .stage import CLUSTER, Result, Stage, initiator
from .test_hanging import LANDS_MS, _hang, _join_in_a_child

TAG = tag_of_cluster(CLUSTER)
COMES_BACK = "registered again as"
REGISTER_AND_IGNORE = bytes.fromhex("5f 06 00 00 00 00 00 00 18 00")


def _land(stage: Stage, key: int, node: str = "n2", unit: int = 1, port: int = 2) -> None:
    """A REGISTER AND IGNORE EXISTING KEY of an evicted life arrives."""
    nexus = Nexus(initiator(node), port=port)
    data = bytes(8) + key.to_bytes(8, "big") + bytes(8)
    for _ in range(5):
        answer = store.command(str(stage.units[unit]), nexus, REGISTER_AND_IGNORE, data, 0)
        if answer.status == 0:
            return
    raise AssertionError(answer)


def _seen(stage: Stage, node: str) -> Path:
    return stage.state(node) / f"{TAG:04x}-{int(node[1]):04x}.seen"


def _is_told(stage: Stage, node: str, key: int, unit: int = 1) -> None:
    """Status is ON and says why; monitor, which must not take fencing away, says so too."""
    text = f"{key >> 48:04x}:{key >> 32 & 0xFFFF:04x}:{key & 0xFFFFFFFF:08x}"
    for result, code in (
        (stage.do(node, "status", "n2"), 0),
        (stage.do(node, "monitor"), 0),
        (Resource(stage, node).do("monitor"), DEGRADED),
    ):
        assert result.code == code, result
        assert COMES_BACK in result.err and text in result.err and "fence the node" in result.err
        assert str(stage.units[unit]) in result.err


def test_who_evicted_notices_and_a_second_eviction_ends_it(joined: Stage) -> None:
    for node in ("n1", "n3"):
        Resource(joined, node).started()
    key = joined.keys("n2")[0]
    assert joined.do("n1", "off", "n2") == (0, "Success: Powered OFF\n", "")
    assert joined.do("n1", "status", "n2") == (2, "Status: OFF\n", "")
    _land(joined, key)
    assert joined.write("n2", 1) != 0 and _write(joined, "n2", 1, port=2) == 0, "it may write"
    _is_told(joined, "n1", key)
    assert joined.do("n1", "off", "n2") == (0, "Success: Powered OFF\n", "")
    assert joined.do("n1", "status", "n2") == (2, "Status: OFF\n", "")
    assert joined.do("n1", "monitor") == (0, "", "")
    assert Resource(joined, "n1").do("monitor") == (SUCCESS, "", "")


def _write(stage: Stage, node: str, unit: int, port: int) -> int:
    """A WRITE(10) by one of a node's nexuses; its status once no unit attention is left."""
    nexus = Nexus(initiator(node), port=port)
    for _ in range(5):
        cdb = bytes.fromhex("2a 00 00 00 00 00 00 00 01 00")
        answer = store.command(str(stage.units[unit]), nexus, cdb, bytes(512), 0)
        if answer.status != 2:
            return answer.status
    raise AssertionError(answer)


def test_another_survivor_notices_by_what_its_own_monitor_saw(joined: Stage) -> None:
    """n3 evicted nobody; its monitor saw the life come, and go."""
    barrier = Resource(joined, "n3").started()
    assert barrier.do("monitor") == (SUCCESS, "", "")
    key = joined.keys("n2")[0]
    assert joined.do("n1", "off", "n2").code == 0
    assert joined.do("n3", "monitor") == (0, "", "")
    _land(joined, key)
    _is_told(joined, "n3", key)


def test_a_new_life_is_no_return(joined: Stage) -> None:
    """Evicted, rebooted and joined again; and rebooted in order, without an eviction."""
    for evicted in (True, False):
        if evicted:
            assert joined.do("n1", "off", "n2").code == 0
        joined.reboot("n2")
        assert joined.do("n2", "on", "n2").code == 0
        assert joined.do("n1", "status", "n2") == (0, "Status: ON\n", "")
        assert joined.do("n1", "monitor") == (0, "", "")


def test_a_lu_that_lost_its_state_ends_no_life(joined: Stage) -> None:
    """Every key is gone, this node's own too: that was no eviction, and keys come back by right."""
    assert joined.do("n1", "monitor") == (0, "", "")
    own, other = joined.keys("n1")[0], joined.keys("n2")[0]
    assert joined.reserve_out("n1", 3, own, unit=1) == 0  # CLEAR
    assert joined.keys("n2", 1) == []
    assert joined.do("n1", "monitor").code == 1
    for node, key in (("n1", own), ("n2", other)):
        _land(joined, key, node, port=1)
    assert joined.reserve_out("n1", 1, own, kind=5, unit=1) == 0
    assert joined.do("n1", "status", "n2") == (0, "Status: ON\n", "")
    assert COMES_BACK not in joined.do("n1", "monitor").err


def test_a_registration_that_hung_when_its_node_was_evicted(joined: Stage) -> None:
    """n1 adds a path, whose REGISTER hangs; n2 evicts n1 and is told so; then it lands.

    The eviction did not lie: nothing of n1 could take effect when it ended.
    """
    began = time.monotonic()
    _hang(joined, "op=5f/00 port=2 skip=1", milliseconds=LANDS_MS)
    child, in_doubt = _join_in_a_child(joined, LANDS_MS / 1000 + 5)
    try:
        assert in_doubt
        key = joined.keys("n1")[0]
        assert joined.do("n2", "off", "n1", devices=doubly(joined)).code == 0
        assert joined.keys("n1") == joined.keys("n1", 1) == []
        assert time.monotonic() - began < LANDS_MS / 1000, "too slow a machine: it has landed"
        limit = time.monotonic() + LANDS_MS / 1000 + 5
        while joined.keys("n1") != [key]:
            assert time.monotonic() < limit, "it never landed"
            time.sleep(0.1)
        result = joined.do("n2", "status", "n1")
        assert result[:2] == (0, "Status: ON\n") and COMES_BACK in result.err
        assert COMES_BACK in joined.do("n2", "monitor").err
        assert joined.do("n2", "off", "n1")[:2] == (0, "Success: Powered OFF\n")
        assert joined.keys("n1") == []
        assert joined.do("n2", "status", "n1") == (2, "Status: OFF\n", "")
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


# --- The file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cut off or changed"),
        (b"fence_prbarrier sightings 1\n", "cut off or changed"),
        (b"x" * 100, "cut off or changed"),
    ],
)
def test_a_broken_file_is_told_and_changes_no_outcome(
    joined: Stage, content: bytes, words: str
) -> None:
    assert joined.do("n1", "monitor") == (0, "", "")
    _seen(joined, "n1").write_bytes(content)
    result = joined.do("n1", "status", "n2")
    assert result[:2] == (0, "Status: ON\n") and words in result.err
    result = joined.do("n1", "off", "n2")
    assert result[:2] == (0, "Success: Powered OFF\n")
    assert words in result.err and "remove the file" in result.err
    _seen(joined, "n1").unlink()
    assert joined.do("n1", "status", "n2") == (2, "Status: OFF\n", "")


def test_what_is_seen_is_written_only_when_it_changes(joined: Stage) -> None:
    assert joined.do("n1", "monitor") == (0, "", "")
    before = _seen(joined, "n1").stat()
    for action in ("monitor", "status"):
        assert joined.do("n1", action, "n2").code == 0
    assert _seen(joined, "n1").stat().st_mtime_ns == before.st_mtime_ns
    assert "lus " in _seen(joined, "n1").read_text()


def test_a_join_that_was_evicted_on_its_way_is_another_life_when_tried_again(bare: Stage) -> None:
    """An eviction that named the first try, and is delayed, must not hit the second."""
    assert bare.do("n1", "on", "n1").code == 0
    tag = Store(str(bare.state("n2")), TAG, 2)
    tag.save(Memory(TAG, 2).reborn(2_000_000_000))
    assert bare.do("n2", "on", "n2") == Result(0, "Success: Powered ON\n", "")
    assert bare.keys("n2")[0] & 0xFFFFFFFF == 2_000_000_001
