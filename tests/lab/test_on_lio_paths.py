"""Two paths to each LU on a real target: maps, dying paths, an exchanged LU, one arbiter.

The first initiator's path and the second's stand for two paths of node n1; n3 is
the victim, through the third.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from .agent import PREEMPT, Node, Said, bears, commands_in, number_of
from .model import TARGET
from .model import unit as lab_unit
from .san import Lab

POWERED_OFF = "Success: Powered OFF\n"
OTHER_PATH = "n2"
COMMAND_TIMEOUT_S = 2
RECOVERY_BLOCKED_S = 60
EH_DELAY_MS = 60_000
LUNS = "/sys/kernel/config/target/iscsi/" + TARGET + "/tpgt_1/lun"
DEGRADED = 190


class TwoPaths:
    """n1 with two paths to each LU, and n3 with one, both joined."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        lab.ok("rm -rf /run/fp-n*")
        self.n1, self.n3 = Node(lab, "n1"), Node(lab, "n3")
        self.good = list(self.n1.devices)
        self.other = [lab.dev(OTHER_PATH, unit.index) for unit in lab.units]
        self.n1.devices = self.good + self.other
        for node in (self.n1, self.n3):
            said = node.run("on", node.name)
            assert (said.code, said.out, said.err) == (0, "Success: Powered ON\n", ""), said
        for unit in lab.units:
            assert self.registered(1, unit.index) == 2

    def registered(self, number: int, lun: int = 0) -> int:
        """On how many nexuses a node's keys are."""
        return sum(number_of(key) == number for key in bears(self.lab, lun).keys)

    def resource(self, action: str) -> Said:
        """The resource agent on n1."""
        values = {
            "devices": ",".join(self.n1.devices),
            "nodes": "n1:1,n2:2,n3:3",
            "cluster_name": self.n1.cluster,
            "local_name": "n1",
            "state_dir": self.n1.state_dir,
            "command_timeout": COMMAND_TIMEOUT_S,
        }
        words = " ".join(f"OCF_RESKEY_{name}='{value}'" for name, value in values.items())
        script = (
            f"{words} PYTHONPATH={self.lab.repo} /usr/bin/python3 {self.lab.repo}/ocf/prbarrier"
        )
        code, text = self.lab.sh(f"cd {self.lab.repo}; {script} {action} 2>&1", timeout=60)
        return Said(code, "", text)


@pytest.fixture
def paths(lab: Lab) -> TwoPaths:
    return TwoPaths(lab)


# --- Every way in which the lab can make a path die ----------------------------------------------


def _swallowed(lab: Lab) -> Iterator[None]:
    """Packets go nowhere; sysfs says "running" as long as nobody misses an answer."""
    lab.cut_path(OTHER_PATH, wait=False)
    yield
    lab.revive_path(OTHER_PATH)


def _blocked(lab: Lab) -> Iterator[None]:
    """The session has failed, and commands wait for it to come back."""
    lab.cut_path(OTHER_PATH, wait=False)
    session = lab.path(OTHER_PATH, 0).session
    lab.ok(f"echo {RECOVERY_BLOCKED_S} >/sys/class/iscsi_session/{session}/recovery_tmo")
    lab.spawn(f"sg_turs {lab.sg(OTHER_PATH, 0)}")
    lab.await_state(OTHER_PATH, "blocked")
    yield
    lab.revive_path(OTHER_PATH)


def _transport_offline(lab: Lab) -> Iterator[None]:
    """The session was given up: opens fail at once."""
    lab.cut_path(OTHER_PATH)
    yield
    lab.revive_path(OTHER_PATH)


def _connection_closed(lab: Lab) -> Iterator[None]:
    """The target closes the connection, and answers no new one."""
    address = lab.address(OTHER_PATH)
    lab.cut_path(OTHER_PATH, wait=False)
    lab.ok(f"ss -K dst {address} >/dev/null")
    yield
    lab.revive_path(OTHER_PATH)


def _offline(lab: Lab) -> Iterator[None]:
    """Taken offline by hand, or by error handling that gave up."""
    nodes = [f"/sys/class/scsi_device/{lab.path(OTHER_PATH, u.index).address}" for u in lab.units]
    lab.ok("".join(f"echo offline >{node}/device/state\n" for node in nodes))
    yield
    lab.ok("".join(f"echo running >{node}/device/state\n" for node in nodes))


def _deleted(lab: Lab) -> Iterator[None]:
    """The SCSI devices are gone, as after dev_loss_tmo; the names lead nowhere."""
    for unit in lab.units:
        address = lab.path(OTHER_PATH, unit.index).address
        lab.ok(f"echo 1 >/sys/class/scsi_device/{address}/device/delete")
    yield
    lab._rescan()


WAYS = {
    "swallowed": _swallowed,
    "blocked": _blocked,
    "transport-offline": _transport_offline,
    "connection closed": _connection_closed,
    "offline": _offline,
    "deleted": _deleted,
}


@pytest.mark.parametrize("way", WAYS)
def test_one_dead_path_of_two(paths: TwoPaths, way: str) -> None:
    """All answers come by the living path, well within their limits; the dead one is told."""
    lab, n1 = paths.lab, paths.n1
    timeouts = {"command_timeout": str(COMMAND_TIMEOUT_S)}
    dying = WAYS[way](lab)
    next(dying)
    try:
        runs = {
            "status": n1.start("status", "n3", **timeouts),
            "monitor": n1.start("monitor", **timeouts),
        }
        said = {name: run.wait(30) for name, run in runs.items()}
        assert [said["status"].code, said["status"].out] == [0, "Status: ON\n"], said
        assert said["monitor"].code == 0, said
        assert paths.resource("monitor").code in (7, DEGRADED)  # 7: it was never started
        off = n1.run("off", "n3", **timeouts)
        assert (off.code, off.out) == (0, POWERED_OFF), off
        for each in (*said.values(), off):
            assert "timed out" not in each.err
            assert "a path is lost" in each.err and paths.other[0] in each.err, each
        for unit in lab.units:
            assert paths.registered(3, unit.index) == 0
            assert paths.registered(1, unit.index) == 2
        off = n1.run("status", "n3", **timeouts)
        assert (off.code, off.out) == (2, "Status: OFF\n")
    finally:
        next(dying, None)


@pytest.mark.parametrize("way", ["swallowed", "blocked", "transport-offline", "deleted"])
def test_no_living_path_at_all(paths: TwoPaths, way: str) -> None:
    """An error, by the deadline; nothing was done, and nothing is done when the path is back."""
    lab, n1 = paths.lab, paths.n1
    n1.devices = paths.other
    before = [bears(lab, unit.index) for unit in lab.units]
    limits = {"power_timeout": "6", "command_timeout": "2"}
    dying = WAYS[way](lab)
    next(dying)
    try:
        runs = [n1.start(action, plug, **limits)
                for action, plug in (("off", "n3"), ("status", "n3"), ("monitor", ""))]  # fmt: skip
        for said in [run.wait(6 + 4) for run in runs]:
            assert (said.code, said.out) == (1, ""), said
            assert paths.other[0] in said.err
    finally:
        next(dying, None)
    time.sleep(1)
    assert [bears(lab, unit.index) for unit in lab.units] == before


@pytest.mark.usefixtures("running_lab")  # where no lab can run, it says so
def test_a_path_in_error_handling() -> None:
    """A write hangs in the target, its time-out has come, and the host recovers: all wait.

    In a guest of its own: what hung there is not waited for.
    """
    units = [lab_unit(0), lab_unit(1, delay_ms=0)]
    with Lab(units=units) as lab:
        paths = TwoPaths(lab)
        lab.ok(f"echo 1 >/sys/block/{paths.other[1].rpartition('/')[2]}/device/timeout")
        lab.set_delay(units[1], EH_DELAY_MS)
        host = lab.path(OTHER_PATH, 1).address.partition(":")[0]
        state = f"/sys/class/scsi_host/host{host}/state"
        lab.start_write(OTHER_PATH, 1, 5, "late")
        # First the command alone is aborted, for 15 s in vain; then the host recovers.
        wait = f"for i in $(seq 400); do grep -q recovery {state} && exit; sleep 0.1; done; exit 1"
        lab.ok(wait, timeout=90)
        # The delayed LU's own backing store would hold up a reset of it: drain is not the point.
        options = {"command_timeout": str(COMMAND_TIMEOUT_S), "drain": "target"}
        status = paths.n1.run("status", "n3", **options)
        assert (status.code, status.out) == (0, "Status: ON\n"), status
        off = paths.n1.run("off", "n3", **options)
        assert (off.code, off.out) == (0, POWERED_OFF), off
        for said in (status, off):
            assert "a path is lost" in said.err and paths.other[0] in said.err, said
        assert "recovery" in lab.ok(f"cat {state}"), "error handling ended before the test did"
        for unit in units:
            assert paths.registered(3, unit.index) == 0


# --- Maps ----------------------------------------------------------------------------------------


@pytest.fixture
def maps(lab: Lab) -> Iterator[list[str]]:
    """A multipath map over the first two initiators' paths to each LU, as multipathd would make."""
    script = "modprobe -a dm_multipath dm_round_robin\n"
    names = []
    for unit in lab.units:
        numbers = [f"$(cat /sys/block/{lab.dev(i, unit.index)[5:]}/dev)" for i in ("n1", "n2")]
        table = f"0 $(blockdev --getsz {lab.dev('n1', unit.index)}) multipath 0 0 1 1 round-robin 0"
        table += f" 2 1 {numbers[0]} 1 {numbers[1]} 1"
        name = f"mp{unit.index}"
        script += f'dmsetup create {name} -u mpath-{unit.serial} --noudevsync --table "{table}"\n'
        names.append(f"/dev/mapper/{name}")
    lab.ok(f"set -e\n{script}dmsetup mknodes")
    try:
        yield names
    finally:
        lab.ok(
            "".join(f"dmsetup remove --noudevsync {name[12:]}\n" for name in names)
            + "dmsetup mknodes"
        )


@pytest.mark.parametrize("what", ["maps", "first paths", "second paths", "sg"])
def test_a_map_or_any_of_its_paths_stands_for_all(lab: Lab, maps: list[str], what: str) -> None:
    lab.ok("rm -rf /run/fp-n*")
    n1, n3 = Node(lab, "n1"), Node(lab, "n3")
    named = {
        "maps": maps,
        "first paths": n1.devices,
        "second paths": [lab.dev("n2", unit.index) for unit in lab.units],
        "sg": [lab.sg("n1", unit.index) for unit in lab.units],
    }
    n1.devices = named[what]
    for node in (n1, n3):
        assert node.run("on", node.name) == (0, "Success: Powered ON\n", "")
    for unit in lab.units:
        assert [number_of(key) for key in bears(lab, unit.index).keys] == [1, 1, 3]
    assert lab.write("n2", 0, 9, "by the other path").errno == ""
    assert n3.run("off", "n1").out == POWERED_OFF
    assert [number_of(key) for key in bears(lab).keys] == [3]
    for initiator in ("n1", "n2"):
        assert lab.write(initiator, 0, 9, "too late").errno == "EBADE"


def test_a_map_that_loses_a_path(lab: Lab, maps: list[str]) -> None:
    """multipathd takes a device that is gone out of the map; this boot's memory misses it."""
    lab.ok("rm -rf /run/fp-n*")
    n1 = Node(lab, "n1")
    n1.devices = maps
    assert n1.run("on", "n1").code == 0
    disk = lab.dev("n1", 0)[5:]
    table = f"0 $(blockdev --getsz /dev/{disk}) multipath 0 0 1 1 round-robin 0 1 1"
    table += f" $(cat /sys/block/{disk}/dev) 1"
    lab.ok(f'dmsetup reload mp0 --table "{table}" && dmsetup resume --noudevsync mp0')
    said = n1.run("monitor")
    assert said.code == 0 and "leads to 1 of the 2 paths that it had" in said.err, said
    assert maps[0] in said.err and maps[1] not in said.err
    said = n1.run("on", "n1")
    assert (said.code, said.out) == (0, "Success: Already ON\n") and "1 of the 2" in said.err
    assert n1.run("monitor") == (0, "", "")


def test_one_map_over_two_lus_is_refused(lab: Lab) -> None:
    lab.ok("rm -rf /run/fp-n*; modprobe -a dm_multipath dm_round_robin")
    disks = [lab.dev("n1", 0)[5:], lab.dev("n1", 1)[5:]]
    table = f"0 $(blockdev --getsz /dev/{disks[0]}) multipath 0 0 1 1 round-robin 0 2 1"
    table += "".join(f" $(cat /sys/block/{disk}/dev) 1" for disk in disks)
    lab.ok(
        f'dmsetup create wrong -u mpath-wrong --noudevsync --table "{table}"; dmsetup mknodes wrong'
    )
    try:
        n1 = Node(lab, "n1", luns=(1,))
        for devices in (["/dev/mapper/wrong"], ["/dev/mapper/wrong", *n1.devices]):
            n1.devices = devices
            for action in ("on", "status"):
                said = n1.run(action, "n1")
                assert (said.code, said.out) == (1, ""), said
                assert "device /dev/mapper/wrong: its paths lead to two LUs" in said.err
        assert bears(lab).keys == bears(lab, 1).keys == []
    finally:
        lab.ok("dmsetup remove --noudevsync wrong; dmsetup mknodes")


# --- Identity ------------------------------------------------------------------------------------


def _exchange(lab: Lab) -> None:
    """What LUN 0 and LUN 1 lead to on the target, changed under the initiators."""
    lab.ok(
        f"cd {LUNS}; a=$(readlink -f lun_0/backstore); b=$(readlink -f lun_1/backstore)\n"
        "rm lun_0/backstore lun_1/backstore; ln -s $b lun_0/backstore; ln -s $a lun_1/backstore"
    )


def test_a_lu_exchanged_behind_its_path_is_refused(lab: Lab) -> None:
    """The kernel, and whatever is mounted, still takes the path for the LU that it was."""
    lab.ok("rm -rf /run/fp-n*")
    n1 = Node(lab, "n1")
    _exchange(lab)
    try:
        for action, plug in (("on", "n1"), ("status", "n2"), ("monitor", ""), ("validate-all", "")):
            said = n1.run(action, plug)
            assert (said.code, said.out) == (1, ""), said
            for device in n1.devices:
                assert f"device {device}: was LU naa.6001405" in said.err
            assert "delete the SCSI device and rescan" in said.err
    finally:
        _exchange(lab)
    assert n1.run("monitor").code == 0
    assert bears(lab).keys == []


@pytest.mark.parametrize("order", ["as they are", "reversed"])
def test_one_arbiter_whatever_the_disks_are_called(lab: Lab, order: str) -> None:
    """The first PREEMPT of each node goes to the same LU, by identity."""
    first = {}
    for name, victim in (("n1", "n2"), ("n2", "n1")):
        lab.clear()
        lab.ok("rm -rf /run/fp-n*")
        members = {each: Node(lab, each) for each in ("n1", "n2")}
        if order == "reversed":
            members["n2"].devices.reverse()
        for node in members.values():
            assert node.run("on", node.name).code == 0
        said = members[name].run("off", victim, verbose="1")
        assert said.out == POWERED_OFF
        device = next(device for command, device in commands_in(said.err) if command == PREEMPT)
        first[name] = next(u.serial for u in lab.units if lab.dev(name, u.index) == device)
    assert len(set(first.values())) == 1, first
