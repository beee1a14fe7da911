"""READ FULL STATUS, matched nexus by nexus: who is told apart, and what is not known."""

from __future__ import annotations

import pytest

from fence_prbarrier.barrier import rules
from fence_prbarrier.barrier.everywhere import join_everywhere
from fence_prbarrier.barrier.exchange import Route
from fence_prbarrier.barrier.inspect import Snapshot
from fence_prbarrier.barrier.memory import NO_NEXUS, Standing
from fence_prbarrier.barrier.nexus import NexusName, bearing
from fence_prbarrier.barrier.unit import Unit
from fence_prbarrier.errors import BarrierBroken
from fence_prbarrier.key import Key
from fence_prbarrier.scsi import command as build
from fence_prbarrier.scsi.reply import Registration, Reservation
from fence_prbarrier.simulator.faults import parse_fault

from .test_nexuses import LU, Fabric
from .world import TAG

OWN, OTHER = Key.build(TAG, 1, 7), Key.build(TAG, 2, 9)
WITH_ISID = "iqn.2003-08.example:n1,i,0x00023d000001"
WITHOUT_ISID = "iqn.2003-08.example:n1"
WERO = Reservation(OTHER, 0, 5)


class Named(Fabric):
    """A fabric whose nodes know the names of their nexuses, in the form ``form``."""

    form = "iqn.2003-08.example:n{node},i,0x00023d000001"

    def described(self, node: int) -> list[Unit]:
        found = super().described(node)
        initiator = self.form.format(node=node)
        for unit in found:
            unit.names = tuple(NexusName(initiator, port + 1) for port in self.ports[node])
        return found

    def refresh(self, node: int) -> None:
        """A person's on."""
        plan = join_everywhere(
            self.described(node), self.memory(node), "auto", "reboot", self.clock, refresh=True
        )
        self.finish(self.steps(node, plan))

    def forget_nexuses(self, node: int) -> None:
        """The memory vouches for no path; what the LU tells has to do."""
        memory = self.memory(node)
        blank = Standing(1, frozenset({(NO_NEXUS, "/dev/none")}))
        self.memories[node] = memory.having_joined(dict.fromkeys(self.units, blank))


def _named(form: str = Named.form, profile: str = "spec") -> Named:
    """Node 1 by ports 0 and 1, node 2 by port 0, both joined."""
    fabric = Named(profile)
    fabric.form = form
    fabric.ports = {1: [0, 1], 2: [0]}
    for node in (1, 2):
        fabric.join(node)
    return fabric


def test_what_the_lu_tells_of_each_nexus_needs_no_memory() -> None:
    fabric = _named()
    fabric.forget_nexuses(1)
    assert fabric.registers(1) == 0


def test_a_ghost_does_not_hide_a_path_that_is_not_registered() -> None:
    """Port 1 went and its registration stayed: the count is the same, the nexus is not."""
    fabric = _named()
    fabric.ports[1] = [0, 2]
    assert fabric.look(LU).count(fabric.key(1)) == 2
    assert fabric.registers(1) > 0 and fabric.bearing(1) == {0, 1, 2}
    fabric.forget_nexuses(1)
    assert fabric.registers(1) == 0, "a ghost more is nothing to repair"


@pytest.mark.parametrize("gone", [0, 1])
def test_a_registration_that_went_is_missed_whatever_the_memory_says(gone: int) -> None:
    fabric = _named()
    assert fabric.send(1, LU, build.register(fabric.key(1), 0), gone).good
    standing = fabric.memory(1).joined[LU]
    # A ghost of ours somewhere else keeps the count.
    fabric.ports[1] = [0, 1, 5]
    assert fabric.send(1, LU, build.register_and_ignore(fabric.key(1), True), 2).good
    fabric.ports[1] = [0, 1]
    assert fabric.look(LU).count(fabric.key(1)) == standing.count == 2
    assert fabric.registers(1) > 0 and fabric.bearing(1) == {0, 1, 5}


@pytest.mark.parametrize(
    ("form", "profile"),
    [
        ("iqn.2003-08.example:n{node}", "spec"),  # iscsi_tcp: the ISID is not told
        ("iqn.1999-01.example:gateway{node}", "spec"),  # the target sees another name
        (Named.form, "tgt"),  # the target has no READ FULL STATUS
    ],
)
def test_what_is_not_told_is_asked(form: str, profile: str) -> None:
    """Then a path is vouched for by this boot's memory, or asked by REGISTER."""
    fabric = _named(form, profile)
    assert fabric.bearing(1) == {0, 1}
    assert fabric.registers(1) == 0
    fabric.forget_nexuses(1)
    assert fabric.registers(1) > 0 and fabric.bearing(1) == {0, 1}


def test_a_nexus_without_its_isid_that_is_not_there_at_all_is_missed() -> None:
    """Which session made a registration is not told; that none did is."""
    fabric = _named("iqn.2003-08.example:n{node}")
    assert fabric.send(1, LU, build.register(fabric.key(1), 0), 1).good
    unit = fabric.described(1)[0]
    assert bearing(fabric.look(LU), fabric.key(1), unit.names) == (None, False)


def test_an_eviction_begins_with_a_path_that_is_registered() -> None:
    """The first path lost its registration: no conflict is needed to find that out."""
    fabric = Named("spec")
    fabric.ports = {1: [0, 1], 2: [0]}
    for node in (2, 1):  # the holder's registration would take the reservation with it
        fabric.join(node)
    assert fabric.send(1, LU, build.register(fabric.key(1), 0), 0).good
    fabric.sent.clear()
    fabric.evict(1, 2)
    names = [name for _, _, name in fabric.sent]
    assert names.count("PREEMPT AND ABORT") == 1
    assert fabric.look(LU).lives(TAG, 2) == []


@pytest.mark.parametrize("bad", [1, 2])
def test_a_path_that_cannot_read_reservations_gets_none(bad: int) -> None:
    """As a target port in unavailable state: the others are joined, and it is told."""
    fabric = Named("spec")
    fabric.ports = {1: [0, 1], 2: [0]}
    fault = f"sense:2/04/0c op=5e port={bad} times=always initiator=iqn.2003-08.example:n1"
    fabric.units[LU].faults.append(parse_fault(fault.split()))
    done = fabric.join(1)
    assert list(done[LU].unread) == [bad - 1] and "unavailable" in done[LU].unread[bad - 1]
    assert fabric.bearing(1) == {2 - bad}
    assert fabric.memory(1).joined[LU].by_device() == {f"/dev/{2 - bad}": 1}
    fabric.units[LU].faults.clear()
    assert fabric.registers(1) > 0 and fabric.bearing(1) == {0, 1}


# --- Values --------------------------------------------------------------------------------------


def _snapshot(*registrations: Registration) -> Snapshot:
    return Snapshot(1, registrations, WERO, full=True)


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        (WITH_ISID, WITH_ISID, True),
        (WITH_ISID.upper(), WITH_ISID, True),
        (WITH_ISID, WITH_ISID[:-1] + "2", None),  # no registration is of any of our nexuses
        (WITH_ISID, WITHOUT_ISID, None),  # some session of this initiator
        (WITHOUT_ISID, WITH_ISID, None),
        ("wwpn.5001438001234567", "wwpn.5001438001234567", True),
        ("wwpn.5001438001234567", "wwpn.5001438001234568", None),
    ],
)
def test_names_of_initiator_ports(ours: str, theirs: str, told: bool | None) -> None:
    found = _snapshot(Registration(OWN, port=1, initiator=theirs))
    assert bearing(found, OWN, [NexusName(ours, 1)]) == (told,)


def test_another_port_or_key_of_ours_tells_that_one_is_missing() -> None:
    ours = [NexusName(WITH_ISID, 1), NexusName(WITH_ISID, 2), None]
    one = Registration(OWN, port=1, initiator=WITH_ISID)
    assert bearing(_snapshot(one), OWN, ours) == (True, False, None)
    old = Registration(OTHER, port=2, initiator=WITH_ISID)
    assert bearing(_snapshot(one, old), OWN, ours) == (True, False, None)
    everywhere = Registration(OWN, all_target_ports=True, initiator=WITH_ISID)
    assert bearing(_snapshot(everywhere), OWN, ours) == (True, True, None)
    counted = Snapshot(1, (one,), WERO, full=False)
    assert bearing(counted, OWN, ours) == (None, None, None)


def test_a_count_that_a_ghost_fills_is_no_success() -> None:
    """Rule 1: two registrations, two paths, and one of them is not of either."""
    names = [NexusName(WITH_ISID, 1), NexusName(WITH_ISID, 2)]
    held = Reservation(OWN, 0, 5)
    registrations = (
        Registration(OWN, True, held, port=1, initiator=WITH_ISID),
        Registration(OWN, port=3, initiator=WITH_ISID),
    )
    found = Snapshot(1, registrations, held, full=True)
    with pytest.raises(BarrierBroken, match=r"not registered on nexus .* to target port 2"):
        rules.require_joined(found, OWN, Route(2, names))
    rules.require_joined(found, OWN, Route(2, names).without([1]))


def test_a_route_goes_round_the_paths_that_it_has() -> None:
    route = Route(4).without([0, 2])
    assert (route.paths, route.current) == ((1, 3), 1)
    route.advance()
    assert route.current == 3
    route.advance()
    assert route.current == 1
    assert Route.only(2).paths == (2,)
    with pytest.raises(Exception, match="no usable path"):
        Route(2).without([0, 1])


# --- What is remembered of paths -----------------------------------------------------------------


def test_a_map_that_lost_a_path_is_known_to_have_had_it() -> None:
    """Without a change on the LU what vouched for the missing nexus still does; else nothing."""
    both = Standing(2, frozenset({("n0", "/dev/map"), ("n1", "/dev/map")}))
    one = Standing(2, frozenset({("n0", "/dev/map")}))
    assert one.after(both, changed=False) == both
    changed = one.after(both, changed=True)
    assert changed.by_device() == {"/dev/map": 2}
    assert ("n1", "/dev/map") not in changed.paths and ("n0", "/dev/map") in changed.paths
    back = Standing(2, frozenset({("n0", "/dev/map"), ("n2", "/dev/map")}))
    for earlier in (both, changed):
        for sent in (False, True):
            assert back.after(earlier, changed=sent) == back


def test_only_a_refresh_forgets_paths_that_are_no_more() -> None:
    fabric = Named("spec")
    fabric.names = {0: "/dev/map", 1: "/dev/map"}
    fabric.ports = {1: [0, 1]}
    fabric.join(1)
    fabric.ports[1] = [0]
    fabric.join(1)
    assert fabric.memory(1).joined[LU].by_device() == {"/dev/map": 2}
    fabric.refresh(1)
    assert fabric.memory(1).joined[LU].by_device() == {"/dev/map": 1}
