"""Joined through the maps: paths are lost, come back, are new, and the target restarts."""

from __future__ import annotations

import pytest

from ..agent.resource import DEGRADED, SUCCESS
from ..cluster.storage import WERO
from ..docs import pages
from . import multipathd
from .ground import FABRICS, NAMES, WHOLE, Ground, Nexuses, errors

FOREIGN_KEY = "0x123abc"
REPAIRED_S = 20.0


PAGE_KEY = "0xa51100010cfa94bf"


def start_resources(ground: Ground) -> None:
    """Have the resource agent run on both nodes."""
    for name in NAMES:
        said = ground.resource(name, "start")
        assert said == (SUCCESS, ""), said


def test_join(ground: Ground) -> None:
    """Every nexus of both nodes bears one key, under one reservation; the agent says so."""
    assert ground.nexuses() == [Nexuses({"n1": 2, "n2": 2}, WERO)] * len(ground.luns)
    for name in NAMES:
        for known in multipathd.maps(ground.node(name)).values():
            assert len(known.slaves) == len(FABRICS), known
        assert ground.agent(name, "monitor") == (0, "")
        for plug in NAMES:
            assert ground.agent(name, "status", plug) == (0, "Status: ON\n")
    said = ground.node("n1").ok(pages.step("paths", "join"))
    assert said.startswith("Success: "), said
    key = ground.storage.bears(0).key("n1")
    assert said.count(f"Key=0x{key:x}") == len(FABRICS), said


@pytest.mark.parametrize("segment", FABRICS[: None if WHOLE else 1])
def test_a_path_is_lost_and_returns(ground: Ground, segment: str) -> None:
    """Of one node, then of both: told as degraded; no writer ever sees an error."""
    start_resources(ground)
    writers = {name: ground.write(name) for name in NAMES}
    before = [ground.storage.bears(lun) for lun in ground.luns]
    generations = ground.generations()
    for lost in (NAMES[:1], NAMES) if WHOLE else (NAMES[:1],):
        for name in lost:
            ground.node(name).cut(segment)
        for name in NAMES:
            multipathd.await_lost(ground.node(name), len(ground.luns) if name in lost else 0)
            code, output = ground.resource(name, "monitor")
            assert code == (DEGRADED if name in lost else SUCCESS), output
            assert ("a path is lost" in output) == (name in lost), output
            ground.await_progress(writers[name])
    ground.mend()
    for name in NAMES:
        assert ground.resource(name, "monitor") == (SUCCESS, "")
        ground.end_calmly(writers[name])
    # The sessions have recovered: to the target they are the nexuses that they were.
    assert [ground.storage.bears(lun) for lun in ground.luns] == before
    assert ground.generations() == generations


def test_the_target_restarts(ground: Ground) -> None:
    """Registrations are kept (APTPL), and multipath keeps the writes until it is back."""
    start_resources(ground)
    before = [ground.storage.bears(lun) for lun in ground.luns]
    writers = {name: ground.write(name) for name in NAMES}
    restored = ground.storage.power_cycle()
    assert restored == len(NAMES) * len(FABRICS) * len(ground.luns)
    ground.mend()
    for name in NAMES:
        ground.end_calmly(writers[name])
        assert ground.resource(name, "monitor") == (SUCCESS, "")
    assert [ground.storage.bears(lun) for lun in ground.luns] == before


def test_a_new_session(ground: Ground) -> None:
    """Logged out and in again under load: another ISID, which the monitor registers as well."""
    start_resources(ground)
    writers = ground.write("n1")
    for segment in FABRICS:
        ground.relogin("n1", segment)
        ground.mend()
        code, output = ground.resource("n1", "monitor")
        assert code == SUCCESS and output.count("repaired") == len(ground.luns), output
        assert ground.resource("n1", "monitor") == (SUCCESS, "")
    ground.end_calmly(writers)
    # The target keeps the registrations of the sessions that are gone.
    wanted = {"n1": 2 * len(FABRICS), "n2": len(FABRICS)}
    assert ground.nexuses() == [Nexuses(wanted, WERO)] * len(ground.luns)


def test_a_new_nexus(ground: Ground) -> None:
    """multipathd uses it before anybody has registered it: errors, until the monitor has."""
    start_resources(ground)
    writers = ground.write("n1")
    ground.relogin("n1", "san1", initiator="n1-new")
    ground.mend()
    ground.cluster.wait_for(lambda: all(map(errors, writers)), REPAIRED_S, "errors")
    assert {errno for writer in writers for errno in writer.errnos()} == {"EBADE"}
    code, output = ground.resource("n1", "monitor")
    assert code == SUCCESS and output.count("repaired") == len(ground.luns), output
    ground.await_progress(writers)
    assert ground.nexuses() == [Nexuses({"n1": 2, "n1-new": 1, "n2": 2}, WERO)] * len(ground.luns)
    seen = [errors(writer) for writer in writers]
    ground.await_progress(writers)
    for writer, count in zip(writers, seen):
        writer.stop()
        assert errors(writer) == count


@pytest.mark.parametrize("key", [FOREIGN_KEY, "file"])
def test_keys_of_multipathd(ground: Ground, key: str) -> None:
    """multipathd with a key of its own registers and removes nothing where that key is not."""
    before = [ground.storage.bears(lun) for lun in ground.luns]
    generations = ground.generations()
    multipathd.restart(ground.node("n1"), reservation_key=key)
    writers = ground.write("n1")
    ground.lose("n1", "san0")
    ground.mend()
    ground.relogin("n1", "san0")
    ground.mend()
    ground.end_calmly(writers)
    assert [ground.storage.bears(lun) for lun in ground.luns] == before
    assert ground.generations() == generations
    assert ground.resource("n1", "monitor")[0] == SUCCESS


@pytest.mark.parametrize("how", ["file", *(["", ":aptpl"] if WHOLE else [])])
def test_our_key_as_that_of_multipathd(ground: Ground, how: str) -> None:
    """It registers a new nexus before it uses it; without ':aptpl' nothing outlives a restart."""
    node, key = ground.node("n1"), ground.storage.bears(0).key("n1")
    assert ground.pr("res_aptpl_active") == "APTPL Bit Status: Activated"
    multipathd.restart(node, reservation_key=how if how == "file" else f"{key:#x}{how}")
    if how == "file":
        step = pages.step("paths", "setprkey").replace(PAGE_KEY, f"{key:#x}")
        for known in multipathd.maps(node).values():
            assert node.ok(step.replace("mpatha", known.name)) == "ok\nok\n"
    writers = ground.write("n1")
    ground.relogin("n1", "san1", initiator="n1-new")
    ground.mend()
    ground.end_calmly(writers)
    assert ground.nexuses() == [Nexuses({"n1": 2, "n1-new": 1, "n2": 2}, WERO)] * len(ground.luns)
    assert {ground.storage.bears(lun).keys["n1-new"][0] for lun in ground.luns} == {key}
    kept = "Activated" if how else "Disabled"
    assert ground.pr("res_aptpl_active") == f"APTPL Bit Status: {kept}"
