"""The device I/O request dispatcher: runs the procedures against real paths.

Time enters here: every command gets a limit, and the whole action has one.
LUs run side by side in threads, at most ``MAX_UNITS_AT_ONCE``; one LU has at
most one command in flight.
"""

from __future__ import annotations

import time
from _thread import allocate_lock

from .barrier.everywhere import Each, Remember
from .barrier.exchange import Route
from .barrier.inspect import identify, make_and_model
from .devices import Lost, group, last_identity, open_place, places_of
from .errors import BarrierError, DeviceError, OutOfTime, WrongUnit, raise_all
from .scsi.command import Command, LogicalUnitReset, Pause
from .scsi.outcome import GOOD, Completion, Outcome, classify
from .threads import NoAnswer, in_parallel, in_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    from .barrier.everywhere import Plan
    from .barrier.exchange import Action, Procedure
    from .barrier.unit import Unit
    from .devices import Path, Place
    from .state import Store

    T = TypeVar("T")
    Report = Callable[[str, str], None]
    Remembered = Callable[[], Mapping[str, str]]

MAX_UNITS_AT_ONCE = 16
# More: where a whole fabric hangs, every name on it takes its time to say so.
MAX_PROBES_AT_ONCE = 64
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
        self._hung_sessions: set[str] = set()
        # A thread is still in the kernel with a command that changes something.
        self.in_doubt = False
        self._counting = allocate_lock()

    def discover(
        self, names: Sequence[str], local_name: str, models: bool, remembered: Remembered
    ) -> list[Unit]:
        """survey(), where every LU must have a usable path.

        What cannot be asked cannot be said to be fenced: a name of no known LU,
        or of a LU that no other name leads to, is an error.
        """
        units, troubles = self.survey(names, local_name, models, remembered)
        raise_all(troubles)
        return units

    def survey(
        self, names: Sequence[str], local_name: str, models: bool, remembered: Remembered
    ) -> tuple[list[Unit], list[BarrierError]]:
        """Open every device, ask each who it is, and group paths into LUs.

        ``models`` asks for the make too, where the kernel does not know it.
        ``remembered`` tells which LU each device led to earlier in this boot; it
        is asked only for those that cannot tell now.  The errors are those of
        names that leave their LU, or nobody knows which, without a path.
        """
        places: list[Place] = []
        found = []
        failed: list[tuple[str, Place | None, BarrierError]] = []
        wrong: list[BarrierError] = []
        for name in names:
            try:
                places += places_of(name)
            except DeviceError as error:
                failed.append((name, None, error))
        results = in_parallel(
            self._probe, [(place, local_name, models) for place in places], MAX_PROBES_AT_ONCE
        )
        for place, result in zip(places, results):
            if isinstance(result, WrongUnit):
                wrong.append(result)
                continue
            if isinstance(result, BarrierError):
                failed.append((place.listed, place, result))
                continue
            identity, path = result
            if self.led.setdefault(place.listed, identity) != identity:
                path.close()
                wrong.append(_two_units(place.listed, self.led[place.listed], path, identity))
            else:
                found.append(result)
        memory = remembered() if failed else {}
        lost = [
            Lost(listed, _identity_of(place, memory.get(listed, "")), error)
            for listed, place, error in failed
        ]
        units = []
        for unit, paths in group(found, lost):
            self.paths[unit.name] = paths
            units.append(unit)
        return units, wrong + [each.error for each in lost if each.identity not in self.paths]

    def _probe(self, place: Place, local_name: str, models: bool) -> tuple[str, Path]:
        self.report(BEGIN, f"open {place.name}")
        try:
            path = self._open(place, local_name)
        finally:
            self.report(END, f"open {place.name}")
        try:
            # One path of possibly several: it must not hold up the others.
            identity, path.port = self.drive(identify(Route(1)), [path], alone=False)
            _same_as_kernels(place, identity)
            if models and not path.vendor:
                model = self.drive(make_and_model(Route(1)), [path], alone=False)
                path.vendor, path.product = model.vendor, model.product
        except BarrierError as error:
            path.close()
            error.where = f"device {place.name}"
            raise
        return identity, path

    def _open(self, place: Place, local_name: str) -> Path:
        """open_place(), not waited for longer than a command is.

        Opening a block node waits in the kernel while its host is in error
        recovery, whatever the flags (drivers/scsi/sd.c, sd_open).
        """
        left = self.limits.left()
        seconds = min(self.limits.command_seconds + KERNEL_GRACE_SECONDS, left)
        try:
            if place.session in self._hung_sessions:
                raise NoAnswer
            return in_time(lambda: open_place(place, local_name), seconds, lambda: False)
        except NoAnswer:
            self._is_hung(place.session)
            if seconds >= left:
                raise OutOfTime(f"timed out: no answer yet from: open {place.name}") from None
            error = DeviceError("cannot be opened: no answer, the path hangs; bring the path back")
            error.where = f"device {place.name}"
            raise error from None

    def _is_hung(self, session: str) -> None:
        """Whoever shares the I_T nexus with a path that hangs is not waited for as well.

        Where a fabric is dead, hundreds of paths are; each would take its time.
        """
        if session:
            self._hung_sessions.add(session)

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
                request = procedure.send(self._carry(request.action, paths[request.path], alone))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _carry(self, action: Action, path: Path, alone: bool) -> Outcome:
        """One action on one path: begun in time, reported, classified."""
        if isinstance(action, Pause):
            if self.limits.left() < action.seconds:
                raise OutOfTime(f"timed out: {action.seconds:g} s to wait, not so many are left")
            time.sleep(action.seconds)
            return Outcome(GOOD, "paused")
        timeout_ms = self.limits.timeout_ms(action)
        if path.hung or (not alone and path.session in self._hung_sessions):
            path.hung = True
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
            self._is_hung(path.session)
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


def _two_units(listed: str, first: str, path: Path, identity: str) -> BarrierError:
    """A multipath map over two LUs: whatever is written to it goes to either."""
    error = WrongUnit(
        f"its paths lead to two LUs, {first} and, by {path.name}, {identity}: the map is wrong;"
        " flush it and have multipathd make it anew"
    )
    error.where = f"device {listed}"
    return error


def _same_as_kernels(place: Place, identity: str) -> None:
    """A path that leads to another LU than when the kernel found it.

    Whatever uses it in the kernel still takes it for the first: reserving the
    LU behind it now would protect something else.
    """
    before = last_identity(place)
    if before and before != identity:
        raise WrongUnit(
            f"was LU {before} when the kernel found it, now answers as LU {identity}: the LU behind"
            " it was exchanged; delete the SCSI device and rescan its host"
        )


def _identity_of(place: Place | None, remembered: str) -> str:
    """The LU that a path led to which cannot be asked now; empty if that is in doubt.

    The kernel's copy of VPD 83h is as old as its device; where this boot's memory
    says otherwise, neither is believed.
    """
    told = (last_identity(place) if place is not None else "", remembered)
    known = {identity for identity in told if identity}
    return known.pop() if len(known) == 1 else ""


def _bytes_of(action: Command | LogicalUnitReset) -> str:
    """What goes out, for people: the CDB, then the parameters."""
    if isinstance(action, LogicalUnitReset):
        return "task management function"
    parameters = f" | {action.data_out[:MAX_SHOWN_BYTES].hex(' ')}" if action.data_out else ""
    return f"[{action.cdb.hex(' ')}{parameters}]"
