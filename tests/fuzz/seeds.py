"""What the fuzzer starts from, beside the kept corpus: golden vectors, and texts as documented."""

from __future__ import annotations

from pathlib import Path

from fence_prbarrier import sightings, state, volume_groups
from fence_prbarrier.simulator.faults import Fault
from fence_prbarrier.simulator.textform import dump
from fence_prbarrier.simulator.unit import LogicalUnit
from fence_prbarrier.simulator.values import Nexus
from tests.unit import vectors

from .ground import BOOT, OTHER_BOOT
from .kernel import SEPARATOR
from .simulated import COMMANDS

CORPUS = Path(__file__).parent / "corpus"
LIO = vectors.FOLDER / "lio"
GOLDEN = {
    "read_keys": "read_keys.txt",
    "read_reservation": "read_reservation.txt",
    "capabilities": "capabilities.txt",
    "full_status": "full_status.txt",
    "sense": "sense.txt",
}
COROSYNC = b"""totem {
    version: 2
    cluster_name: demo
}
nodelist {
    node {
        ring0_addr: 10.0.0.1
        name: n1
        nodeid: 1
    }
    # the second
    node {
        ring0_addr: n2
        nodeid: 2
    }
}
quorum {
    provider: corosync_votequorum
}
"""
STDIN = b"""# as Pacemaker calls it
action=off
nodename=n2
devices="/dev/sda,/dev/sdb"
power_timeout=30
verbose=yes
nodes=n1:1,n2:2
delay = 2
"""
STATE = f"""boot {BOOT}
incarnation 209922881
joined naa.6001 2
path /sys/a#1\t/dev/sda
path \t/dev/sdb
unlisted t10.A_B%2f 1
"""
SIGHTINGS = """lus naa.6001 naa.6002
seen 5a1700020c8d2b41 5a1700030c8d2b42
ended 5a1700020c8d2b40
lus eui.1
seen
ended
"""
TEXTS: dict[str, list[bytes]] = {
    "key": [b"5a17:0001:0c8d2b41", b"0x5a1700010c8d2b41", b"abc123", bytes(8)],
    "cluster": [
        b"5a17\nn1:1,n2:2 n3:3\ndemo\nn2",
        b"0x1000\nn:65536\n\n2",
        "\nä.example:7\ndemö\nä".encode(),
        b"\n\n\n" + b"9" * 5000,
    ],
    "corosync": [COROSYNC, COROSYNC[:-30], COROSYNC.replace(b"nodeid: 2", b"nodeid: 1")],
    "stdin": [STDIN, b"action=status\nplug=1\r\nquiet=0\nx=y\n", b"drain=wait:" + b"9" * 5000],
    "arguments": [
        b"-o\0status\0-n\0n1\0--devices=/dev/sda\0-v",
        b"--nodes\0n1:1\0--drain=wait:7\0--power-timeout\x0090",
    ],
    "drain": [b"auto", b"target", b"reset", b"wait:30", b"wait:" + b"9" * 5000],
    "devices": [b"/dev/sda,/dev/sdb\n# no\n/dev/sdc # yes\n", b"mock:/tmp/x?port=2 /dev/sda"],
    "patterns": [b"sd*", b"sd[ab]", b"wwn-?", b"sd[!a]*"],
    "vgs": [
        b"  wz--ns:shared:/dev/sda\n  wz--n-:root:/dev/vda2\n  wz--ns:shared:/dev/sdb:x\n",
        b"  wz--ns:shared:[unknown]\n\0  Skipping clustered VG x",
    ],
    "ocf_environment": [
        b"/dev/sda\0\0demo\x005a17\0n1:1,n2:2\0n1\0auto\0\x005\x001\0" + b"30000\0prbarrier:1",
        b"\0\0\xffcluster\0\0n1:1\0n1\0\0\0\0\0\0",
    ],
    "mock_name": [b"initiator=n1&port=2&profile=lio", b"port=0", "port=²".encode()],
    "state_file": [
        b"\x02\x10" + STATE.encode(),
        b"\0\0" + f"{state.MAGIC}\nboot {OTHER_BOOT}\nincarnation 7\n".encode(),
    ],
    "sightings_file": [b"\0\x20" + f"{sightings.MAGIC}\n{SIGHTINGS}".encode()],
    "volume_group_cache": [
        b"\x02\x30disk /dev/sda\ndisk /dev/sdb\n",
        b"\0\0" + f"{volume_groups.MAGIC}\nboot {OTHER_BOOT}\ndisk /dev/sda\n".encode(),
    ],
    "fault": [
        b"lost-reply:0e initiator=iqn.a port=2 op=5f/05 skip=1 times=always",
        b"sense:6/29/00 op=5e",
        b"delay:100 op=reset",
        b"truncated:12 isid=00023d000001",
    ],
    "device_tree": [
        SEPARATOR.join(
            (
                b"running\n", b"LIO-ORG \n", b"8:0\n", b"mpath-36001405\n",
                bytes.fromhex("008300 0a 01 03 00 06 600140512345".replace(" ", "")),
                b"00023d000001\n", b"iqn.2003-08.example:n1\n", b"0x21000024ff000001\n",
                b"session1", b"sda",
            )
        ),
        SEPARATOR.join((b"offline", b"", "²:³".encode(), b"mpath-x", *[b""] * 4, b"rport-0:0-1")),
    ],
    "transport_id": [bytes.fromhex("0600000050001234567890ab").ljust(24, b"\0")],
    "completion": [
        bytes((0, 8, 2, 18, 0, 0, 0)) + bytes.fromhex("70 00 01 00 00 00 00 0a") + bytes(20),
        bytes((0, 0, 0, 0, 1, 0, 4)) + bytes(8),
        bytes((0x11, 0, 0x18, 0, 1, 0, 0, 0)),
    ],
    "off": [b"\0\0", b"\x0c\1" + bytes(40), b"\x21\2", b"\x05\0" + bytes(9) + b"\x0d\3\x0e\x0f"],
    "on": [b"\0\0", b"\x2c\1", b"\x28\0" + bytes(5) + b"\x0b\x0c\x01", b"\x61\0"],
    "inspect": [b"\0\0", b"\x0d\0\0\x0c\x04", b"\x0a\0\x0b\x0c\x01"],
}  # fmt: skip


def _lio(name: str) -> bytes:
    """A captured reply of a real target."""
    lines = (LIO / name).read_text(encoding="utf-8").splitlines()
    return bytes.fromhex(" ".join(line for line in lines if line and line[0] != "#"))


def _golden() -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for target, file in GOLDEN.items():
        for record in vectors.read(file):
            alloc = int(record.plain.get("alloc", "8"))
            room = b"" if target == "sense" else alloc.to_bytes(2, "big")
            found.setdefault(target, []).append(room + record.octets("hex"))
    for record in vectors.read("inquiry.txt"):
        octets = record.octets("hex")
        found.setdefault("inquiry", []).append(octets)
        for target in ("vpd_pages", "vpd_83"):
            found.setdefault(target, []).append(b"\xff\xff" + octets)
    for path in sorted(LIO.glob("*.txt")):
        for target, prefix in (("full_status", "full_status"), ("read_keys", "read_keys"),
                               ("read_reservation", "read_reservation")):  # fmt: skip
            if path.name.startswith(prefix):
                found[target].append(b"\x20\0" + _lio(path.name))
    return found


def _units() -> list[bytes]:
    """Files of simulated LUs, each with some of everything."""
    files = []
    for profile in ("spec", "lio"):
        unit = LogicalUnit(profile, serial="1234")
        nexuses = [Nexus("iqn.2003-08.example:n1"), Nexus("iqn.2003-08.example:n2", port=2)]
        for nexus in nexuses:
            for cdb, data in COMMANDS:
                unit.command(nexus, bytes.fromhex(cdb), data, 512)
        unit.add_fault(Fault("busy"))
        files.append(b"\0" + dump(unit).rpartition(b"end ")[0])
        files.append(b"\1" + dump(unit))
    return files


def seeds(target: str) -> list[bytes]:
    """Inputs that are written down elsewhere, for one target."""
    extra = _units() if target == "mock_file" else []
    return [*TEXTS.get(target, []), *_golden().get(target, []), *extra]


def kept(target: str) -> list[Path]:
    """The files of the kept corpus."""
    return sorted(path for path in (CORPUS / target).glob("*") if path.is_file())
