"""Several paths to a LU: what is lost, what is repaired, and when nothing is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from fence_prbarrier.agent import ocf, task
from fence_prbarrier.agent.parameters import Options
from fence_prbarrier.cluster import Cluster
from fence_prbarrier.dispatcher import Dispatcher, Limits
from fence_prbarrier.errors import NotMember
from fence_prbarrier.key import tag_of_cluster
from fence_prbarrier.simulator import store
from fence_prbarrier.simulator.values import Nexus
from fence_prbarrier.state import Store

from .resource import (
    DEGRADED,
    EVICTED,
    FIRST_PORT,
    GENERIC,
    SECOND_PORT,
    SUCCESS,
    Resource,
    assert_fails,
    change_nothing,
    clear_faults,
    doubly,
    two_paths,
)
from .stage import CLUSTER, Result, Stage, initiator

QUIET = Result(SUCCESS, "", "")
TAG = tag_of_cluster(CLUSTER)
RELEASE, WERO = 2, 5
DEAD_SECOND = f"dead-path initiator={initiator('n1')} port=2"


class Doubled(Resource):
    """A resource whose LUs have two paths each."""

    def environment(self, options: dict[str, object]) -> dict[str, str]:
        return super().environment({"devices": doubly(self.stage), **options})


@pytest.fixture
def barrier(bare: Stage) -> Doubled:
    """Started on n1 and n2 by two paths to each of two LUs."""
    Doubled(bare, "n2").started()
    return Doubled(bare, "n1").started()


def _ports(stage: Stage, unit: int = 0, node: str = "n1") -> list[int]:
    """The target ports through which a node is registered."""
    found = store.read(str(stage.units[unit])).reservations.registrations
    return sorted(each.nexus.port for each in found if each.nexus.initiator == initiator(node))


def _unregister(stage: Stage, port: int, unit: int = 0, node: str = "n1") -> None:
    """A port of the target forgets a registration; past the agent."""
    nexus = Nexus(initiator(node), port=port)
    key = stage.keys(node, unit)[0].to_bytes(8, "big")
    cdb = bytes.fromhex("5f 00 00 00 00 00 00 00 18 00")
    for _ in range(5):
        answer = store.command(str(stage.units[unit]), nexus, cdb, key + bytes(16), 512)
        if answer.status == 0:
            return
    raise AssertionError(answer)


# --- Repair --------------------------------------------------------------------------------------


def test_a_new_path_is_registered_with_the_same_key(joined: Stage) -> None:
    barrier = Resource(joined).started()
    keys = joined.keys("n1")
    result = barrier.do("monitor", devices=doubly(joined))
    assert (result.code, result.out) == (SUCCESS, "")
    assert result.err.count("repaired, registered on 2 paths") == 2
    for unit in (0, 1):
        assert _ports(joined, unit) == [1, 2]
        assert set(joined.keys("n1", unit)) == set(keys)
    before = joined.pictures()
    change_nothing(joined)
    assert barrier.do("monitor", devices=doubly(joined)) == QUIET
    assert joined.pictures() == before


def test_a_path_that_alone_lost_its_registration(barrier: Doubled) -> None:
    stage = barrier.stage
    key = stage.keys("n1")[0]
    for port in (1, 2):
        _unregister(stage, port)
        result = barrier.do("monitor")
        assert (result.code, _ports(stage)) == (SUCCESS, [1, 2]) and "repaired" in result.err
        assert set(stage.keys("n1")) == {key}
        assert barrier.do("monitor") == QUIET


def test_a_new_lu_is_joined(joined: Stage) -> None:
    file = joined.folder / "devices"
    file.write_text(f"# shared\nmock:{joined.units[0]}\n")
    barrier = Resource(joined)
    joined.reboot("n1")
    more = {"devices": None, "devices_file": file}
    assert barrier.do("start", **more) == QUIET
    with file.open("a") as text:
        text.write(f"mock:{joined.units[1]}\n")
    result = barrier.do("monitor", **more)
    assert result.code == SUCCESS and "repaired, registered on 1 path\n" in result.err
    assert joined.keys("n1", 0) == joined.keys("n1", 1)
    assert barrier.do("monitor", **more) == QUIET


def test_a_missing_reservation_is_put_up(barrier: Doubled) -> None:
    """And it is told that there was none: somebody may have written."""
    stage = barrier.stage
    held = [line for line in stage.pictures()[1] if line.startswith("reserved")]
    assert stage.reserve_out("n2", RELEASE, stage.keys("n2", 1)[0], kind=WERO, unit=1) == 0
    result = barrier.do("monitor")
    assert result.code == SUCCESS and "no reservation stood" in result.err
    assert str(stage.units[1]) in result.err and str(stage.units[0]) not in result.err
    (line,) = [line for line in stage.pictures()[1] if line.startswith("reserved")]
    assert line != held[0] and line.startswith(f"reserved type {WERO} ")
    assert barrier.do("monitor") == QUIET


@pytest.mark.parametrize("evicted", [0, 1])
def test_nothing_is_repaired_where_any_lu_shows_us_evicted(barrier: Doubled, evicted: int) -> None:
    stage = barrier.stage
    _unregister(stage, 2, 1 - evicted)
    assert stage.do("n2", "off", "n1", devices=two_paths(stage.units[evicted])).code == 0
    before = stage.pictures()
    for action in ("monitor", "monitor", "start"):
        assert_fails(barrier.do(action), EVICTED, str(stage.units[evicted]))
    assert stage.pictures() == before


def test_nothing_is_repaired_while_another_join_is_at_work(barrier: Doubled) -> None:
    """The next monitor finds the same; the LU that is weak still bears the key."""
    stage = barrier.stage
    _unregister(stage, 2)
    before = stage.pictures()
    memory = Store(str(stage.state("n1")), TAG, 1)
    lock = memory.lock()
    try:
        result = barrier.do("monitor")
        assert result.code == SUCCESS and "not repaired this time" in result.err
        stage.fault(DEAD_SECOND, 1)
        assert barrier.do("monitor").code == DEGRADED
        assert stage.pictures() == before
    finally:
        os.close(lock)
    assert barrier.do("monitor").code == DEGRADED and _ports(stage) == [1, 2]


def test_a_repair_that_cannot_be_remembered_is_an_error(barrier: Doubled) -> None:
    """Only a join that is under way is waited for; a lock that cannot be had is none."""
    stage = barrier.stage
    (lock,) = stage.state("n1").glob("*.lock")
    lock.unlink()
    lock.mkdir()
    assert barrier.do("monitor") == QUIET, "what is in place needs no lock"
    _unregister(stage, 2)
    assert_fails(barrier.do("monitor"), GENERIC, lock.name)


@pytest.mark.parametrize("unit", [0, 1])
def test_evicted_between_look_and_repair(barrier: Doubled, unit: int) -> None:
    """The eviction is found by the repair's own look, and nothing is registered after it."""
    stage = barrier.stage
    _unregister(stage, 2)
    told: list[str] = []
    work, dispatcher = _at_work(barrier, told)
    memory = work.store().load()
    units, looks = ocf._look(work, dispatcher, memory)
    for each in ((unit,), (0, 1)):
        devices = ",".join(two_paths(stage.units[number]) for number in each)
        assert stage.do("n2", "off", "n1", devices=devices).code == 0
        before = stage.pictures()
        with pytest.raises(NotMember, match="has been evicted since"):
            ocf._repair(work, dispatcher, units, memory, looks)
        assert stage.pictures() == before and not told


def _at_work(barrier: Resource, told: list[str]) -> tuple[task.Task, Dispatcher]:
    """A monitor's worker, in this process."""
    names = ("devices", "state_dir")
    environment = barrier.environment({})
    options = Options({name: environment[f"OCF_RESKEY_{name}"] for name in names})
    cluster = Cluster(TAG, {"n1": 1, "n2": 2, "n3": 3})
    deadline = time.monotonic() + 30
    work = task.Task("monitor", options, cluster, "n1", "n1", deadline)

    def hear(kind: str, text: str) -> None:
        if kind == "warning":
            told.append(text)

    return work, Dispatcher(Limits(deadline, 5.0), hear, details=False)


# --- Lost paths ----------------------------------------------------------------------------------


def test_one_dead_path_of_two_is_degraded(barrier: Doubled) -> None:
    """Every action does without it, and says so; and nothing is sent for it."""
    stage = barrier.stage
    before = stage.pictures()
    stage.fault(DEAD_SECOND)
    change_nothing(stage)
    lost = f"device mock:{stage.units[0]}{SECOND_PORT}"
    for _ in range(2):
        result = barrier.do("monitor")
        assert (result.code, result.out, result.err.count("\n")) == (DEGRADED, "", 1), result
        assert "a path is lost" in result.err and lost in result.err and "NO_CONNECT" in result.err
    devices = doubly(stage)
    for action, plug, code, out in (
        ("status", "n2", 0, "Status: ON\n"),
        ("monitor", "", 0, ""),
        ("on", "n1", 0, "Success: Already ON\n"),
        ("list-status", "", 0, "n1,1,ON\nn2,2,ON\nn3,3,OFF\n"),
    ):
        result = stage.do("n1", action, plug, devices=devices)
        assert (result.code, result.out, result.err.count("\n")) == (code, out, 1), result
        assert lost in result.err
    result = barrier.do("start")
    assert result.code == SUCCESS and lost in result.err
    assert stage.pictures() == before


def test_a_node_is_evicted_by_the_path_that_works(barrier: Doubled) -> None:
    stage = barrier.stage
    stage.fault(DEAD_SECOND)
    result = stage.do("n1", "off", "n2", devices=doubly(stage))
    assert (result.code, result.out) == (0, "Success: Powered OFF\n")
    assert f"mock:{stage.units[0]}{SECOND_PORT}" in result.err
    assert [_ports(stage, unit, "n2") for unit in (0, 1)] == [[], []]
    assert stage.do("n1", "status", "n2", devices=doubly(stage))[:2] == (2, "Status: OFF\n")


def test_all_paths_of_a_lu_dead_is_an_error(barrier: Doubled) -> None:
    stage = barrier.stage
    before = stage.pictures()
    stage.fault(f"dead-path initiator={initiator('n1')}", 1)
    names = [f"mock:{stage.units[1]}{port}" for port in (FIRST_PORT, SECOND_PORT)]
    for action in ("monitor", "start"):
        assert_fails(barrier.do(action), GENERIC, *names)
    for action, plug in (("on", "n1"), ("off", "n2"), ("status", "n2"), ("monitor", "")):
        result = stage.do("n1", action, plug, devices=doubly(stage))
        assert (result.code, result.out) == (1, "")
        assert all(name in result.err for name in names)
    assert stage.pictures() == before


def test_a_dead_path_of_nobody_knows_what_is_an_error(joined: Stage) -> None:
    """What cannot be asked cannot be said to be fenced."""
    devices = doubly(joined)
    before = joined.pictures()
    joined.fault(DEAD_SECOND)
    barrier = Resource(joined).started()
    assert_fails(barrier.do("monitor", devices=devices), GENERIC, SECOND_PORT)
    for action, plug in (("on", "n1"), ("off", "n2"), ("status", "n2"), ("monitor", "")):
        result = joined.do("n1", action, plug, devices=devices)
        assert (result.code, result.out) == (1, "") and SECOND_PORT in result.err
    assert joined.pictures() == before


@pytest.mark.parametrize("why", ["reservation", "registration", "new path"])
def test_a_lost_path_stays_known_when_the_memory_is_written(barrier: Doubled, why: str) -> None:
    """A repair meanwhile does not make it a stranger, which would be an error from then on."""
    stage = barrier.stage
    devices = doubly(stage)
    stage.fault(DEAD_SECOND)
    if why == "reservation":
        assert stage.reserve_out("n2", RELEASE, stage.keys("n2")[0], kind=WERO) == 0
    elif why == "registration":
        _unregister_past_faults(stage, 2)
    else:
        devices += f",mock:{stage.units[0]}?port=3"
    for _ in range(2):
        result = barrier.do("monitor", devices=devices)
        assert result.code == DEGRADED and f"{SECOND_PORT}: INQUIRY" in result.err
    assert stage.do("n1", "off", "n2", devices=devices)[:2] == (0, "Success: Powered OFF\n")


def _unregister_past_faults(stage: Stage, port: int) -> None:
    clear_faults(stage)
    _unregister(stage, port)
    stage.fault(DEAD_SECOND)


def test_a_path_that_comes_back_is_registered_again(barrier: Doubled) -> None:
    stage = barrier.stage
    stage.fault(DEAD_SECOND)
    assert barrier.do("monitor").code == DEGRADED
    clear_faults(stage)
    assert barrier.do("monitor") == QUIET
    _unregister(stage, 2)
    stage.fault(DEAD_SECOND)
    assert barrier.do("monitor").code == DEGRADED and _ports(stage) == [1]
    clear_faults(stage)
    assert barrier.do("monitor").code == SUCCESS and _ports(stage) == [1, 2]
    assert barrier.do("monitor") == QUIET


def test_a_name_that_led_to_another_lu_before(bare: Stage) -> None:
    """The last LU that a name was seen to lead to is the one that it is taken for."""
    link = bare.folder / "link"
    for first, then in ((0, 1), (1, 0)):
        for memory in bare.folder.glob("state-*/????-????"):
            memory.unlink()
        link.symlink_to(bare.units[first])
        devices = f"mock:{bare.units[first]},mock:{link}{SECOND_PORT}"
        for node in ("n1", "n2"):
            assert bare.do(node, "on", node, devices=devices).code == 0
        _point(link, None)
        result = bare.do("n1", "status", "n2", devices=devices)
        assert result.code == 0 and "a path is lost" in result.err
        _point(link, bare.units[then])
        for node in ("n1", "n2"):
            assert bare.do(node, "on", node, devices=devices).code == 0
        _point(link, None)
        result = bare.do("n1", "off", "n2", devices=devices)
        assert (result.code, result.out) == (1, "") and str(link) in result.err
        assert bare.keys("n2", then) != []


def _point(link: Path, target: Path | None) -> None:
    link.unlink(missing_ok=True)
    if target is not None:
        link.symlink_to(target)
