"""The device I/O request dispatcher: runs the procedures against real paths.

Time enters here: every command gets a limit, and the whole action has one.
LUs run side by side in threads, at most ``MAX_UNITS_AT_ONCE``; one LU has at
most one command in flight.
"""

from __future__ import annotations

import time
from _thread import LockType, allocate_lock, start_new_thread

from .barrier.everywhere import Each, Remember, Unit
from .barrier.exchange import Route
from .barrier.inspect import identify, make_and_model
from .devices import group, open_path
from .errors import BarrierError, OutOfTime, raise_all
from .scsi.command import Command, LogicalUnitReset, Pause
from .scsi.outcome import GOOD, Outcome, classify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeVar

    from .barrier.everywhere import Plan
    from .barrier.exchange import Action, Procedure
    from .devices import Path
    from .state import Store

    T = TypeVar("T")
    Report = Callable[[str, str], None]

MAX_UNITS_AT_ONCE = 16
# A command is not begun with less time than this left: it could not be read back.
LEAST_SECONDS = 0.05
LEAST_TIMEOUT_MS = 50
MAX_SHOWN_BYTES = 96

# Kinds of report: DETAIL is for debugging, BEGIN and END frame each command.
BEGIN = "begin"
END = "end"
DETAIL = "detail"


class Limits:
    """The times in force: ``deadline`` on time.monotonic()'s scale, both in seconds."""

    __slots__ = ("deadline", "command_seconds")

    def __init__(self, deadline: float, command_seconds: float) -> None:
        self.deadline = deadline
        self.command_seconds = command_seconds

    def left(self) -> float:
        """Seconds left for the action; OutOfTime if too few to begin anything."""
        seconds = self.deadline - time.monotonic()
        if seconds < LEAST_SECONDS:
            raise OutOfTime("timed out: no time is left for another command")
        return seconds

    def timeout_ms(self, action: Command | LogicalUnitReset) -> int:
        """A patient command gets what is left, but for the time to read back twice."""
        left = self.left()
        if action.patient:
            seconds = max(left - 2 * self.command_seconds, left / 2)
        else:
            seconds = min(self.command_seconds, left)
        return max(LEAST_TIMEOUT_MS, int(seconds * 1000))


class Dispatcher:
    """Carries procedures' requests to the paths of the LUs of this node."""

    def __init__(self, limits: Limits, report: Report, details: bool = True) -> None:
        """Without ``details`` commands are framed by BEGIN and END, and not described."""
        self.limits = limits
        self.report = report
        self.details = details
        self.paths: dict[str, list[Path]] = {}
        self.commands = 0
        self._counting = allocate_lock()

    def discover(self, names: Sequence[str], local_name: str, models: bool) -> list[Unit]:
        """Open every device, ask each who it is, and group paths into LUs.

        ``models`` asks for the make too, where the kernel does not know it.

        Any name that leads to no usable path is an error: what cannot be asked
        cannot be said to be fenced.
        """
        results = in_parallel(self._probe, [(name, local_name, models) for name in names])
        raise_all([result for result in results if isinstance(result, BarrierError)])
        found = [result for result in results if not isinstance(result, BarrierError)]
        units = []
        for unit, paths in group(found):
            self.paths[unit.name] = paths
            units.append(unit)
        return units

    def _probe(self, name: str, local_name: str, models: bool) -> tuple[str, Path]:
        self.report(BEGIN, f"open {name}")
        path = open_path(name, local_name)
        self.report(END, f"open {name}")
        try:
            identity = self.drive(identify(Route(1)), [path])
            if models and not path.vendor:
                model = self.drive(make_and_model(Route(1)), [path])
                path.vendor, path.product = model.vendor, model.product
        except BarrierError as error:
            path.transport.close()
            error.where = f"device {name}"
            raise
        return identity, path

    def run(self, plan: Plan[T], store: Store | None = None) -> T:
        """Carry out a plan's effects until it returns."""
        try:
            effect = next(plan)
            while True:
                if isinstance(effect, Remember):
                    if store is None:
                        raise ValueError("a plan that remembers needs a store")
                    store.save(effect.memory)
                    effect = plan.send(None)
                else:
                    effect = plan.send(self._each(effect))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _each(self, each: Each) -> Mapping[str, object]:
        jobs = [(procedure, self.paths[name]) for name, procedure in each.jobs.items()]
        return dict(zip(each.jobs, in_parallel(self.drive, jobs)))

    def drive(self, procedure: Procedure[T], paths: list[Path]) -> T:
        """Run one procedure on one LU to its end."""
        try:
            request = next(procedure)
            while True:
                request = procedure.send(self._carry(request.action, paths[request.path]))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _carry(self, action: Action, path: Path) -> Outcome:
        """One action on one path: begun in time, reported, classified."""
        if isinstance(action, Pause):
            if self.limits.left() < action.seconds:
                raise OutOfTime(f"timed out: {action.seconds:g} s to wait, not so many are left")
            time.sleep(action.seconds)
            return Outcome(GOOD, "paused")
        timeout_ms = self.limits.timeout_ms(action)
        what = f"{action.name} on {path.name}"
        with self._counting:
            self.commands += 1
        # Raises where the supervisor is gone: then nothing more is sent.
        self.report(BEGIN, what)
        began = time.monotonic()
        if isinstance(action, LogicalUnitReset):
            completion = path.transport.reset(timeout_ms)
        else:
            completion = path.transport.execute(action, timeout_ms)
        outcome = classify(action, completion)
        self.report(END, what)
        if self.details:
            milliseconds = (time.monotonic() - began) * 1000
            answer = f"{outcome.detail} {outcome.data[:MAX_SHOWN_BYTES].hex(' ')}".rstrip()
            self.report(DETAIL, f"{what}: {_bytes_of(action)} -> {answer} ({milliseconds:.1f} ms)")
        return outcome

    def close(self) -> None:
        """Give every path back."""
        for paths in self.paths.values():
            for path in paths:
                path.transport.close()


def _bytes_of(action: Command | LogicalUnitReset) -> str:
    """What goes out, for people: the CDB, then the parameters."""
    if isinstance(action, LogicalUnitReset):
        return "task management function"
    parameters = f" | {action.data_out[:MAX_SHOWN_BYTES].hex(' ')}" if action.data_out else ""
    return f"[{action.cdb.hex(' ')}{parameters}]"


def in_parallel(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    limit: int = MAX_UNITS_AT_ONCE,
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
