"""From names to LUs: every device is opened, and asked who it is.

A dead fabric must not take the time of each of its paths, and one LU that hangs
must not hide the others.
"""

from __future__ import annotations

from .barrier.exchange import Route
from .barrier.inspect import identify, make_and_model
from .devices import Lost, group, last_identity, open_place, places_of
from .dispatcher import BEGIN, END, KERNEL_GRACE_SECONDS
from .errors import BarrierError, DeviceError, OutOfTime, WrongUnit, raise_all
from .threads import NoAnswer, in_parallel, in_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .barrier.unit import Unit
    from .devices import Path, Place
    from .dispatcher import Dispatcher

    Remembered = Callable[[], Mapping[str, str]]

# More than LUs at once: where a whole fabric hangs, every name on it takes its time to say so.
MAX_PROBES_AT_ONCE = 64
# Descriptors besides those of the paths: sysfs, one for each probe, and some.
SPARE_DESCRIPTORS = 2 * MAX_PROBES_AT_ONCE + 64
# Any process may have so many (the kernel's INR_OPEN_CUR is 1024).
USUAL_DESCRIPTORS = 512


def discover(
    dispatcher: Dispatcher,
    names: Sequence[str],
    local_name: str,
    models: bool,
    remembered: Remembered,
) -> list[Unit]:
    """survey(), where every LU must have a usable path.

    What cannot be asked cannot be said to be fenced: a name of no known LU,
    or of a LU that no other name leads to, is an error.
    """
    units, troubles = survey(dispatcher, names, local_name, models, remembered)
    raise_all(troubles)
    return units


def survey(
    dispatcher: Dispatcher,
    names: Sequence[str],
    local_name: str,
    models: bool,
    remembered: Remembered,
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
    _make_room(len(places))
    for place, result in _probe_all(dispatcher, places, local_name, models):
        if isinstance(result, WrongUnit):
            wrong.append(result)
            continue
        if isinstance(result, BarrierError):
            failed.append((place.listed, place, result))
            continue
        identity, path = result
        if dispatcher.led.setdefault(place.listed, identity) != identity:
            path.close()
            wrong.append(_two_units(place.listed, dispatcher.led[place.listed], path, identity))
        else:
            found.append(result)
    memory = remembered() if failed else {}
    lost = [
        Lost(listed, _identity_of(place, memory.get(listed, "")), error)
        for listed, place, error in failed
    ]
    units = []
    for unit, paths in group(found, lost):
        dispatcher.paths[unit.name] = paths
        units.append(unit)
    return units, wrong + [each.error for each in lost if each.identity not in dispatcher.paths]


def _probe_all(
    dispatcher: Dispatcher, places: list[Place], local_name: str, models: bool
) -> list[tuple[Place, tuple[str, Path] | BarrierError]]:
    """Ask each who it is; last those whose session hangs and whose LU nobody else has shown."""

    def ask(place: Place) -> tuple[str, Path] | None:
        return None if place.session in dispatcher.hung_sessions else probe(place)

    def probe(place: Place) -> tuple[str, Path]:
        return _probe(dispatcher, place, local_name, models)

    results = in_parallel(ask, [(place,) for place in places], MAX_PROBES_AT_ONCE)
    shown = {result[0] for result in results if isinstance(result, tuple)}
    left = [
        number
        for number, place in enumerate(places)
        if results[number] is None and last_identity(place) not in shown
    ]
    again = in_parallel(probe, [(places[number],) for number in left], MAX_PROBES_AT_ONCE)
    for number, result in zip(left, again):
        results[number] = result
    return [
        (place, _left_out(place) if result is None else result)
        for place, result in zip(places, results)
    ]


def _probe(dispatcher: Dispatcher, place: Place, local_name: str, models: bool) -> tuple[str, Path]:
    dispatcher.report(BEGIN, f"open {place.name}")
    try:
        path = _open(dispatcher, place, local_name)
    finally:
        dispatcher.report(END, f"open {place.name}")
    try:
        # One path of possibly several: it must not hold up the others.
        identity, path.port = dispatcher.drive(identify(Route(1)), [path], alone=False)
        _same_as_kernels(place, identity)
        if models and not path.vendor:
            model = dispatcher.drive(make_and_model(Route(1)), [path], alone=False)
            path.vendor, path.product = model.vendor, model.product
    except BarrierError as error:
        path.close()
        error.where = f"device {place.name}"
        raise
    return identity, path


def _open(dispatcher: Dispatcher, place: Place, local_name: str) -> Path:
    """open_place(), not waited for longer than a command is.

    Opening a block node waits in the kernel while its host is in error
    recovery, whatever the flags (drivers/scsi/sd.c, sd_open).
    """
    left = dispatcher.limits.left()
    seconds = min(dispatcher.limits.command_seconds + KERNEL_GRACE_SECONDS, left)
    try:
        return in_time(lambda: open_place(place, local_name), seconds, lambda: False)
    except NoAnswer:
        dispatcher.is_hung(place.session)
        if seconds >= left:
            raise OutOfTime(f"timed out: no answer yet from: open {place.name}") from None
        error = DeviceError("cannot be opened: no answer, the path hangs; bring the path back")
        error.where = f"device {place.name}"
        raise error from None


def _make_room(paths: int) -> None:
    """Let so many paths be open at a time; DeviceError where the system does not.

    Out of descriptors, nothing that is read of a device or of sysfs could be believed.
    """
    needed = paths + SPARE_DESCRIPTORS
    if needed <= USUAL_DESCRIPTORS:
        return
    from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit

    soft, hard = getrlimit(RLIMIT_NOFILE)
    if soft == RLIM_INFINITY or soft >= needed:
        return
    if hard != RLIM_INFINITY and hard < needed:
        raise DeviceError(
            f"{paths} paths take {needed} open files, and the system allows {hard}: raise the"
            " limit (LimitNOFILE= of the service, ulimit -n)"
        )
    setrlimit(RLIMIT_NOFILE, (needed, hard))


def _left_out(place: Place) -> BarrierError:
    error = DeviceError(
        "its session hangs, and another path leads to its LU, so it gets no command; bring the"
        " path back"
    )
    error.where = f"device {place.name}"
    return error


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
