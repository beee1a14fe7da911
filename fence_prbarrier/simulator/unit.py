"""The logical unit: bytes in, bytes out. No I/O, no clock, no randomness.

Rules kept here (the rest is in the modules that it dispatches to):

- Order: a fault that is aimed at the command; RESERVATION CONFLICT by the reservation that
  stands (SAM-3 5.3.2 gives it precedence); a pending unit attention; the command itself. So a
  conflict that the command finds itself, a wrong reservation key for instance, comes after a
  unit attention. The `lio` profile reports the unit attention first of all.
- Unit attentions queue for each I_T nexus and are reported once each, in order; one that is
  already pending is not queued again. INQUIRY and REPORT LUNS leave them alone; REQUEST SENSE
  returns one as its data (SPC-4 6.39).
- The I_T nexuses that unit attentions for all go to are those that have sent a command before. A
  nexus that is seen for the first time has nothing pending.
- LOGICAL UNIT RESET establishes 29h/03h for every known nexus, the sender included; a power
  cycle replaces whatever was pending by 29h/01h.
"""

from __future__ import annotations

from . import door, identity, medium, pr_commands
from .codes import (
    BUS_DEVICE_RESET_FUNCTION_OCCURRED,
    CHECK_CONDITION,
    COMMUNICATION_FAILURE,
    INQUIRY,
    INVALID_FIELD_IN_CDB,
    NO_ADDITIONAL_SENSE,
    PERSISTENT_RESERVE_IN,
    PERSISTENT_RESERVE_OUT,
    POWER_ON_OCCURRED,
    READ_CAPACITY_10,
    REPORT_LUNS,
    REQUEST_SENSE,
    RESERVATION_CONFLICT,
    SERVICE_ACTION_IN_16,
    TASK_SET_FULL,
    TEST_UNIT_READY,
    sense_data,
)
from .faults import KINDS, MAX_FAULTS, Fault, strike
from .profiles import PROFILES
from .registrations import Effect
from .reservations import Reservations
from .values import Call, CheckCondition, Conflict, Nexus, Response, SimulatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_SERIAL = "0000000000000001"
DEFAULT_BLOCKS = 2048
MAX_SERIAL_BYTES = 64
MAX_BLOCKS = 1 << 40
MAX_TASKS = 64
MAX_NEXUSES = 1024
DEFAULT_MAX_REGISTRATIONS = 128

REQUEST_SENSE_DESC = 0x01


class Task:
    """A command in flight: accepted, its effect on the medium still to come."""

    __slots__ = ("tag", "call", "holder_key", "verdict")

    def __init__(self, tag: int, call: Call, holder_key: int, verdict: Response | None) -> None:
        self.tag = tag
        self.call = call
        # The key of the reservation holder at acceptance, zero for none: what the `lio` profile
        # picks the tasks to abort by.
        self.holder_key = holder_key
        # How it was refused at acceptance, if it was.
        self.verdict = verdict


class LogicalUnit:
    """One direct-access logical unit with persistent reservations."""

    __slots__ = (
        "profile",
        "serial",
        "descriptor_sense",
        "abilities",
        "reservations",
        "medium",
        "attentions",
        "tasks",
        "next_tag",
        "faults",
        "door",
    )

    def __init__(
        self,
        profile: str = "spec",
        serial: str = DEFAULT_SERIAL,
        blocks: int = DEFAULT_BLOCKS,
        *,
        descriptor_sense: bool = False,
        aptpl: bool | None = None,
        all_tg_pt: bool | None = None,
        max_registrations: int = DEFAULT_MAX_REGISTRATIONS,
    ) -> None:
        if profile not in PROFILES:
            raise SimulatorError(f"profile {profile[:40]!r}: not {' '.join(sorted(PROFILES))}")
        if not 0 < len(serial) <= MAX_SERIAL_BYTES or not serial.isascii():
            raise SimulatorError(f"serial {serial[:40]!r}: 1 to {MAX_SERIAL_BYTES} ASCII bytes")
        if not serial.isprintable() or " " in serial:
            raise SimulatorError(f"serial {serial!r}: printable, no spaces")
        if not 0 < blocks <= MAX_BLOCKS:
            raise SimulatorError(f"{blocks} blocks, not 1 to {MAX_BLOCKS}")
        self.profile = PROFILES[profile]
        self.serial = serial
        self.descriptor_sense = descriptor_sense
        self.abilities = pr_commands.Abilities(
            self.profile.can_aptpl if aptpl is None else aptpl,
            self.profile.can_all_tg_pt if all_tg_pt is None else all_tg_pt,
        )
        self.reservations = Reservations(self.profile, max_registrations)
        self.medium = medium.Medium(blocks)
        # The known I_T nexuses, each with its pending unit attentions.
        self.attentions: dict[Nexus, list[tuple[int, int]]] = {}
        self.tasks: dict[int, Task] = {}
        self.next_tag = 1
        self.faults: list[Fault] = []
        self.door = door.Door(self.profile, self.medium, COMMANDS)

    # --- From outside ---

    def command(
        self, nexus: Nexus, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0
    ) -> Response:
        """Run one command. A delay is reported in the response, not slept."""
        Call.of_command(nexus, cdb, data_out, data_in_length)  # before anything is counted
        delay_ms = self.take_delay(nexus, cdb)
        response = self.execute(nexus, cdb, data_out, data_in_length)
        response.delay_ms = delay_ms
        return response

    def take_delay(self, nexus: Nexus, cdb: bytes = b"") -> int:
        """Count this command for the delay faults; how many milliseconds it is to wait.

        Without a CDB it is a LOGICAL UNIT RESET that is counted.
        """
        call = Call.of_command(nexus, cdb, b"", 0) if cdb else Call(nexus)
        self._meet(nexus)
        fault = strike(self.faults, call, delays=True)
        return fault.numbers[0] if fault else 0

    def execute(
        self, nexus: Nexus, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0
    ) -> Response:
        """Run one command whose delay, if any, is over."""
        return self._strike_or_run(Call.of_command(nexus, cdb, data_out, data_in_length))

    def submit(self, nexus: Nexus, cdb: bytes, data_out: bytes = b"") -> int:
        """Enter a command into the task set; the tag by which to complete it.

        Unit attentions and reservations are checked now. What the command does, to the medium
        or to anything else, it does when it is completed.
        """
        call = Call.of_command(nexus, cdb, data_out, 0)
        self._meet(nexus)
        verdict = self._admit(call)
        if verdict is None and len(self.tasks) >= MAX_TASKS:
            verdict = Response(TASK_SET_FULL)
        return self._enter(call, verdict)

    def complete(self, tag: int) -> Response | None:
        """Finish a task; None where it was aborted (or has been completed before)."""
        if not 0 < tag < self.next_tag:
            raise SimulatorError(f"task {tag} was never submitted")
        task = self.tasks.pop(tag, None)
        if task is None:
            return None
        return task.verdict or self._perform(task.call)

    def reset(self, nexus: Nexus) -> Response:
        """LOGICAL UNIT RESET, SAM-5 7.7 and 6.3.3: tasks go, reservations stay."""
        delay_ms = self.take_delay(nexus)
        response = self.execute_reset(nexus)
        response.delay_ms = delay_ms
        return response

    def execute_reset(self, nexus: Nexus) -> Response:
        return self._strike_or_run(Call(nexus))

    def power_cycle(self) -> None:
        """Loss of power: SPC-4 5.7.5 says what persists; PRGENERATION never does."""
        self.reservations.power_cycle()
        self.tasks = {}
        for nexus in self.attentions:
            self.attentions[nexus] = [POWER_ON_OCCURRED] if self.profile.power_on_attention else []

    def add_fault(self, fault: Fault) -> None:
        if len(self.faults) >= MAX_FAULTS:
            raise SimulatorError(f"more than {MAX_FAULTS} faults")
        self.faults.append(fault)

    # --- For the fault model ---

    def run(self, call: Call) -> Response:
        if not call.cdb:
            return self._reset()
        return self._admit(call) or self._perform(call)

    def hold(self, call: Call) -> Response | None:
        """Leave a command in flight; the response where it is refused instead."""
        refusal = self._admit(call)
        if refusal is None and len(self.tasks) >= MAX_TASKS:
            refusal = Response(TASK_SET_FULL)
        if refusal is None:
            self._enter(call, None)
        return refusal

    # --- Parts ---

    def _meet(self, nexus: Nexus) -> None:
        if nexus in self.attentions:
            return
        if len(self.attentions) >= MAX_NEXUSES:
            raise SimulatorError(f"more than {MAX_NEXUSES} I_T nexuses")
        self.attentions[nexus] = []

    def _strike_or_run(self, call: Call) -> Response:
        self._meet(call.nexus)
        fault = strike(self.faults, call, delays=False)
        if fault is None:
            return self.run(call)
        return KINDS[fault.kind].effect(self, fault, call)

    def _admit(self, call: Call) -> Response | None:
        """The refusal, if reservation or unit attention refuse the command at the door."""
        try:
            self.door.admit(self.reservations, self.attentions[call.nexus], call)
        except CheckCondition as error:
            return self._check_condition(error.triple)
        except Conflict:
            return Response(RESERVATION_CONFLICT)
        return None

    def _perform(self, call: Call) -> Response:
        try:
            if not self.profile.cdb_before_attention:
                self.door.check_cdb(call)
            return Response(data=COMMANDS[call.opcode](self, call)[: call.data_in_length])
        except CheckCondition as error:
            return self._check_condition(error.triple)
        except Conflict:
            return Response(RESERVATION_CONFLICT)

    def _check_condition(self, triple: tuple[int, int, int]) -> Response:
        return Response(CHECK_CONDITION, sense_data(triple, self.descriptor_sense))

    def _enter(self, call: Call, verdict: Response | None) -> int:
        tag = self.next_tag
        self.next_tag += 1
        self.tasks[tag] = Task(tag, call, self.reservations.stamp(), verdict)
        return tag

    def _reset(self) -> Response:
        self.tasks = {}
        for nexus in self.attentions:
            door.attend(self.profile, self.attentions[nexus], BUS_DEVICE_RESET_FUNCTION_OCCURRED)
        return Response()

    def carry_out(self, effect: Effect) -> None:
        """Establish the unit attentions and abort the tasks, before the status is sent."""
        for registration, attention in effect.attentions:
            for nexus, pending in self.attentions.items():
                if registration.covers(nexus):
                    door.attend(self.profile, pending, attention)
        for task in list(self.tasks.values()):
            if task.holder_key in effect.abort_stamped or any(
                each.covers(task.call.nexus) for each in effect.abort_of
            ):
                del self.tasks[task.tag]


# --- The commands ---------------------------------------------------------------------------------


def _test_unit_ready(unit: LogicalUnit, call: Call) -> bytes:
    return b""


def _request_sense(unit: LogicalUnit, call: Call) -> bytes:
    """SPC-4 6.39: a pending unit attention is returned as data, and is then no longer pending."""
    profile, allocation = unit.profile, call.cdb[4]
    descriptor = bool(call.cdb[1] & REQUEST_SENSE_DESC)
    if descriptor and not profile.can_descriptor_request_sense:
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    if profile.request_sense_fills and not allocation:
        raise CheckCondition(COMMUNICATION_FAILURE)
    pending = unit.attentions[call.nexus]
    triple = door.report(profile, pending) if pending else NO_ADDITIONAL_SENSE
    data = sense_data(triple, descriptor)
    return data.ljust(allocation if profile.request_sense_fills else 0, b"\0")[:allocation]


def _inquiry(unit: LogicalUnit, call: Call) -> bytes:
    return identity.inquiry(unit.profile, unit.serial, call.nexus, call.cdb)


def _report_luns(unit: LogicalUnit, call: Call) -> bytes:
    return identity.report_luns(call.cdb)


def _read_capacity_10(unit: LogicalUnit, call: Call) -> bytes:
    return medium.read_capacity_10(unit.medium, unit.profile, call.cdb)


def _read_capacity_16(unit: LogicalUnit, call: Call) -> bytes:
    return medium.read_capacity_16(unit.medium, call.cdb)


def _reserve_in(unit: LogicalUnit, call: Call) -> bytes:
    return pr_commands.reserve_in(unit.reservations, unit.abilities, call.cdb)


def _reserve_out(unit: LogicalUnit, call: Call) -> bytes:
    effect = pr_commands.reserve_out(
        unit.reservations, unit.abilities, unit.attentions, call.nexus, call.cdb, call.data_out
    )
    unit.carry_out(effect)
    return b""


def _block(unit: LogicalUnit, call: Call) -> bytes:
    if unit.profile.compares_lengths and not call.data_out and medium.data_out_bytes(call.cdb):
        return b""
    return medium.BLOCK_COMMANDS[call.opcode](unit.medium, call.cdb, call.data_out)


COMMANDS: dict[int, Callable[[LogicalUnit, Call], bytes]] = {
    TEST_UNIT_READY: _test_unit_ready,
    REQUEST_SENSE: _request_sense,
    INQUIRY: _inquiry,
    REPORT_LUNS: _report_luns,
    READ_CAPACITY_10: _read_capacity_10,
    SERVICE_ACTION_IN_16: _read_capacity_16,
    PERSISTENT_RESERVE_IN: _reserve_in,
    PERSISTENT_RESERVE_OUT: _reserve_out,
    **dict.fromkeys(medium.BLOCK_COMMANDS, _block),
}
