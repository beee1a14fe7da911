"""Others read the same state; it outlives a loss of power; an eviction costs few commands."""

from __future__ import annotations

import re

import pytest

from .agent import (
    FLUSH,
    PREEMPT,
    PREEMPT_AND_ABORT,
    RESET,
    WERO,
    Node,
    aptpl_active,
    bears,
    commands_in,
    joined,
    nodes,
    number,
    number_of,
)
from .san import INITIATORS, Lab

LUNS = (0, 1)
BLOCK = 60
MAX_COMMANDS_PER_LU = 4
STATUS_WORDS = {"Status: ON\n": 0, "Status: OFF\n": 2}


def seen_by_sg_persist(lab: Lab, lun: int, through: str) -> tuple[list[int], int, int]:
    """Keys, holder and type as sg_persist prints them."""
    node = lab.sg(through, lun)
    keys = lab.ok(f"sg_turs {node}; sg_persist -n -i -k {node}")
    held = lab.ok(f"sg_persist -n -i -r {node}")
    holder = re.search(r"Key=0x([0-9a-f]+)\n\s+scope: LU_SCOPE,\s+type: (.+)\n", held)
    if holder is None:
        assert "there is NO reservation held" in held
    kinds = {"Write Exclusive, registrants only": WERO}
    return (
        sorted(int(key, 16) for key in re.findall(r"^ +0x([0-9a-f]+)$", keys, re.MULTILINE)),
        int(holder[1], 16) if holder else 0,
        kinds[holder[2]] if holder else 0,
    )


def fence_scsi_status(lab: Lab, key: int, through: str) -> str:
    """What fence_scsi says of a key over both LUs; its exit code agrees with its word."""
    devices = ",".join(lab.dev(through, lun) for lun in LUNS)
    code, said = lab.sh(f"fence_scsi --action=status -k {key:x} -d {devices}", timeout=60)
    assert STATUS_WORDS[said] == code
    return said


def test_sg_persist_reads_the_same(lab: Lab) -> None:
    """sg_persist and `list-status` tell one story, after join, eviction and rejoin."""
    n1, n2, _ = joined(lab)

    def compare(*present: int) -> None:
        for lun in LUNS:
            keys, holder, kind = seen_by_sg_persist(lab, lun, "n3")
            assert (keys, holder, kind) == bears(lab, lun)[1:]
            assert [number_of(key) for key in keys] == sorted(present)
            assert kind == WERO and holder in keys
        lines = n1.run("list-status").out.splitlines()
        words = {who: "ON" if number(who) in present else "OFF" for who in INITIATORS}
        assert lines == [f"{who},{number(who)},{word}" for who, word in words.items()]

    compare(1, 2, 3)
    assert n1.run("off", "n2").code == 0
    compare(1, 3)
    assert n2.run("on", "n2", rejoin="allow").code == 0
    compare(1, 2, 3)


def test_fence_scsi_reads_the_same(lab: Lab) -> None:
    """fence_scsi, given our keys, says ON and OFF where we do."""
    members = joined(lab)
    n1, n2, _ = members
    keys = {node.name: node.key() for node in members}

    def compare(words: dict[str, str]) -> None:
        for who, word in words.items():
            assert n1.run("status", who).out == word
            assert fence_scsi_status(lab, keys[who], "n1") == word

    on, off = STATUS_WORDS
    compare({"n2": on})
    assert n1.run("off", "n2").code == 0
    compare({"n2": off, "n3": on})
    assert n2.run("on", "n2", rejoin="allow").code == 0
    # The key of the life that was ended stays absent, though the node is back.
    assert fence_scsi_status(lab, keys["n2"], "n3") == off
    assert fence_scsi_status(lab, n2.key(), "n3") == on


def test_sg_persist_evicts(lab: Lab) -> None:
    """What a person does by sg_persist is what we then read; our `off` of the rest works."""
    n1, n2, n3 = joined(lab)
    for lun in LUNS:
        lab.sh(f"sg_turs {lab.sg('n3', lun)}")
        keys = f"-K {n3.key(lun):x} -S {n2.key(lun):x}"
        lab.ok(f"sg_persist -n -o -A -T {WERO} {keys} {lab.sg('n3', lun)}")
    assert n1.run("status", "n2") == (2, "Status: OFF\n", "")
    assert n1.run("off", "n2").out == "Success: Already OFF\n"
    assert n2.run("on", "n2").code == 1


def test_power_cycle(lab: Lab) -> None:
    """Rule 7: after a loss of power registrations and reservation stand; an outsider is refused."""
    n1, _, n3 = joined(lab, count=2)
    before = [bears(lab, lun) for lun in LUNS]
    assert lab.power_cycle() == 4
    for lun in LUNS:
        after = bears(lab, lun)
        assert after.keys == before[lun].keys
        assert (after.holder, after.type) == (n1.key(lun), WERO)
        assert lab.write("n3", lun, BLOCK, "outsider").errno == "EBADE"
        assert lab.write("n1", lun, BLOCK, "member").errno == ""
    assert n1.run("monitor").code == 0
    assert n1.run("on", "n1").out == "Success: Already ON\n"
    assert n1.run("off", "n2").out == "Success: Powered OFF\n"
    assert n3.run("on", "n3").code == 0
    # The last registration counts for all of them; each asked for APTPL.
    assert lab.power_cycle() == 4
    assert [[number_of(key) for key in bears(lab, lun).keys] for lun in LUNS] == [[1, 3]] * 2
    assert lab.write("n2", 0, BLOCK, "evicted").errno == "EBADE"


def test_power_cycle_without_aptpl(lab: Lab) -> None:
    """aptpl=no keeps nothing, and says so by the bit; what is lost is not taken for OFF."""
    n1, *_ = nodes(lab)
    assert n1.run("on", "n1", aptpl="no").code == 0
    assert not aptpl_active(lab)
    assert lab.power_cycle() == 0
    assert bears(lab).keys == []
    assert n1.run("status", "n2").code == 1
    assert n1.run("off", "n2").code == 1
    assert n1.run("on", "n1", aptpl="no").out == "Success: Powered ON\n"


def per_unit(commands: list[tuple[str, str]], node: Node) -> dict[str, list[str]]:
    """The commands of each device, in order."""
    return {device: [name for name, on in commands if on == device] for device in node.devices}


@pytest.mark.parametrize("drain", ["target", "auto"])
def test_commands_of_an_eviction(lab: Lab, drain: str) -> None:
    """At most 4 a LU, besides a drain's two and the unit attention that its reset causes."""
    n1, *_ = joined(lab)
    said = n1.run("off", "n2", drain=drain, verbose="1")
    assert said.code == 0
    attentions = len(re.findall(r"CHECK CONDITION: UNIT ATTENTION, .*\(06h/29h/03h\)", said.err))
    assert attentions == (len(LUNS) if drain == "auto" else 0)
    assert "CHECK CONDITION" not in re.sub(r"CHECK CONDITION: UNIT ATTENTION, bus", "", said.err)
    for names in per_unit(commands_in(said.err), n1).values():
        drains = 1 if drain == "auto" else 0
        assert names.count(RESET) == names.count(FLUSH) == drains
        assert len(names) - 3 * drains <= MAX_COMMANDS_PER_LU, names
        assert names.count(PREEMPT if drains else PREEMPT_AND_ABORT) == 1


@pytest.mark.parametrize("drain", ["target", "auto"])
def test_commands_of_an_eviction_by_strace(lab: Lab, drain: str) -> None:
    """The same, counted by the ioctls that the kernel saw."""
    n1, *_ = joined(lab)
    trace = "/run/trace"
    prefix = f"strace -f -y -e trace=ioctl -o {trace}"
    said = n1.start("off", "n2", prefix=prefix, drain=drain).wait()
    assert (said.code, said.out) == (0, "Success: Powered OFF\n"), said
    log = lab.ok(f"cat {trace}; rm {trace}")
    for device in n1.devices:
        calls = [line for line in log.splitlines() if f"<{device}" in line]
        sent = [line for line in calls if ", SG_IO, " in line or "0x2285" in line]
        resets = [line for line in calls if "SG_SCSI_RESET" in line or "0x2284" in line]
        drains = 1 if drain == "auto" else 0
        assert len(resets) == drains, log
        assert 0 < len(sent) - 2 * drains <= MAX_COMMANDS_PER_LU, log
