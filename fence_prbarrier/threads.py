"""Threads: LUs side by side, and a call that is not waited for longer than it may take.

Only ``_thread``: importing ``threading`` takes longer than a command.
"""

from __future__ import annotations

from _thread import allocate_lock, start_new_thread

from .errors import BarrierError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    T = TypeVar("T")

POLL_SECONDS = 0.25


class NoAnswer(Exception):
    """The call has not come back; its thread stays with it."""


def in_time(call: Callable[[], T], seconds: float, give_up: Callable[[], bool]) -> T:
    """What ``call`` returns, or NoAnswer if it takes longer than ``seconds``.

    ``give_up`` is asked every POLL_SECONDS whether to wait no longer.  Where no
    thread can be had, the call is made here, and takes what it takes.
    """
    results: list[T] = []
    defects: list[BaseException] = []
    done = allocate_lock()
    done.acquire()

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:  # raised again below, in the caller's thread
            defects.append(error)
        finally:
            done.release()

    try:
        start_new_thread(work, ())
    except RuntimeError:
        return call()
    while not done.acquire(timeout=max(0.0, min(seconds, POLL_SECONDS))):
        seconds -= POLL_SECONDS
        if seconds <= 0 or give_up():
            raise NoAnswer
    if defects:
        raise defects[0]
    return results[0]


def in_parallel(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    limit: int,
) -> list[T | BarrierError]:
    """``function`` of each tuple of arguments, or the BarrierError raised in its place.

    Anything else that is raised is a defect and is raised here, once all calls
    have ended.
    """
    results: list[Any] = [None] * len(arguments)
    defects: list[BaseException] = []
    waiting = iter(range(len(arguments)))
    taking = allocate_lock()

    def work(done: LockType | None) -> None:
        while True:
            with taking:
                index = next(waiting, None)
            if index is None:
                break
            try:
                results[index] = function(*arguments[index])
            except BarrierError as error:
                results[index] = error
            except BaseException as error:  # raised again below, in the caller's thread
                defects.append(error)
        if done is not None:
            done.release()

    others = _start(work, min(limit, len(arguments)) - 1)
    work(None)
    for done in others:
        done.acquire()
    if defects:
        raise defects[0]
    return results


def _start(work: Callable[[LockType], None], threads: int) -> list[LockType]:
    """Run ``work`` in up to so many threads; each releases its lock when it ends."""
    locks = []
    for _ in range(threads):
        lock = allocate_lock()
        lock.acquire()
        try:
            start_new_thread(work, (lock,))
        except RuntimeError:  # no resources for another thread: fewer do
            break
        locks.append(lock)
    return locks
