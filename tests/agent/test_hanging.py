"""A path or a LU that hangs: who is held up by it, for how long, and what lands later."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from fence_prbarrier import discovery
from fence_prbarrier.agent import ocf, task
from fence_prbarrier.agent.parameters import BY_NAME, Options
from fence_prbarrier.barrier.everywhere import evict_everywhere
from fence_prbarrier.cluster import Cluster
from fence_prbarrier.dispatcher import Dispatcher, Limits
from fence_prbarrier.errors import BarrierError, JoinUnderWay
from fence_prbarrier.key import tag_of_cluster
from fence_prbarrier.simulator import store
from fence_prbarrier.state import Store

from .resource import (
    DEGRADED,
    GENERIC,
    NOT_RUNNING,
    SUCCESS,
    Resource,
    assert_fails,
    doubly,
)
from .stage import CLUSTER, Result, Stage, assert_refused, finish, initiator

HANGS_MS = 60_000
LANDS_MS = 8_000
# What an answer may take beyond its limit on a slow machine.
GRACE_SECONDS = 3.0
TAG = tag_of_cluster(CLUSTER)
PREEMPT_AND_ABORT, REGISTER, READ = "op=5f/05", "op=5f/00", "op=5e"


@pytest.fixture
def doubled(bare: Stage) -> Stage:
    """n1 and n2 have joined two LUs by two paths each."""
    for node in ("n1", "n2"):
        assert bare.do(node, "on", node, devices=doubly(bare)).code == 0
    return bare


def _hang(stage: Stage, what: str = "", unit: int = 0, milliseconds: int = HANGS_MS) -> None:
    stage.fault(f"delay:{milliseconds} initiator={initiator('n1')} times=always {what}", unit)


def _timed(call: Callable[[], Result]) -> tuple[Result, float]:
    began = time.monotonic()
    return call(), time.monotonic() - began


# --- One path of two -----------------------------------------------------------------------------


@pytest.mark.parametrize("port", [1, 2])
def test_a_path_that_hangs_holds_up_nobody(doubled: Stage, port: int) -> None:
    """The other one answers, well below the limit; the one that hangs is told as lost."""
    _hang(doubled, f"port={port}")
    calls = [("status", "n2"), ("monitor", ""), ("on", "n1")]
    before = doubled.pictures()
    results = _all_at_once(doubled, calls)
    assert [result.out for result in results] == ["Status: ON\n", "", "Success: Already ON\n"]
    assert doubled.pictures() == before
    results += _all_at_once(doubled, [("off", "n2")])
    assert results[-1].out == "Success: Powered OFF\n"
    for result in results:
        assert result.code == 0, result
        assert f"?port={port}" in result.err and "hangs" in result.err


def _all_at_once(stage: Stage, calls: list[tuple[str, str]]) -> list[Result]:
    """The agent's actions on n1; each has waited once, command_timeout and the kernel's grace."""
    began = time.monotonic()
    options: dict[str, object] = {"devices": doubly(stage), "command_timeout": 1}
    running = [stage.begin("n1", action, plug, **options) for action, plug in calls]
    results = [finish(process) for process in running]
    assert time.monotonic() - began < 2 + GRACE_SECONDS
    return results


def test_the_resource_agent_and_a_path_that_hangs(doubled: Stage) -> None:
    barrier = Resource(doubled)
    options: dict[str, object] = {"devices": doubly(doubled), "command_timeout": 1}
    assert barrier.do("start", **options) == Result(SUCCESS, "", "")
    _hang(doubled, "port=2")
    found = barrier.timed("monitor", **options, CRM_meta_timeout=30_000)
    assert found.result.code == DEGRADED and "a path is lost" in found.result.err
    assert found.seconds < 2 + GRACE_SECONDS


@pytest.mark.parametrize("port", [1, 2])
def test_a_path_that_hangs_after_it_was_found(doubled: Stage, port: int) -> None:
    """INQUIRY is answered, and no READ is: each path is waited for once."""
    _hang(doubled, f"{READ} port={port}")
    (status,) = _all_at_once(doubled, [("status", "n2")])
    assert status[:2] == (0, "Status: ON\n"), status
    (off,) = _all_at_once(doubled, [("off", "n2")])
    assert off[:2] == (0, "Success: Powered OFF\n"), off


def test_a_preempt_that_hangs_is_followed_by_another_path(doubled: Stage) -> None:
    """It may take what is left but for reading back, so that another path still can do it."""
    _hang(doubled, f"{PREEMPT_AND_ABORT} port=1")
    result, seconds = _timed(
        lambda: doubled.do(
            "n1", "off", "n2", devices=doubly(doubled), power_timeout=8, command_timeout=1
        )
    )
    assert (result.code, result.out) == (0, "Success: Powered OFF\n"), result
    assert 4 < seconds < 8
    assert doubled.keys("n2", 0) == doubled.keys("n2", 1) == []


# --- What lands later ----------------------------------------------------------------------------


def _dispatcher(stage: Stage, seconds: float) -> Dispatcher:
    """In this process, so that a thread that hangs goes on when the action has ended."""
    return Dispatcher(Limits(time.monotonic() + seconds, 1.2), lambda *words: None, details=False)


def test_a_preempt_that_lands_later_hits_only_the_life_that_it_names(doubled: Stage) -> None:
    """The victim has been evicted by the other path and has joined again meanwhile."""
    began = time.monotonic()
    stage = doubled
    _hang(stage, f"{PREEMPT_AND_ABORT} port=1", milliseconds=LANDS_MS)
    dispatcher = _dispatcher(stage, 5.0)
    memory = Store(str(stage.state("n1")), TAG, 1).load()
    names = doubly(stage).split(",")
    units, troubles = discovery.survey(dispatcher, names, "n1", models=True, remembered=dict)
    assert not troubles
    dispatcher.run(evict_everywhere(units, memory, 2, "target"))
    assert dispatcher.in_doubt, "a thread is still on its way"
    stage.reboot("n2")
    assert stage.do("n2", "on", "n2", devices=doubly(stage)).code == 0
    before = stage.pictures()
    assert time.monotonic() - began < LANDS_MS / 1000, "too slow a machine: it has landed already"
    # One second more than the command began after the test.
    time.sleep(began + LANDS_MS / 1000 + 1.0 - time.monotonic())
    assert stage.pictures() == before
    assert len(stage.keys("n2")) == len(stage.keys("n2", 1)) == 2


def _join_in_a_child(stage: Stage, linger_seconds: float) -> tuple[int, bool]:
    """A worker that joins and then cannot end, as in the kernel; (pid, in doubt)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        told = os.read(reading, 1)
        os.close(reading)
        return child, told == b"1"
    dispatcher = _dispatcher(stage, 4.0)
    try:
        options = Options({"state_dir": str(stage.state("n1")), "devices": doubly(stage)})
        cluster = Cluster(TAG, {"n1": 1, "n2": 2, "n3": 3})
        work = task.Task("on", options, cluster, "n1", "n1", dispatcher.limits.deadline)
        units = task.discover(work, dispatcher)
        task.join(work, dispatcher, units, work.store(), turn_seconds=0)
    except BarrierError:
        pass  # the test looks at what is left of it
    os.write(writing, b"1" if dispatcher.in_doubt else b"0")
    time.sleep(linger_seconds)
    os._exit(0)


def _prepare_renewal(stage: Stage) -> None:
    """So that a join registers anew: no reservation is left."""
    assert stage.reserve_out("n1", 2, stage.keys("n1")[0], kind=5) == 0


def test_the_join_lock_stays_with_a_registration_that_hangs(doubled: Stage) -> None:
    _prepare_renewal(doubled)
    _hang(doubled, f"{REGISTER} port=2", milliseconds=2500)
    child, in_doubt = _join_in_a_child(doubled, 3.0)
    try:
        assert in_doubt
        devices = doubly(doubled)
        result = doubled.do("n1", "on", "n1", devices=devices, on_timeout=1)
        assert_refused(result, "another action=on")
        result = Resource(doubled).do("start", devices=devices, CRM_meta_timeout=3100)
        assert_fails(result, GENERIC, "another action=on")
    finally:
        os.waitpid(child, 0)
    for path in doubled.units:
        store.transact(str(path), lambda unit: unit.faults.clear())
    assert doubled.do("n1", "on", "n1", devices=devices)[:2] == (0, "Success: Powered ON\n")


def test_who_cannot_be_ended_is_waited_for_no_longer(
    doubled: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past its time and asleep in the kernel: killed, it keeps the join lock all the same."""
    told: list[str] = []
    limits = Limits(time.monotonic() + 20, 4.0)
    dispatcher = Dispatcher(limits, lambda _, text: told.append(text))
    options = Options({"state_dir": str(doubled.state("n1"))})
    work = task.Task("on", options, Cluster(TAG, {"n1": 1}), "n1", "n1", limits.deadline)
    held = work.store().lock()
    calls: list[int] = []

    def end_overdue(_: Store) -> int:
        calls.append(1)
        if len(calls) > 30:
            raise AssertionError("waits for ever")
        return 4711

    monkeypatch.setattr(Store, "end_overdue", end_overdue)
    try:
        with pytest.raises(JoinUnderWay, match="another action=on"):
            task.join(work, dispatcher, [], work.store(), turn_seconds=0)
    finally:
        os.close(held)
    assert told == ["another action=on, process 4711, was past its time: ended it"]


def test_the_join_lock_does_not_stay_with_a_read_that_hangs(doubled: Stage) -> None:
    _prepare_renewal(doubled)
    _hang(doubled, f"{READ} port=2", milliseconds=2500)
    child, in_doubt = _join_in_a_child(doubled, 30.0)
    try:
        assert not in_doubt
        for path in doubled.units:
            store.transact(str(path), lambda unit: unit.faults.clear())
        result = doubled.do("n1", "on", "n1", devices=doubly(doubled))
        assert (result.code, result.err) == (0, "")
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


# --- Limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "plug", "limits"),
    [
        ("on", "n1", {"on_timeout": 1}),
        ("status", "n2", {"monitor_timeout": 1}),
        ("monitor", "", {"monitor_timeout": 1}),
        ("list-status", "", {"monitor_timeout": 1}),
        ("validate-all", "", {"monitor_timeout": 1}),
        ("on", "n1", {"power_timeout": 1, "on_timeout": 50}),
        ("status", "n2", {"power_timeout": 1, "monitor_timeout": 50}),
        ("off", "n2", {"power_timeout": 1, "on_timeout": 50, "monitor_timeout": 50}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_each_action_has_its_limit(
    joined: Stage, action: str, plug: str, limits: dict[str, object]
) -> None:
    _hang(joined)
    result, seconds = _timed(lambda: joined.do("n1", action, plug, **limits))
    assert_refused(result, "timed out")
    assert seconds < 1 + GRACE_SECONDS


def test_off_has_power_timeout_and_no_other_limit(joined: Stage) -> None:
    _hang(joined, "op=12", milliseconds=1500)
    result = joined.do("n1", "off", "n2", on_timeout=1, monitor_timeout=1)
    assert result == (0, "Success: Powered OFF\n", "")
    result, _ = _timed(lambda: joined.do("n1", "status", "n2", monitor_timeout=1))
    assert_refused(result, "timed out")
    assert joined.do("n1", "on", "n1", monitor_timeout=1).code == 0


def test_pacemakers_own_limit_is_kept(joined: Stage) -> None:
    """A LU that hangs in whatever command: the answer comes first, with its reason."""
    barrier = Resource(joined).started()
    for what in ("", READ):
        _hang(joined, what, 1)
        began = time.monotonic()
        actions = ("monitor", "start", "validate-all")
        for process in [barrier.begin(action, CRM_meta_timeout=5000) for action in actions]:
            out, err = process.communicate(timeout=60)
            assert_fails(Result(process.returncode, out, err), GENERIC, str(joined.units[1]))
        assert time.monotonic() - began < 5.0, what


GARBAGE = ["", "0", "-1", "1e3", "20s", "abc", "\u0663000", "9" * 14, "9" * 5000, " 5000"]


@pytest.mark.parametrize("text", GARBAGE, ids=lambda text: text[:15] or "none")
def test_garbage_for_a_limit_is_no_limit(text: str, bare: Stage) -> None:
    """The agent's own limits hold, and it does not fall over."""
    environment = {"OCF_RESKEY_CRM_meta_timeout": text}
    for action, name in (("start", "on_timeout"), ("monitor", "monitor_timeout")):
        seconds = ocf._seconds(action, Options({}), environment)
        assert seconds == float(BY_NAME[name].default)
    assert Resource(bare).do("start", CRM_meta_timeout=text) == Result(SUCCESS, "", "")
    assert Resource(bare).do("monitor", CRM_meta_timeout=text).code != NOT_RUNNING


@pytest.mark.parametrize(("told", "seconds"), [("20000", 18.0), ("2500", 1.0), ("1", 1.0)])
def test_pacemakers_limit_less_a_margin(told: str, seconds: float) -> None:
    environment = {"OCF_RESKEY_CRM_meta_timeout": told}
    assert ocf._seconds("monitor", Options({}), environment) == seconds
