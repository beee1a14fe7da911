"""The action ``clear``, for people: what it would remove, in words, and its removal.

Two runs of a worker with the person's answer in between.  The second looks
again and removes only what the first has shown, line by line.
"""

from __future__ import annotations

import time

from ..barrier.clear import clear_everywhere
from ..barrier.everywhere import in_order, inspect_everywhere
from ..barrier.order import Order, check, refuse_unread
from ..errors import BarrierBroken, BarrierError, InvalidInput, raise_all
from ..key import EPOCH_UNIX_SECONDS, Key, check_node, next_incarnation, owner_of
from ..supervisor import Answer
from .log import INFO, one_line
from .task import carry_out, discover

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..barrier.inspect import Snapshot
    from ..barrier.memory import Memory
    from ..barrier.unit import Unit
    from ..cluster import Cluster
    from ..dispatcher import Dispatcher
    from ..supervisor import Pipe
    from .task import Task

DONE = 0
FAILED = 1
# There is something to remove, and it was shown: to be asked about.
SHOWN = -1

INDENT = "  "
MAX_NODE_DIGITS = 5


def show(task: Task, pipe: Pipe, details: bool) -> Answer:
    """What would be removed, a block of lines a LU; or why nothing may be."""

    def performer(task: Task, dispatcher: Dispatcher) -> Answer:
        units, orders = _survey(task, dispatcher)
        lines = [line for each in _pictures(task, units, orders).values() for line in each]
        if any(order.named(order.shown) for order in orders.values()):
            return Answer(SHOWN, lines, [])
        return Answer(DONE, [*lines, "Success: Already clear"], [])

    return carry_out(task, pipe, performer, _failed, details)


def remove(task: Task, pipe: Pipe, details: bool, shown: list[str]) -> Answer:
    """Remove what ``shown`` tells, if every LU still shows just that."""

    def performer(task: Task, dispatcher: Dispatcher) -> Answer:
        units, orders = _survey(task, dispatcher)
        _require_shown(units, _pictures(task, units, orders), shown)
        done = dispatcher.run(clear_everywhere(units, orders))
        for name, keys in done.items():
            text = ", ".join(map(str, keys)) or "nothing of it was there"
            dispatcher.report(INFO, f"clear: LU {name}: removed: {text}")
        return Answer(DONE, ["Success: Cleared"], [])

    return carry_out(task, pipe, performer, _failed, details)


def _failed(error: BarrierError) -> Answer:
    return Answer(FAILED, [], [f"clear failed: {error}"])


def _number(cluster: Cluster, plug: str) -> int | None:
    """The node to clear, None for all; a number may be one that no node has any more."""
    if not plug:
        return None
    known = plug in cluster.numbers
    if not known and plug.isascii() and plug.isdigit() and len(plug) <= MAX_NODE_DIGITS:
        return check_node(int(plug))
    return cluster.number_of(plug)


def _survey(task: Task, dispatcher: Dispatcher) -> tuple[list[Unit], dict[str, Order]]:
    """Every LU and what to clear from it; raises where one may not be cleared."""
    number = _number(task.cluster, task.plug)
    local, tag = task.local, task.cluster.tag
    memory = task.store().load()
    units = in_order(discover(task, dispatcher))
    looks = dispatcher.run(inspect_everywhere(units))
    good: dict[str, Snapshot] = {}
    troubles: list[BarrierError] = []
    for unit in units:
        found = looks[unit.name]
        if isinstance(found, BarrierError):
            found.where = f"LU {unit.label}"
            troubles.append(found)
        else:
            good[unit.name] = found
    raise_all(troubles)
    # Of this node, which status and off look for; newer than what an earlier run left.
    seen = [key.incarnation for found in good.values() for key in found.lives(tag, local)]
    temporary = Key.build(tag, local, next_incarnation(seen, memory.incarnation, int(time.time())))
    orders = {
        name: Order(number, memory.key, temporary, found, name in memory.joined)
        for name, found in good.items()
    }
    for unit in units:
        try:
            refuse_unread(good[unit.name], unit)
            check(orders[unit.name], good[unit.name])
            _refuse_members(task, unit, orders[unit.name], memory)
        except BarrierError as error:
            error.where = f"LU {unit.label}"
            troubles.append(error)
    raise_all(troubles)
    return units, orders


def _refuse_members(task: Task, unit: Unit, order: Order, memory: Memory) -> None:
    """BarrierBroken where nodes of the list would lose their keys, unless it was forced."""
    numbers = task.cluster.numbers.values()
    members = [key for key in order.named(order.shown) if key.node in numbers]
    if not members or task.options["force"]:
        return
    names = ", ".join(f"{task.cluster.name_of(key.node)} ({key})" for key in members)
    standing = memory.joined.get(unit.name)
    used = "this node itself still uses this LU; " if standing and standing.listed else ""
    raise BarrierBroken(
        f"members of the cluster are registered: {names}; {used}a node that has failed is evicted"
        " by off; for a LU that the cluster no longer uses say force=remove-members"
    )


def _require_shown(units: list[Unit], pictures: dict[str, list[str]], shown: list[str]) -> None:
    """InvalidInput unless all LUs look as they were shown; the names of paths do not count."""
    blocks: list[list[str]] = []
    for line in shown:
        if not line.startswith(INDENT):
            blocks.append([])
        blocks[-1].append(line)
    changed = [
        unit.label
        for unit in units
        if not any(
            block[0].startswith(_heading(unit.name)) and block[1:] == pictures[unit.name][1:]
            for block in blocks
        )
    ]
    if len(blocks) != len(units) and not changed:
        changed = ["not all that were shown are there"]
    if changed:
        raise InvalidInput(
            f"LU {', '.join(changed)}: changed since it was shown, so nothing was removed from any"
            " LU; look again"
        )


def _heading(name: str) -> str:
    """How a LU's block begins, without the names of its paths."""
    return one_line(f"LU {name} (")


def _pictures(task: Task, units: list[Unit], orders: dict[str, Order]) -> dict[str, list[str]]:
    """For each LU a heading, and indented what becomes of each key and of the reservation."""
    pictures = {}
    for unit in units:
        order = orders[unit.name]
        snapshot = order.shown
        named = order.named(snapshot)
        lines = [f"remove {_key(key, snapshot, task.cluster)}" for key in named]
        lines += [f"keep   {_key(key, snapshot, task.cluster)}" for key in order.kept(snapshot)]
        lines += [f"keep   {_key(key, snapshot, task.cluster)}" for key in order.foreign(snapshot)]
        if not named:
            lines.append("nothing to remove")
        lines.append(_reservation(order, named))
        pictures[unit.name] = [f"LU {one_line(unit.label)}:"]
        pictures[unit.name] += [INDENT + one_line(line) for line in lines]
    return pictures


def _key(key: Key, snapshot: Snapshot, cluster: Cluster) -> str:
    """One key: whose, since when, where, and whether it holds the reservation."""
    if key.tag == cluster.tag:
        since = time.strftime("%Y-%m-%d", time.gmtime(EPOCH_UNIX_SECONDS + key.incarnation))
        name = cluster.name_of(key.node)
        listed = "" if key.node in cluster.numbers.values() else ", in no list"
        text = f"{key} node {name}{listed}, incarnation {key.incarnation} ({since})"
    else:
        text = f"{owner_of(key)}, not this cluster's"
    places = [each.initiator for each in snapshot.registrations if each.key == key]
    text += f", on {len(places)} I_T nexus{'es' if len(places) > 1 else ''}"
    named = sorted({place for place in places if place})
    if named:
        text += f": {' '.join(named)}"
    held = snapshot.reservation
    return text + ("; holds the reservation" if held is not None and held.key == key else "")


def _reservation(order: Order, named: list[Key]) -> str:
    """What becomes of the reservation."""
    held = order.shown.reservation
    if held is None:
        return "no reservation stands"
    if held.key not in named:
        return f"keep   the reservation, {held}"
    if order.as_member:
        return f"keep   the reservation, {held}; it passes to {order.own}"
    return f"remove the reservation, {held}"
