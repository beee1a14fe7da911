"""What each action does with the LUs.  Runs in the worker process."""

from __future__ import annotations

from ..barrier import rules
from ..barrier.drain import check_policy
from ..barrier.everywhere import Each, evict_everywhere, inspect_everywhere
from ..barrier.inspect import capabilities
from ..barrier.nexus import bearing
from ..errors import BarrierError, InvalidInput, quoted, raise_all
from ..supervisor import Answer
from . import sight
from .log import INFO, WARNING
from .names import require_known_set
from .task import (
    TURN_SECONDS,
    carry_out,
    discover,
    join,
    tell_oddities,
    tell_unread,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..barrier.everywhere import Plan
    from ..barrier.inspect import Snapshot
    from ..barrier.unit import Unit
    from ..barrier.witness import Witness
    from ..cluster import Cluster
    from ..dispatcher import Dispatcher
    from ..key import Key
    from ..supervisor import Pipe
    from .task import Task

DONE = 0
FAILED = 1
IS_OFF = 2  # only for status


def perform(task: Task, pipe: Pipe, details: bool = True) -> Answer:
    """Run one action against the devices; every BarrierError becomes exit code 1."""

    def failed(error: BarrierError) -> Answer:
        return Answer(FAILED, [], [f"{task.action} failed: {error}"])

    return carry_out(task, pipe, _PERFORMERS[task.action], failed, details)


def _on(task: Task, dispatcher: Dispatcher) -> Answer:
    """Join every LU; only ever run on the node itself."""
    number = task.cluster.number_of(task.plug)
    if number != task.local:
        raise InvalidInput(
            f"on for node {quoted(task.plug)} must run on that node, this is"
            f" {quoted(task.local_name)};"
            " in Pacemaker on_target takes care of it"
        )
    store = task.store()
    units = discover(task, dispatcher)
    done = join(task, dispatcher, units, store, TURN_SECONDS, refresh=True)
    for unit in units:
        tell_unread(unit, done[unit.name].unread, dispatcher)
    key = store.load().require_key()
    without = [name for name, joined in done.items() if not joined.aptpl]
    if without and task.options["aptpl"] != "no":
        dispatcher.report(
            INFO, f"LU {', '.join(without)}: registrations will not outlive its power loss"
        )
    changed = any(joined.changed for joined in done.values())
    dispatcher.report(INFO, f"on: node {task.plug} is registered as {key} on {len(done)} LUs")
    return Answer(DONE, ["Success: Powered ON" if changed else "Success: Already ON"], [])


def _off(task: Task, dispatcher: Dispatcher) -> Answer:
    """Evict a node from every LU."""
    victim = task.cluster.number_of(task.plug)
    if victim == task.local:
        raise InvalidInput(
            f"node {quoted(task.plug)} is this node itself: a node never evicts itself; run off on"
            " another member"
        )
    memory = task.store().load()
    memory.require_key()  # before any device: no path that hangs delays that answer
    units = discover(task, dispatcher)
    earlier = sight.load(task, dispatcher)
    plan = evict_everywhere(units, memory, victim, task.options["drain"])
    done, looks = dispatcher.run(plan)
    ended = {life for eviction in done.values() for life in eviction.evicted}
    own = memory.require_key()
    sight.note(task, dispatcher, own, earlier, looks, dict.fromkeys(looks, ended))
    for unit in units:
        tell_unread(unit, looks[unit.name].unread, dispatcher)
        tell_oddities(unit, looks[unit.name], task.cluster, dispatcher)
    for name, eviction in done.items():
        lives = ", ".join(map(str, eviction.evicted)) or "no key of it was there"
        dispatcher.report(
            INFO, f"off: LU {name}: node {task.plug}: {lives}; drained by: {eviction.guarantee}"
        )
    evicted = any(eviction.evicted for eviction in done.values())
    return Answer(DONE, ["Success: Powered OFF" if evicted else "Success: Already OFF"], [])


def _inspect(
    task: Task, dispatcher: Dispatcher
) -> tuple[list[Unit], Mapping[str, Snapshot | BarrierError], Witness]:
    """Every LU, what it shows through each of its paths, and what was known of it before."""
    units = discover(task, dispatcher)
    earlier = sight.load(task, dispatcher)
    looks = dispatcher.run(inspect_everywhere(units))
    for unit in units:
        if not isinstance(found := looks[unit.name], BarrierError):
            tell_unread(unit, found.unread, dispatcher)
    sight.tell_returned(task, earlier, units, looks, dispatcher)
    return units, looks, earlier


def _status(task: Task, dispatcher: Dispatcher) -> Answer:
    """ON, OFF, or an error: nothing that was not read is taken for OFF."""
    victim = task.cluster.number_of(task.plug)
    units, looks, _ = _inspect(task, dispatcher)
    if _is_on(units, looks, task.cluster, victim, dispatcher):
        return Answer(DONE, ["Status: ON"], [])
    require_known_set(task)
    return Answer(IS_OFF, ["Status: OFF"], [])


def _is_on(
    units: list[Unit],
    looks: Mapping[str, Snapshot | BarrierError],
    cluster: Cluster,
    number: int,
    dispatcher: Dispatcher,
) -> bool:
    """True if any LU bears a key of the node; False only if every LU shows that none does."""
    bearing = [
        unit
        for unit in units
        if not isinstance(found := looks[unit.name], BarrierError)
        and found.lives(cluster.tag, number)
    ]
    troubles = _troubles(units, looks, cluster)
    if bearing:
        for trouble in troubles:
            dispatcher.report(WARNING, str(trouble))
        return True
    raise_all(troubles)
    for unit in units:
        if not isinstance(found := looks[unit.name], BarrierError):
            tell_oddities(unit, found, cluster, dispatcher)
    return False


def _troubles(
    units: list[Unit], looks: Mapping[str, Snapshot | BarrierError], cluster: Cluster
) -> list[BarrierError]:
    """For each LU that cannot vouch for an absent key, why."""
    troubles = []
    for unit in units:
        found = looks[unit.name]
        try:
            if isinstance(found, BarrierError):
                raise found
            rules.require_barrier(found, cluster.tag)
        except BarrierError as error:
            error.where = f"LU {unit.label}"
            troubles.append(error)
    return troubles


def _list_status(task: Task, dispatcher: Dispatcher) -> Answer:
    """The status of every node, or an error: never a partial list."""
    units, looks, _ = _inspect(task, dispatcher)
    raise_all(_troubles(units, looks, task.cluster))
    keys = set()
    for unit in units:
        if not isinstance(found := looks[unit.name], BarrierError):
            keys |= found.keys()
            tell_oddities(unit, found, task.cluster, dispatcher)
    present = {key.node for key in keys if key.tag == task.cluster.tag}
    if not present.issuperset(task.cluster.numbers.values()):
        require_known_set(task)
    mark = task.options["separator"]
    lines = []
    for name, number in task.cluster.numbers.items():
        lines.append(f"{name}{mark}{number}{mark}{'ON' if number in present else 'OFF'}")
    return Answer(DONE, lines, [])


def _monitor(task: Task, dispatcher: Dispatcher) -> Answer:
    """Can this node fence?  Every LU is read, and bears this cluster's barrier or nothing.

    A node that joined in this boot must still be registered everywhere.  Before
    the first join nothing needs to stand: a cluster manager starts its fence
    devices before it unfences.
    """
    memory = task.store().load()
    units, looks, earlier = _inspect(task, dispatcher)
    troubles = []
    if memory.key is not None:
        good = {name: each for name, each in looks.items() if not isinstance(each, BarrierError)}
        sight.note(task, dispatcher, memory.key, earlier, good)
    for unit in units:
        found = looks[unit.name]
        try:
            if isinstance(found, BarrierError):
                raise found
            rules.refuse_foreign_property(found, task.cluster.tag)
            if unit.name in memory.joined:
                rules.require_member(found, memory.require_key())
                rules.require_barrier(found, task.cluster.tag)
                _tell_unregistered(unit, found, memory.require_key(), dispatcher)
            elif memory.key is not None:
                dispatcher.report(WARNING, f"LU {unit.label}: not joined in this boot; run on")
            tell_oddities(unit, found, task.cluster, dispatcher)
        except BarrierError as error:
            error.where = f"LU {unit.label}"
            troubles.append(error)
    raise_all(troubles)
    return Answer(DONE, [], [])


def _tell_unregistered(unit: Unit, found: Snapshot, own: Key, dispatcher: Dispatcher) -> None:
    """Warn of each path whose nexus is told not to bear this node's key."""
    told = bearing(found, own, unit.route(found).names)
    for path, bears in enumerate(told):
        if bears is False and path not in found.unread:
            dispatcher.report(
                WARNING,
                f"LU {unit.label}: device {unit.ends[path][1]}: nexus {unit.names[path]} is not"
                " registered, so writes through it fail; the resource agent's monitor and on"
                " register it",
            )


def validate(task: Task, dispatcher: Dispatcher) -> Answer:
    """Every device answers, can bear the barrier, and is nobody else's; silent if so."""
    task.store()
    check_policy(task.options["drain"])
    units, looks, _ = _inspect(task, dispatcher)
    able = dispatcher.run(_ask_capabilities(units))
    troubles: list[BarrierError] = []
    for unit in units:
        found, asked = looks[unit.name], able[unit.name]
        try:
            if isinstance(found, BarrierError):
                raise found
            if isinstance(asked, BarrierError):
                raise asked
            rules.refuse_foreign_property(found, task.cluster.tag)
        except BarrierError as error:
            error.where = f"LU {unit.label}"
            troubles.append(error)
    raise_all(troubles)
    return Answer(DONE, [], [])


def _ask_capabilities(units: list[Unit]) -> Plan[Mapping[str, object]]:
    found: Mapping[str, object] = yield Each(
        {unit.name: capabilities(unit.route()) for unit in units}
    )
    return found


_PERFORMERS = {
    "on": _on,
    "off": _off,
    "status": _status,
    "list-status": _list_status,
    "monitor": _monitor,
    "validate-all": validate,
}
