"""Deliberate breaks of the shipped code, put in at run time: the checker can be seen to see.

A wider set, as text, is in tests/mutants.
"""

from __future__ import annotations

from typing import Any, Callable

import pytest

from fence_prbarrier.barrier import everywhere, evict, inspect, join, rules
from fence_prbarrier.barrier.drain import TARGET, resolve
from fence_prbarrier.barrier.evict import Eviction
from fence_prbarrier.barrier.exchange import send
from fence_prbarrier.barrier.unit import Unit
from fence_prbarrier.errors import CommandFailed
from fence_prbarrier.scsi import command

Break = Callable[[pytest.MonkeyPatch], None]


def _nothing(*_: Any) -> None:
    return None


def read_back_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "require_evicted", _nothing)
    patch.setattr(rules, "refuse_disguise", _nothing)
    patch.setattr(Eviction, "holds", lambda *_: True)


def off_registers_its_caller(patch: pytest.MonkeyPatch) -> None:
    plain = evict.evict

    def broken(own: Any, victim: int, named: Any, drain: Any, route: Any, *rest: Any) -> Any:
        yield from send(route.current, command.register_and_ignore(own, True))
        return (yield from plain(own, victim, named, drain, route, *rest))

    patch.setattr(everywhere, "evict", broken)


def new_life_evicted_too(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "refuse_other_life", _nothing)


def membership_not_asked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "require_member", _nothing)


def each_node_its_own_order(patch: pytest.MonkeyPatch) -> None:
    def broken(units: list[Unit]) -> list[Unit]:
        backwards = any(name and "n2" in name.initiator for name in units[0].names)
        return sorted(units, key=lambda unit: unit.name, reverse=backwards)

    patch.setattr(everywhere, "in_order", broken)


def no_arbiter(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(everywhere, "_batches", lambda units: [units])


def aptpl_forgotten_by_one_node(patch: pytest.MonkeyPatch) -> None:
    plain = command.register_and_ignore
    patch.setattr(join, "register_and_ignore", lambda key, aptpl: plain(key, key.node != 2))
    patch.setattr(join, "capabilities", _Capable())


class _Capable:
    """Says that APTPL is active, whatever is."""

    __qualname__ = "capable"

    def __call__(self, route: Any) -> Any:
        found = yield from inspect.capabilities(route)
        found.aptpl_active = True
        return found


def a_new_life_each_time(patch: pytest.MonkeyPatch) -> None:
    def broken(units: Any, looks: Any, memory: Any, rejoin: str, now: int) -> Any:
        seen = memory.incarnation or now - everywhere.EPOCH_UNIX_SECONDS
        return memory.reborn(seen + 1)

    patch.setattr(everywhere, "_life", broken)


def one_incarnation_for_all_lives(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(everywhere, "next_incarnation", lambda *_: 7)


def preempt_without_abort(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evict, "preempt_and_abort", command.preempt)


def no_reset_on_lio(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(everywhere, "resolve", lambda _, vendor, name: resolve(TARGET, vendor, name))


def what_came_and_went_not_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Eviction, "holds", lambda _, found, own, victim: not found.lives(own.tag, victim))


def off_by_any_path(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Unit, "route_joined", lambda unit, _: unit.route())


def off_before_the_join_is_done(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(everywhere, "_joined", _nothing)


def an_error_is_an_empty_list(patch: pytest.MonkeyPatch) -> None:
    plain = inspect.look

    def broken(route: Any, full: bool = True) -> Any:
        try:
            return (yield from plain(route, full))
        except CommandFailed:
            return inspect.Snapshot(0, (), None, full)

    patch.setattr(inspect, "look", broken)
    patch.setattr(everywhere, "look", broken)


def the_others_are_not_looked_at_again(patch: pytest.MonkeyPatch) -> None:
    def broken(own: Any, units: Any, done: Any) -> Any:
        return
        yield

    patch.setattr(everywhere, "_still_in", broken)


def anything_is_taken_back(patch: pytest.MonkeyPatch) -> None:
    def broken(own: Any, paths: list[int], snapshot: Any) -> Any:
        for path in paths:
            yield from send(path, command.register(own, 0))

    patch.setattr(join, "withdraw", broken)


BREAKS: dict[str, Break] = {
    each.__name__.replace("_", " "): each
    for each in (
        read_back_not_looked_at,
        off_registers_its_caller,
        new_life_evicted_too,
        membership_not_asked,
        each_node_its_own_order,
        no_arbiter,
        aptpl_forgotten_by_one_node,
        a_new_life_each_time,
        one_incarnation_for_all_lives,
        preempt_without_abort,
        no_reset_on_lio,
        what_came_and_went_not_counted,
        off_by_any_path,
        off_before_the_join_is_done,
        an_error_is_an_empty_list,
        the_others_are_not_looked_at_again,
        anything_is_taken_back,
    )
}
