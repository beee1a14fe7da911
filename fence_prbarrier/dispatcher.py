"""The device I/O request dispatcher: runs the procedures against real paths.

Time enters here: every command gets a limit, and the whole action has one.
LUs run side by side in threads, at most ``MAX_UNITS_AT_ONCE``; a procedure has one
command in flight on its LU, and a path that hangs keeps the one that it has.
"""

from __future__ import annotations

import time
from _thread import allocate_lock

from .barrier.everywhere import Each, Remember
from .errors import OutOfTime
from .scsi.command import Command, LogicalUnitReset, Pause
from .scsi.outcome import GOOD, Completion, Outcome, classify
from .threads import NoAnswer, in_parallel, in_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

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
# The kernel has its own time limit for a command, and time after it to abort the command.
KERNEL_GRACE_SECONDS = 1.0

HUNG = (
    "no answer: the path hangs, and whether the command was executed is not known; bring the path"
    " back"
)

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
        self.led: dict[str, str] = {}  # which LU each name that could be asked led to
        self.commands = 0
        self.hung_sessions: set[str] = set()
        # A thread is still in the kernel with a command that changes something.
        self.in_doubt = False
        self._counting = allocate_lock()

    def is_hung(self, session: str) -> None:
        """Paths that share the I_T nexus with one that hangs are left out where others are.

        Where a fabric is dead, hundreds of paths are; each would take its time.
        """
        if session:
            self.hung_sessions.add(session)

    def _is_out_of_use(self, path: Path, paths: list[Path]) -> bool:
        """Whether a path shares the session of one that hangs, and the LU has a path that does not.

        Without such a path it is asked all the same: it may be the other LU that hangs.
        """
        hung = self.hung_sessions
        return path.session in hung and any(
            not each.hung and each.session not in hung for each in paths
        )

    def run(self, plan: Plan[T], store: Store | None = None, alone: bool | None = None) -> T:
        """Carry out a plan's effects until it returns.

        ``alone`` as for drive(): False where a LU that hangs must not hide what others show.
        """
        try:
            effect = next(plan)
            while True:
                if isinstance(effect, Remember):
                    if store is None:
                        raise ValueError("a plan that remembers needs a store")
                    store.save(effect.memory)
                    effect = plan.send(None)
                else:
                    effect = plan.send(self._each(effect, alone))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _each(self, each: Each, alone: bool | None) -> Mapping[str, object]:
        jobs = [(procedure, self.paths[name], alone) for name, procedure in each.jobs.items()]
        return dict(zip(each.jobs, in_parallel(self.drive, jobs, MAX_UNITS_AT_ONCE)))

    def drive(self, procedure: Procedure[T], paths: list[Path], alone: bool | None = None) -> T:
        """Run one procedure on one LU to its end.

        ``alone``: no other path could do what one of these does not.
        """
        alone = len(paths) < 2 if alone is None else alone
        try:
            request = next(procedure)
            while True:
                request = procedure.send(self._carry(request.action, paths, request.path, alone))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _carry(self, action: Action, paths: list[Path], number: int, alone: bool) -> Outcome:
        """One action on one path: begun in time, reported, classified."""
        path = paths[number]
        if isinstance(action, Pause):
            if self.limits.left() < action.seconds:
                raise OutOfTime(f"timed out: {action.seconds:g} s to wait, not so many are left")
            time.sleep(action.seconds)
            return Outcome(GOOD, "paused")
        timeout_ms = self.limits.timeout_ms(action)
        if path.hung or (not alone and self._is_out_of_use(path, paths)):
            return classify(action, Completion(os_error=HUNG))
        what = f"{action.name} on {path.name}"
        with self._counting:
            self.commands += 1
        # Raises where the supervisor is gone: then nothing more is sent.
        self.report(BEGIN, what)
        began = time.monotonic()
        outcome = classify(action, self._complete(action, path, timeout_ms, alone, what))
        self.report(END, what)
        if self.details:
            milliseconds = (time.monotonic() - began) * 1000
            answer = f"{outcome.detail} {outcome.data[:MAX_SHOWN_BYTES].hex(' ')}".rstrip()
            self.report(DETAIL, f"{what}: {_bytes_of(action)} -> {answer} ({milliseconds:.1f} ms)")
        return outcome

    def _complete(
        self,
        action: Command | LogicalUnitReset,
        path: Path,
        timeout_ms: int,
        alone: bool,
        what: str,
    ) -> Completion:
        """The command's end.  Where another path may do, a path that hangs is given up.

        Its thread stays in the kernel with the command, which may still be
        executed: what became of it is unknown until it is read back.
        """

        def call() -> Completion:
            if isinstance(action, LogicalUnitReset):
                return path.transport.reset(timeout_ms)
            return path.transport.execute(action, timeout_ms)

        if alone:
            return call()
        left = self.limits.left()
        try:
            seconds = min(timeout_ms / 1000 + KERNEL_GRACE_SECONDS, left)
            return in_time(call, seconds, lambda: not path.transport.running)
        except NoAnswer:
            path.hung = True
            self.is_hung(path.session)
            if isinstance(action, LogicalUnitReset) or action.data_out:
                self.in_doubt = True
            if seconds >= left:
                raise OutOfTime(f"timed out: no answer yet from: {what}") from None
            return Completion(os_error=HUNG)

    def close(self) -> None:
        """Give every path back."""
        for paths in self.paths.values():
            for path in paths:
                path.close()


def _bytes_of(action: Command | LogicalUnitReset) -> str:
    """What goes out, for people: the CDB, then the parameters."""
    if isinstance(action, LogicalUnitReset):
        return "task management function"
    parameters = f" | {action.data_out[:MAX_SHOWN_BYTES].hex(' ')}" if action.data_out else ""
    return f"[{action.cdb.hex(' ')}{parameters}]"
