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
        b"--cluster-name=\xff",
    ],
    "drain": [b"auto", b"target", b"reset", b"wait:30", b"wait:" + b"9" * 5000],
    "devices": [b"/dev/sda,/dev/sdb\n# no\n/dev/sdc # yes\n", b"mock:/tmp/x?port=2 /dev/sda"],
    "patterns": [b"zz*", b"[z-a]*", b"sd*", b"sd[ab]", b"wwn-?", b"sd[!a]*"],
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


# Each is refused, or told apart, for one reason only: whoever loses that check sees it here.
NAA = bytes.fromhex("01030008 5000c50000000002 01030008 5000c50000000001".replace(" ", ""))
NEAR_MISSES: dict[str, list[bytes]] = {
    "vpd_83": [b"\xff\xff\0\x83" + len(NAA).to_bytes(2, "big") + NAA],
    "completion": [
        bytes((0, 8, 2, 18, 0, 0, 0)) + bytes.fromhex("71 00 01 00 00 00 00 0a") + bytes(20),
        bytes((1, 0, 0, 0, 0, 0, 0)) + bytes(8),
        bytes((0, 7, 0, 0, 0, 0, 0)) + bytes(8),
        bytes((0, 0, 0, 0, 0, 0, 9)) + bytes(8),
        bytes((0, 0, 0, 0, 0, 0xFF, 0xFF)) + bytes(8),
    ],
    "key": [
        b"10000:1:1",
        b"1:10000:1",
        b"1:1:100000000",
        b"1:2:",
        b"0x0x1",
        b"+1",
        b"1_1",
        b"0" * 17,
    ],
    "cluster": [
        b"0x0x5a17\nn1:1\n\n1",
        b"5a17\nn1:1,n2:1\n\n1",
        b"5a17\nn1:1,n1:2\n\n1",
        "5a17\nn1:²\n\n1".encode(),
        b"5a17\nn1:65536\n\n1",
        b"5a17\nn1:0\n\n1",
        b"\n:1\n\n1",
        "5a17\nn1:1\n\n²".encode(),
    ],
    "corosync": [
        COROSYNC.replace(b"nodeid: 2", b"nodeid: 65536"),
        COROSYNC.replace(b"nodeid: 2", b""),
        COROSYNC.replace(b"name: n1", b"name: n2"),
        COROSYNC.replace(b"n2", "n\u20282".encode()),
        COROSYNC.replace(b"n2", b"\xff"),
        COROSYNC.replace(b"# the second", b"the second"),
    ],
    "stdin": [b"plug=a\0b\n", b"plug\n", b"=1\n", b"verbose=2\n", b"delay=-1\n", b"plug=\xff\n"],
    "drain": [b"wait:0", b"wait:3601", "wait:²".encode(), b"wait:+1", b"wait", b"reset:5", b""],
    "vgs": [
        b"  wz--nc:shared:/dev/sda\n",
        "  wz--ns:g:/dev/a\u2028wz--ns:g:/dev/b\n".encode(),
        b"  wz--ns::/dev/a\n",
        b"  wz--n:g:/dev/a\n",
        b"\n\n",
    ],
    "state_file": [
        b"\0\0" + f"{state.MAGIC}\nboo {BOOT}\nincarnation 7\n".encode(),
        b"\0\0" + f"{state.MAGIC}\nboot \nincarnation 7\n".encode(),
        b"\0\0" + f"{state.MAGIC}\nboot {BOOT}\nincarnatio 7\n".encode(),
        b"\0\0" + f"{state.MAGIC[:-1]}3\nboot {BOOT}\nincarnation 7\n".encode(),
        b"\0\0" + f"{state.MAGIC}\n{STATE}joined t10.A_B%2f 1\n".encode(),
        b"\0\0" + f"{state.MAGIC}\n{STATE}joined  1\n".encode(),
        b"\0\0" + f"{state.MAGIC}\n{STATE}joined x ²\n".encode(),
        b"\0\0" + f"{state.MAGIC}\n{STATE}path x\n".encode(),
        b"\0\0" + f"{state.MAGIC}\n{STATE}path x\ty\tz\n".encode(),
        b"\0\0" + f"{state.MAGIC}\n{STATE}what else\n".encode(),
        b"\0\0" + f"{state.MAGIC}\n{STATE}".encode() + b"joined \xff 1\n",
    ],
    "sightings_file": [
        b"\0\0" + f"{sightings.MAGIC}\nlus a\nseen {key}\nended\n".encode()
        for key in ("0x5a1700030c8d2b", "5A1700030C8D2B41", "0" * 16, "5a17", "+a1700030c8d2b41")
    ]
    + [b"\0\0" + f"{sightings.MAGIC}\nlus\nseen\nended\n".encode()],
    "volume_group_cache": [
        b"\0\0" + f"{volume_groups.MAGIC}\nboo {BOOT}\ndisk /dev/sda\n".encode(),
        b"\0\0" + f"{volume_groups.MAGIC}\nboot {BOOT}\n".encode(),
        b"\2\0disk /dev/sdb\ndisk /dev/sda\n",
        b"\2\0disk /dev/sda\ndisk /dev/sda\n",
        b"\2\0disk sda\n",
    ],
    "off": [b"\x80\0\x09\x08\0", b"\x80\0\x0a\x0e\x70\0\x06" + bytes(4) + b"\x0a" + bytes(8)],
    "inspect": [b"\x80\0\x09\x08\0"],
    "on": [b"\x80\0\x09\x08\0", b"\1\0", b"\x04\0", b"\x0c\0"],
}


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


MISWRITTEN = (
    (b"5a17000200000001", b"0" * 16),
    (b"registration 1", b"registration 0"),
    (b"registration 1", b"registration 9"),
    (b"reservation 5", b"reservation 4"),
    (b"generation ", b"generation 9999999999"),
    (b"nexus iqn.2003-08.example:n2", b"nexus iqn.2003-08.example:n1"),
    (b"block 0", b"block 99999999999"),
    (b"fault busy", b"fault busier"),
)


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
        whole = dump(unit)
        files += [b"\1" + whole, b"\1" + whole.replace(b"profile", b"profilE")]
        files += [b"\1" + whole.replace(b"serial 1234", b"serial 1235")]
        body = whole.rpartition(b"end ")[0]
        for old, new in MISWRITTEN:
            files.append(b"\0" + body.replace(old, new, 1))
    return files


def seeds(target: str) -> list[bytes]:
    """Inputs that are written down elsewhere, for one target."""
    extra = _units() if target == "mock_file" else []
    written = [*TEXTS.get(target, []), *NEAR_MISSES.get(target, [])]
    return [*written, *_golden().get(target, []), *extra]


def kept(target: str) -> list[Path]:
    """The files of the kept corpus."""
    return sorted(path for path in (CORPUS / target).glob("*") if path.is_file())
