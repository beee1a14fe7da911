"""The procedures on every LU of a node, in the order that decides a duel.

Everything is read before anything is sent.  Then the LU that comes first in
the order of identities, the arbiter, is taken alone, and only who has won it
goes on to the others, those in parallel (rule 5).

These are generators too: they yield ``Each`` (run these procedures, one a LU,
side by side) or ``Remember`` (make this durable) and receive what came of it.
"""

from __future__ import annotations

from ..errors import BarrierError, NotMember, raise_all
from ..key import next_incarnation
from . import rules
from .drain import resolve
from .evict import evict
from .exchange import Route
from .inspect import look
from .join import join
from .memory import Memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from typing import Any, TypeVar, Union

    from .evict import Eviction
    from .exchange import Procedure
    from .inspect import Snapshot
    from .join import Membership

    T = TypeVar("T")
    Effect = Union["Each", "Remember"]
    Plan = Generator[Effect, Any, T]

REJOIN_REBOOT = "reboot"
REJOIN_ALLOW = "allow"
REJOIN_CHOICES = (REJOIN_REBOOT, REJOIN_ALLOW)


class Unit:
    """A LU as the plans see it: its identity, how many usable paths, whose make."""

    __slots__ = ("name", "paths", "vendor", "product", "label")

    def __init__(
        self, name: str, paths: int, vendor: str = "", product: str = "", label: str = ""
    ) -> None:
        self.name = name
        self.paths = paths
        self.vendor = vendor
        self.product = product
        self.label = label or name


class Each:
    """Run each procedure on its LU, side by side; answer: name -> result or BarrierError."""

    __slots__ = ("jobs",)

    def __init__(self, jobs: Mapping[str, Procedure[Any]]) -> None:
        self.jobs = jobs


class Remember:
    """Make this boot's memory durable before going on."""

    __slots__ = ("memory",)

    def __init__(self, memory: Memory) -> None:
        self.memory = memory


def in_order(units: Iterable[Unit]) -> list[Unit]:
    """The same order on every node, whatever the devices are called; the first is the arbiter."""
    return sorted(units, key=lambda unit: unit.name)


def inspect_everywhere(units: list[Unit]) -> Plan[dict[str, Snapshot | BarrierError]]:
    """A snapshot of every LU, or the error that stands in its place."""
    found: dict[str, Snapshot | BarrierError] = yield Each(
        {unit.name: look(Route(unit.paths)) for unit in units}
    )
    return found


def evict_everywhere(
    units: list[Unit], memory: Memory, victim: int, drain: str
) -> Plan[dict[str, Eviction]]:
    """End the victim's lives on every LU, or raise; nothing is sent before all is read."""
    own = memory.require_key()
    units = in_order(units)
    looks = _all_or_raise(units, (yield from inspect_everywhere(units)))
    _check_each(units, looks, lambda found: rules.refuse_foreign_property(found, own.tag))
    _check_each(units, looks, lambda found: rules.require_member(found, own))
    # What this action may end: the lives that stood on any LU when it looked.
    named = frozenset(key for found in looks.values() for key in found.lives(own.tag, victim))

    def job(unit: Unit) -> Procedure[Eviction]:
        policy = resolve(drain, unit.vendor, unit.product)
        return evict(own, victim, named, policy, Route(unit.paths), looks[unit.name])

    done: dict[str, Eviction] = yield from _arbiter_first(units, job)
    return done


def join_everywhere(
    units: list[Unit], memory: Memory, aptpl: str, rejoin: str, now_unix_seconds: int
) -> Plan[dict[str, Membership]]:
    """Register this boot's key on every LU, or raise."""
    units = in_order(units)
    looks = _all_or_raise(units, (yield from inspect_everywhere(units)))
    _check_each(units, looks, lambda found: rules.refuse_foreign_property(found, memory.tag))
    before, memory = memory, _life(units, looks, memory, rejoin, now_unix_seconds)
    own = memory.require_key()
    if memory is not before:
        # Durable before the first registration: a crash never uses an incarnation twice.
        yield Remember(memory)

    def job(unit: Unit) -> Procedure[Membership]:
        return join(own, aptpl, Route(unit.paths), looks[unit.name])

    done: dict[str, Membership] = {}
    for batch in _batches(units):
        results = yield Each({unit.name: job(unit) for unit in batch})
        joined = [name for name, result in results.items() if not isinstance(result, BarrierError)]
        # Even where another LU failed: from here on this boot counts as joined there.
        if not memory.joined.issuperset(joined):
            memory = memory.having_joined(joined)
            yield Remember(memory)
        done.update(_all_or_raise(batch, results))
    return done


def _life(
    units: list[Unit],
    looks: Mapping[str, Snapshot],
    memory: Memory,
    rejoin: str,
    now_unix_seconds: int,
) -> Memory:
    """The memory to go on with: this boot's incarnation, or a new one (rule 4)."""
    seen = [
        key.incarnation for found in looks.values() for key in found.lives(memory.tag, memory.node)
    ]
    own = memory.key
    if own is not None:
        gone = [
            unit
            for unit in units
            if unit.name in memory.joined
            and not looks[unit.name].count(own)
            and not looks[unit.name].bare
        ]
        if gone and rejoin != REJOIN_ALLOW:
            raise NotMember(
                f"LU {gone[0].label}: this node joined it in this boot as {own} and has been"
                " evicted since; it may still hold unwritten data: reboot it, or set"
                " rejoin=allow once if you know that it does not"
            )
        in_use = bool(memory.joined) or own.incarnation in seen
        if max(seen, default=0) > own.incarnation:
            raise NotMember(
                f"a newer incarnation of node number {memory.node} than this boot's {own} is"
                " registered: two machines have this number, or state_dir is another"
                " machine's; give each node its own number"
            )
        if in_use and not gone:
            return memory
    fresh = next_incarnation(seen, memory.incarnation, now_unix_seconds)
    return memory.reborn(fresh)


def _batches(units: list[Unit]) -> list[list[Unit]]:
    """The arbiter alone, then all others."""
    return [batch for batch in (units[:1], units[1:]) if batch]


def _arbiter_first(units: list[Unit], job: Callable[[Unit], Procedure[T]]) -> Plan[dict[str, T]]:
    done: dict[str, T] = {}
    for batch in _batches(units):
        results = yield Each({unit.name: job(unit) for unit in batch})
        done.update(_all_or_raise(batch, results))
    return done


def _all_or_raise(units: list[Unit], results: Mapping[str, T | BarrierError]) -> dict[str, T]:
    """All results, or an error that names every LU that has none."""
    good: dict[str, T] = {}
    failed: list[BarrierError] = []
    for unit in units:
        result = results[unit.name]
        if isinstance(result, BarrierError):
            result.where = f"LU {unit.label}"
            failed.append(result)
        else:
            good[unit.name] = result
    raise_all(failed)
    return good


def _check_each(
    units: list[Unit], looks: Mapping[str, Snapshot], check: Callable[[Snapshot], None]
) -> None:
    """Apply a rule to every LU; its error names the LU."""
    for unit in units:
        try:
            check(looks[unit.name])
        except BarrierError as error:
            error.where = f"LU {unit.label}"
            raise
