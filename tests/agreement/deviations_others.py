"""Where profiles `tgt` and `liar` depart from `spec`."""

from __future__ import annotations

from .deviation import Deviation

TGT = (
    Deviation(
        ("checks_reserved_bits",),
        "4.2.2",
        "reserved bits may be refused, and are by `spec`",
        "not looked at",
        "check_pr_out_basic_parameter",
    ),
    Deviation(
        ("can_aptpl", "can_all_tg_pt", "bad_parameter_bit"),
        "6.16.3",
        "APTPL and ALL_TG_PT are optional; where they are missing 26h/00h",
        "neither; 24h/00h",
        "check_pr_out_basic_parameter",
    ),
    Deviation(
        ("bad_length",),
        "6.16.1",
        "a wrong parameter list length: 1Ah/00h",
        "24h/00h",
        "check_pr_out_basic_parameter",
    ),
    Deviation(
        ("access",),
        "5.7.1, table 45; SBC-3",
        "WRITE SAME and WRITE AND VERIFY are writes",
        "no reservation keeps them out",
        "sbc.c's command table",
    ),
    Deviation(
        ("unsupported_out",),
        "6.16.2",
        "PREEMPT AND ABORT",
        "is not there",
        "persistent_reserve_out_actions",
    ),
    Deviation(
        ("reserve_ignores_key",),
        "5.7.9",
        "RESERVE with a wrong key conflicts",
        "the key is not looked at",
        "spc_pr_reserve",
    ),
    Deviation(
        ("release_ignores_key_of_others",),
        "5.7.1",
        "a wrong key conflicts",
        "RELEASE of a registrant that does not hold is GOOD with any key",
        "spc_pr_release",
    ),
    Deviation(
        ("released_attention_types",),
        "5.7.11.2",
        "RELEASE under types 5 to 8 establishes 2Ah/04h, under 1 and 3 none",
        "the other way about",
        "spc_pr_release",
    ),
    Deviation(
        ("preempt_spares_caller", "preempt_spares_caller_all_registrants"),
        "5.7.11.4.4",
        "PREEMPT of a key removes every registration that has it",
        "the caller's own stays",
        "spc_pr_preempt",
    ),
    Deviation(
        ("preempted_attention",),
        "5.7.11.4",
        "who lost a registration hears 2Ah/05h",
        "2Ah/03h",
        "spc_pr_preempt",
    ),
    Deviation(
        ("unsupported_in",),
        "6.15.1",
        "READ FULL STATUS",
        "is not there",
        "persistent_reserve_in_actions",
    ),
    Deviation(
        ("minimum_lengths", "refuses_short_reservation"),
        "4.2.5.6",
        "no allocation length is an error",
        "below 8, and below 24 for a reservation that stands: 24h/00h",
        "spc_pr_read_keys, spc_pr_read_reservation, spc_pr_report_capabilities",
    ),
    Deviation(
        ("short_key_list",),
        "6.15.2",
        "ADDITIONAL LENGTH does not depend on the allocation length",
        "it is that of the keys that were copied",
        "spc_pr_read_keys",
    ),
)

LIAR = (
    Deviation(
        ("checks_reserved_bits",),
        "4.2.2",
        "reserved bits may be refused, and are by `spec`",
        "not looked at",
        "istgt_lu_disk.c",
    ),
    Deviation(
        ("can_aptpl",),
        "6.16.3",
        "APTPL is optional",
        "not supported, 26h/00h",
        "istgt_lu_disk.c",
    ),
    Deviation(
        ("preempt_does_nothing",),
        "5.7.11.5",
        "PREEMPT AND ABORT removes the registrations of the key",
        "GOOD, and they stay",
        "istgt_lu_disk.c, and istgt when asked",
    ),
    Deviation(
        ("abort",),
        "5.7.11.5",
        "PREEMPT AND ABORT aborts the commands of the I_T nexuses that have the key",
        "GOOD, and they go on",
        "istgt_lu_disk.c, and istgt when asked",
    ),
)
