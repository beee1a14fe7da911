"""Create, look at and disturb a simulated logical unit: for people and tests.

Exit status: 0 done; 1 refused by the logical unit, with its status in words; 2 the simulator
itself cannot do it (no such file, broken file, bad argument).
"""

from __future__ import annotations

import argparse
import os
import sys

from . import faults, store
from .codes import (
    ALL_REGISTRANTS_TYPES,
    BUSY,
    CHECK_CONDITION,
    GOOD,
    RESERVATION_CONFLICT,
    TASK_SET_FULL,
    TYPE_NAMES,
    sense_triple,
)
from .medium import BLOCK_BYTES
from .profiles import PROFILES
from .unit import DEFAULT_BLOCKS, LogicalUnit
from .values import Nexus, Response, SimulatorError

EXIT_DONE = 0
EXIT_REFUSED = 1
EXIT_ERROR = 2

STATUS_WORDS = {
    BUSY: "BUSY",
    RESERVATION_CONFLICT: "RESERVATION CONFLICT",
    TASK_SET_FULL: "TASK SET FULL",
}


def in_words(response: Response) -> str:
    """The outcome of a command, for people."""
    if response.host_status:
        return f"host status {response.host_status:02x}h"
    if response.status == CHECK_CONDITION:
        key, asc, ascq = sense_triple(response.sense)
        return f"CHECK CONDITION, sense key {key:x}h, {asc:02x}h/{ascq:02x}h"
    return STATUS_WORDS.get(response.status, f"status {response.status:02x}h")


def parse_nexus(text: str) -> Nexus:
    """NAME, or NAME,ISID,PORT."""
    name, comma, rest = text.partition(",")
    if not comma:
        return Nexus(name)
    isid, comma, port = rest.partition(",")
    if not (port.isascii() and port.isdigit()):
        raise SimulatorError(f"initiator {text[:40]!r} is neither NAME nor NAME,ISID,PORT")
    return Nexus(name, isid, int(port))


def describe(unit: LogicalUnit) -> str:
    """The whole state but the medium, for people."""
    state = unit.reservations
    aptpl = "persist through power loss" if state.aptpl else "are lost with power"
    lines = [
        f"profile {unit.profile.name}, serial {unit.serial}, {unit.medium.blocks} blocks",
        f"PRGENERATION {state.generation}, registrations {aptpl}",
    ]
    for each in state.registrations:
        holder = " RESERVATION HOLDER" if state.holds(each) else ""
        ports = "all target ports" if each.all_tg_pt else f"target port {each.nexus.port}"
        name = f"{each.nexus.initiator},i,0x{each.nexus.isid}"
        lines.append(f"registered 0x{each.key:016x} {name} {ports}{holder}")
    if not state.registrations:
        lines.append("nobody registered")
    if state.type:
        key = "" if state.type in ALL_REGISTRANTS_TYPES else f", key 0x{state.holder_key():016x}"
        lines.append(f"reserved type {state.type} ({TYPE_NAMES[state.type]}){key}")
    else:
        lines.append("not reserved")
    for nexus, pending in unit.attentions.items():
        for asc, ascq in pending:
            lines.append(f"unit attention {asc:02x}h/{ascq:02x}h pending for {nexus}")
    for task in unit.tasks.values():
        lines.append(f"task {task.tag} in flight from {task.call.nexus}: {task.call.cdb.hex()}")
    lines.extend(f"fault {each}" for each in unit.faults)
    return "\n".join(lines)


# --- What each word does -------------------------------------------------------------------------


def _create(options: argparse.Namespace) -> int:
    serial = options.serial or os.urandom(8).hex()
    store.create(options.file, LogicalUnit(options.profile, serial, options.blocks))
    return EXIT_DONE


def _show(options: argparse.Namespace) -> int:
    print(describe(store.read(options.file)))
    return EXIT_DONE


def _power_cycle(options: argparse.Namespace) -> int:
    store.transact(options.file, LogicalUnit.power_cycle)
    return EXIT_DONE


def _report(response: Response) -> int:
    if response.host_status == 0 and response.status == GOOD:
        return EXIT_DONE
    print(in_words(response), file=sys.stderr)
    return EXIT_REFUSED


def _reset(options: argparse.Namespace) -> int:
    return _report(store.reset(options.file, parse_nexus(options.initiator)))


def _fault(options: argparse.Namespace) -> int:
    fault = faults.parse_fault(options.spec)
    store.transact(options.file, lambda unit: unit.add_fault(fault))
    return EXIT_DONE


def _clear_faults(options: argparse.Namespace) -> int:
    store.transact(options.file, lambda unit: unit.faults.clear())
    return EXIT_DONE


def _complete(options: argparse.Namespace) -> int:
    response = store.transact(options.file, lambda unit: unit.complete(options.tag))
    if response is None:
        print("aborted or completed before", file=sys.stderr)
        return EXIT_REFUSED
    return _report(response)


def _cdb(opcode: int, lba: int) -> bytes:
    """READ(16) or WRITE(16) of one block."""
    if not 0 <= lba < 1 << 64:
        raise SimulatorError(f"LBA {lba}")
    return bytes((opcode, 0)) + lba.to_bytes(8, "big") + (1).to_bytes(4, "big") + bytes(2)


def _write(options: argparse.Namespace) -> int:
    text = options.text.encode()
    if len(text) > BLOCK_BYTES:
        raise SimulatorError(f"text of {len(text)} bytes, more than {BLOCK_BYTES}")
    block = text.ljust(BLOCK_BYTES, b"\0")
    nexus = parse_nexus(options.initiator)
    return _report(store.command(options.file, nexus, _cdb(0x8A, options.lba), block))


def _read(options: argparse.Namespace) -> int:
    nexus = parse_nexus(options.initiator)
    cdb = _cdb(0x88, options.lba)
    response = store.command(options.file, nexus, cdb, data_in_length=BLOCK_BYTES)
    if _report(response) == EXIT_REFUSED:
        return EXIT_REFUSED
    print(response.data.rstrip(b"\0").decode(errors="backslashreplace"))
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m fence_prbarrier.simulator",
        description="A simulated SCSI logical unit with persistent reservations, in a file.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=faults.__doc__,
    )
    words = parser.add_subparsers(required=True, metavar="COMMAND")

    def word(name: str, run: object, text: str) -> argparse.ArgumentParser:
        added = words.add_parser(name, help=text)
        added.add_argument("file", metavar="FILE")
        added.set_defaults(run=run)
        return added

    create = word("create", _create, "put a new logical unit into a new file")
    create.add_argument("--profile", choices=sorted(PROFILES), default="spec")
    create.add_argument("--blocks", type=int, default=DEFAULT_BLOCKS)
    create.add_argument("--serial", help="default: random")
    word("show", _show, "registrations, reservation, tasks, faults")
    word("power-cycle", _power_cycle, "loss of power and its return")
    reset = word("reset", _reset, "LOGICAL UNIT RESET")
    reset.add_argument("initiator", metavar="INITIATOR", nargs="?", default="iqn.simulator:reset")
    fault = word("fault", _fault, "aim a fault; see below")
    fault.add_argument("spec", metavar="SPEC", nargs="+")
    word("clear-faults", _clear_faults, "remove all faults")
    complete = word("complete", _complete, "finish a task in flight")
    complete.add_argument("tag", metavar="TAG", type=int)
    write = word("write", _write, "write TEXT into one block")
    read = word("read", _read, "print one block as text")
    for each in (write, read):
        each.add_argument("initiator", metavar="INITIATOR", help="NAME or NAME,ISID,PORT")
        each.add_argument("lba", metavar="LBA", type=int)
    write.add_argument("text", metavar="TEXT")
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except SimulatorError as error:
        print(error, file=sys.stderr)
        return EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main())
