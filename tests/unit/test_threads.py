"""A call that is not waited for longer than it may take."""

from __future__ import annotations

import threading
import time

import pytest

from fence_prbarrier import threads
from fence_prbarrier.threads import POLL_SECONDS, NoAnswer, in_time

# Scheduling on a slow machine.
GRACE_SECONDS = 1.0


def never() -> bool:
    return False


class Held:
    """A call that comes back when it is let go."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.ended = threading.Event()

    def __call__(self) -> str:
        self.gate.wait(30)
        self.ended.set()
        return "late"


@pytest.fixture
def held():
    call = Held()
    yield call
    call.gate.set()
    assert call.ended.wait(30), "its thread went on, and ended"


def test_what_comes_in_time_is_returned() -> None:
    assert in_time(lambda: "x", 5, never) == "x"
    assert in_time(lambda: None, 5, never) is None

    def slow() -> int:
        time.sleep(2.5 * POLL_SECONDS)
        return 7

    assert in_time(slow, 5, never) == 7


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.1, 0.6])
def test_no_longer_than_it_may_take(held: Held, seconds: float) -> None:
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        in_time(held, seconds, never)
    taken = time.monotonic() - began
    assert max(0.0, seconds) <= taken + 0.01 and taken < max(0.0, seconds) + GRACE_SECONDS


def test_given_up_when_asked(held: Held) -> None:
    """At the next POLL_SECONDS, not at the limit; and not before."""
    asked: list[float] = []

    def third_time() -> bool:
        asked.append(time.monotonic())
        return len(asked) == 3

    began = time.monotonic()
    with pytest.raises(NoAnswer):
        in_time(held, 30, third_time)
    assert len(asked) == 3
    assert 2.9 * POLL_SECONDS < time.monotonic() - began < 3 * POLL_SECONDS + GRACE_SECONDS


def test_a_call_that_answers_is_never_given_up() -> None:
    assert in_time(lambda: "x", 5, lambda: True) == "x"


@pytest.mark.parametrize("defect", [ValueError("x"), KeyboardInterrupt(), OSError(5, "x")])
def test_what_is_raised_is_raised_here(defect: BaseException) -> None:
    def broken() -> None:
        raise defect

    with pytest.raises(type(defect)):
        in_time(broken, 5, never)


def test_without_a_thread_the_call_is_made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "start_new_thread", refuse)
    assert in_time(threading.get_ident, 0.0, lambda: True) == threading.get_ident()
    assert in_time(lambda: (time.sleep(0.05), "x")[1], 0.01, lambda: True) == "x"


def test_a_late_answer_is_no_answer(held: Held) -> None:
    with pytest.raises(NoAnswer):
        in_time(held, 0.05, never)
    assert in_time(lambda: "next", 5, never) == "next"
