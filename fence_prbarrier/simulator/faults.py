"""Faults that a test aims at a logical unit, and their text form.

A fault is written `KIND[:NUMBERS] [OPTION=VALUE ...]`. Codes are hexadecimal, counts decimal.

    lost-command[:HOST]   not executed; the initiator sees host status HOST (default 03)
    lost-reply[:HOST]     executed; the initiator sees host status HOST (default 03)
    dead-path[:HOST]      not executed; host status HOST (default 01); `times` defaults to always
    hold                  accepted into the task set, in flight until completed or aborted; the
                          initiator sees host status 03. Refused commands are refused as ever
    busy, task-set-full, conflict
                          not executed; that status
    sense:KEY/ASC/ASCQ    not executed; CHECK CONDITION with this sense
    ua:ASC/ASCQ           a unit attention is established first, before those that are pending
    truncated:BYTES       executed; the data is cut to BYTES (decimal)
    descriptor-sense      executed; sense data comes in descriptor format
    delay:MS              executed MS milliseconds (decimal) after it arrived

    initiator=NAME  isid=HEX  port=N     only through these I_T nexuses
    op=XX  op=XX/SA  op=reset            only this operation code, this service action, or
                                         LOGICAL UNIT RESET
    skip=N                               let N matching commands pass first (default 0)
    times=N  times=always                how often (default 1)

A command counts for every fault that matches it. Of those whose `skip` is used up the first in
order strikes; delays are apart and come on top. Only lost-command, lost-reply, dead-path and
delay strike LOGICAL UNIT RESET.
"""

from __future__ import annotations

from .codes import (
    BUSY,
    CHECK_CONDITION,
    HOST_NO_CONNECT,
    HOST_TIME_OUT,
    LOGICAL_UNIT_RESET,
    RESERVATION_CONFLICT,
    TASK_SET_FULL,
    sense_data,
)
from .values import Call, Nexus, Response, SimulatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .unit import LogicalUnit

ALWAYS = -1
MAX_FAULTS = 256
MAX_COUNT = 1_000_000
MAX_DELAY_MS = 600_000
MAX_CODE = 0xFF
MAX_SENSE_KEY = 0x0F


class Fault:
    """One fault; the text form is the module's docstring."""

    __slots__ = (
        "kind",
        "numbers",
        "initiator",
        "isid",
        "port",
        "opcode",
        "action",
        "skip",
        "times",
    )

    def __init__(self, kind: str, numbers: tuple[int, ...] = ()) -> None:
        if kind not in KINDS:
            raise SimulatorError(f"fault {kind[:40]!r}: not one of {' '.join(sorted(KINDS))}")
        self.kind = kind
        self.numbers = numbers
        self.initiator: str | None = None
        self.isid: str | None = None
        self.port: int | None = None
        self.opcode: int | None = None
        self.action: int | None = None
        self.skip = 0
        self.times = ALWAYS if kind == "dead-path" else 1

    def matches(self, call: Call) -> bool:
        nexus = call.nexus
        if call.opcode == LOGICAL_UNIT_RESET and self.kind not in RESET_KINDS:
            return False
        return (
            self.initiator in (None, nexus.initiator)
            and self.isid in (None, nexus.isid)
            and self.port in (None, nexus.port)
            and self.opcode in (None, call.opcode)
            and self.action in (None, call.action)
        )

    def __str__(self) -> str:
        words = [self.kind]
        if self.numbers:
            form = KINDS[self.kind].form
            words[0] += ":" + "/".join(f"{each:{form}}" for each in self.numbers)
        for name in ("initiator", "isid", "port"):
            value = getattr(self, name)
            if value is not None:
                words.append(f"{name}={value}")
        if self.opcode == LOGICAL_UNIT_RESET:
            words.append("op=reset")
        elif self.opcode is not None:
            action = "" if self.action is None else f"/{self.action:02x}"
            words.append(f"op={self.opcode:02x}{action}")
        words.append(f"skip={self.skip}")
        words.append("times=always" if self.times == ALWAYS else f"times={self.times}")
        return " ".join(words)


def strike(faults: list[Fault], call: Call, delays: bool) -> Fault | None:
    """Count this command for the faults that match it; the one that strikes, if any."""
    struck: Fault | None = None
    for fault in list(faults):
        if (fault.kind == "delay") != delays or not fault.matches(call):
            continue
        if fault.skip:
            fault.skip -= 1
        elif struck is None:
            struck = fault
            if fault.times != ALWAYS:
                fault.times -= 1
            if not fault.times:
                faults.remove(fault)
    return struck


# --- What each kind does -------------------------------------------------------------------------


def _lost_command(unit: LogicalUnit, fault: Fault, call: Call) -> Response:
    return Response(host_status=fault.numbers[0] if fault.numbers else HOST_TIME_OUT)


def _lost_reply(unit: LogicalUnit, fault: Fault, call: Call) -> Response:
    unit.run(call)
    return _lost_command(unit, fault, call)


def _dead_path(unit: LogicalUnit, fault: Fault, call: Call) -> Response:
    return Response(host_status=fault.numbers[0] if fault.numbers else HOST_NO_CONNECT)


def _hold(unit: LogicalUnit, fault: Fault, call: Call) -> Response:
    refusal = unit.hold(call)
    return refusal or Response(host_status=HOST_TIME_OUT)


def _status(unit: LogicalUnit, fault: Fault, call: Call) -> Response:
    return Response(STATUSES[fault.kind])


def _sense(unit: LogicalUnit, fault: Fault, call: Call) -> Response:
    key, asc, ascq = fault.numbers
    return Response(CHECK_CONDITION, sense_data((key, asc, ascq), unit.descriptor_sense))


def _attention(unit: LogicalUnit, fault: Fault, call: Call) -> Response:
    asc, ascq = fault.numbers
    unit.attentions[call.nexus].insert(0, (asc, ascq))
    return unit.run(call)


def _truncated(unit: LogicalUnit, fault: Fault, call: Call) -> Response:
    response = unit.run(call)
    response.data = response.data[: fault.numbers[0]]
    return response


def _descriptor_sense(unit: LogicalUnit, fault: Fault, call: Call) -> Response:
    before = unit.descriptor_sense
    unit.descriptor_sense = True
    try:
        return unit.run(call)
    finally:
        unit.descriptor_sense = before


def _delay(unit: LogicalUnit, fault: Fault, call: Call) -> Response:
    raise SimulatorError("a delay is not a strike")  # strike(..., delays=False) excludes it


class Kind:
    """How many numbers a kind takes, how they are written, and what it does."""

    __slots__ = ("effect", "fewest", "most", "form", "limit", "checks")

    def __init__(
        self,
        effect: Callable[[LogicalUnit, Fault, Call], Response],
        fewest: int = 0,
        most: int = 0,
        form: str = "02x",
        limit: int = MAX_CODE,
        checks: str = "",
    ) -> None:
        self.effect = effect
        self.fewest = fewest
        self.most = most
        self.form = form
        self.limit = limit
        self.checks = checks


STATUSES = {"busy": BUSY, "task-set-full": TASK_SET_FULL, "conflict": RESERVATION_CONFLICT}
KINDS = {
    "lost-command": Kind(_lost_command, 0, 1, checks="host"),
    "lost-reply": Kind(_lost_reply, 0, 1, checks="host"),
    "dead-path": Kind(_dead_path, 0, 1, checks="host"),
    "hold": Kind(_hold),
    "busy": Kind(_status),
    "task-set-full": Kind(_status),
    "conflict": Kind(_status),
    "sense": Kind(_sense, 3, 3, checks="key"),
    "ua": Kind(_attention, 2, 2),
    "truncated": Kind(_truncated, 1, 1, "d", MAX_COUNT),
    "descriptor-sense": Kind(_descriptor_sense),
    "delay": Kind(_delay, 1, 1, "d", MAX_DELAY_MS),
}
RESET_KINDS = frozenset(("lost-command", "lost-reply", "dead-path", "delay"))


# --- Reading the text form -----------------------------------------------------------------------


def _number(text: str, base: int, limit: int, what: str) -> int:
    # int() alone would take signs, blanks, underscores and non-ASCII digits.
    digits = "0123456789abcdefABCDEF" if base == 16 else "0123456789"
    if not text or text.strip(digits) or len(text) > len(str(MAX_COUNT)):
        raise SimulatorError(f"fault: {what} {text[:40]!r} is not a number")
    value = int(text, base)
    if value > limit:
        raise SimulatorError(f"fault: {what} {text} is more than {limit}")
    return value


def parse_fault(words: Sequence[str]) -> Fault:
    """The fault that these words describe."""
    if not words:
        raise SimulatorError("fault: nothing given")
    name, colon, text = words[0].partition(":")
    fault = Fault(name)
    kind = KINDS[name]
    base = 16 if kind.form == "02x" else 10
    if colon:
        fault.numbers = tuple(_number(each, base, kind.limit, name) for each in text.split("/"))
    if not kind.fewest <= len(fault.numbers) <= kind.most:
        raise SimulatorError(
            f"fault {words[0][:40]!r}: {name} takes {kind.fewest} to {kind.most} numbers"
        )
    if "host" in kind.checks and 0 in fault.numbers:
        raise SimulatorError(f"fault {words[0][:40]!r}: host status 00 would be a success")
    if "key" in kind.checks and fault.numbers[0] > MAX_SENSE_KEY:
        raise SimulatorError(f"fault {words[0][:40]!r}: sense keys are 0 to f")
    for word in words[1:]:
        option, equals, value = word.partition("=")
        if not equals or option not in OPTIONS or not value:
            raise SimulatorError(f"fault: {word[:40]!r} is not {'=, '.join(sorted(OPTIONS))}=")
        OPTIONS[option](fault, value)
    if fault.opcode == LOGICAL_UNIT_RESET and name not in RESET_KINDS:
        raise SimulatorError(f"fault: {name} cannot strike a reset")
    return fault


def _set_initiator(fault: Fault, value: str) -> None:
    fault.initiator = Nexus(value).initiator  # which checks it


def _set_isid(fault: Fault, value: str) -> None:
    fault.isid = Nexus("any", value).isid


def _set_port(fault: Fault, value: str) -> None:
    fault.port = _number(value, 10, MAX_COUNT, "port")


def _set_op(fault: Fault, value: str) -> None:
    if value == "reset":
        fault.opcode = LOGICAL_UNIT_RESET
        return
    opcode, slash, action = value.partition("/")
    fault.opcode = _number(opcode, 16, MAX_CODE, "op")
    if slash:
        fault.action = _number(action, 16, 0x1F, "service action")


def _set_skip(fault: Fault, value: str) -> None:
    fault.skip = _number(value, 10, MAX_COUNT, "skip")


def _set_times(fault: Fault, value: str) -> None:
    fault.times = ALWAYS if value == "always" else _number(value, 10, MAX_COUNT, "times")
    if not fault.times:
        raise SimulatorError("fault: times=0 would never strike")


OPTIONS: dict[str, Callable[[Fault, str], None]] = {
    "initiator": _set_initiator,
    "isid": _set_isid,
    "port": _set_port,
    "op": _set_op,
    "skip": _set_skip,
    "times": _set_times,
}
