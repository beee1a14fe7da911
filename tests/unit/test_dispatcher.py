"""The dispatcher: limits of time and number, one LU one command at a time, arbiter first."""

from __future__ import annotations

import threading
import time

import pytest

from fence_prbarrier import dispatcher as module
from fence_prbarrier import threads
from fence_prbarrier.barrier.everywhere import Each, Remember
from fence_prbarrier.barrier.exchange import Request
from fence_prbarrier.barrier.memory import Memory
from fence_prbarrier.devices import Path
from fence_prbarrier.dispatcher import (
    LEAST_SECONDS,
    LEAST_TIMEOUT_MS,
    MAX_UNITS_AT_ONCE,
    Dispatcher,
    Limits,
)
from fence_prbarrier.errors import BarrierError, CommandFailed, OutOfTime
from fence_prbarrier.scsi.command import LogicalUnitReset, Pause, preempt_and_abort, read_keys
from fence_prbarrier.scsi.outcome import Completion
from fence_prbarrier.threads import in_parallel

READ = read_keys(64)
EVICT = preempt_and_abort(1, 2)


class Clock:
    """A clock that only goes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    false = Clock()
    monkeypatch.setattr(module, "time", false)
    return false


class Transport:
    """Answers GOOD, and notes what it was asked and in what time."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.closed = False

    def execute(self, command: object, timeout_ms: int) -> Completion:
        self.asked.append((command.name, timeout_ms))  # type: ignore[attr-defined]
        return Completion()

    def reset(self, timeout_ms: int) -> Completion:
        self.asked.append(("reset", timeout_ms))
        return Completion()

    def close(self) -> None:
        self.closed = True


def _dispatcher(seconds: float, heard: list[tuple[str, str]] | None = None) -> Dispatcher:
    limits = Limits(module.time.monotonic() + seconds, 5.0)
    return Dispatcher(limits, lambda *words: (heard if heard is not None else []).append(words))


def _ask(*actions: object):
    def procedure():
        outcomes = []
        for action in actions:
            outcomes.append((yield Request(0, action)))
        return outcomes

    return procedure()


# --- Limits --------------------------------------------------------------------------------------


def test_a_command_gets_its_limit_or_what_is_left(clock: Clock) -> None:
    assert Limits(clock.now + 60, 5.0).timeout_ms(READ) == 5000
    assert Limits(clock.now + 2, 5.0).timeout_ms(READ) == 2000


def test_a_patient_command_gets_what_is_left_but_for_two_reads(clock: Clock) -> None:
    """PREEMPT AND ABORT and a reset may take tens of seconds; then it must be read back."""
    for action in (EVICT, LogicalUnitReset()):
        assert Limits(clock.now + 60, 5.0).timeout_ms(action) == 50_000
        assert Limits(clock.now + 12, 5.0).timeout_ms(action) == 6_000
        assert Limits(clock.now + 1, 5.0).timeout_ms(action) == 500


def test_no_command_is_begun_without_time(clock: Clock) -> None:
    limits = Limits(clock.now + 1.01 * LEAST_SECONDS, 5.0)
    assert limits.timeout_ms(READ) >= LEAST_TIMEOUT_MS
    clock.sleep(0.02 * LEAST_SECONDS)
    for action in (READ, EVICT):
        with pytest.raises(OutOfTime, match="timed out"):
            limits.timeout_ms(action)


def test_out_of_time_sends_nothing(clock: Clock) -> None:
    heard: list[tuple[str, str]] = []
    path = Path("mock:x", Transport(), "x")
    dispatcher = _dispatcher(10, heard)
    clock.sleep(11)
    with pytest.raises(OutOfTime):
        dispatcher.drive(_ask(READ), [path])
    assert path.transport.asked == [] and heard == []  # type: ignore[attr-defined]
    assert dispatcher.commands == 0


def test_a_pause_that_is_longer_than_what_is_left_is_not_begun(clock: Clock) -> None:
    dispatcher = _dispatcher(10)
    path = Path("mock:x", Transport(), "x")
    began = clock.now
    with pytest.raises(OutOfTime, match="30 s to wait"):
        dispatcher.drive(_ask(Pause(30)), [path])
    assert clock.now == began
    dispatcher.drive(_ask(Pause(4), READ), [path])
    assert clock.now == began + 4


def test_every_command_is_framed_and_counted(clock: Clock) -> None:
    heard: list[tuple[str, str]] = []
    path = Path("mock:x", Transport(), "x")
    dispatcher = _dispatcher(60, heard)
    dispatcher.drive(_ask(EVICT, LogicalUnitReset()), [path])
    assert [kind for kind, _ in heard] == ["begin", "end", "detail"] * 2
    assert heard[0][1] == heard[1][1] == "PREEMPT AND ABORT on mock:x"
    assert "[5f 05 05 00 00 00 00 00 18 00 | 00 00" in heard[2][1]
    assert heard[3][1] == "LOGICAL UNIT RESET on mock:x"
    assert dispatcher.commands == 2


def test_a_command_is_not_sent_where_nobody_listens(clock: Clock) -> None:
    """BEGIN goes out first; if it cannot, nothing else does."""

    def deaf(kind: str, text: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    path = Path("mock:x", Transport(), "x")
    dispatcher = Dispatcher(Limits(clock.now + 60, 5.0), deaf)
    with pytest.raises(BrokenPipeError):
        dispatcher.drive(_ask(EVICT), [path])
    assert path.transport.asked == []  # type: ignore[attr-defined]


# --- Plans ---------------------------------------------------------------------------------------


def test_a_plan_goes_step_by_step_and_remembers_before_it_goes_on() -> None:
    dispatcher = _dispatcher(60)
    order: list[str] = []

    class Memories:
        def save(self, memory: Memory) -> None:
            order.append("saved")

    def step(name: str):
        order.append(name)
        return name
        yield  # makes it a procedure

    def plan():
        first = yield Each({"a": step("first")})
        yield Remember(Memory(1, 1))
        then = yield Each({"a": step("a"), "b": step("b")})
        return {**first, **then}

    dispatcher.paths = {"a": [], "b": []}
    assert dispatcher.run(plan(), Memories()) == {"a": "a", "b": "b"}  # type: ignore[arg-type]
    assert order[:2] == ["first", "saved"] and sorted(order[2:]) == ["a", "b"]


def test_a_failed_save_ends_the_plan() -> None:
    """What cannot be remembered is not done: nothing is run after it."""

    class Full:
        def save(self, memory: Memory) -> None:
            raise CommandFailed("full")

    def plan():
        yield Remember(Memory(1, 1))
        raise AssertionError("went on")

    with pytest.raises(CommandFailed, match="full"):
        _dispatcher(60).run(plan(), Full())  # type: ignore[arg-type]


def test_closing_closes_every_path_but_one_that_hangs() -> None:
    dispatcher = _dispatcher(60)
    paths = [Path(str(n), Transport(), str(n)) for n in range(3)]
    paths[1].hung = True
    dispatcher.paths = {"a": paths[:2], "b": paths[2:]}
    dispatcher.close()
    closed = [path.transport.closed for path in paths]  # type: ignore[attr-defined]
    assert closed == [True, False, True], "a path with a command still in the kernel stays open"


# --- in_parallel ---------------------------------------------------------------------------------


def test_results_stand_where_their_arguments_stood() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return number * number

    for count in (0, 1, 2, MAX_UNITS_AT_ONCE, 5 * MAX_UNITS_AT_ONCE):
        found = in_parallel(slow_first, [(number,) for number in range(count)], MAX_UNITS_AT_ONCE)
        assert found == [number * number for number in range(count)]


def test_a_barrier_error_stands_in_its_place() -> None:
    error = CommandFailed("no")

    def one_fails(number: int) -> int:
        if number == 2:
            raise error
        return number

    found = in_parallel(one_fails, [(number,) for number in range(4)], 16)
    assert found == [0, 1, error, 3]
    assert isinstance(found[2], BarrierError)


@pytest.mark.parametrize("defect", [ValueError("x"), OSError(5, "x"), KeyboardInterrupt()])
def test_a_defect_is_raised_once_all_have_ended(defect: BaseException) -> None:
    ended: list[int] = []

    def one_breaks(number: int) -> None:
        if number == 1:
            raise defect
        time.sleep(0.02)
        ended.append(number)

    with pytest.raises(type(defect)):
        in_parallel(one_breaks, [(number,) for number in range(5)], 16)
    assert sorted(ended) == [0, 2, 3, 4]


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_no_more_at_once_than_the_limit_and_no_fewer(limit: int) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def note(_: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    in_parallel(note, [(number,) for number in range(20)], limit)
    assert (now, most) == (0, limit)


def test_without_threads_all_is_still_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """No resources for another thread: the caller's own does the work."""

    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "start_new_thread", refuse)
    assert in_parallel(lambda number: number, [(n,) for n in range(40)], 16) == list(range(40))
