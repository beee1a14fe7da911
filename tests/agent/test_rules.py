"""The rules of the barrier, kept by the agent as a process.  Clause numbers are the rules'."""

from __future__ import annotations

import pytest

from fence_prbarrier.key import Key, tag_of_cluster

from .stage import CLUSTER, Result, Stage, assert_refused

TAG = tag_of_cluster(CLUSTER)
STRANGER_TAG = 0x7E57
REGISTER_AND_IGNORE, RESERVE, RELEASE, CLEAR = 6, 1, 2, 3
WRITE_EXCLUSIVE, WERO, EXCLUSIVE_REGISTRANTS = 1, 5, 6


def _own(stage: Stage, node: str, unit: int = 0) -> int:
    return stage.keys(node, unit)[0]


def _release(stage: Stage, unit: int) -> None:
    """What n1 never does by itself: the reservation is gone, the keys stay."""
    assert stage.reserve_out("n1", RELEASE, _own(stage, "n1", unit), kind=WERO, unit=unit) == 0


def _no_reservation(stage: Stage, unit: int) -> None:
    _release(stage, unit)


def _other_type(stage: Stage, unit: int) -> None:
    _release(stage, unit)
    key = _own(stage, "n1", unit)
    assert stage.reserve_out("n1", RESERVE, key, kind=EXCLUSIVE_REGISTRANTS, unit=unit) == 0


def _other_cluster(stage: Stage, unit: int) -> None:
    _release(stage, unit)
    key = Key.build(STRANGER_TAG, 1, 77)
    assert stage.reserve_out("stranger", REGISTER_AND_IGNORE, 0, key, unit=unit) == 0
    assert stage.reserve_out("stranger", RESERVE, key, kind=WERO, unit=unit) == 0


def _unreadable(stage: Stage, unit: int) -> None:
    stage.fault("dead-path op=5e", unit)


def _cut_off(stage: Stage, unit: int) -> None:
    stage.fault("truncated:30 op=5e times=always", unit)


BREAKAGES = {
    "no reservation": (_no_reservation, "no reservation stands"),
    "another type": (_other_type, "Exclusive Access - Registrants Only"),
    "another cluster": (_other_cluster, f"0x{STRANGER_TAG:04x}"),
    "unreadable": (_unreadable, "NO_CONNECT"),
    "cut off": (_cut_off, "cut off"),
}


@pytest.mark.parametrize("unit", [0, 1])
@pytest.mark.parametrize("what", BREAKAGES)
def test_rule_1_one_broken_lu_of_two_is_never_off(joined: Stage, what: str, unit: int) -> None:
    """status and list-status exit 1 and name the LU and why; the sound LU is not named."""
    assert joined.do("n1", "off", "n2").code == 0
    break_it, why = BREAKAGES[what]
    break_it(joined, unit)
    bad, good = joined.units[unit], joined.units[1 - unit]
    for result in (joined.do("n3", "status", "n2"), joined.do("n3", "list-status")):
        # Warnings, such as of a foreign key that may write, may stand before it.
        last = result.err.splitlines()[-1]
        assert_refused(result._replace(err=last + "\n"), f"mock:{bad}", why)
        assert str(good) not in result.err


@pytest.mark.parametrize("unit", [0, 1])
@pytest.mark.parametrize("what", [name for name in BREAKAGES if name != "no reservation"])
def test_rules_1_and_6_off_sends_nothing_where_one_lu_is_broken(
    joined: Stage, what: str, unit: int
) -> None:
    """All is read before anything is sent: the sound LU keeps the victim too."""
    break_it, why = BREAKAGES[what]
    break_it(joined, unit)
    before = joined.pictures()
    assert_refused(joined.do("n3", "off", "n2"), f"mock:{joined.units[unit]}", why)
    assert joined.pictures() == before


def test_rule_1_off_puts_a_missing_reservation_up(joined: Stage) -> None:
    """RESERVE if no reservation stands; that is no success yet, the next try may be one."""
    _release(joined, 1)
    assert_refused(joined.do("n1", "off", "n2"), f"mock:{joined.units[1]}", "no reservation")
    assert joined.keys("n2") and joined.keys("n2", 1)
    assert joined.do("n1", "off", "n2") == (0, "Success: Powered OFF\n", "")
    assert any(line.startswith("reserved type 5 ") for line in joined.pictures()[1])


def test_status_is_on_where_any_lu_bears_the_key(joined: Stage) -> None:
    """ON needs no sound barrier; what is unsound is a warning."""
    _release(joined, 0)
    result = joined.do("n3", "status", "n2")
    assert (result.code, result.out) == (0, "Status: ON\n")
    assert result.err.count("\n") == 1 and f"mock:{joined.units[0]}" in result.err


@pytest.mark.parametrize(
    ("words", "sent"),
    [("dead-path", False), ("dead-path skip=1", False), ("dead-path op=5e/03 skip=1", True)],
    ids=["from the start", "after the first command", "before the read-back"],
)
def test_rule_2_a_dead_path_is_never_an_empty_list(joined: Stage, words: str, sent: bool) -> None:
    """It is an error, and never OFF; nothing is sent to a LU that was not read."""
    joined.fault(words, 1)
    assert_refused(joined.do("n1", "off", "n2"), f"mock:{joined.units[1]}", "NO_CONNECT")
    assert (joined.keys("n2", 1) == []) == sent
    assert_refused(joined.do("n1", "off", "n2"), f"mock:{joined.units[1]}", "NO_CONNECT")


@pytest.mark.parametrize("size", [0, 4, 7, 8, 24, 100])
def test_rule_2_truncated_replies_are_errors(joined: Stage, size: int) -> None:
    assert joined.do("n1", "off", "n2").code == 0
    joined.fault(f"truncated:{size} op=5e/03 times=always", 1)
    before = joined.pictures()
    for action, plug in (("status", "n2"), ("off", "n2"), ("off", "n3"), ("on", "n1")):
        assert_refused(joined.do("n1", action, plug), f"mock:{joined.units[1]}", "READ FULL")
    assert joined.pictures() == before


def test_rule_2_a_truncated_identity_is_an_error(joined: Stage) -> None:
    joined.fault("truncated:10 op=12 times=always", 1)
    assert_refused(joined.do("n1", "status", "n2"), f"mock:{joined.units[1]}", "VPD 83h")


def test_rule_3_an_evicted_node_evicts_nobody(joined: Stage) -> None:
    """And changes nothing on any LU; also where one LU only lacks its key."""
    assert joined.do("n1", "off", "n2").code == 0
    before = joined.pictures()
    assert_refused(joined.do("n2", "off", "n1"), "evicted", str(joined.units[0]))
    assert joined.pictures() == before


def test_rule_3_a_key_on_one_of_two_lus_is_not_enough(joined: Stage) -> None:
    assert joined.do("n1", "off", "n2", devices=f"mock:{joined.units[1]}").code == 0
    before = joined.pictures()
    assert_refused(joined.do("n2", "off", "n1"), "evicted", f"mock:{joined.units[1]}")
    assert joined.pictures() == before


def test_rule_3_who_never_joined_evicts_nobody(joined: Stage) -> None:
    joined.reboot("n3")
    before = joined.pictures()
    assert_refused(joined.do("n3", "off", "n2"), "has not joined in this boot", "action=on")
    assert joined.pictures() == before


def _evicted(stage: Stage) -> tuple[int, Result]:
    """n2 was evicted and tries to join again in the same boot."""
    before = _own(stage, "n2")
    assert stage.do("n1", "off", "n2").code == 0
    return before, stage.do("n2", "on", "n2")


def test_rule_4_an_evicted_node_does_not_slip_back_in(joined: Stage) -> None:
    _, result = _evicted(joined)
    assert_refused(result, "evicted", "reboot", "rejoin=allow")
    assert joined.keys("n2") == joined.keys("n2", 1) == []


def test_rule_4_evicted_from_one_lu_is_evicted(joined: Stage) -> None:
    assert joined.do("n1", "off", "n2", devices=f"mock:{joined.units[1]}").code == 0
    before = joined.pictures()
    assert_refused(joined.do("n2", "on", "n2"), "evicted", f"mock:{joined.units[1]}")
    assert joined.pictures() == before


def test_rule_4_rejoin_allow_gives_a_new_incarnation(joined: Stage) -> None:
    before, _ = _evicted(joined)
    result = joined.do("n2", "on", "n2", rejoin="allow")
    assert result == (0, "Success: Powered ON\n", "")
    assert joined.keys("n2") == joined.keys("n2", 1)
    assert _own(joined, "n2") > before and Key(before).node == Key(_own(joined, "n2")).node


def test_rule_4_a_reboot_gives_a_new_incarnation(joined: Stage) -> None:
    before, _ = _evicted(joined)
    joined.reboot("n2")
    assert joined.do("n2", "on", "n2") == (0, "Success: Powered ON\n", "")
    assert joined.keys("n2") == joined.keys("n2", 1)
    assert _own(joined, "n2") > before
    assert joined.do("n1", "status", "n2") == (0, "Status: ON\n", "")


def test_rule_4_a_lu_that_lost_its_state_is_joined_again(joined: Stage) -> None:
    """Where the LU bears nothing at all ``on`` registers again, with the same key."""
    before = _own(joined, "n1")
    for unit in (0, 1):
        assert joined.reserve_out("n1", CLEAR, before, unit=unit) == 0
    assert joined.do("n1", "on", "n1") == (0, "Success: Powered ON\n", "")
    assert joined.keys("n1") == joined.keys("n1", 1) == [before]


def test_rule_6_lvms_keys_are_refused(joined: Stage) -> None:
    """0x1000 is lvmlockd's prefix: registered is enough, reserved it need not be."""
    key = 0x1000_0000_0000_0001
    assert joined.reserve_out("stranger", REGISTER_AND_IGNORE, 0, key, unit=1) == 0
    before = joined.pictures()
    for action, plug in (("on", "n1"), ("off", "n2"), ("monitor", ""), ("validate-all", "")):
        result = joined.do("n1", action, plug)
        assert_refused(result, "LVM", f"{key:#018x}", f"mock:{joined.units[1]}")
    assert joined.pictures() == before


def test_rule_6_a_foreign_registrant_is_told_of(joined: Stage) -> None:
    """It may write, so the monitor warns; it is no failure."""
    assert joined.reserve_out("stranger", REGISTER_AND_IGNORE, 0, 0xABC) == 0
    result = joined.do("n1", "monitor")
    assert (result.code, result.out) == (0, "")
    assert "0x0000000000000abc" in result.err and result.err.count("\n") == 1


@pytest.mark.parametrize("kind", [WRITE_EXCLUSIVE, EXCLUSIVE_REGISTRANTS])
def test_rule_6_on_refuses_a_lu_of_somebody_else(bare: Stage, kind: int) -> None:
    key = Key.build(STRANGER_TAG, 1, 77)
    assert bare.reserve_out("stranger", REGISTER_AND_IGNORE, 0, key, unit=1) == 0
    assert bare.reserve_out("stranger", RESERVE, key, kind=kind, unit=1) == 0
    before = bare.pictures()
    assert_refused(bare.do("n1", "on", "n1"), f"0x{STRANGER_TAG:04x}", f"mock:{bare.units[1]}")
    assert bare.pictures() == before and bare.memories() == {}


def test_rule_7_every_registration_asks_for_aptpl(bare: Stage) -> None:
    """The last one wins; so the barrier outlives a power loss of the disks."""
    from fence_prbarrier.simulator import store
    from fence_prbarrier.simulator.unit import LogicalUnit

    bare.join_all()
    before = [picture[2:] for picture in bare.pictures()]
    for path in bare.units:
        store.transact(str(path), LogicalUnit.power_cycle)
    assert [picture[2:] for picture in bare.pictures()] == before
    assert bare.do("n1", "off", "n2") == (0, "Success: Powered OFF\n", "")


def test_rule_7_nothing_unregisters(joined: Stage) -> None:
    """No action takes the caller's own key away, whatever else fails."""
    for action in ("monitor", "validate-all", "list-status", "list"):
        joined.do("n1", action)
    assert all(joined.keys(node, unit) for node in ("n1", "n2", "n3") for unit in (0, 1))


def test_rule_8_an_older_life_elsewhere_is_removed_after_the_new_key_stands(bare: Stage) -> None:
    """The stale key is on a nexus (port 2) that is no path any more."""
    bare.join_all()
    old = _own(bare, "n1")
    two_paths = ",".join(f"mock:{path}?port=2" for path in bare.units)
    bare.reboot("n1")
    assert bare.do("n1", "on", "n1", devices=two_paths).code == 0
    assert bare.keys("n1") == bare.keys("n1", 1) != [old]
    assert bare.keys("n1")[0] > old


def test_two_names_of_one_lu_are_two_paths(bare: Stage) -> None:
    """VPD page 83h tells, so the key is registered on both and evicted from both."""
    first, second = (f"mock:{bare.units[0]}?port={port}" for port in (1, 2))
    both = f"{first},{second}"
    for node in ("n1", "n2"):
        assert bare.do(node, "on", node, devices=both) == (0, "Success: Powered ON\n", "")
        assert len(bare.keys(node)) == 2 and len(set(bare.keys(node))) == 1
    err = bare.do("n1", "off", "n2", devices=both, verbose_level=1).err
    assert err.count("off: LU ") == 1
    assert bare.keys("n2") == [] and len(bare.keys("n1")) == 2


def test_one_name_twice_is_one_path(joined: Stage) -> None:
    twice = f"{joined.devices},{joined.devices}"
    assert joined.do("n1", "on", "n1", devices=twice) == (0, "Success: Already ON\n", "")
