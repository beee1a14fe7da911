"""The procedures on every LU of a node, in the order that decides a duel.

Everything is read before anything is sent.  Then the LU that comes first in
the order of identities, the arbiter, is taken alone, and only who has won it
goes on to the others, those in parallel (rule 5).

These are generators too: they yield ``Each`` (run these procedures, one a LU,
side by side) or ``Remember`` (make this durable) and receive what came of it.
"""

from __future__ import annotations

from ..errors import BarrierBroken, BarrierError, InvalidInput, NotMember, raise_all
from ..key import EPOCH_UNIX_SECONDS, Key, next_incarnation
from . import rules
from .drain import resolve
from .evict import Eviction, evict, put_up
from .inspect import look, look_by_every_path
from .join import join, leave
from .memory import NO_NEXUS, Memory, Standing
from .unit import Unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from typing import Any, TypeVar, Union

    from .exchange import Procedure
    from .inspect import Snapshot
    from .join import Membership

    T = TypeVar("T")
    Effect = Union["Each", "Remember"]
    Plan = Generator[Effect, Any, T]

REJOIN_ALLOW = "allow"
# How often an eviction is begun again where the read-back shows that it does not hold.
MAX_PASSES = 3


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
    """A snapshot of every LU, or the error that stands in its place.

    Through every path that answers: what is told of a LU is told by all of them.
    """
    found: dict[str, Snapshot | BarrierError] = yield Each(
        {unit.name: look_by_every_path(unit.paths) for unit in units}
    )
    return found


def _first_look(units: list[Unit]) -> Plan[dict[str, Snapshot]]:
    """Every LU through one path: what to begin with, never what to end with."""
    found = yield Each({unit.name: look(unit.route()) for unit in units})
    return _all_or_raise(units, found)


def _read_back(units: list[Unit]) -> Plan[dict[str, Snapshot]]:
    """Every LU, or an error."""
    return _all_or_raise(units, (yield from inspect_everywhere(units)))


def evict_everywhere(
    units: list[Unit], memory: Memory, victim: int, drain: str
) -> Plan[tuple[dict[str, Eviction], dict[str, Snapshot]]]:
    """End the victim's lives on every LU, or raise; what was done, and what was read last.

    Nothing is sent before all is read, and nothing is success before all is
    read again after the last command (rule 1).
    """
    own = memory.require_key()
    if victim == own.node:
        raise InvalidInput(f"node {victim} is this node itself: a node never evicts itself")
    units = in_order(units)
    looks = yield from _first_look(units)
    _check_each(units, looks, lambda found: rules.refuse_foreign_property(found, own.tag))
    _check_each(units, looks, lambda found: rules.require_member(found, own))
    _all_or_raise(units, {unit.name: _joined(unit, memory) for unit in units})
    down = [unit for unit in units if looks[unit.name].reservation is None]
    if down:
        # Who could write until now is not known, so this is no success (rule 1); the
        # cluster manager's next try finds the barrier up.
        results = yield Each(
            {
                unit.name: put_up(own, resolve(drain, unit.vendor, unit.name), unit.route())
                for unit in down
            }
        )
        _all_or_raise(down, results)
        _check_each(down, looks, lambda found: rules.require_barrier(found, own.tag))
    # What this action may end: the lives that stood on any LU when it looked.
    named = frozenset(key for found in looks.values() for key in found.lives(own.tag, victim))
    initiators = {name for found in looks.values() for name in found.initiators(named)}

    def job(unit: Unit) -> Procedure[Eviction]:
        policy, first = resolve(drain, unit.vendor, unit.name), looks[unit.name]
        route = unit.route_joined(memory.joined)
        return evict(own, victim, named, policy, route, first, unit.name in done)

    done: dict[str, Eviction] = {}
    pending = units
    for _ in range(MAX_PASSES):
        for name, eviction in (yield from _arbiter_first(pending, job)).items():
            done[name] = eviction.after(done.get(name))
        looks = yield from _read_back(units)
        _check_each(
            units, looks, lambda found: rules.refuse_other_life(found, own.tag, victim, named)
        )
        pending = [
            unit for unit in units if not done[unit.name].holds(looks[unit.name], own, victim)
        ]
        if not pending:
            break
    _check_each(units, looks, lambda found: rules.require_evicted(found, own, victim))
    _check_each(pending, looks, rules.refuse_unrest)
    _check_each(units, looks, lambda found: rules.refuse_disguise(found, own, victim, initiators))
    return done, looks


def _joined(unit: Unit, memory: Memory) -> NotMember | None:
    """Rule 3: a key that no join has made sure of may have slipped in after an eviction."""
    if unit.name in memory.joined:
        return None
    return NotMember(
        "this node's join here is under way or was cut short: run action=on on it first"
    )


def join_everywhere(
    units: list[Unit],
    memory: Memory,
    aptpl: str,
    rejoin: str,
    now_unix_seconds: int,
    refresh: bool = False,
) -> Plan[dict[str, Membership]]:
    """Register this boot's key on every LU, on each path that answers, or raise.

    ``refresh``: paths that this boot had and that are no more are forgotten;
    otherwise they are remembered, and missed.
    """
    units = in_order(units)
    # Through every path: one that cannot be read gets no registration, and is told as lost.
    looks = yield from _read_back(units)
    _check_each(units, looks, lambda found: rules.refuse_foreign_property(found, memory.tag))
    before, memory = memory, _life(units, looks, memory, rejoin, now_unix_seconds)
    own = memory.require_key()
    if memory is not before:
        # Durable before the first registration: a crash never uses an incarnation twice.
        yield Remember(memory)
    done: dict[str, Membership] = {}
    for batch in _batches(units):
        results = yield Each(
            {
                unit.name: join(
                    own,
                    aptpl,
                    unit.route(looks[unit.name]),
                    looks[unit.name],
                    known_count(unit, memory),
                )
                for unit in batch
            }
        )
        good = {name: each for name, each in results.items() if not isinstance(each, BarrierError)}
        done.update(good)
        # Even where another LU failed: from here on this boot counts as joined there.
        standings = {}
        for unit in batch:
            if unit.name in good:
                found = looks[unit.name]
                standings[unit.name] = _standing(unit, good[unit.name], memory, found, refresh)
        if any(memory.joined.get(name) != each for name, each in standings.items()):
            memory = memory.having_joined(standings)
            yield Remember(memory)
        if any(isinstance(each, NotMember) for each in results.values()):
            yield from _take_back(own, units, done)
        _all_or_raise(batch, results)
    if len(units) > 1:
        yield from _still_in(own, units, done)
    if not memory.lists(done):
        yield Remember(memory.listing(done))
    return done


def _still_in(own: Key, units: list[Unit], done: Mapping[str, Membership]) -> Plan[None]:
    """An eviction may have taken the arbiter while the others were joined."""
    looks = yield from _read_back(units)
    if not all(looks[unit.name].count(own) for unit in units):
        yield from _take_back(own, units, done)
    _check_each(units, looks, lambda found: rules.require_member(found, own))
    for unit in units:
        route = unit.route(looks[unit.name]).without(done[unit.name].unread)
        _check_each([unit], looks, rules.joined_by(own, route))


def known_count(unit: Unit, memory: Memory) -> int:
    """On how many nexuses the key must be for each of these very paths to bear it; 0: not known.

    A count alone does not tell: a registration may be left of a nexus that is no more.  A path
    under another name counts as another one, so that the memory learns the name.
    """
    standing = memory.joined.get(unit.name)
    known = standing is not None and standing.paths.issuperset(unit.ends)
    return standing.count if standing is not None and known else 0


def _standing(
    unit: Unit, done: Membership, memory: Memory, found: Snapshot, refresh: bool
) -> Standing:
    """What to remember of a LU that has been joined; see join_everywhere() for ``refresh``."""
    standing = Standing(done.count, _seen(unit, found))
    earlier = memory.joined.get(unit.name)
    if earlier is None or refresh:
        return standing
    return standing.after(earlier, done.changed)


def _seen(unit: Unit, found: Snapshot) -> frozenset[tuple[str, str]]:
    """The paths, and the names of those that are lost: next time they must not be strangers."""
    good = {end for path, end in enumerate(unit.ends) if path not in found.unread}
    lost = {device for device, _ in unit.lost}
    lost.update(device for path, (_, device) in enumerate(unit.ends) if path in found.unread)
    return frozenset(good | {(NO_NEXUS, device) for device in lost})


def _take_back(own: Key, units: list[Unit], done: Mapping[str, Membership]) -> Plan[None]:
    """Evicted on one LU: leave no registration that this run made on the others."""
    entered = [unit for unit in units if unit.name in done and done[unit.name].entered]
    # With APTPL as the join found it: the last registration decides (rule 7).
    yield Each({unit.name: leave(own, unit.route()) for unit in entered})


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
        if max(seen, default=0) > own.incarnation:
            raise BarrierBroken(
                f"a newer incarnation of node number {memory.node} than this boot's {own} is"
                " registered: two machines have this number, or state_dir is another"
                " machine's: give each node its own number; or a clear on this node was cut short:"
                " run it again"
            )
        if not gone and (memory.joined or _is_begun(units, looks, own)):
            return memory
    if not seen and memory.incarnation is None and now_unix_seconds < EPOCH_UNIX_SECONDS:
        raise InvalidInput(
            "the clock shows a time before 2020 and nothing else tells how old this node's"
            " last incarnation is: set the clock"
        )
    fresh = next_incarnation(seen, memory.incarnation, now_unix_seconds)
    return memory.reborn(fresh)


def _is_begun(units: list[Unit], looks: Mapping[str, Snapshot], own: Key) -> bool:
    """Whether a life that has joined nowhere yet is under way, or was evicted on its way.

    An eviction that named it was meant for that life and may be delayed; whoever
    tries again is another one.
    """
    if all(looks[unit.name].bare for unit in units):
        return True  # nobody was there to evict it
    return any(looks[unit.name].count(own) for unit in units)


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
