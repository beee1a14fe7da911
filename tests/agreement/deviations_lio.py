"""Where profile `lio` departs from `spec`; functions are those of Linux drivers/target."""

from __future__ import annotations

from .deviation import Deviation

LIO = (
    Deviation(
        ("checks_reserved_bits", "refuses_naca"),
        "4.2.2; SAM-5 5.2",
        "reserved bits may be refused, and are by `spec`; NACA that is not supported is refused",
        "ignores every bit that it does not know, NACA among them",
        "target_scsi3_emulate_pr_out, target_scsi3_emulate_pr_in",
    ),
    Deviation(
        ("cdb_before_attention",),
        "SAM-5 5.14",
        "a pending unit attention ends any command but INQUIRY, REPORT LUNS and REQUEST SENSE",
        "a CDB that is wrong in itself is refused first, and the unit attention stays pending",
        "target_cmd_parse_cdb before __target_execute_cmd",
    ),
    Deviation(
        ("attention_before_conflict",),
        "SAM-3 5.3.2",
        "RESERVATION CONFLICT goes before a unit attention",
        "the unit attention goes first",
        "__target_execute_cmd",
    ),
    Deviation(
        ("attentions_report_one",),
        "SAM-5 5.14",
        "every unit attention that is pending is reported",
        "one is reported, a reset before the rest, and the others are dropped",
        "core_scsi3_ua_for_check_condition, core_scsi3_ua_clear_for_request_sense",
    ),
    Deviation(
        ("power_on_attention",),
        "SAM-5 6.3.1",
        "power on establishes 29h/01h for every I_T nexus",
        "none after a restart of the target",
        "seen",
    ),
    Deviation(
        ("can_descriptor_request_sense", "request_sense_fills"),
        "6.39",
        "DESC asks for descriptor format; the data is as long as the sense data",
        "DESC: 24h/00h; an allocation length of 0: NOT READY 08h/00h; else filled up with zeros",
        "spc_emulate_request_sense",
    ),
    Deviation(
        ("compares_lengths",),
        "SAM-5 5.4.3",
        "what the transport delivers is looked at where it is used",
        "too little for PERSISTENT RESERVE OUT: 24h/00h; another length than a write's CDB says:"
        " 0Eh/03h, but none at all: GOOD, and nothing is written",
        "target_cmd_size_check",
    ),
    Deviation(
        ("checks_lba_of_nothing",),
        "SBC-3 5.11",
        "`spec` refuses an LBA past the last block, also where nothing is transferred",
        "only LBA plus length must not exceed the end: zero blocks just after it are GOOD",
        "sbc_parse_cdb",
    ),
    Deviation(
        ("capacity_checks_lba",),
        "SBC-3 5.15",
        "READ CAPACITY(10) ignores LOGICAL BLOCK ADDRESS",
        "24h/00h where it is not zero (SBC-2)",
        "sbc_emulate_readcapacity",
    ),
    Deviation(
        ("access_by_direction",),
        "5.7.1, tables 45 and 46",
        "what a reservation forbids is listed by operation code and service action",
        "what is not listed is judged by the direction of its data: READ CAPACITY is a read;"
        " SYNCHRONIZE CACHE, VERIFY and a write of zero blocks are no write, but no read either"
        " for a registrant under type 1; an unknown service action conflicts",
        "core_scsi3_pr_seq_non_holder",
    ),
    Deviation(
        ("unsupported_out_last",),
        "6.16.2",
        "`spec` finds out first that a service action is not there; the order is left open",
        "the parameter list is looked at first",
        "target_scsi3_emulate_pr_out",
    ),
    Deviation(
        ("bad_scope", "scope_after_key"),
        "5.7.9, 5.7.11.4.3",
        "a scope that is not supported: 24h/00h",
        "26h/00h, and only with the right key",
        "core_scsi3_pro_reserve, core_scsi3_pro_preempt",
    ),
    Deviation(
        ("can_name_ports",),
        "5.7.7, 5.7.8",
        "SPEC_I_PT and REGISTER AND MOVE are optional; `spec` has neither",
        "both; SPEC_I_PT counts each registration; after REGISTER AND MOVE there and back the"
        " holder can neither RELEASE nor RESERVE again (the type is kept as the scope)",
        "core_scsi3_decode_spec_i_port, core_scsi3_emulate_pro_register_and_move",
    ),
    Deviation(
        ("not_ready_unregistered",),
        "5.7.1",
        "RESERVE, RELEASE, CLEAR of an I_T nexus that is not registered: RESERVATION CONFLICT",
        "NOT READY 08h/00h where no reservation stands",
        "core_scsi3_pro_reserve, core_scsi3_emulate_pro_release, core_scsi3_emulate_pro_clear",
    ),
    Deviation(
        ("unregistering_counts",),
        "6.15.2",
        "PRGENERATION counts every REGISTER that is executed",
        "one that unregisters is not counted",
        "core_scsi3_emulate_pro_register",
    ),
    Deviation(
        ("restoring_counts",),
        "6.15.2",
        "PRGENERATION is zero after power on",
        "it counts the registrations that APTPL has brought back",
        "__core_scsi3_add_registration",
    ),
    Deviation(
        ("all_tg_pt_sticks", "all_tg_pt_by_change"),
        "5.7.7",
        "ALL_TG_PT means the one command that bears it",
        "a registration keeps the ALL_TG_PT of its first REGISTER: with it every change must"
        " bear it (24h/00h), without it none adds it",
        "core_scsi3_emulate_pro_register",
    ),
    Deviation(
        ("release_ignores_key_of_others",),
        "5.7.1",
        "a wrong key conflicts",
        "RELEASE of a registrant that does not hold is GOOD with any key",
        "core_scsi3_emulate_pro_release",
    ),
    Deviation(
        ("release_of_other_type",),
        "5.7.11.2",
        "RELEASE of another scope or type: 26h/04h",
        "RESERVATION CONFLICT",
        "core_scsi3_emulate_pro_release",
    ),
    Deviation(
        ("clear_stops_aptpl",),
        "5.7.5",
        "APTPL is what the last REGISTER said",
        "CLEAR ends it",
        "core_scsi3_emulate_pro_clear",
    ),
    Deviation(
        ("preempt_always_checks_type",),
        "5.7.11.4.4",
        "PREEMPT that only removes registrations ignores SCOPE and TYPE",
        "an unknown type: 24h/00h",
        "core_scsi3_emulate_pro_preempt",
    ),
    Deviation(
        ("one_holds_for_all",),
        "5.7.10, 5.7.11.4",
        "under an all-registrants type every registrant holds; PREEMPT of a key removes its"
        " registrations",
        "one registrant holds for all: PREEMPT of its key takes the reservation over, with the"
        " type of the CDB",
        "core_scsi3_pro_preempt, __core_scsi3_complete_pro_release",
    ),
    Deviation(
        ("preempt_spares_caller_all_registrants",),
        "5.7.11.4.4",
        "PREEMPT of a key removes every registration that has it",
        "under an all-registrants type the caller's own stays",
        "core_scsi3_pro_preempt",
    ),
    Deviation(
        ("abort",),
        "5.7.11.5",
        "PREEMPT AND ABORT aborts the commands of the I_T nexuses that have the key",
        "those that arrived while a removed key held the reservation, whoever sent them; so none"
        " of the victim's where a survivor holds",
        "target_scsi3_pr_reservation_check, target_check_cdb_and_preempt",
    ),
    Deviation(
        ("capability_bytes",),
        "6.15.4",
        "`spec` reports TMV, ATP_C and PTPL_C",
        "CRH, SIP_C and ALLOW COMMANDS 001b besides",
        "core_scsi3_pri_report_capabilities",
    ),
    Deviation(
        ("minimum_lengths",),
        "4.2.5.6",
        "no allocation length is an error",
        "below 8 (REPORT CAPABILITIES 6): 24h/00h",
        "core_scsi3_pri_read_keys and the other three",
    ),
    Deviation(
        ("zeros_for_parts",),
        "4.2.5.6",
        "data is cut at the allocation length",
        "a key that does not fit as a whole is zeros; so is a reservation below 22 bytes",
        "core_scsi3_pri_read_keys, core_scsi3_pri_read_reservation",
    ),
    Deviation(
        ("short_full_status",),
        "6.15.5",
        "ADDITIONAL LENGTH does not depend on the allocation length",
        "it is that of the descriptors that were copied, 0 for none",
        "core_scsi3_pri_read_full_status",
    ),
)
