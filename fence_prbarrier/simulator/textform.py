"""A logical unit as text: line based, self-describing, closed by a checksum.

    fence_prbarrier simulator 1
    profile spec
    ...
    end 5 crc32 0a1b2c3d

One statement a line, `NAME VALUE ...`, in the order in which `dump` writes them; the last line
bears the number of lines before it and the CRC-32 of their bytes. Numbers are decimal, keys,
codes and bytes hexadecimal; `-` stands for nothing. I_T nexuses are numbered in their order.

The loader takes nothing on trust: what is cut short, altered, of another version or out of range
raises SimulatorError with one line that says what is wrong. A broken file is never read as an
empty logical unit.
"""

from __future__ import annotations

from binascii import crc32

from .codes import TYPE_NAMES
from .faults import parse_fault
from .medium import BLOCK_BYTES
from .registrations import Registration
from .reservations import GENERATION_LIMIT
from .unit import MAX_TASKS, LogicalUnit, Task
from .values import Call, Nexus, Response, SimulatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = "fence_prbarrier simulator"
VERSION = 1
MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_KEY = (1 << 64) - 1
MAX_NUMBER = 1 << 48
MAX_REGISTRATIONS = 1 << 16
ALL_TG_PT, SCOPE_LOST = 1, 2  # in a registration


# --- Writing -------------------------------------------------------------------------------------


def _flags(registration: Registration) -> int:
    return ALL_TG_PT * registration.all_tg_pt | SCOPE_LOST * registration.scope_lost


def dump(unit: LogicalUnit) -> bytes:
    """The whole state as text."""
    numbers = {nexus: number for number, nexus in enumerate(unit.attentions)}
    state = unit.reservations
    lines = [
        f"{MAGIC} {VERSION}",
        f"profile {unit.profile.name}",
        f"serial {unit.serial}",
        f"blocks {unit.medium.blocks}",
        f"descriptor-sense {unit.descriptor_sense:d}",
        f"can-aptpl {unit.abilities.aptpl:d}",
        f"can-all-tg-pt {unit.abilities.all_tg_pt:d}",
        f"max-registrations {state.limit}",
        f"generation {state.generation}",
        f"aptpl {state.aptpl:d}",
        f"next-tag {unit.next_tag}",
    ]
    for nexus, pending in unit.attentions.items():
        codes = " ".join(f"{asc:02x}{ascq:02x}" for asc, ascq in pending) or "-"
        lines.append(f"nexus {nexus.initiator} {nexus.isid} {nexus.port} {codes}")
    for each in state.registrations:
        lines.append(f"registration {numbers[each.nexus]} {each.key:016x} {_flags(each)}")
    if state.type:
        index = "-" if state.holder is None else str(state.registrations.index(state.holder))
        lines.append(f"reservation {state.type} {index}")
    for task in unit.tasks.values():
        call = task.call
        lines.append(
            f"task {task.tag} {numbers[call.nexus]} {task.holder_key:016x} {call.cdb.hex()} "
            f"{call.data_out.hex() or '-'} {call.data_in_length} {_verdict(task)}"
        )
    lines.extend(f"fault {fault}" for fault in unit.faults)
    for lba in sorted(unit.medium.written):
        lines.append(f"block {lba} {unit.medium.written[lba].hex()}")
    body = ("\n".join(lines) + "\n").encode("ascii")
    text = body + f"end {len(lines)} crc32 {crc32(body):08x}\n".encode("ascii")
    if len(text) > MAX_FILE_BYTES:
        raise SimulatorError(f"state of {len(text)} bytes, more than {MAX_FILE_BYTES}")
    return text


def _verdict(task: Task) -> str:
    if task.verdict is None:
        return "-"
    return f"{task.verdict.status:02x}{task.verdict.sense.hex()}"


# --- Reading -------------------------------------------------------------------------------------


def load(data: bytes) -> LogicalUnit:
    """The logical unit that this text describes."""
    lines = _verified_lines(data)
    reader = _Reader(lines)
    for number, line in enumerate(lines[HEADER_LINES:], HEADER_LINES + 1):
        name, _, rest = line.partition(" ")
        statement = STATEMENTS.get(name)
        if statement is None:
            raise SimulatorError(f"line {number}: unknown statement {name[:40]!r}")
        try:
            statement(reader, rest.split(" "))
        except SimulatorError as error:
            raise SimulatorError(f"line {number}: {error}") from None
    return reader.unit


def _verified_lines(data: bytes) -> list[str]:
    """The lines before the last one, which must vouch for them."""
    if len(data) > MAX_FILE_BYTES:
        raise SimulatorError(f"more than {MAX_FILE_BYTES} bytes")
    if not data:
        raise SimulatorError("empty")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise SimulatorError(f"byte {error.start} is not ASCII") from None
    first = text.partition("\n")[0]
    if not first.startswith(MAGIC + " "):
        raise SimulatorError(f"does not begin with {MAGIC!r}")
    if first != f"{MAGIC} {VERSION}":
        raise SimulatorError(f"version {first[len(MAGIC) + 1 :][:20]!r}, not {VERSION}")
    if not text.endswith("\n"):
        raise SimulatorError("cut short: no newline at the end")
    start = text.rfind("\n", 0, -1) + 1
    body, last = data[:start], text[start:-1]
    # Not splitlines(): it breaks at more than newlines.
    lines = text[:start].split("\n")[:-1]
    if not last.startswith("end "):
        raise SimulatorError("cut short: the last line is not 'end'")
    if last != f"end {len(lines)} crc32 {crc32(body):08x}":
        raise SimulatorError("altered or cut short: the last line does not match the rest")
    return lines


def _number(text: str, limit: int) -> int:
    if not text or text.strip("0123456789") or len(text) > len(str(MAX_NUMBER)):
        raise SimulatorError(f"{text[:40]!r} is not a number")
    value = int(text)
    if value > limit:
        raise SimulatorError(f"{value} is more than {limit}")
    return value


def _hex(text: str) -> bytes:
    if text == "-":
        return b""
    if not text or len(text) % 2 or text.strip("0123456789abcdef"):
        raise SimulatorError(f"{text[:40]!r} is not bytes in hex")
    return bytes.fromhex(text)


def _key(text: str) -> int:
    if len(text) != 16:
        raise SimulatorError(f"{text[:40]!r} is not 16 hex digits")
    return int.from_bytes(_hex(text), "big")


def _fields(words: list[str], count: int) -> list[str]:
    if len(words) != count:
        raise SimulatorError(f"{len(words)} values, not {count}")
    return words


HEADER = (
    "profile",
    "serial",
    "blocks",
    "descriptor-sense",
    "can-aptpl",
    "can-all-tg-pt",
    "max-registrations",
    "generation",
    "aptpl",
    "next-tag",
)
HEADER_LINES = 1 + len(HEADER)


class _Reader:
    """The unit as far as it has been read."""

    __slots__ = ("unit", "nexuses", "registered", "registered_ports")

    def __init__(self, lines: list[str]) -> None:
        header: dict[str, str] = {}
        for number, name in enumerate(HEADER, 2):
            line = lines[number - 1] if number <= len(lines) else ""
            found, _, value = line.partition(" ")
            if found != name or not value:
                raise SimulatorError(f"line {number}: {name!r} expected")
            header[name] = value

        def value_of(name: str, limit: int) -> int:
            try:
                return _number(header[name], limit)
            except SimulatorError as error:
                raise SimulatorError(f"{name}: {error}") from None

        self.unit = LogicalUnit(
            header["profile"],
            header["serial"],
            value_of("blocks", MAX_NUMBER),
            descriptor_sense=bool(value_of("descriptor-sense", 1)),
            aptpl=bool(value_of("can-aptpl", 1)),
            all_tg_pt=bool(value_of("can-all-tg-pt", 1)),
            max_registrations=value_of("max-registrations", MAX_REGISTRATIONS),
        )
        self.unit.reservations.generation = value_of("generation", GENERATION_LIMIT - 1)
        self.unit.reservations.aptpl = bool(value_of("aptpl", 1))
        self.unit.next_tag = value_of("next-tag", MAX_NUMBER)
        self.nexuses: list[Nexus] = []
        # Asking Reservations.of() of each registration would cost the square of their number.
        self.registered: set[Nexus] = set()
        self.registered_ports: set[tuple[str, str]] = set()  # with ALL_TG_PT

    def nexus(self, text: str) -> Nexus:
        index = _number(text, MAX_NUMBER)
        if index >= len(self.nexuses):
            raise SimulatorError(f"no I_T nexus {index}")
        return self.nexuses[index]

    def register(self, registration: Registration) -> None:
        """Add a registration, unless an earlier one covers its nexus."""
        nexus = registration.nexus
        port = (nexus.initiator, nexus.isid)
        if nexus in self.registered or port in self.registered_ports:
            raise SimulatorError(f"I_T nexus {nexus} is registered twice")
        self.registered.add(nexus)
        if registration.all_tg_pt:
            self.registered_ports.add(port)
        self.unit.reservations.registrations.append(registration)


def _read_nexus(reader: _Reader, words: list[str]) -> None:
    if len(words) < 4:
        raise SimulatorError(f"{len(words)} values, not 4 or more")
    nexus = Nexus(words[0], words[1], _number(words[2], MAX_NUMBER))
    if nexus in reader.unit.attentions:
        raise SimulatorError(f"I_T nexus {nexus} stands there twice")
    pending = []
    for code in words[3:] if words[3:] != ["-"] else []:
        asc_ascq = _hex(code)
        if len(asc_ascq) != 2:
            raise SimulatorError(f"unit attention {code[:40]!r} is not 4 hex digits")
        pending.append((asc_ascq[0], asc_ascq[1]))
    reader.unit.attentions[nexus] = pending
    reader.nexuses.append(nexus)


def _read_registration(reader: _Reader, words: list[str]) -> None:
    number, key_text, flags_text = _fields(words, 3)
    nexus = reader.nexus(number)
    key = _key(key_text)
    if not key:
        raise SimulatorError("a registration with key zero")
    flags = _number(flags_text, ALL_TG_PT | SCOPE_LOST)
    reader.register(Registration(nexus, key, bool(flags & ALL_TG_PT), bool(flags & SCOPE_LOST)))


def _read_reservation(reader: _Reader, words: list[str]) -> None:
    type_text, index_text = _fields(words, 2)
    state = reader.unit.reservations
    kind = _number(type_text, 15)
    if kind not in TYPE_NAMES or state.type or not state.registrations:
        raise SimulatorError(f"reservation of type {kind} cannot stand here")
    holder = None
    if index_text != "-":
        index = _number(index_text, MAX_REGISTRATIONS)
        if index >= len(state.registrations):
            raise SimulatorError(f"no registration {index}")
        holder = state.registrations[index]
    state.restore(kind, holder)


def _read_task(reader: _Reader, words: list[str]) -> None:
    tag_text, number, key_text, cdb, data_out, length, verdict_text = _fields(words, 7)
    unit = reader.unit
    tag = _number(tag_text, MAX_NUMBER)
    if tag in unit.tasks or not 0 < tag < unit.next_tag or len(unit.tasks) >= MAX_TASKS:
        raise SimulatorError(f"task {tag} cannot stand here")
    call = Call.of_command(
        reader.nexus(number), _hex(cdb), _hex(data_out), _number(length, MAX_NUMBER)
    )
    verdict = None
    if verdict_text != "-":
        refusal = _hex(verdict_text)
        verdict = Response(refusal[0], refusal[1:])
    unit.tasks[tag] = Task(tag, call, _key(key_text), verdict)


def _read_fault(reader: _Reader, words: list[str]) -> None:
    reader.unit.add_fault(parse_fault(words))


def _read_block(reader: _Reader, words: list[str]) -> None:
    lba_text, text = _fields(words, 2)
    lba = _number(lba_text, MAX_NUMBER)
    block = _hex(text)
    if lba >= reader.unit.medium.blocks or lba in reader.unit.medium.written:
        raise SimulatorError(f"block {lba} cannot stand here")
    if len(block) != BLOCK_BYTES:
        raise SimulatorError(f"block {lba} of {len(block)} bytes, not {BLOCK_BYTES}")
    reader.unit.medium.write(lba, block)


STATEMENTS: dict[str, Callable[[_Reader, list[str]], None]] = {
    "nexus": _read_nexus,
    "registration": _read_registration,
    "reservation": _read_reservation,
    "task": _read_task,
    "fault": _read_fault,
    "block": _read_block,
}
