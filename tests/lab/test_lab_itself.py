"""The laboratory is what it says it is. Without this, no test that uses it means anything."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .guest import end_stale, session_members
from .san import INITIATORS, PORTAL, TARGET, Lab, Unit, unit

KEYS = {"n1": 0xA0001, "n2": 0xA0002, "n3": 0xA0003}
WERO = 5
HELD_UP_MS = 2000
LIBISCSI_SUITES = {
    "ProutReserve": 13,
    "ProutRegister": 1,
    "ProutPreempt": 1,
    "ProutClear": 1,
    "PrinReadKeys": 2,
    "PrinReportCapabilities": 1,
    "PrinServiceactionRange": 1,
}


def register(lab: Lab, *members: str, lun: int = 0, aptpl: bool = False) -> None:
    """Register initiators by sg_persist, each with its key."""
    for who in members:
        more = "-Z" if aptpl else ""
        lab.ok(f"sg_persist -n -o -I -S {KEYS[who]:x} {more} {lab.sg(who, lun)}")
    for who in members:
        lab.sh(f"sg_turs {lab.sg(who, lun)}")  # eats a unit attention, if there is one


def registered(lab: Lab, who: str = "n3", lun: int = 0) -> set[int]:
    """Return the keys that sg_persist reads."""
    text = lab.ok(f"sg_persist -n -i -k {lab.sg(who, lun)}")
    return {int(word, 16) for word in re.findall(r"^ +0x([0-9a-f]+)$", text, re.MULTILINE)}


def test_output_is_exact(lab: Lab) -> None:
    """No echo, no prompt, no changed line ends; exit codes; large outputs; standard input."""
    assert lab.sh("printf 'a\\r\\nb'; echo err >&2; exit 7") == (7, "a\r\nberr\n")
    assert lab.sh("exec sh -c 'echo rc 0; exit 3'") == (3, "rc 0\n")
    assert lab.sh("kill -9 $BASHPID").code == 137
    job = lab.spawn("head -c 300000 /dev/zero; printf '\\377'")
    assert job.wait().code == 0
    assert job.raw == bytes(300000) + b"\xff"
    assert lab.sh("cat", stdin=b"action=on\nx='y'\n").output == "action=on\nx='y'\n"


def test_jobs_do_not_wait_for_each_other(lab: Lab) -> None:
    """A job that takes long, or for ever, does not hold up the next one."""
    job = lab.spawn("sleep 600; echo never")
    assert lab.ok("echo at once") == "at once\n"
    assert job.running
    job.kill()
    with pytest.raises(TimeoutError):
        lab.sh("echo begun; sleep 600", timeout=0.5)
    lab.guest.wait_for(lambda: lab.sh("pgrep -x sleep").code == 1, 10, "the sleepers' end")


def test_guest_has_the_work_tree(lab: Lab) -> None:
    """The guest sees the clone, has the system's Python, and writes to neither."""
    here = f"{lab.repo}/tests/lab/test_lab_itself.py"
    assert lab.ok(f"sha256sum <{here}") == lab.ok(f"cd {lab.repo}; sha256sum <{here}")
    lab.ok(f"echo x >{lab.repo}/tests/lab/written-by-the-guest")
    assert not (lab.repo / "tests/lab/written-by-the-guest").exists()
    assert lab.ok("/usr/bin/python3 -c 'import sys; print(sys.version_info >= (3, 9))'") == "True\n"
    assert "/usr/sbin" in lab.ok("echo $PATH")


def test_stale_guests_are_ended(lab: Lab) -> None:
    """A run that was killed leaves its guest behind; the next one ends it, and only that."""
    package = Path(__file__).resolve().parent
    program = (
        f"import sys; sys.path.insert(0, {str(package.parent)!r})\n"
        f"from {package.name}.guest import Guest\n"
        "guest = Guest(name='stale'); guest.start()\n"
        "print(guest.pid, guest.scratch, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        pid, scratch = run.stdout.readline().split()
        os.kill(int(pid), signal.SIGSTOP)  # so that the loss of its console does not end it
        run.kill()
    assert end_stale() > 0
    lab.guest.wait_for(lambda: not session_members(int(pid)), 10, "the stale guest's end")
    assert not Path(scratch).exists()
    assert end_stale() == 0
    assert lab.ok("echo alive") == "alive\n"


def test_three_nexuses_two_units(lab: Lab) -> None:
    """Each LU is seen by three initiators under one identity, which no other LU has."""
    pages = {}
    for lun in (0, 1):
        seen = {
            lab.scsi(lab.sg(who, lun), bytes([0x12, 1, 0x83, 1, 0, 0]), length=256).data
            for who in INITIATORS
        }
        assert len(seen) == 1
        pages[lun] = seen.pop()
        # The NAA designator comes first; its 16 bytes have to differ.
        assert pages[lun][4:8] == bytes([1, 3, 0, 16])
    assert pages[0][8:24] != pages[1][8:24]
    nodes = {
        kind(who, lun)
        for kind in (lab.dev, lab.sg, lab.bsg)
        for who in INITIATORS
        for lun in (0, 1)
    }
    assert len(nodes) == 18
    register(lab, *INITIATORS)
    status = lab.ok(f"sg_persist -n -i -s {lab.sg('n1')}")
    ports = re.findall(r"port id: (\S+),i,0x([0-9a-f]{12})", status)
    assert {name for name, _ in ports} == {lab.initiator_name(who) for who in INITIATORS}
    assert len({isid for _, isid in ports}) == 3


def test_register_reserve_preempt(lab: Lab) -> None:
    """sg_persist does across nexuses what the standard says, and the loser hears of it."""
    register(lab, "n1", "n2")
    lab.ok(f"sg_persist -n -o -R -T {WERO} -K {KEYS['n1']:x} {lab.sg('n1')}")
    assert registered(lab) == {KEYS["n1"], KEYS["n2"]}
    full = lab.ok(f"sg_persist -n -i -s {lab.sg('n3')}")
    assert full.count("<< Reservation holder >>") == 1
    lab.ok(f"sg_persist -n -o -A -T {WERO} -K {KEYS['n2']:x} -S {KEYS['n1']:x} {lab.sg('n2')}")
    assert registered(lab) == {KEYS["n2"]}
    assert f"Key=0x{KEYS['n2']:x}" in lab.ok(f"sg_persist -n -i -r {lab.sg('n3')}")
    assert lab.scsi(lab.sg("n1"), bytes(6)).asc == "6/2A/05"


def test_only_registrants_write(lab: Lab) -> None:
    """Under type 5 a write without registration fails with EBADE; everybody reads."""
    register(lab, "n1", "n2")
    assert lab.write("n3", 0, 7, "before").errno == ""
    lab.ok(f"sg_persist -n -o -R -T {WERO} -K {KEYS['n1']:x} {lab.sg('n1')}")
    assert lab.write("n3", 0, 7, "not I").errno == "EBADE"
    assert lab.read("n3", 0, 7).data[:7] == b"before\0"
    assert lab.write("n2", 0, 7, "member").errno == ""
    assert lab.read("n3", 0, 7).data[:7] == b"member\0"


def test_every_test_begins_clean(lab: Lab) -> None:
    """What the tests before this one have left behind is gone."""
    for lun in (0, 1):
        assert registered(lab, lun=lun) == set()
        for who in INITIATORS:
            assert lab.scsi(lab.sg(who, lun), bytes(6)).good


@pytest.mark.parametrize("suite", LIBISCSI_SUITES)
def test_libiscsi_finds_the_target_sane(lab: Lab, suite: str) -> None:
    """The target passes the PR tests of libiscsi, which nobody here wrote."""
    url = f"iscsi://{PORTAL}/{TARGET}/0"
    code, output = lab.sh(f"iscsi-test-cu -d -n -t ALL.{suite} {url}", timeout=60)
    summary = re.search(r"^ +tests +(\d+) +(\d+) +(\d+) +(\d+) ", output, re.MULTILINE)
    assert summary is not None, output
    total, ran, passed, failed = map(int, summary.groups())
    expected = LIBISCSI_SUITES[suite]
    assert (code, failed) == (0, 0), output
    assert total == ran == passed == expected > 0, output


def test_power_cycle_with_aptpl(lab: Lab) -> None:
    """Registrations and the reservation survive on the same nexuses; sessions come back."""
    register(lab, *INITIATORS, aptpl=True)
    lab.ok(f"sg_persist -n -o -R -T {WERO} -K {KEYS['n1']:x} {lab.sg('n1')}")
    lab.write("n1", 0, 3, "kept")
    before = lab.ok(f"sg_persist -n -i -s {lab.sg('n1')}")
    nodes = lab.paths()
    assert lab.power_cycle() == 3
    assert lab.paths(fresh=True) == nodes
    after = lab.ok(f"sg_persist -n -i -s {lab.sg('n1')}")

    def descriptors(text: str) -> list[str]:
        return sorted(text.partition("    Key=")[2].split("    Key="))

    assert descriptors(after) == descriptors(before)
    assert "<< Reservation holder >>" in after
    assert lab.read("n2", 0, 3).data[:5] == b"kept\0"
    assert lab.write("n2", 0, 3, "still a member").errno == ""


@pytest.mark.parametrize("aptpl", [False, True])
def test_power_cycle_that_forgets(lab: Lab, aptpl: bool) -> None:
    """Without APTPL, or with a target that breaks its promise, all is gone."""
    register(lab, *INITIATORS, aptpl=aptpl)
    lab.ok(f"sg_persist -n -o -R -T {WERO} -K {KEYS['n1']:x} {lab.sg('n1')}")
    assert lab.power_cycle(keep_aptpl=not aptpl) == 0
    assert registered(lab) == set()
    assert "NO reservation" in lab.ok(f"sg_persist -n -i -r {lab.sg('n1')}")


def test_fence_scsi(lab: Lab) -> None:
    """The agent that everybody knows works on these LUs."""

    def fence(action: str, key: str, through: str) -> int:
        devices = f"{lab.dev(through, 0)},{lab.dev(through, 1)}"
        return lab.sh(f"fence_scsi -o {action} -k {key} -d {devices}", timeout=60).code

    assert fence("on", "a0001", "n1") == 0
    # The agent keeps the node's own key in a file; from here on this node is n2.
    assert fence("on", "a0002", "n2") == 0
    assert registered(lab) == registered(lab, lun=1) == {0xA0001, 0xA0002}
    assert fence("off", "a0001", "n2") == 0
    assert registered(lab) == registered(lab, lun=1) == {0xA0002}
    assert fence("status", "a0001", "n2") == 2
    assert lab.write("n1", 1, 0, "fenced").errno == "EBADE"


def test_dead_path_reads_as_empty(lab: Lab) -> None:
    """The trap: a path dies in flight, and sg_persist says that nobody is registered."""
    register(lab, "n1", "n2")
    lab.cut_path("n1", wait=False)
    cdb = bytes([0x5E, 0, 0, 0, 0, 0, 0, 1, 0, 0])
    asked = lab.spawn(f"sg_persist -n -i -k {lab.sg('n1')}")
    reply = lab.scsi(lab.sg("n1"), cdb, length=256)
    said = asked.wait()
    lab.await_state("n1", "transport-offline")
    assert said.code == 0
    assert "there are NO registered reservation keys" in said.output
    assert reply.host_status in (0x0E, 0x01)  # TRANSPORT_DISRUPTED, NO_CONNECT
    assert (reply.errno, reply.status, reply.sense, reply.data) == ("", 0, b"", b"")
    for node in (lab.dev("n1"), lab.sg("n1")):
        assert lab.scsi(node, bytes(6)).errno == "ENXIO"
    # A bsg node still opens; the host status is all that tells.
    assert lab.scsi(lab.bsg("n1"), bytes(6)).host_status == 0x01
    assert lab.write("n1", 0, 0, "x").errno == "ENXIO"
    assert lab.ok(f"cat /sys/block/{lab.dev('n1')[5:]}/device/state") == "transport-offline\n"
    assert registered(lab, "n2") == {KEYS["n1"], KEYS["n2"]}
    lab.revive_path("n1")
    assert lab.state("n1") == "running"
    assert registered(lab, "n1") == {KEYS["n1"], KEYS["n2"]}


@pytest.fixture
def late(lab: Lab) -> Iterator[Unit]:
    """A third LU, whose writes reach the medium late."""
    added = lab.add(unit(2, delay_ms=HELD_UP_MS))
    yield added
    lab.clear()
    lab.remove(added)


@pytest.mark.parametrize("drain", [False, True])
def test_write_in_flight_at_eviction(lab: Lab, late: Unit, drain: bool) -> None:
    """A victim's write lands after PREEMPT AND ABORT by the holder; a LU reset waits for it."""
    survivor, bystander, lun = lab.sg("n2", late.index), "n3", late.index
    register(lab, "n1", "n2", lun=lun)
    lab.ok(f"sg_persist -n -o -R -T {WERO} -K {KEYS['n2']:x} {survivor}")
    pending = lab.start_write("n1", lun, 20, "late")
    lab.ok(f"sg_persist -n -o -A -T {WERO} -K {KEYS['n2']:x} -S {KEYS['n1']:x} {survivor}")
    if drain:
        reset = lab.reset_units([survivor])[0]
        assert reset["errno"] == ""
        assert reset["seconds"] > HELD_UP_MS / 2000
    at_once = lab.read(bystander, lun, 20).data
    pending.result()
    time.sleep(HELD_UP_MS / 1000)
    later = lab.read(bystander, lun, 20).data
    assert (at_once == later) is drain
    assert lab.write("n1", lun, 20, "x").errno == "EBADE"


def test_reset_holds_up_its_session(lab: Lab, late: Unit) -> None:
    """A LU reset that waits holds up the whole session: every LU, and other resets.

    An O_NONBLOCK descriptor does not wait for another reset but gets EAGAIN.
    """
    slow, quick = lab.sg("n2", late.index), lab.sg("n2", 0)
    for nonblocking, errors in ((True, ["", "EAGAIN"]), (False, ["", ""])):
        pending = lab.start_write("n1", late.index, 0, "x")
        resets = lab.reset_units([slow, quick], nonblocking=nonblocking)
        assert [one["errno"] for one in resets] == errors
        assert resets[0]["seconds"] > HELD_UP_MS / 2000
        assert (resets[1]["seconds"] < 0.5) is nonblocking
        pending.result()
        lab.clear()


def test_lu_reset(lab: Lab) -> None:
    """SG_SCSI_RESET: block and sg nodes only; every nexus hears of it; registrations stay."""
    register(lab, *INITIATORS)
    for node in (lab.dev("n1"), lab.sg("n1")):
        assert lab.reset_units([node])[0]["errno"] == ""
        assert [lab.scsi(lab.sg(who), bytes(6)).asc for who in INITIATORS] == ["6/29/03"] * 3
    assert lab.reset_units([lab.bsg("n1")])[0]["errno"] == "ENOTTY"
    assert registered(lab) == set(KEYS.values())
    together = lab.reset_units([lab.sg(who, lun) for who in INITIATORS for lun in (0, 1)])
    assert [one["errno"] for one in together] == [""] * 6


def test_sysfs_knows_the_identity(lab: Lab) -> None:
    """VPD 83h in sysfs is byte for byte what INQUIRY answers, for sd and for sg."""
    for node in (f"/sys/block/{lab.dev('n1')[5:]}", f"/sys/class/scsi_generic/{lab.sg('n1')[5:]}"):
        job = lab.spawn(f"cat {node}/device/vpd_pg83")
        assert job.wait().code == 0
        asked = lab.scsi(lab.sg("n1"), bytes([0x12, 1, 0x83, 4, 0, 0]), length=1024)
        assert job.raw == asked.data
        assert lab.ok(f"cat {node}/device/vendor {node}/device/state") == "LIO-ORG \nrunning\n"


def test_many_units(lab: Lab) -> None:
    """More LUs can be had, and go away again."""
    more = [unit(2), unit(3, mib=8)]
    try:
        for one in more:
            lab.add(one)
        assert len({lab.dev(who, lun) for who in INITIATORS for lun in range(4)}) == 12
        register(lab, "n2", lun=3)
        assert registered(lab, lun=3) == {KEYS["n2"]}
    finally:
        lab.clear()
        for one in more:
            lab.remove(one)
    assert {path.lun for path in lab.paths()} == {0, 1}
