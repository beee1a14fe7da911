"""Capture what a real target (LIO) answers, byte for byte, for use as golden vectors.

    python3 tests/lab/capture.py OUTDIR

Every file is text: comment lines (`# name: value`), then the bytes in hex, data
or sense according to `# bytes:`. The device in the command is written
initiator:LUN. A status without bytes has no hex lines. The
bytes are taken by sg_raw, so neither the project nor the lab had a hand in them.
"""

from __future__ import annotations

import importlib
import re
import struct
import sys
from pathlib import Path

if not __package__:  # run as a program: the lab is a package, wherever the tests lie
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "lab"
    importlib.import_module(__package__)

from .san import INITIATORS, Lab, unit

KEYS, RESERVATION, CAPABILITIES, FULL_STATUS = range(4)
REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_ABORT, IGNORE, MOVE = range(8)
TYPES = {1: "WE", 3: "EA", 5: "WERO", 6: "EARO", 7: "WEAR", 8: "EAAR"}
APTPL, ALL_TG_PT, SPEC_I_PT = 1, 4, 8
# A member's key as this project makes them: cluster tag, node, incarnation.
KEY = {name: 0x7A3C_0000_0B5E_1000 | int(name[1:]) << 32 for name in INITIATORS}
OTHER_KEY = 0x7A3C_0009_0B5E_1000
TUR = bytes(6)
ENOUGH = 8192
STATUS = {0: "GOOD", 2: "CHECK CONDITION", 8: "BUSY", 0x18: "RESERVATION CONFLICT"}
# What sg_raw prints for a status byte.
STATUS_TEXT = {
    "Good": 0,
    "Check Condition": 2,
    "Busy": 8,
    "Reservation Conflict": 0x18,
    "Task Aborted": 0x40,
}


def pr_in(action: int, length: int = ENOUGH) -> bytes:
    """Return the CDB of a PERSISTENT RESERVE IN."""
    return struct.pack(">BB5xHB", 0x5E, action, length, 0)


def pr_out(
    action: int, key: int = 0, sark: int = 0, kind: int = 0, flags: int = 0
) -> tuple[bytes, bytes]:
    """Return CDB and parameter list of a PERSISTENT RESERVE OUT."""
    parameters = struct.pack(">QQIBBH", key, sark, 0, flags, 0, 0)
    return struct.pack(">BBB2xIB", 0x5F, action, kind, len(parameters), 0), parameters


def inquiry(page: int | None = None, length: int = ENOUGH) -> bytes:
    """Return the CDB of an INQUIRY, of a VPD page where one is named."""
    return struct.pack(">BBBHB", 0x12, page is not None, page or 0, length, 0)


class Capture:
    """Takes one answer after the other into files of a directory."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        release = lab.ok("uname -r").strip()
        version = lab.ok("cat /sys/kernel/config/target/version").strip()
        version = version.partition(" on ")[0].rpartition(" ")[2]
        tool = lab.ok("sg_raw -V 2>&1 | grep -o 'sg_raw [0-9.]*'").strip()
        self.about = f"LIO {version} of Linux {release}, over iSCSI; {tool}"
        self.taken: dict[str, tuple[int, bytes]] = {}

    def _sg_raw(
        self, node: str, cdb: bytes, out: bytes, length: int
    ) -> tuple[str, int, bytes, bytes]:
        """Run sg_raw; return the command as written, status, data and sense."""
        words = " ".join(f"{byte:02x}" for byte in cdb)
        received = self.lab.guest.scratch / "captured"
        received.unlink(missing_ok=True)
        if out:
            sent = self.lab.guest.share("sent", out)
            options = f"-s {len(out)} -i {sent}"
            shown = f"sg_raw -s {len(out)} NODE {words} <<< {out.hex()}"
        elif length:
            options = f"-r {length} -o /lab/captured"
            shown = f"sg_raw -r {length} NODE {words}"
        else:
            options, shown = "", f"sg_raw NODE {words}"
        text = self.lab.sh(f"sg_raw -vv {options} {node} {words}").output
        said = re.search(r"^SCSI Status: (.+?) *$", text, re.MULTILINE)
        if said is None or said[1] not in STATUS_TEXT:
            raise RuntimeError(f"sg_raw of {words}: {text}")
        sense = re.search(r"Raw sense data[^\n]*\n((?:[ \t]+[0-9a-f ]+\n)+)", text)
        data = received.read_bytes() if received.exists() else b""
        status = STATUS_TEXT[said[1]]
        return shown, status, data, bytes.fromhex(sense[1]) if sense else b""

    def take(
        self,
        name: str,
        what: str,
        cdb: bytes,
        out: bytes = b"",
        *,
        length: int = ENOUGH,
        who: str = "n1",
        lun: int = 0,
    ) -> bytes:
        """Send a command through an initiator and keep the answer; return its bytes."""
        length = 0 if out or cdb == TUR else length
        shown, status, data, sense = self._sg_raw(self.lab.sg(who, lun), cdb, out, length)
        answer = sense if status == 2 else data
        self.taken[name] = (status, answer)
        lines = [
            f"# what: {what}",
            f"# command: {shown.replace('NODE', f'{who}:{lun}')}",
            f"# from: {self.about}",
            f"# status: {status:02x} {STATUS.get(status, '')}".rstrip(),
            f"# bytes: {'sense' if status == 2 else 'data'}, {len(answer)}",
        ]
        lines += [answer[at : at + 16].hex(" ") for at in range(0, len(answer), 16)]
        (self.directory / f"{name}.txt").write_text("\n".join(lines) + "\n")
        return answer

    def do(self, who: str, command: tuple[bytes, bytes], lun: int = 0) -> None:
        """Send a PERSISTENT RESERVE OUT that has to succeed and is not kept."""
        reply = self.lab.scsi(self.lab.sg(who, lun), command[0], out=command[1])
        if not reply.good:
            raise RuntimeError(f"{who}: {command[0].hex()}: {reply}")

    def join(self, *members: str, flags: int = 0) -> None:
        """Clear the LU, then register these initiators, each with its key."""
        self.lab.clear()
        for who in members:
            self.do(who, pr_out(IGNORE, 0, KEY[who], flags=flags))
        self.calm()

    def calm(self) -> None:
        """Eat pending unit attentions of every nexus."""
        for who in INITIATORS:
            for _ in range(4):
                self.lab.scsi(self.lab.sg(who), TUR)


def identity(cap: Capture) -> None:
    """INQUIRY and VPD pages."""
    cap.take("inquiry_standard", "standard INQUIRY", inquiry())
    cap.take("inquiry_standard_36", "standard INQUIRY, 36 bytes asked for", inquiry(length=36))
    cap.take("inquiry_standard_iblock", "standard INQUIRY, iblock backstore", inquiry(), lun=2)
    for page in (0x00, 0x80, 0x83):
        cap.take(f"vpd_{page:02x}", f"VPD page {page:02x}h", inquiry(page))
    cap.take("vpd_83_lu1", "VPD page 83h of another LU", inquiry(0x83), lun=1)
    cap.take("vpd_83_short", "VPD page 83h, 20 bytes asked for", inquiry(0x83, 20))


def keys(cap: Capture) -> None:
    """READ KEYS with few, many, equal and cut-off keys."""
    cap.join()
    cap.take("read_keys_0", "READ KEYS, nobody registered", pr_in(KEYS))
    cap.join("n1")
    cap.take("read_keys_1", "READ KEYS, one registration", pr_in(KEYS))
    cap.join(*INITIATORS)
    cap.take("read_keys_3", "READ KEYS, three registrations", pr_in(KEYS))
    for length in (4, 8, 12, 16, 24):
        what = f"READ KEYS, three registrations, allocation length {length}"
        cap.take(f"read_keys_3_length_{length}", what, pr_in(KEYS, length), length=length)
    cap.do("n2", pr_out(IGNORE, 0, KEY["n1"]))
    cap.take("read_keys_duplicate", "READ KEYS, n1 and n2 have the same key", pr_in(KEYS))


def reservations(cap: Capture) -> None:
    """READ RESERVATION: none, and each of the six types."""
    cap.join(*INITIATORS)
    cap.take("read_reservation_none", "READ RESERVATION, none", pr_in(RESERVATION))
    for kind, name in TYPES.items():
        cap.do("n1", pr_out(RESERVE, KEY["n1"], kind=kind))
        what = f"READ RESERVATION, type {kind} ({name}) held by n1"
        cap.take(f"read_reservation_{kind}_{name.lower()}", what, pr_in(RESERVATION))
        cap.do("n1", pr_out(RELEASE, KEY["n1"], kind=kind))
    cap.do("n1", pr_out(RESERVE, KEY["n1"], kind=5))
    cap.calm()
    what = "READ RESERVATION, type 5 held by n1, allocation length 16"
    cap.take("read_reservation_length_16", what, pr_in(RESERVATION, 16), length=16)
    what = "READ RESERVATION, type 5 held by n1, read by n2"
    cap.take("read_reservation_by_other", what, pr_in(RESERVATION), who="n2")


def capabilities(cap: Capture) -> None:
    """REPORT CAPABILITIES before and after APTPL is active."""
    cap.join("n1")
    cap.take("report_capabilities", "REPORT CAPABILITIES, no APTPL", pr_in(CAPABILITIES))
    cap.join("n1", flags=APTPL)
    what = "REPORT CAPABILITIES after a REGISTER with APTPL"
    cap.take("report_capabilities_aptpl", what, pr_in(CAPABILITIES))
    cap.do("n1", pr_out(IGNORE, 0, KEY["n1"]))
    what = "REPORT CAPABILITIES after a later REGISTER without APTPL"
    cap.take("report_capabilities_aptpl_off", what, pr_in(CAPABILITIES))


def full_status(cap: Capture) -> None:
    """READ FULL STATUS, also where it does not fit."""
    cap.join()
    cap.take("full_status_0", "READ FULL STATUS, nobody registered", pr_in(FULL_STATUS))
    cap.join(*INITIATORS)
    cap.take("full_status_3", "READ FULL STATUS, three registrations", pr_in(FULL_STATUS))
    cap.do("n2", pr_out(RESERVE, KEY["n2"], kind=5))
    whole = cap.take(
        "full_status_holder", "READ FULL STATUS, type 5 held by n2", pr_in(FULL_STATUS)
    )
    for length in (4, 8, 16, 40, len(whole) // 2, len(whole) - 4, len(whole)):
        what = f"READ FULL STATUS, type 5 held by n2, allocation length {length} of {len(whole)}"
        cap.take(f"full_status_length_{length}", what, pr_in(FULL_STATUS, length), length=length)
    cap.do("n2", pr_out(RELEASE, KEY["n2"], kind=5))
    cap.do("n2", pr_out(RESERVE, KEY["n2"], kind=7))
    cap.calm()
    cap.take("full_status_all_holders", "READ FULL STATUS, type 7 made by n2", pr_in(FULL_STATUS))
    cap.join("n1", flags=ALL_TG_PT)
    cap.take("full_status_all_tg_pt", "READ FULL STATUS, ALL_TG_PT", pr_in(FULL_STATUS))
    cap.do("n1", pr_out(IGNORE, 0, 0, flags=ALL_TG_PT))


def refusals(cap: Capture) -> None:
    """Commands that are wrong, each in one way."""
    mine, theirs = KEY["n1"], KEY["n2"]
    cap.join("n2")
    unregistered: list[tuple[str, tuple[bytes, bytes]]] = [
        ("register_wrong_key", pr_out(REGISTER, mine, OTHER_KEY)),
        ("reserve", pr_out(RESERVE, mine, kind=5)),
        ("release", pr_out(RELEASE, mine, kind=5)),
        ("clear", pr_out(CLEAR, mine)),
        ("preempt_abort", pr_out(PREEMPT_ABORT, mine, theirs, 5)),
    ]
    for name, command in unregistered:
        what = f"{name} through a nexus that is not registered, no reservation"
        cap.take(f"unregistered_{name}", what, *command)
    cap.do("n2", pr_out(RESERVE, theirs, kind=5))
    for name, command in unregistered:
        what = f"{name} through a nexus that is not registered, type 5 held by n2"
        cap.take(f"unregistered_reserved_{name}", what, *command)
    block = bytes(512)
    what = "WRITE(10) through a nexus that is not registered, type 5 held by n2"
    cap.take("unregistered_reserved_write", what, bytes([0x2A, *[0] * 7, 1, 0]), block)
    cap.join("n1", "n2")
    cap.do("n1", pr_out(RESERVE, mine, kind=5))
    wrong: list[tuple[str, tuple[bytes, bytes]]] = [
        ("register_wrong_key", pr_out(REGISTER, OTHER_KEY, mine)),
        ("reserve_wrong_key", pr_out(RESERVE, OTHER_KEY, kind=5)),
        ("reserve_other_type", pr_out(RESERVE, mine, kind=6)),
        ("reserve_type_0", pr_out(RESERVE, mine, kind=0)),
        ("reserve_type_2", pr_out(RESERVE, mine, kind=2)),
        ("reserve_type_f", pr_out(RESERVE, mine, kind=15)),
        ("reserve_scope_1", pr_out(RESERVE, mine, kind=0x15)),
        ("release_other_type", pr_out(RELEASE, mine, kind=6)),
        ("release_wrong_key", pr_out(RELEASE, OTHER_KEY, kind=5)),
        ("clear_wrong_key", pr_out(CLEAR, OTHER_KEY)),
        ("preempt_wrong_key", pr_out(PREEMPT, OTHER_KEY, theirs, 5)),
        ("preempt_absent", pr_out(PREEMPT, mine, OTHER_KEY, 5)),
        ("preempt_zero", pr_out(PREEMPT, mine, 0, 5)),
        ("preempt_abort_wrong_key", pr_out(PREEMPT_ABORT, OTHER_KEY, theirs, 5)),
        ("preempt_abort_absent", pr_out(PREEMPT_ABORT, mine, OTHER_KEY, 5)),
        ("preempt_abort_zero", pr_out(PREEMPT_ABORT, mine, 0, 5)),
        ("register_spec_i_pt", pr_out(REGISTER, mine, mine, flags=SPEC_I_PT)),
        ("replace_lost", pr_out(8, mine, OTHER_KEY, 5)),
        ("out_action_1f", pr_out(0x1F, mine, 0, 5)),
    ]
    for name, command in wrong:
        cap.take(f"wrong_{name}", f"{name}; n1 and n2 registered, type 5 held by n1", *command)
    what = "REGISTER with a parameter list length of"
    for length in (0, 23, 25):
        cdb = struct.pack(">BBB2xIB", 0x5F, REGISTER, 0, length, 0)
        cap.take(
            f"wrong_parameter_length_{length}", f"{what} {length}", cdb, bytes(length), length=0
        )
    cap.take("wrong_in_action_1f", "PERSISTENT RESERVE IN, action 1Fh", pr_in(0x1F))
    cap.take("wrong_in_length_0", "READ KEYS, allocation length 0", pr_in(KEYS, 0), length=0)
    cap.take("wrong_opcode", "an operation code that is not there", bytes([0xC1, *[0] * 5]))
    cap.take("wrong_vpd_page", "INQUIRY of a VPD page that is not there", inquiry(0xDD))
    page_without_evpd = bytes([0x12, 0, 0x83, 0, 255, 0])
    cap.take("wrong_inquiry_field", "INQUIRY, page code without EVPD", page_without_evpd)


def attentions(cap: Capture) -> None:
    """Unit attentions, each as the first thing that a nexus hears after an event."""
    mine, theirs = KEY["n1"], KEY["n2"]

    def heard(name: str, what: str, *listeners: str) -> None:
        for who in listeners:
            first = f"first command of {who} after: {what}"
            cap.take(f"ua_{name}_{who}", first, pr_in(KEYS), who=who)

    def event(name: str, what: str, command: tuple[bytes, bytes]) -> None:
        cap.join("n1", "n2")
        cap.do("n1", pr_out(RESERVE, mine, kind=5))
        cap.calm()
        cap.do("n1", command)
        heard(name, what, "n2")

    before = "n1 and n2 registered"
    event("clear", f"{before}; n1 CLEAR", pr_out(CLEAR, mine))
    event("release", f"{before}; n1 RELEASE of its type 5", pr_out(RELEASE, mine, kind=5))
    what = f"{before}, type 5 held by n1; n1 PREEMPT"
    event("preempt", f"{what} of n2", pr_out(PREEMPT, mine, theirs, 5))
    event("preempt_abort", f"{what} AND ABORT of n2", pr_out(PREEMPT_ABORT, mine, theirs, 5))
    event("preempt_own", f"{what} of its own key, type 6", pr_out(PREEMPT, mine, mine, 6))
    cap.join("n1", "n2")
    cap.do("n2", pr_out(RESERVE, theirs, kind=5))
    cap.calm()
    cap.do("n1", pr_out(PREEMPT_ABORT, mine, theirs, 5))
    heard("preempt_holder", f"{before}, type 5 held by n2; n1 PREEMPT AND ABORT of n2", "n2")
    cap.join("n1", "n2")
    cap.lab.reset_units([cap.lab.sg("n1")])
    heard("reset", "SG_SCSI_RESET of the LU through n1", "n1", "n2")
    cap.join("n1", "n2", flags=APTPL)
    cap.lab.power_cycle()
    heard("power_cycle", f"{before} with APTPL; power cycle of the target", "n1")
    what = "READ FULL STATUS after a power cycle with APTPL"
    cap.take("full_status_restored", what, pr_in(FULL_STATUS))


def main() -> int:
    """Boot a lab and capture everything."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 1
    with Lab([unit(0), unit(1), unit(2, delay_ms=0)]) as lab:
        cap = Capture(lab, Path(sys.argv[1]))
        for part in (
            *(identity, keys, reservations, capabilities, full_status),
            *(refusals, attentions),
        ):
            part(cap)
        lab.clear()
    for name, (status, answer) in cap.taken.items():
        print(f"{name:40} {status:02x} {answer.hex()[:80]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
