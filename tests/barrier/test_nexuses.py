"""Which nexuses bear the key: a count alone does not tell, what is remembered of them does."""

from __future__ import annotations

from typing import Any

import pytest

from fence_prbarrier.barrier.everywhere import Each, join_everywhere, known_count
from fence_prbarrier.barrier.exchange import Route
from fence_prbarrier.barrier.join import in_place, leave
from fence_prbarrier.barrier.memory import NO_NEXUS, Memory, Standing
from fence_prbarrier.barrier.unit import Unit
from fence_prbarrier.errors import NotMember
from fence_prbarrier.key import Key
from fence_prbarrier.scsi import command as build
from fence_prbarrier.simulator.values import Nexus

from .world import TAG, World

LU = "naa.60000"
SECOND = "naa.60001"


class Fabric(World):
    """A world in which each node says which of its ports lead to a LU now."""

    def __init__(self, *profiles: str) -> None:
        super().__init__(*profiles)
        self.ports: dict[int, list[int]] = {}
        self.names: dict[int, str] = {}
        self.lost: list[str] = []

    def described(self, node: int) -> list[Unit]:
        ports = self.ports.setdefault(node, [0])
        lost = tuple((name, "gone") for name in self.lost)
        return [Unit(name, self._ends(name, ports), "OTHER", "", lost) for name in self.units]

    def _ends(self, unit: str, ports: list[int]) -> tuple[tuple[str, str], ...]:
        """A device name leads to one LU only."""
        suffix = "" if unit == LU else "b"
        return tuple(
            (f"nexus {port}{suffix}", self.names.get(port, f"/dev/{port}{suffix}"))
            for port in ports
        )

    def nexus(self, node: int, path: int = 0) -> Nexus:
        ports = self.ports.get(node, [0])
        port = ports[path] if path < len(ports) else path
        return Nexus(f"iqn.2003-08.example:n{node}", port=port + 1)

    def bearing(self, node: int, name: str = LU) -> set[int]:
        """The ports through which this node's key is registered."""
        me = f"iqn.2003-08.example:n{node}"
        return {
            each.nexus.port - 1
            for each in self.units[name].reservations.registrations
            if each.nexus.initiator == me and each.key == self.key(node)
        }

    def registers(self, node: int) -> int:
        """How many registrations the node's next join sends."""
        self.sent.clear()
        self.join(node)
        return sum(command.startswith("REGISTER") for _, _, command in self.sent)


@pytest.fixture
def fabric() -> Fabric:
    """Node 1 by ports 0 and 1, node 2 by port 0."""
    found = Fabric("spec")
    found.ports = {1: [0, 1], 2: [0]}
    for node in (1, 2):
        found.join(node)
    assert found.bearing(1) == {0, 1}
    return found


def test_a_ghost_and_a_new_path_leave_the_count_as_it_was(fabric: Fabric) -> None:
    """Port 1 went for good and its registration stayed; port 2 is new, without any."""
    fabric.ports[1] = [0, 2]
    assert fabric.look(LU).count(fabric.key(1)) == 2
    assert fabric.registers(1) > 0
    assert fabric.bearing(1) == {0, 1, 2}
    assert fabric.registers(1) == 0
    fabric.ports[1] = [2, 3]
    assert fabric.registers(1) > 0 and fabric.bearing(1) == {0, 1, 2, 3}


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_the_same_paths_in_any_order_are_in_place(fabric: Fabric, order: list[int]) -> None:
    fabric.ports[1] = order
    assert fabric.registers(1) == 0


def test_a_path_that_is_lost_takes_nothing_away(fabric: Fabric) -> None:
    """The other one is still in place, and so is the lost one when it is back."""
    before = fabric.memory(1)
    for ports in ([0], [1], [0, 1]):
        fabric.ports[1] = ports
        assert fabric.registers(1) == 0
        assert fabric.memory(1) is before


@pytest.mark.parametrize("gone", [0, 1])
def test_a_registration_that_went_is_made_again(fabric: Fabric, gone: int) -> None:
    key = fabric.key(1)
    assert fabric.send(1, LU, build.register(key, 0), gone).good
    assert fabric.bearing(1) == {1 - gone}
    assert fabric.registers(1) > 0
    assert fabric.bearing(1) == {0, 1} and fabric.key(1) == key


def test_a_path_that_comes_back_without_its_registration(fabric: Fabric) -> None:
    """Lost while its registration went too: the other one alone is remembered."""
    assert fabric.send(1, LU, build.register(fabric.key(1), 0), 1).good
    fabric.ports[1], fabric.lost = [0], ["/dev/1"]
    assert fabric.registers(1) > 0 and fabric.bearing(1) == {0}
    assert fabric.memory(1).joined[LU].count == 1
    assert fabric.registers(1) == 0
    fabric.ports[1], fabric.lost = [0, 1], []
    assert fabric.registers(1) > 0 and fabric.bearing(1) == {0, 1}


def test_the_name_of_a_lost_path_is_remembered_and_vouches_for_nothing(fabric: Fabric) -> None:
    fabric.send(1, LU, build.register(fabric.key(1), 0), 1)
    fabric.ports[1], fabric.lost = [0], ["/dev/1"]
    fabric.join(1)
    standing = fabric.memory(1).joined[LU]
    assert standing.paths == {("nexus 0", "/dev/0"), (NO_NEXUS, "/dev/1")}
    fabric.ports[1], fabric.lost = [0, 1], []
    assert known_count(fabric.described(1)[0], fabric.memory(1)) == 0


def test_a_path_under_another_name_is_learned(fabric: Fabric) -> None:
    """Else its loss under that name would be nobody's, or another LU's."""
    fabric.names = {1: "/dev/renamed"}
    fabric.join(1)
    assert ("nexus 1", "/dev/renamed") in fabric.memory(1).joined[LU].paths
    assert fabric.registers(1) == 0


def test_a_name_belongs_to_the_lu_that_had_it_last() -> None:
    one = Standing(2, frozenset({("nexus a", "/dev/a"), ("nexus b", "/dev/b")}))
    two = Standing(1, frozenset({("nexus c", "/dev/b")}))
    memory = Memory(TAG, 1, 7, True, {LU: one}).having_joined({SECOND: two})
    assert memory.joined[LU] == Standing(2, frozenset({("nexus a", "/dev/a")}))
    assert memory.joined[SECOND] == two
    again = memory.having_joined({LU: one})
    assert again.joined == {LU: one, SECOND: Standing(1, frozenset())}


def test_known_is_only_what_was_made_sure_of() -> None:
    unit = Unit(LU, (("nexus a", "/dev/a"), ("nexus b", "/dev/b")))
    never = Memory(TAG, 1, 7, True)
    both = Standing(5, frozenset({*unit.ends, ("nexus c", "/dev/c")}))
    half = Standing(2, frozenset({unit.ends[0], ("nexus c", "/dev/c")}))
    assert known_count(unit, never) == 0
    assert known_count(unit, never.having_joined({LU: half})) == 0
    assert known_count(unit, never.having_joined({SECOND: both})) == 0
    assert known_count(unit, never.having_joined({LU: both})) == 5


def test_nothing_known_is_never_in_place(fabric: Fabric) -> None:
    """A count of 0 stands for "not known", not for a LU on which nothing need be."""
    empty = Fabric("spec")
    route = Route(2)
    assert not in_place(empty.look(LU), fabric.key(1), 0, route)
    assert not in_place(fabric.look(LU), fabric.key(1), 0, route)
    assert in_place(fabric.look(LU), fabric.key(1), 2, route)


def test_an_eviction_is_no_lost_registration(fabric: Fabric) -> None:
    """Whatever is remembered of its paths, the life is over; before and in the join's look."""
    fabric.ports[1] = [0, 2]
    fabric.evict(2, 1)
    fabric.sent.clear()
    with pytest.raises(NotMember, match="reboot"):
        fabric.join(1)
    assert not any(command.startswith("REGISTER") for _, _, command in fabric.sent)
    assert fabric.bearing(1) == set()


@pytest.mark.parametrize("nth", range(1, 9))
def test_evicted_before_any_command_of_a_repair(nth: int) -> None:
    """A second path is registered on two LUs: no registration outlives the eviction."""
    fabric = Fabric("spec", "spec")
    for node in (1, 2):
        fabric.join(node)
    fabric.ports[1] = [0, 1]
    count = 0

    def strike(name: str, command: str) -> None:
        nonlocal count
        count += 1
        if count == nth:
            fabric.evict(2, 1)

    steps = _repairing(fabric)
    with pytest.raises(NotMember):
        fabric.finish(steps, strike)
    assert count >= nth
    for name in (LU, SECOND):
        assert fabric.bearing(1, name) == set()
        assert not fabric.can_write(1, name)


def _repairing(fabric: Fabric) -> Any:
    memory = fabric.memory(1)
    plan = join_everywhere(fabric.described(1), memory, "auto", "reboot", fabric.clock)
    return fabric.steps(1, plan)


def test_what_takes_registrations_back_keeps_aptpl() -> None:
    """Rule 7: the last registration wins, and this is one too."""
    fabric = Fabric("spec")
    fabric.ports = {1: [0, 1], 2: [0]}
    for node in (2, 1):  # node 2 holds the reservation
        fabric.join(node)
    key = fabric.key(1)
    assert fabric.units[LU].reservations.aptpl
    fabric.finish(fabric.steps(1, _leaving(key)))
    assert fabric.bearing(1) == set()
    assert fabric.units[LU].reservations.aptpl


def _leaving(key: Key) -> Any:
    yield Each({LU: leave(key, Route(2))})
