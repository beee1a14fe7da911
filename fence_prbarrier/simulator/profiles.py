"""What kinds of target there are: the standard, and named deviations from it.

A profile is a class without methods. `Spec` holds what the standard says; each other profile
states only where it departs, and where that was read or seen:

[lio]    Linux drivers/target (target_core_pr.c where nothing else is said) as of 6.1.176, and
         LIO of that kernel over iSCSI when asked: tests/agreement compares every answer.
[tgt]    usr/spc.c and usr/sbc.c of tgt 1.0.
[istgt]  src/istgt_lu_disk.c of istgt, and istgt when asked.
"""

from __future__ import annotations

from .codes import (
    CLEAR,
    EXCLUSIVE_ACCESS,
    EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
    EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
    INVALID_FIELD_IN_CDB,
    INVALID_FIELD_IN_PARAMETER_LIST,
    INVALID_RELEASE,
    PARAMETER_LIST_LENGTH_ERROR,
    PREEMPT_AND_ABORT,
    READ_FULL_STATUS,
    READ_KEYS,
    READ_RESERVATION,
    REGISTER_AND_MOVE,
    REGISTRATIONS_PREEMPTED,
    RELEASE,
    REPORT_CAPABILITIES,
    RESERVATIONS_PREEMPTED,
    RESERVE,
    WRITE_AND_VERIFY_10,
    WRITE_EXCLUSIVE,
    WRITE_EXCLUSIVE_ALL_REGISTRANTS,
    WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
    WRITE_SAME_10,
    WRITE_SAME_16,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import ClassVar

# How a command fares under a reservation (5.7.1): allowed for all, as a read, or as a write.
ALWAYS = "always"
AS_READ = "read"
AS_WRITE = "write"

# Whose tasks PREEMPT AND ABORT aborts.
ABORT_PREEMPTED = "preempted"  # those of every I_T nexus registered with the given key
ABORT_STAMPED = "stamped"  # those accepted while a preempted key held the reservation
ABORT_NONE = "none"


class Spec:
    """The standard."""

    name: ClassVar[str] = "spec"

    # --- Identity, 6.6.2 and 7.8.6 ---
    vendor: ClassVar[str] = "PRBARRIE"
    product: ClassVar[str] = "SIMULATED-LU"
    revision: ClassVar[str] = "1"
    # IEEE company_id of the NAA 6h designator, its locally administered bit set.
    company_id: ClassVar[int] = 0x025042

    # --- Fields ---
    checks_reserved_bits: ClassVar[bool] = True
    can_aptpl: ClassVar[bool] = True
    can_all_tg_pt: ClassVar[bool] = True
    bad_length: ClassVar[tuple[int, int, int]] = PARAMETER_LIST_LENGTH_ERROR  # 6.16.1
    bad_parameter_bit: ClassVar[tuple[int, int, int]] = INVALID_FIELD_IN_PARAMETER_LIST  # 6.16.3
    bad_scope: ClassVar[tuple[int, int, int]] = INVALID_FIELD_IN_CDB

    # SAM-5 5.2: a NACA bit that is not supported is an error.
    refuses_naca: ClassVar[bool] = True
    # An LBA past the last block is an error even where nothing is transferred; SBC-3 5.11 speaks
    # of LBA plus transfer length.
    checks_lba_of_nothing: ClassVar[bool] = True
    # SBC-3 5.15: LOGICAL BLOCK ADDRESS is obsolete and ignored.
    capacity_checks_lba: ClassVar[bool] = False
    # The amount of data is compared with the CDB where the data is used, SAM-5 5.4.3; or before
    # all else, and a write without any data at all is then one of nothing.
    compares_lengths: ClassVar[bool] = False
    can_descriptor_request_sense: ClassVar[bool] = True
    # REQUEST SENSE returns as many bytes as there are, not more, 6.39.
    request_sense_fills: ClassVar[bool] = False

    # --- Order ---
    # A CDB that is wrong in itself is refused when its turn has come, after a unit attention.
    cdb_before_attention: ClassVar[bool] = False
    # SAM-3 5.3.2: RESERVATION CONFLICT goes before a unit attention, which stays pending.
    attention_before_conflict: ClassVar[bool] = False

    # --- Unit attentions, SAM-5 5.14: each is reported, in the order in which they came ---
    attentions_report_one: ClassVar[bool] = False
    # SAM-5 6.3.1: power on establishes one for every I_T nexus.
    power_on_attention: ClassVar[bool] = True

    # --- Access, 5.7.1: operation codes that fare otherwise than access.py says ---
    access: ClassVar[Mapping[int, str]] = {}
    # Not by the operation code at all, but by the direction of the data.
    access_by_direction: ClassVar[bool] = False

    # --- PERSISTENT RESERVE OUT, 5.12 and 6.16 ---
    unsupported_out: ClassVar[frozenset[int]] = frozenset()
    # Whether REGISTER takes SPEC_I_PT (SIP_C), and REGISTER AND MOVE exists: both are optional.
    can_name_ports: ClassVar[bool] = False
    # A service action that is not supported is found before or after a wrong list, 6.16.2.
    unsupported_out_last: ClassVar[bool] = False
    # SCOPE is looked at with TYPE, or after registration and key.
    scope_after_key: ClassVar[bool] = False
    # PRGENERATION counts a REGISTER that unregisters, and not what APTPL brings back, 6.15.2.
    unregistering_counts: ClassVar[bool] = True
    restoring_counts: ClassVar[bool] = False
    # ALL_TG_PT is taken when a key is changed, too, 5.7.7.
    all_tg_pt_by_change: ClassVar[bool] = True
    # Under an all-registrants type every registrant holds, 5.7.10; one is not more than others.
    one_holds_for_all: ClassVar[bool] = False
    # Service actions that answer NOT READY 08h/00h to an unregistered I_T nexus where no
    # reservation stands. The standard's answer is a conflict for all of them.
    not_ready_unregistered: ClassVar[frozenset[int]] = frozenset()
    # A change to a registration made with ALL_TG_PT must bear ALL_TG_PT.
    all_tg_pt_sticks: ClassVar[bool] = False
    reserve_ignores_key: ClassVar[bool] = False
    # RELEASE from who does not hold is GOOD, 5.7.11.2; here even with a wrong key.
    release_ignores_key_of_others: ClassVar[bool] = False
    # RELEASE with another scope or type, 5.7.11.2. None: a conflict.
    release_of_other_type: ClassVar[tuple[int, int, int] | None] = INVALID_RELEASE
    # RELEASE under which types establishes RESERVATIONS RELEASED, 5.7.11.2.
    released_attention_types: ClassVar[frozenset[int]] = frozenset(
        (
            WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
            EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
            WRITE_EXCLUSIVE_ALL_REGISTRANTS,
            EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
        )
    )
    clear_stops_aptpl: ClassVar[bool] = False
    # PREEMPT that only removes registrations ignores SCOPE and TYPE, 5.7.11.4.4.
    preempt_always_checks_type: ClassVar[bool] = False
    # PREEMPT of one's own key where one does not hold removes one's own registration, too.
    preempt_spares_caller: ClassVar[bool] = False
    preempt_spares_caller_all_registrants: ClassVar[bool] = False
    # Service actions that answer GOOD and do nothing.
    preempt_does_nothing: ClassVar[frozenset[int]] = frozenset()
    preempted_attention: ClassVar[tuple[int, int]] = REGISTRATIONS_PREEMPTED
    abort: ClassVar[str] = ABORT_PREEMPTED

    # --- PERSISTENT RESERVE IN, 6.15 ---
    unsupported_in: ClassVar[frozenset[int]] = frozenset()
    # REPORT CAPABILITIES bytes 2 and 3, without ATP_C, PTPL_C and PTPL_A, which follow the
    # settings of the unit. Here: no CRH (there is no RESERVE(6)), no SIP_C, TMV, no statement
    # about allowed commands.
    capability_bytes: ClassVar[tuple[int, int]] = (0x00, 0x80)
    # Allocation lengths below which a service action answers 24h/00h. 4.2.5.6: none.
    minimum_lengths: ClassVar[Mapping[int, int]] = {}
    refuses_short_reservation: ClassVar[bool] = False
    # A key, or a reservation, of which a part only fits: here that part, else zeros. 4.2.5.6.
    zeros_for_parts: ClassVar[bool] = False
    # 6.15.2, 6.15.5: ADDITIONAL LENGTH is not altered by the allocation length.
    short_key_list: ClassVar[bool] = False
    short_full_status: ClassVar[bool] = False


class Lio(Spec):
    """Linux LIO 6.1."""

    name = "lio"
    vendor = "LIO-ORG"
    product = "FILEIO"
    revision = "4.0"
    company_id = 0x001405

    # [lio] looks only at the fields that it knows.
    checks_reserved_bits = False
    refuses_naca = False
    # [lio] target_core_sbc.c, sbc_parse_cdb: `lba + sectors > end_lba`.
    checks_lba_of_nothing = False
    # [lio] target_core_transport.c, target_cmd_size_check, which lets DMA_NONE pass.
    compares_lengths = True
    # [lio] target_core_sbc.c, sbc_emulate_readcapacity, which follows SBC-2.
    capacity_checks_lba = True
    # [lio] target_core_spc.c, spc_emulate_request_sense: TCM_INVALID_CDB_FIELD for DESC; NOT
    # READY where no byte is asked for; else the whole of the buffer is returned.
    can_descriptor_request_sense = False
    request_sense_fills = True
    # [lio] core_scsi3_pro_reserve, _pro_preempt: TCM_INVALID_PARAMETER_LIST.
    bad_scope = INVALID_FIELD_IN_PARAMETER_LIST
    # [lio] target_core_transport.c: target_cmd_parse_cdb comes before all of
    # __target_execute_cmd, which asks target_scsi3_ua_check, then target_check_reservation.
    cdb_before_attention = True
    attention_before_conflict = True
    # [lio] target_core_ua.c, core_scsi3_ua_for_check_condition and
    # core_scsi3_ua_clear_for_request_sense: the first is reported and all are dropped;
    # core_scsi3_ua_allocate puts a reset first.
    attentions_report_one = True
    # [lio] Seen: a target that has been set up anew has nothing pending for who logs in again.
    power_on_attention = False
    # [lio] core_scsi3_pr_seq_non_holder: what it does not list is judged by data_direction.
    access_by_direction = True
    # [lio] core_scsi3_decode_spec_i_port, core_scsi3_emulate_pro_register_and_move.
    can_name_ports = True
    # [lio] target_scsi3_emulate_pr_out: the switch on the service action is the last.
    unsupported_out_last = True
    # [lio] core_scsi3_pro_reserve, core_scsi3_pro_preempt: after res_key.
    scope_after_key = True
    # [lio] core_scsi3_emulate_pro_register: core_scsi3_pr_generation only with sa_res_key.
    unregistering_counts = False
    # [lio] __core_scsi3_add_registration counts those of __core_scsi3_check_aptpl_registration.
    restoring_counts = True
    # [lio] core_scsi3_emulate_pro_register changes pr_res_key alone.
    all_tg_pt_by_change = False
    # [lio] dev_pr_res_holder is one registration, whatever the type. It alone passes
    # target_scsi3_pr_reservation_check; PREEMPT of its key takes the reservation over; where
    # it goes, __core_scsi3_complete_pro_release puts the oldest one in its place.
    one_holds_for_all = True
    # [lio] core_scsi3_pro_reserve, _pro_release, _pro_clear, _pro_register_and_move: "Unable to
    # locate PR_REGISTERED", TCM_LOGICAL_UNIT_COMMUNICATION_FAILURE. _pro_preempt conflicts. Where
    # a reservation stands, core_scsi3_pr_seq_non_holder has answered before.
    not_ready_unregistered = frozenset((RESERVE, RELEASE, CLEAR, REGISTER_AND_MOVE))
    # [lio] core_scsi3_emulate_pro_register: TCM_INVALID_CDB_FIELD.
    all_tg_pt_sticks = True
    # [lio] core_scsi3_emulate_pro_release tests is_reservation_holder before res_key.
    release_ignores_key_of_others = True
    # [lio] core_scsi3_emulate_pro_release: TCM_RESERVATION_CONFLICT.
    release_of_other_type = None
    # [lio] core_scsi3_emulate_pro_clear: core_scsi3_update_and_write_aptpl(dev, false).
    clear_stops_aptpl = True
    # [lio] core_scsi3_emulate_pro_preempt switches on TYPE first.
    preempt_always_checks_type = True
    # [lio] core_scsi3_pro_preempt, all-registrants branch: `if (calling_it_nexus) continue`.
    preempt_spares_caller_all_registrants = True
    # [lio] core_scsi3_pro_preempt calls core_tmr_lun_reset only where the given key is the
    # holder's; target_check_cdb_and_preempt then compares the removed keys with the key of the
    # *holder* that target_scsi3_pr_reservation_check stamped on each task. Seen: where a
    # survivor holds, the victim's write completes after GOOD. (Later kernels reset in the other
    # branch, too, but by the same stamp.)
    abort = ABORT_STAMPED
    # [lio] core_scsi3_pri_report_capabilities: CRH, SIP_C; TMV, ALLOW COMMANDS 001b. CRH stands
    # here because LIO reports it; RESERVE(6) and RELEASE(6) are not simulated.
    capability_bytes = (0x18, 0x90)
    # [lio] "SCSI Data Length: too small", TCM_INVALID_CDB_FIELD.
    minimum_lengths: ClassVar[Mapping[int, int]] = {
        READ_KEYS: 8,
        READ_RESERVATION: 8,
        REPORT_CAPABILITIES: 6,
        READ_FULL_STATUS: 8,
    }
    # [lio] core_scsi3_pri_read_keys copies whole keys; core_scsi3_pri_read_reservation nothing
    # below 22 bytes. The rest of the buffer is returned as it is.
    zeros_for_parts = True
    # [lio] core_scsi3_pri_read_full_status stops at the first descriptor that does not fit and
    # declares the length of those before it.
    short_full_status = True


class Tgt(Spec):
    """tgt (the Linux SCSI target framework in user space)."""

    name = "tgt"
    vendor = "IET"
    product = "VIRTUAL-DISK"
    revision = "0001"
    company_id = 0x025043

    checks_reserved_bits = False
    # [tgt] check_pr_out_basic_parameter: all of these are ASC_INVALID_FIELD_IN_CDB.
    can_aptpl = False
    can_all_tg_pt = False
    bad_length = INVALID_FIELD_IN_CDB
    bad_parameter_bit = INVALID_FIELD_IN_CDB
    # [tgt] usr/sbc.c's command table gives these no conflict bits.
    access: ClassVar[Mapping[int, str]] = {
        WRITE_SAME_10: ALWAYS,
        WRITE_SAME_16: ALWAYS,
        WRITE_AND_VERIFY_10: ALWAYS,
    }
    # [tgt] persistent_reserve_out_actions: PREEMPT AND ABORT is commented out.
    unsupported_out = frozenset((PREEMPT_AND_ABORT,))
    # [tgt] spc_pr_reserve reads res_key and does not look at it.
    reserve_ignores_key = True
    # [tgt] spc_pr_release tests is_pr_holder before res_key.
    release_ignores_key_of_others = True
    # [tgt] spc_pr_release returns before its loop for the four types that should establish the
    # unit attention, and runs it for the two that should not.
    released_attention_types = frozenset((WRITE_EXCLUSIVE, EXCLUSIVE_ACCESS))
    # [tgt] spc_pr_preempt: `if (sibling == reg) continue` in every case.
    preempt_spares_caller = True
    preempt_spares_caller_all_registrants = True
    # [tgt] spc_pr_preempt: ASC_RESERVATIONS_PREEMPTED for who lost a registration.
    preempted_attention = RESERVATIONS_PREEMPTED
    # [tgt] persistent_reserve_in_actions has no READ FULL STATUS.
    unsupported_in = frozenset((READ_FULL_STATUS,))
    # [tgt] spc_pr_read_keys, _read_reservation, _report_capabilities: shorter is refused.
    minimum_lengths: ClassVar[Mapping[int, int]] = {
        READ_KEYS: 8,
        READ_RESERVATION: 8,
        REPORT_CAPABILITIES: 8,
    }
    refuses_short_reservation = True
    # [tgt] spc_pr_read_keys declares the keys that it copied.
    short_key_list = True


class Liar(Spec):
    """A target that says done and does nothing, as istgt does."""

    name = "liar"
    vendor = "FreeBSD"
    product = "iSCSI DISK"
    revision = "0001"
    company_id = 0x025044

    checks_reserved_bits = False
    # [istgt] "unsupport Activate Persist Through Power Loss", 26h/00h.
    can_aptpl = False
    # [istgt] PREEMPT AND ABORT answers GOOD and the victim's key stays.
    preempt_does_nothing = frozenset((PREEMPT_AND_ABORT,))
    abort = ABORT_NONE


PROFILES: dict[str, type[Spec]] = {each.name: each for each in (Spec, Lio, Tgt, Liar)}
