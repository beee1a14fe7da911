"""A node's life on a real target: join, be evicted, be refused, come back."""

from __future__ import annotations

import pytest

from .agent import (
    WERO,
    Bears,
    Node,
    Running,
    aptpl_active,
    bears,
    incarnation_of,
    joined,
    nodes,
    number_of,
)
from .san import INITIATORS, Lab

LUNS = (0, 1)
ON = (0, "Success: Powered ON\n", "")
OFF = (0, "Success: Powered OFF\n", "")
ALREADY_OFF = (0, "Success: Already OFF\n", "")
BLOCK = 40


def everything(lab: Lab) -> list[Bears]:
    """What every LU bears."""
    return [bears(lab, lun) for lun in LUNS]


def writers(lab: Lab, lun: int = 0) -> dict[str, str]:
    """What a direct write of each initiator comes to: '' or the errno."""
    return {who: lab.write(who, lun, BLOCK, who).errno for who in INITIATORS}


def test_join(lab: Lab) -> None:
    """Three nodes join two LUs: three keys each, one type 5 reservation, APTPL active."""
    members = nodes(lab)
    for node in members:
        assert node.run("on", node.name) == ON
    for lun in LUNS:
        found = bears(lab, lun)
        assert [number_of(key) for key in found.keys] == [1, 2, 3]
        assert (found.holder, found.type) == (members[0].key(lun), WERO)
        assert len({key >> 48 for key in found.keys}) == 1
        assert aptpl_active(lab, lun)
    assert all(node.key(0) == node.key(1) for node in members)
    assert writers(lab) == {"n1": "", "n2": "", "n3": ""}


def test_join_again_changes_nothing(lab: Lab) -> None:
    """The same `on` again: same incarnation, PRGENERATION unchanged, nothing sent that changes."""
    members = joined(lab)
    before = everything(lab)
    for node in members:
        said = node.run("on", node.name, verbose="1")
        assert (said.code, said.out) == (0, "Success: Already ON\n")
        assert "[5e" in said.err and "[5f" not in said.err
    assert everything(lab) == before


def test_nodes_that_join_at_once(lab: Lab) -> None:
    """Three `on` at the same time: whoever comes second finds the reservation and is content."""
    members = nodes(lab)
    runs: list[Running] = [node.start("on", node.name) for node in members]
    assert [run.wait() for run in runs] == [ON] * 3
    for lun in LUNS:
        found = bears(lab, lun)
        assert [number_of(key) for key in found.keys] == [1, 2, 3]
        assert found.type == WERO and found.holder in found.keys


def test_evict(lab: Lab) -> None:
    """`off` of n2 by n1: its writes fail, the others' do not, and every action says so."""
    n1, n2, n3 = joined(lab)
    assert n1.run("off", "n2") == OFF
    for lun in LUNS:
        assert [number_of(key) for key in bears(lab, lun).keys] == [1, 3]
        assert writers(lab, lun) == {"n1": "", "n2": "EBADE", "n3": ""}
        assert lab.read("n2", lun, BLOCK).data[:2] == b"n3"
    for reader in (n1, n3):
        assert reader.run("status", "n2") == (2, "Status: OFF\n", "")
        assert reader.run("status", "n3") == (0, "Status: ON\n", "")
    assert n1.run("list") == (0, "n1,1\nn2,2\nn3,3\n", "")
    assert n1.run("list-status") == (0, "n1,1,ON\nn2,2,OFF\nn3,3,ON\n", "")
    assert n1.run("monitor") == (0, "", "")
    assert n1.run("validate-all") == (0, "", "")
    lost = n2.run("monitor")
    assert lost.code == 1 and "it has been evicted" in lost.err


def test_evict_again_is_verified_anew(lab: Lab) -> None:
    """The second `off` reads every LU again, before and after the drain; the survivors stay."""
    n1, _, n3 = joined(lab)
    assert n1.run("off", "n2") == OFF
    before = everything(lab)
    again = n1.run("off", "n2", verbose="1")
    assert (again.code, again.out) == ALREADY_OFF[:2]
    for node in n1.devices:
        assert again.err.count(f"READ FULL STATUS on {node}: [5e 03 00") >= 2
    assert "[5f" not in again.err
    assert everything(lab) == before
    assert n3.run("off", "n2") == ALREADY_OFF
    assert everything(lab) == before


def test_plug_by_number_and_by_nodename(lab: Lab) -> None:
    """Pacemaker's call shapes: a node number; `nodename` alone; `port`."""
    n1, _, n3 = joined(lab)
    assert n1.run("off", "2") == OFF
    assert n1.run("status", nodename="n2") == (2, "Status: OFF\n", "")
    assert n3.run("status", port="n2") == (2, "Status: OFF\n", "")


def test_an_evicted_node_evicts_nobody(lab: Lab) -> None:
    """Rule 3: n2's own `off` of n1 exits 1 and changes nothing on any LU."""
    n1, n2, n3 = joined(lab)
    assert n1.run("off", "n2") == OFF
    before = everything(lab)
    for victim in ("n1", "n3"):
        said = n2.run("off", victim, verbose="1")
        assert (said.code, said.out) == (1, "")
        assert "it has been evicted and may evict nobody; reboot it" in said.err
        assert "[5f" not in said.err and "LOGICAL UNIT RESET" not in said.err
    assert everything(lab) == before
    assert writers(lab) == {"n1": "", "n2": "EBADE", "n3": ""}
    stranger = Node(lab, "n2")
    stranger.reboot()
    said = stranger.run("off", "n1")
    assert said.code == 1 and "has not joined in this boot" in said.err
    assert everything(lab) == before
    assert n3.run("status", "n1").code == 0


def test_nobody_evicts_itself(lab: Lab) -> None:
    """Rule 8: `off` of the node itself, and `on` of another one, are refused."""
    n1, *_ = joined(lab)
    before = everything(lab)
    assert "a node never evicts itself" in n1.run("off", "n1").err
    assert "must run on that node" in n1.run("on", "n2").err
    assert everything(lab) == before


def test_an_evicted_node_does_not_slip_back_in(lab: Lab) -> None:
    """Rule 4: n2's `on` in the same boot exits 1, says reboot, and registers nothing."""
    n1, n2, _ = joined(lab)
    assert n1.run("off", "n2") == OFF
    before = everything(lab)
    for _ in range(2):
        said = n2.run("on", "n2")
        assert (said.code, said.out) == (1, "") and "reboot" in said.err
    assert everything(lab) == before
    assert lab.write("n2", 0, BLOCK, "n2").errno == "EBADE"


@pytest.mark.parametrize("way", ["rejoin", "reboot"])
def test_coming_back(lab: Lab, way: str) -> None:
    """Rule 4: with rejoin=allow, or after a reboot, n2 is back with a larger incarnation."""
    n1, n2, _ = joined(lab)
    old = n2.key()
    assert n1.run("off", "n2") == OFF
    if way == "reboot":
        n2.reboot()
        assert n2.run("on", "n2") == ON
    else:
        assert n2.run("on", "n2", rejoin="allow") == ON
    assert n2.key(0) == n2.key(1)
    assert incarnation_of(n2.key()) > incarnation_of(old)
    assert writers(lab) == {"n1": "", "n2": "", "n3": ""}
    assert n1.run("status", "n2") == (0, "Status: ON\n", "")
    assert n2.run("on", "n2") == (0, "Success: Already ON\n", "")
    assert n2.run("off", "n1") == OFF
    assert writers(lab) == {"n1": "EBADE", "n2": "", "n3": ""}


def test_reboot_without_eviction(lab: Lab) -> None:
    """A node that rebooted unfenced replaces its key in place, by a larger incarnation."""
    n1, n2, _ = joined(lab)
    old, holder = n2.key(), n1.key()
    n2.reboot()
    assert n2.run("on", "n2") == ON
    assert incarnation_of(n2.key()) > incarnation_of(old)
    assert bears(lab).holder == holder
    assert len(bears(lab).keys) == 3
    # The holder itself: the reservation stays with its nexus, under the new key.
    n1.reboot()
    assert n1.run("on", "n1") == ON
    assert incarnation_of(n1.key()) > incarnation_of(holder)
    assert (bears(lab).holder, bears(lab).type) == (n1.key(), WERO)


def test_the_holder_is_evicted(lab: Lab) -> None:
    """The victim held the reservation: its key goes, and type 5 stands, held by the survivor."""
    n1, n2, n3 = joined(lab)
    assert n3.run("off", "n1") == OFF
    for lun in LUNS:
        found = bears(lab, lun, "n2")
        assert [number_of(key) for key in found.keys] == [2, 3]
        assert (found.holder, found.type) == (n3.key(lun), WERO)
    assert writers(lab) == {"n1": "EBADE", "n2": "", "n3": ""}
    assert n2.run("status", "n1") == (2, "Status: OFF\n", "")
    assert n1.run("off", "n2").code == 1


@pytest.mark.parametrize("through", ["sg", "bsg"])
def test_other_device_nodes(lab: Lab, through: str) -> None:
    """Join, off with its reset, status and rejoin over sg and bsg nodes as over block nodes."""
    n1, n2, n3 = joined(lab, through)
    assert all(device.startswith(("/dev/sg", "/dev/bsg/")) for device in n1.devices)
    before = [bears(lab, lun).keys for lun in LUNS]
    assert Node(lab, "n2").run("status", "n2") == (0, "Status: ON\n", "")
    said = n1.run("off", "n2", verbose="1", drain="reset")
    assert (said.code, said.out) == OFF[:2]
    for node in n1.devices:
        assert f"LOGICAL UNIT RESET on {node}: task management function -> GOOD" in said.err
        assert f"READ FULL STATUS on {node}: [5e 03 00" in said.err.partition("RESET")[2]
    assert [bears(lab, lun).keys for lun in LUNS] == [[keys[0], keys[2]] for keys in before]
    assert n3.run("status", "n2") == (2, "Status: OFF\n", "")
    assert lab.write("n2", 0, BLOCK, "x").errno == "EBADE"
    assert n2.run("off", "n1").code == 1
    assert n2.run("on", "n2", rejoin="allow") == ON
    assert lab.write("n2", 1, BLOCK, "x").errno == ""


def test_mixed_device_nodes(lab: Lab) -> None:
    """One node over block and sg, one over sg and bsg, one over bsg and block: one barrier."""
    members = nodes(lab)
    for node, kinds in zip(members, ((lab.dev, lab.sg), (lab.sg, lab.bsg), (lab.bsg, lab.dev))):
        node.devices = [kind(node.name, lun) for kind, lun in zip(kinds, LUNS)]
        assert node.run("on", node.name) == ON
    n1, _, n3 = members
    assert n1.run("off", "n2") == OFF
    assert n3.run("status", "n2") == (2, "Status: OFF\n", "")
    # Another node of the same path is no second path: there is one registration for it.
    n3.devices.append(lab.sg("n3", 0))
    assert writers(lab) == {"n1": "", "n2": "EBADE", "n3": ""}
    assert n3.run("off", "n1") == OFF
    assert writers(lab) == {"n1": "EBADE", "n2": "EBADE", "n3": ""}


def test_a_node_with_two_paths(lab: Lab) -> None:
    """Two I_T nexuses of one node bear one key; `off` of the node silences both."""
    wide, other = Node(lab, "n1"), Node(lab, "n2")
    lab.ok("rm -rf /run/fp-n*")
    wide.devices = [lab.dev("n1", 0), lab.sg("n3", 0), lab.bsg("n1", 1), lab.dev("n3", 1)]
    assert wide.run("on", "n1") == ON
    assert other.run("on", "n2") == ON
    for lun in LUNS:
        assert [number_of(key) for key in bears(lab, lun).keys] == [1, 1, 2]
    assert writers(lab) == {"n1": "", "n2": "", "n3": ""}
    assert wide.run("on", "n1") == (0, "Success: Already ON\n", "")
    assert other.run("off", "n1") == OFF
    assert writers(lab) == {"n1": "EBADE", "n2": "", "n3": "EBADE"}
    # Back by one path only: the other stays out until it is named again.
    wide.reboot()
    wide.devices = [lab.dev("n1", 0), lab.dev("n1", 1)]
    assert wide.run("on", "n1") == ON
    assert writers(lab) == {"n1": "", "n2": "", "n3": "EBADE"}
    wide.devices += [lab.sg("n3", 0), lab.sg("n3", 1)]
    before = wide.key()
    assert wide.run("on", "n1") == ON
    assert wide.key() == before
    assert writers(lab) == {"n1": "", "n2": "", "n3": ""}
