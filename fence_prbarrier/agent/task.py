"""A task and the steps that fence agent, resource agent and watchdog share.

Runs in the worker process.
"""

from __future__ import annotations

import os
import time

from .. import discovery
from ..barrier.everywhere import join_everywhere
from ..dispatcher import Dispatcher, Limits
from ..errors import (
    MAX_NAMED,
    BarrierError,
    CommandFailed,
    DeviceError,
    InvalidInput,
    JoinUnderWay,
    MemoryFault,
    raise_all,
)
from ..key import owner_of
from ..state import Store
from .log import INFO, WARNING
from .names import device_names, strayed

# How long a join waits for another one of this node to end.
TURN_SECONDS = 5.0
TURN_PAUSE_SECONDS = 0.1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..barrier.inspect import Snapshot
    from ..barrier.join import Membership
    from ..barrier.memory import Standing
    from ..barrier.unit import Unit
    from ..cluster import Cluster
    from ..supervisor import Answer, Pipe
    from .parameters import Options


class Task:
    """One action, ready to run: everything that needs no device is settled."""

    __slots__ = ("action", "options", "cluster", "local_name", "plug", "deadline", "found")

    def __init__(
        self,
        action: str,
        options: Options,
        cluster: Cluster,
        local_name: str,
        plug: str,
        deadline: float,
    ) -> None:
        self.action = action
        self.options = options
        self.cluster = cluster
        self.local_name = local_name
        self.plug = plug
        self.deadline = deadline
        # The disks were found, by a pattern or by volume groups, and not named one by one.
        self.found = False

    @property
    def local(self) -> int:
        """This node's number."""
        return self.cluster.local_number(self.local_name)

    def store(self) -> Store:
        """This node's memory on disk."""
        return Store(self.options["state_dir"], self.cluster.tag, self.local)

    def remembered(self) -> Mapping[str, str]:
        """Which LU each device led to when this boot joined it."""
        try:
            joined = self.joined()
        except MemoryFault:
            return {}  # a device that cannot be asked is an error then, which is the one to tell
        return {device: name for name, standing in joined.items() for _, device in standing.paths}

    def joined(self) -> Mapping[str, Standing]:
        """How this boot stood on each LU; nothing for a host that has no number to join by."""
        try:
            store = self.store()
        except InvalidInput:
            return {}
        return store.load().joined


def carry_out(
    task: Task,
    pipe: Pipe,
    performer: Callable[[Task, Dispatcher], Answer],
    failed: Callable[[BarrierError], Answer],
    details: bool,
) -> Answer:
    """Run a performer against the devices; ``failed`` makes an answer of its BarrierError.

    ``details`` tells whether anybody listens to what is said of each command.
    """
    limits = Limits(task.deadline, float(task.options.number("command_timeout")))
    dispatcher = Dispatcher(limits, pipe.report, details)
    try:
        answer = performer(task, dispatcher)
        pipe.report(INFO, f"{task.action}: {dispatcher.commands} SCSI commands")
        return answer
    except BarrierError as error:
        return failed(error)
    finally:
        dispatcher.close()


def discover(task: Task, dispatcher: Dispatcher) -> list[Unit]:
    """Every LU of the task; BarrierError where one has no usable path."""
    # Only an eviction asks what make a LU is: the quirk table of drain=auto.
    models = task.action == "off"
    names, kept = device_names(task, dispatcher)
    units = discovery.discover(dispatcher, names, task.local_name, models, task.remembered)
    raise_all(_moved(task, dispatcher) + strayed(task, dispatcher, kept))
    _tell_lost(task, units, dispatcher)
    return units


def survey(task: Task, dispatcher: Dispatcher) -> tuple[list[Unit], list[BarrierError]]:
    """Every LU that has a usable path, and why others have none."""
    names, kept = device_names(task, dispatcher)
    units, troubles = discovery.survey(dispatcher, names, task.local_name, False, task.remembered)
    _tell_lost(task, units, dispatcher)
    return units, troubles + _moved(task, dispatcher) + strayed(task, dispatcher, kept)


def _moved(task: Task, dispatcher: Dispatcher) -> list[BarrierError]:
    """LUs that this boot joined by names of the list which all lead elsewhere now.

    Nobody reads such a LU any more, so nothing can be said of it.
    """
    errors: list[BarrierError] = []
    for name, standing in task.joined().items():
        if not standing.listed or name in dispatcher.paths:
            continue
        for device in sorted({device for _, device in standing.paths}.intersection(dispatcher.led)):
            error = DeviceError(
                f"led to LU {name} when this boot joined it, now leads to LU"
                f" {dispatcher.led[device]}, and no name leads to the first: mend the list or the"
                " paths; if that LU is gone for good, take this name off the list, run on, and put"
                " it back"
            )
            error.where = f"device {device}"
            errors.append(error)
    return errors


def _tell_lost(task: Task, units: list[Unit], dispatcher: Dispatcher) -> None:
    """Warn of each path that is named and not usable, or is no more, although another one is.

    Of a dead fabric the first few LUs stand for all.
    """
    joined = task.joined()
    weak = 0
    for unit in units:
        standing = joined.get(unit.name)
        if standing is not None:
            unit.lost += tuple(_missing(unit, standing))
        weak += bool(unit.lost)
        for _, reason in unit.lost if weak <= MAX_NAMED else ():
            dispatcher.report(WARNING, f"LU {unit.label}: a path is lost: {reason}")
    if weak > MAX_NAMED:
        dispatcher.report(WARNING, f"and {weak - MAX_NAMED} more LUs have lost a path")


def _missing(unit: Unit, standing: Standing) -> Iterator[tuple[str, str]]:
    """Names that led to more paths of this LU when this boot joined it: maps that lost some."""
    devices = [device for _, device in unit.ends]
    known = [device for device, _ in unit.lost]
    for device, count in standing.by_device().items():
        there = devices.count(device)
        if 0 < there + known.count(device) < count:
            yield (
                device,
                f"device {device}: leads to {there} of the {count} paths that it had; bring the"
                " others back, or run on if they are gone for good",
            )


def tell_unread(unit: Unit, unread: Mapping[int, str], dispatcher: Dispatcher) -> None:
    """Warn of each path that could be opened and through which the LU could not be read."""
    for path, why in unread.items():
        device = unit.ends[path][1]
        dispatcher.report(WARNING, f"LU {unit.label}: a path is lost: device {device}: {why}")


def _lock_in_turn(task: Task, dispatcher: Dispatcher, store: Store, turn_seconds: float) -> int:
    """The join lock; another join of this node is given so much time to end."""
    give_up = min(time.monotonic() + turn_seconds, task.deadline - 2 * TURN_PAUSE_SECONDS)
    killed = 0
    while True:
        try:
            return store.lock(task.deadline)
        except JoinUnderWay:
            ended = store.end_overdue()
            # One that is asleep in the kernel stays for all that.
            if ended and ended != killed:
                killed = ended
                dispatcher.report(
                    WARNING, f"another action=on, process {ended}, was past its time: ended it"
                )
            elif time.monotonic() > give_up:
                raise
        time.sleep(TURN_PAUSE_SECONDS)


def join(
    task: Task,
    dispatcher: Dispatcher,
    units: list[Unit],
    store: Store,
    turn_seconds: float,
    refresh: bool = False,
) -> Mapping[str, Membership]:
    """Join every LU, one process of this node at a time; ``refresh`` as for join_everywhere().

    Up to ``retry_on`` attempts; only a command that failed is worth another.
    """
    lock = _lock_in_turn(task, dispatcher, store, turn_seconds)
    attempts_left = task.options.number("retry_on")
    try:
        while True:
            attempts_left -= 1
            plan = join_everywhere(
                units,
                store.load(),
                task.options["aptpl"],
                task.options["rejoin"],
                int(time.time()),
                refresh,
            )
            try:
                return dispatcher.run(plan, store)
            except CommandFailed as error:
                if attempts_left < 1:
                    raise
                dispatcher.report(WARNING, f"on: {error}; attempts left: {attempts_left}")
    finally:
        # Where a registration may still be under way, the lock goes with the process.
        if not dispatcher.in_doubt:
            os.close(lock)


def tell_oddities(unit: Unit, found: Snapshot, cluster: Cluster, dispatcher: Dispatcher) -> None:
    """Registrations that may write although no node of this cluster made them."""
    for key in sorted(found.keys()):
        if key.tag != cluster.tag:
            dispatcher.report(
                WARNING, f"LU {unit.label}: {owner_of(key)} is registered too and may write"
            )
        elif key.node not in cluster.numbers.values():
            dispatcher.report(
                WARNING, f"LU {unit.label}: node number {key.node}, in no list, is registered"
            )
