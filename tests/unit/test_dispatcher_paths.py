"""The dispatcher and its paths: one that hangs, one that is lost, and what the others do."""

from __future__ import annotations

import threading
import time
from pathlib import Path as FilePath

import pytest

from fence_prbarrier import discovery
from fence_prbarrier import dispatcher as module
from fence_prbarrier.barrier.everywhere import Each
from fence_prbarrier.barrier.exchange import Request
from fence_prbarrier.devices import Path, Place
from fence_prbarrier.dispatcher import Dispatcher, Limits
from fence_prbarrier.errors import BarrierError, DeviceError, OutOfTime
from fence_prbarrier.scsi.command import LogicalUnitReset
from fence_prbarrier.scsi.outcome import Completion
from fence_prbarrier.simulator import store
from fence_prbarrier.simulator.unit import LogicalUnit

from .test_dispatcher import EVICT, READ, Transport, _ask, _dispatcher

# --- A path that hangs ---------------------------------------------------------------------------


class Hanging(Transport):
    """Never answers, until it is let go."""

    def __init__(self, running: bool = True) -> None:
        super().__init__()
        self.running = running
        self.gate = threading.Event()

    def execute(self, command: object, timeout_ms: int) -> Completion:
        super().execute(command, timeout_ms)
        self.gate.wait(30)
        return Completion()

    def reset(self, timeout_ms: int) -> Completion:
        return self.execute(LogicalUnitReset(), timeout_ms)


@pytest.fixture
def two_paths(monkeypatch: pytest.MonkeyPatch):
    """A dispatcher with little time, and a path that hangs beside one that does not."""
    monkeypatch.setattr(module, "KERNEL_GRACE_SECONDS", 0.05)
    paths = [Path("mock:hangs", Hanging(), "h"), Path("mock:works", Transport(), "w")]
    yield Dispatcher(Limits(time.monotonic() + 20, 0.1), lambda *words: None), paths
    paths[0].transport.gate.set()  # type: ignore[attr-defined]


def test_a_path_that_hangs_is_given_up_and_gets_nothing_more(two_paths: tuple) -> None:
    """One outcome a command, unknown; the other path goes on."""
    dispatcher, paths = two_paths

    def procedure():
        first = yield Request(0, READ)
        again = yield Request(0, READ)
        other = yield Request(1, READ)
        return first, again, other

    began = time.monotonic()
    first, again, other = dispatcher.drive(procedure(), paths)
    assert time.monotonic() - began < 2
    assert (first.verdict, again.verdict, other.good) == ("unknown", "unknown", True)
    assert "hangs" in first.detail and "not known" in first.detail
    assert len(paths[0].transport.asked) == 1 and paths[0].hung and not paths[1].hung


@pytest.mark.parametrize(
    ("action", "in_doubt"), [(READ, False), (EVICT, True), (LogicalUnitReset(), True)]
)
def test_only_what_changes_something_leaves_doubt(
    two_paths: tuple, action: object, in_doubt: bool
) -> None:
    dispatcher, paths = two_paths
    dispatcher.limits.deadline = time.monotonic() + 1.5
    dispatcher.drive(_ask(action), paths)
    assert dispatcher.in_doubt is in_doubt


def test_a_path_that_hangs_until_the_end_is_out_of_time(two_paths: tuple) -> None:
    dispatcher, paths = two_paths
    dispatcher.limits.deadline = time.monotonic() + 0.12
    with pytest.raises(OutOfTime, match="no answer yet from: READ KEYS on mock:hangs"):
        dispatcher.drive(_ask(READ), paths)


def test_a_path_that_stops_running_is_not_waited_for(two_paths: tuple) -> None:
    """The kernel has blocked it or taken it offline."""
    dispatcher, paths = two_paths
    dispatcher.limits.command_seconds = 15.0
    paths[0].transport.running = False
    began = time.monotonic()
    (outcome,) = dispatcher.drive(_ask(READ), paths)
    assert outcome.verdict == "unknown" and time.monotonic() - began < 2


def test_the_only_path_is_waited_for(two_paths: tuple) -> None:
    """No other could do it, so it has the time that the kernel gives it; unless told otherwise."""
    dispatcher, paths = two_paths
    dispatcher.limits.command_seconds = 0.05
    threading.Timer(0.6, paths[0].transport.gate.set).start()
    (outcome,) = dispatcher.drive(_ask(READ), paths[:1])
    assert outcome.good and not paths[0].hung
    paths[0].transport.gate.clear()
    (outcome,) = dispatcher.drive(_ask(READ), paths[:1], alone=False)
    assert not outcome.good and paths[0].hung


def test_a_plan_can_be_told_not_to_wait_for_the_only_path(two_paths: tuple) -> None:
    dispatcher, paths = two_paths
    dispatcher.paths = {"a": paths[:1], "b": paths[1:]}

    def plan():
        return (yield Each({name: _ask(READ) for name in ("a", "b")}))

    found = dispatcher.run(plan(), alone=False)
    assert [found[name][0].good for name in ("a", "b")] == [False, True]


def test_who_shares_the_session_of_a_path_that_hangs_is_not_waited_for(two_paths: tuple) -> None:
    """A dead fabric has hundreds of paths; only the first of them costs its time."""
    dispatcher, paths = two_paths
    paths[0].session = "target1"
    others = [Path(f"mock:{number}", Hanging(), f"h{number}", session="target1")
              for number in range(100)]  # fmt: skip
    dispatcher.drive(_ask(READ), paths)
    began = time.monotonic()
    for path in others:
        (outcome,) = dispatcher.drive(_ask(READ), [path, paths[1]])
        assert outcome.verdict == "unknown" and "hangs" in outcome.detail
        assert path.transport.asked == []  # type: ignore[attr-defined]
    assert time.monotonic() - began < 2
    # Another session is, and so is the only path of a LU: no other could do it.
    dispatcher.limits.command_seconds = 0.05
    elsewhere = Path("mock:other", Transport(), "o", session="target2")
    assert dispatcher.drive(_ask(READ), [elsewhere, paths[1]])[0].good
    only = Path("mock:only", Hanging(), "only", session="target1")
    threading.Timer(0.2, only.transport.gate.set).start()  # type: ignore[attr-defined]
    (outcome,) = dispatcher.drive(_ask(READ), [only])
    assert outcome.good


def test_a_lu_that_hangs_hides_no_other_of_its_session(two_paths: tuple) -> None:
    """It may be the LU that hangs, not the session: who has no other path is asked."""
    dispatcher, paths = two_paths
    hangs, answers = paths
    hangs.session = answers.session = "target1"
    dispatcher.paths = {"a": [hangs], "b": [answers]}

    def plan():
        yield Each({"a": _ask(READ)})
        return (yield Each({name: _ask(READ) for name in ("a", "b")}))

    found = dispatcher.run(plan(), alone=False)
    assert [found[name][0].good for name in ("a", "b")] == [False, True]


def test_probes_that_a_hanging_session_put_off_are_made_where_nobody_else_shows_the_lu(
    two_paths: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LU 1 is shown by another session; LU 2 by the one that hangs only."""
    dispatcher, _ = two_paths
    asked = []

    def probe(dispatcher, place, local_name, models):
        asked.append(place.name)
        if place.name == "first":
            dispatcher.is_hung("s1")
            raise DeviceError("hangs")
        path = Path(place.name, Transport(), place.name)
        return place.listed, path

    class Placed(Place):
        session = "s1"

    places = [Placed("LU 0", "first"), Placed("LU 1", "second"), Placed("LU 2", "third")]
    other = Place("LU 1", "other")
    monkeypatch.setattr(discovery, "MAX_PROBES_AT_ONCE", 1)
    monkeypatch.setattr(discovery, "_probe", probe)
    monkeypatch.setattr(discovery, "last_identity", lambda place: place.listed)
    found = discovery._probe_all(dispatcher, [*places, other], "n1", False)
    assert asked == ["first", "other", "third"]
    assert [isinstance(result, BarrierError) for _, result in found] == [True, True, False, False]
    assert "its session hangs" in str(found[1][1])


# --- Survey --------------------------------------------------------------------------------------


def test_survey_tells_lost_paths_from_lost_lus(tmp_path: FilePath) -> None:
    """By memory; and what could not be opened is no longer under way."""
    names = []
    for number in range(3):
        store.create(str(tmp_path / f"lu{number}"), LogicalUnit("spec", serial=f"{number}"))
        names.append(f"mock:{tmp_path}/lu{number}")
    gone = [f"mock:{tmp_path}/gone{number}" for number in range(4)]
    heard: list[tuple[str, str]] = []
    dispatcher = _dispatcher(60, heard)
    whole, _ = discovery.survey(dispatcher, names, "n1", models=False, remembered=dict)
    identities = {path.name: unit.name for unit in whole for path in dispatcher.paths[unit.name]}
    dispatcher = _dispatcher(60, heard)
    memory = {gone[0]: identities[names[0]], gone[1]: identities[names[2]], gone[2]: "naa.dead"}
    units, troubles = discovery.survey(dispatcher, names[:2] + gone, "n1", False, lambda: memory)
    assert {unit.label: [name for name, _ in unit.lost] for unit in units} == {
        f"{identities[names[0]]} ({names[0]})": [gone[0]],
        f"{identities[names[1]]} ({names[1]})": [],
    }
    assert [trouble.where for trouble in troubles] == [f"device {name}" for name in gone[1:]]
    begun = sorted(text for kind, text in heard if kind == "begin")
    assert begun == sorted(text for kind, text in heard if kind == "end")
    with pytest.raises(BarrierError, match="gone3"):
        discovery.discover(_dispatcher(60), names[:2] + gone, "n1", False, lambda: memory)
    found = discovery.discover(_dispatcher(60), [names[0], gone[0]], "n1", False, lambda: memory)
    assert [name for name, _ in found[0].lost] == [gone[0]] and "not there" in found[0].lost[0][1]


def test_the_memory_is_asked_once_for_all_that_is_lost(tmp_path: FilePath) -> None:
    """It is a file of every LU's paths: a dead fabric must not read it for each of its names."""
    asked = []
    gone = [f"mock:{tmp_path}/gone{number}" for number in range(5)]
    discovery.survey(_dispatcher(60), gone, "n1", False, lambda: asked.append(1) or {})  # type: ignore
    assert len(asked) == 1


def test_the_memory_is_asked_only_for_what_cannot_tell(tmp_path: FilePath) -> None:
    def ask() -> dict[str, str]:
        raise AssertionError("asked")

    store.create(str(tmp_path / "lu"), LogicalUnit("spec", serial="1"))
    assert (
        discovery.discover(_dispatcher(60), [f"mock:{tmp_path}/lu"], "n1", True, ask)[0].paths == 1
    )
