"""Telling of lives that come back: what fence agent and resource agent share of it."""

from __future__ import annotations

import time

from ..barrier.witness import Witness
from ..errors import BarrierError, InvalidInput
from ..sightings import Sightings
from .log import ERROR, WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..barrier.inspect import Snapshot
    from ..barrier.unit import Unit
    from ..dispatcher import Dispatcher
    from ..key import Key
    from .task import Task

# How long to wait for another process that writes the file, which takes milliseconds.
MAX_TRIES = 10
TRY_PAUSE_SECONDS = 0.05


def load(task: Task, dispatcher: Dispatcher) -> Witness:
    """What is known before a look; nothing, with a warning, where that cannot be told."""
    try:
        return Sightings(task.options["state_dir"], task.cluster.tag, task.local).load()
    except InvalidInput:
        return Witness()  # a host that is no member has seen nothing
    except BarrierError as error:
        dispatcher.report(WARNING, f"what was seen of other nodes is not known: {error}")
        return Witness()


def note(
    task: Task,
    dispatcher: Dispatcher,
    own: Key,
    earlier: Witness,
    looks: Mapping[str, Snapshot],
    evicted: Mapping[str, Iterable[Key]] | None = None,
) -> None:
    """Remember what these looks show, and which lives this node has ended itself.

    ``earlier`` was loaded before the looks.  A warning where it cannot be
    remembered: what was done is done.
    """
    sightings = Sightings(task.options["state_dir"], own.tag, own.node)
    try:
        for _ in range(MAX_TRIES):
            if sightings.update(lambda before: before.after(own, looks, evicted, earlier)):
                return
            time.sleep(TRY_PAUSE_SECONDS)
        dispatcher.report(WARNING, "what was seen of other nodes is not remembered this time")
    except BarrierError as error:
        dispatcher.report(WARNING, f"what was seen of other nodes is not remembered: {error}")


def tell_returned(
    task: Task,
    earlier: Witness,
    units: Iterable[Unit],
    looks: Mapping[str, object],
    dispatcher: Dispatcher,
) -> bool:
    """Tell of each life that is registered although it had gone before; whether there is any."""
    return any([_tell(unit, looks, earlier, task, dispatcher) for unit in units])


def _tell(
    unit: Unit, looks: Mapping[str, object], witness: Witness, task: Task, dispatcher: Dispatcher
) -> bool:
    found = looks[unit.name]
    if isinstance(found, BarrierError):
        return False
    returned = witness.returned(unit.name, found)  # type: ignore[arg-type]
    for key in returned:
        dispatcher.report(
            ERROR,
            f"LU {unit.label}: node {task.cluster.name_of(key.node)} is registered again as {key},"
            " a life that had gone from it, as by a REGISTER that was delayed: it may write; fence"
            " the node again",
        )
    return bool(returned)
