"""Clearing a real LU: what sg_persist shows of it before and afterwards."""

from __future__ import annotations

from .agent import Node, bears, commands_in, joined, number_of, persist
from .san import Lab
from .test_on_lio_tools import LUNS, seen_by_sg_persist

STRANGER = 0xBEEF000100000001
ALL = {"force": "remove-members", "confirm": "1"}
BLOCK = 70


def outsider(lab: Lab) -> Node:
    """n3 with its number, which has not joined."""
    return Node(lab, "n3")


def test_all_by_a_member(lab: Lab) -> None:
    """Nothing is left; CLEAR was not sent; the disks are open to everybody and can be joined."""
    n1, n2, _ = joined(lab)
    refused = n1.run("clear", confirm="1")
    assert refused.code == 1 and "members of the cluster are registered: n1 (" in refused.err
    only_shown = n1.run("clear", force="remove-members")
    assert only_shown.code == 1 and "nothing removed: no terminal to ask at" in only_shown.err
    assert [number_of(key) for key in bears(lab).keys] == [1, 2, 3]
    said = n1.run("clear", verbose="1", **ALL)
    assert (said.code, said.out.splitlines()[-1]) == (0, "Success: Cleared"), said
    names = [name for name, _ in commands_in(said.err)]
    assert names.count("RELEASE") == 2 and not {"CLEAR", "RESERVE"} & set(names)
    for lun in LUNS:
        assert seen_by_sg_persist(lab, lun, "n2") == ([], 0, 0)
        assert lab.write("n2", lun, BLOCK, "anybody").errno == ""
    assert n1.run("clear", **ALL).out.endswith("Success: Already clear\n")
    assert n2.run("on", "n2").out == "Success: Powered ON\n"


def test_by_a_node_that_has_not_joined(lab: Lab) -> None:
    """Another node's keys are not its to remove; all of the cluster's are."""
    joined(lab, count=2)
    n3 = outsider(lab)
    for plug in ("n1", "n2"):
        said = n3.run("clear", plug, **ALL)
        assert said.code == 1 and "not registered on the LU in this boot" in said.err, said
        assert [[number_of(key) for key in bears(lab, lun).keys] for lun in LUNS] == [[1, 2]] * 2
        assert lab.write("n3", 0, BLOCK, "outsider").errno == "EBADE"
    said = n3.run("clear", **ALL)
    assert (said.code, said.out.splitlines()[-1]) == (0, "Success: Cleared"), said
    assert [seen_by_sg_persist(lab, lun, "n1") for lun in LUNS] == [([], 0, 0)] * 2


def test_a_node_clears_itself(lab: Lab) -> None:
    """Its keys go, the barrier of the other stands, and that one is not disturbed."""
    n1, n2, *_ = joined(lab, count=2)
    said = n2.run("clear", "n2", **ALL)
    assert (said.code, said.out.splitlines()[-1]) == (0, "Success: Cleared"), said
    for lun in LUNS:
        found = bears(lab, lun)
        assert found.keys == [n1.key(lun)] and found.holder == n1.key(lun)
        assert lab.write("n2", lun, BLOCK, "cleared").errno == "EBADE"
        assert lab.write("n1", lun, BLOCK, "member").errno == ""
    assert n1.run("monitor").code == 0
    said = n1.run("clear", "n1", **ALL)
    assert (said.code, said.out.splitlines()[-1]) == (0, "Success: Cleared"), said
    assert [seen_by_sg_persist(lab, lun, "n2") for lun in LUNS] == [([], 0, 0)] * 2


def test_an_evicted_node_clears_nothing(lab: Lab) -> None:
    n1, n2, *_ = joined(lab, count=2)
    assert n1.run("off", "n2").code == 0
    for plug in ("", "n1"):
        said = n2.run("clear", plug, **ALL)
        assert said.code == 1 and "has been evicted since" in said.err, said
    assert [[number_of(key) for key in bears(lab, lun).keys] for lun in LUNS] == [[1], [1]]
    assert lab.write("n2", 0, BLOCK, "evicted").errno == "EBADE"


def test_a_foreign_key_stays(lab: Lab) -> None:
    """On another nexus, and on the caller's own, where the target refuses to replace it."""
    n1, *_ = joined(lab, count=2)
    persist(lab, f"--register-ignore --param-sark={STRANGER:x}", "n3")
    said = n1.run("clear", **ALL)
    assert said.code == 0 and "keep   cluster tag 0xbeef" in said.out, said
    assert seen_by_sg_persist(lab, 0, "n2") == ([STRANGER], 0, 0)
    joined(lab, count=1)
    said = outsider(lab).run("clear", **ALL)
    assert said.code == 1 and "no path took a key to work with" in said.err
    keys, holder, _ = seen_by_sg_persist(lab, 0, "n2")
    assert len(keys) == 2 and STRANGER in keys and number_of(holder) == 1


def test_a_member_clears_the_holder_and_keeps_the_barrier(lab: Lab) -> None:
    """The reservation passes to who clears; APTPL stays."""
    _, n2, n3 = joined(lab)
    said = n3.run("clear", "n1", **ALL)
    assert (said.code, said.out.splitlines()[-1]) == (0, "Success: Cleared"), said
    assert "it passes to" in said.out
    for lun in LUNS:
        keys, holder, _ = seen_by_sg_persist(lab, lun, "n2")
        assert [number_of(key) for key in keys] == [2, 3] and number_of(holder) == 3
        assert lab.write("n1", lun, BLOCK, "cleared").errno == "EBADE"
    assert n2.run("monitor").code == n3.run("monitor").code == 0


def test_aptpl_stays_with_those_who_stay(lab: Lab) -> None:
    """A temporary registration is the last one, and the last one counts for all."""
    n1, n2, *_ = joined(lab, count=2)
    assert n2.run("clear", "n2", **ALL).code == 0
    before = [bears(lab, lun).keys for lun in LUNS]
    assert lab.power_cycle() == 2
    assert [bears(lab, lun).keys for lun in LUNS] == before
    assert n1.run("monitor").code == 0
