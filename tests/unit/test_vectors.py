"""Our encoders and decoders against the golden vectors, which were written without them."""

from __future__ import annotations

import pytest

from fence_prbarrier.barrier import inspect
from fence_prbarrier.errors import ProtocolError, Truncated
from fence_prbarrier.scsi import command as build
from fence_prbarrier.scsi import identity, reply
from fence_prbarrier.scsi.sense import Sense, parse_sense

from . import vectors
from .vectors import Record

# --- Commands ------------------------------------------------------------------------------------

BUILDERS = {
    "READ_KEYS": lambda a, _: build.read_keys(a["allocation_length"]),
    "READ_RESERVATION": lambda a, _: build.read_reservation(a["allocation_length"]),
    "REPORT_CAPABILITIES": lambda a, _: build.report_capabilities(a["allocation_length"]),
    "READ_FULL_STATUS": lambda a, _: build.read_full_status(a["allocation_length"]),
    "REGISTER": lambda a, _: build.register(
        a["key"], a["service_action_key"], bool(a["aptpl"]), bool(a["all_tg_pt"])
    ),
    "REGISTER_AND_IGNORE_EXISTING_KEY": lambda a, _: build.register_and_ignore(
        a["service_action_key"], bool(a["aptpl"]), bool(a["all_tg_pt"])
    ),
    "RESERVE": lambda a, _: build.reserve(a["key"], a["type"]),
    "RELEASE": lambda a, _: build.release(a["key"], a["type"]),
    "CLEAR": lambda a, _: build.clear(a["key"]),
    "PREEMPT": lambda a, _: build.preempt(a["key"], a["service_action_key"], a["type"]),
    "PREEMPT_AND_ABORT": lambda a, _: build.preempt_and_abort(
        a["key"], a["service_action_key"], a["type"]
    ),
    "INQUIRY": lambda a, _: build.inquiry(a["allocation_length"]),
    "INQUIRY_VPD": lambda a, _: build.inquiry_vpd(a["page"], a["allocation_length"]),
    "TEST_UNIT_READY": lambda a, _: build.test_unit_ready(),
    "READ_10": lambda a, _: build.read_10(a["lba"], a["blocks"]),
    "READ_16": lambda a, _: build.read_16(a["lba"], a["blocks"]),
    "WRITE_10": lambda a, data: build.write_10(a["lba"], data),
    "WRITE_16": lambda a, data: build.write_16(a["lba"], data),
}


def _ids(record: Record) -> str:
    return record.name.replace(" ", "_")


@pytest.mark.parametrize("record", vectors.read("commands.txt"), ids=_ids)
def test_commands_to_the_byte(record: Record) -> None:
    data = record.octets("data")
    command = BUILDERS[record.plain["command"]](record.arguments, data)  # type: ignore[no-untyped-call]
    assert command.cdb.hex(" ") == record.octets("cdb").hex(" ")
    assert command.data_out.hex(" ") == data.hex(" ")
    if "allocation_length" in record.arguments:
        assert command.data_in_length == record.arguments["allocation_length"]
    elif record.plain["command"].startswith("READ_1"):
        assert command.data_in_length == 512 * int(str(record.arguments["blocks"]))
    else:
        assert command.data_in_length == 0


def test_every_builder_has_a_vector_and_is_told_from_the_others() -> None:
    records = vectors.read("commands.txt")
    assert {record.plain["command"] for record in records} == set(BUILDERS)
    assert all(record.arguments.get("scope", 0) == 0 for record in records)


# --- Replies: what our readers say, in the words of the vectors ----------------------------------

Said = dict[str, object]


def _keys(record: Record) -> Said:
    generation, keys = reply.parse_read_keys(record.octets("hex"), record.allocation_length)
    return {"generation": generation, "keys": list(keys)}


def _held(held: reply.Reservation | None, keyless: object = 0) -> Said:
    if held is None:
        return {"reserved": 0}
    key = keyless if held.key is None else held.key
    return {"reserved": 1, "key": key, "scope": held.scope, "type": held.type}


def _reservation(record: Record) -> Said:
    data = record.octets("hex")
    generation, held = reply.parse_read_reservation(data, record.allocation_length)
    return {"generation": generation, **_held(held, record.expected.get("key"))}


def _capabilities(record: Record) -> Said:
    found = reply.parse_capabilities(record.octets("hex"), record.allocation_length)
    return {
        "ptpl_c": int(found.aptpl_capable),
        "ptpl_a": int(found.aptpl_active),
        "atp_c": int(found.all_target_ports),
        "tmv": int(found.types is not None),
        "types": sorted(found.types or ()),
    }


def _full_status(record: Record) -> Said:
    allocation_length = int(record.plain.get("alloc", "8192"))
    data = record.octets("hex")
    generation, found = reply.parse_read_full_status(data, allocation_length)
    inspect._reservation_of(found)
    said: Said = {"generation": generation, "registrations": len(found)}
    for number, each in enumerate(found):
        said[f"{number}.key"] = each.key
        said[f"{number}.holder"] = int(each.holder)
        said[f"{number}.all_tg_pt"] = int(each.all_target_ports)
        said[f"{number}.relative_target_port"] = each.port
        held = each.reservation
        said[f"{number}.scope"] = None if held is None else held.scope
        said[f"{number}.type"] = None if held is None else held.type
        said.update(_initiator(number, each.initiator, record))
    return said


def _initiator(number: int, words: str, record: Record) -> Said:
    """The words that describe_transport_id() made, in the vectors' terms."""
    prefixes = {"port_name": "wwpn.", "sas_address": "sas."}
    said: Said = {}
    for key, prefix in prefixes.items():
        if f"{number}.{key}" in record.expected:
            assert words.startswith(prefix)
            said[f"{number}.{key}"] = "0x" + words[len(prefix) :]
    if f"{number}.iscsi_name" in record.expected:
        name, mark, isid = words.partition(",i,0x")
        said[f"{number}.iscsi_name"] = name
        said[f"{number}.isid"] = "0x" + isid if mark else None
    return said


def _inquiry(record: Record) -> Said:
    data, asked = record.octets("hex"), record.plain["asked"]
    allocation_length = int(record.plain.get("alloc", "255"))
    if asked == "standard":
        found = identity.parse_inquiry(data)
        return {
            "peripheral_qualifier": found.qualifier,
            "device_type": found.device_type,
            "vendor": found.vendor,
            "product": found.product,
            "revision": found.revision,
        }
    if asked == "0x00":
        return {"pages": list(identity.parse_supported_pages(data, allocation_length))}
    if asked == "0x80":
        return {"serial": identity.parse_serial_number(data, allocation_length)}
    designators = identity.parse_designators(data, allocation_length)
    return _designators(designators)


def _designators(designators: tuple[identity.Designator, ...]) -> Said:
    said: Said = {"designators": len(designators)}
    for number, each in enumerate(designators):
        said[f"{number}.type"] = each.type
        said[f"{number}.association"] = each.association
        said[f"{number}.code_set"] = each.code_set
        said[f"{number}.hex"] = each.value.hex()
    try:
        name = identity.name_of_unit(designators)
    except ProtocolError:
        return {**said, "lu_designator": None}
    # Which one it was: the first whose name alone is the same.
    for number, each in enumerate(designators):
        try:
            if identity.name_of_unit((each,)) == name:
                return {**said, "lu_designator": number}
        except ProtocolError:
            continue  # not one that names a LU
    raise AssertionError(name)


def _sense(record: Record) -> Said:
    found: Sense = parse_sense(record.octets("hex"))
    return {
        "deferred": int(found.deferred),
        "sense_key": found.key,
        "asc": found.asc,
        "ascq": found.ascq,
    }


READERS = {
    "read_keys.txt": _keys,
    "read_reservation.txt": _reservation,
    "capabilities.txt": _capabilities,
    "full_status.txt": _full_status,
    "inquiry.txt": _inquiry,
    "sense.txt": _sense,
}
# What the vectors tell and nothing of ours decides by, so that no reader of ours says it.
NOT_READ = {
    "read_keys.txt": set(),
    "read_reservation.txt": set(),
    "capabilities.txt": {"rlr_c", "crh", "sip_c", "allow_commands"},
    "full_status.txt": {
        "protocol", "transport_format", "initiator_port", "scsi_address", "eui64",
        "relative_initiator_port",
    },
    "inquiry.txt": {
        "removable", "version", "response_data_format", "tpgs", "multip", "cmdque", "protocol",
        "relative_target_port", "target_port_group",
    },
    "sense.txt": {"format", "descriptors", "information"},
}  # fmt: skip
REPLIES = [record for file in vectors.FILES[1:] for record in vectors.read(file)]

# --- Where our readers differ, each with its reason ----------------------------------------------

TRUNCATED, ERROR, GOOD = "read again", "error", "good"

AGAIN = "declared past the buffer: read again with the largest, and then it is an error"
ROOM = "a transport cannot hand over more than its buffer, which is the allocation length"
REFUSED = "decoded here, refused by the rules: type 5 and scope 0 are all that the barrier takes"
WORDS = "a TransportID of the right length is for people: its text is no error"
COMPARED = "a designator is compared, not interpreted; who has an odd one has it on every path"
MAKE = "standard INQUIRY data is asked for the quirk table's vendor and product, and no more"
UNTOLD = "without ASC a unit attention cannot be told from 'preempted': unknown, which is a doubt"

EXCEPTIONS = {
    "read_keys.txt": {
        "additional length not a multiple of 8, and cut": (TRUNCATED, AGAIN),
        "more bytes than the allocation length": (GOOD, ROOM),
    },
    "read_reservation.txt": {
        "additional length all ones": (TRUNCATED, AGAIN),
        "scope 2": (GOOD, REFUSED),
        "all registrants with a key": (GOOD, REFUSED),
        "more bytes than the allocation length": (GOOD, ROOM),
    },
    "full_status.txt": {
        "iSCSI name without a terminating NUL": (GOOD, WORDS),
        'iSCSI format 1 without ",i,0x"': (GOOD, WORDS),
        "iSCSI format 1 of early Linux LIO": (GOOD, WORDS),
        "holder of scope 3": (GOOD, REFUSED),
        "all registrants, but one does not hold": (GOOD, REFUSED),
    },
    "inquiry.txt": {
        "EMC Symmetrix": (GOOD, MAKE),
        "standard, response data format 0": (GOOD, MAKE),
        "83h, NAA 6 in 8 bytes": (GOOD, COMPARED),
        "83h, NAA 5 in 16 bytes": (GOOD, COMPARED),
        "83h, NAA 7": (GOOD, COMPARED),
        "83h, EUI-64 in 10 bytes": (GOOD, COMPARED),
        "83h, relative target port in 2 bytes": (GOOD, COMPARED),
        "83h, T10 vendor ID in 4 bytes": (GOOD, COMPARED),
        "83h, association 3": (GOOD, COMPARED),
        "83h, a designator of no bytes": (GOOD, COMPARED),
    },
    "sense.txt": {
        "fixed, 13 bytes": (ERROR, UNTOLD),
        "fixed, 8 bytes": (ERROR, UNTOLD),
        "fixed, 12 bytes": (ERROR, UNTOLD),
        "fixed, additional length 0 with a code beyond it": (ERROR, UNTOLD),
        "fixed, additional length 5": (ERROR, UNTOLD),
    },
}  # fmt: skip


def _wanted(record: Record) -> str:
    """What our reader is to say of a record."""
    exceptions = EXCEPTIONS.get(record.file, {})
    if record.name in exceptions:
        return exceptions[record.name][0]
    if not record.errors:
        return GOOD
    return TRUNCATED if record.errors[0] == "truncated" else ERROR


@pytest.mark.parametrize("record", REPLIES, ids=lambda record: f"{record.file}-{_ids(record)}")
def test_replies(record: Record) -> None:
    """Good ones say what the vector says; bad ones are an error, or are read again."""
    read, wanted = READERS[record.file], _wanted(record)
    if wanted == TRUNCATED:
        with pytest.raises(Truncated) as cut:
            read(record)
        assert cut.value.needed > record.allocation_length
    elif wanted == ERROR:
        with pytest.raises(ProtocolError) as caught:
            read(record)
        # A reader that may ask again must not be told to where that cannot help.
        if "truncated" not in record.errors:
            assert not isinstance(caught.value, Truncated)
    else:
        said = read(record)
        for key, value in record.expected.items():
            if key.split(".")[-1] not in NOT_READ[record.file]:
                assert said[key] == value, key


def test_every_exception_is_of_a_record_and_is_needed() -> None:
    """The table of exceptions has no line too many: each differs from its vector."""
    records = {(record.file, record.name): record for record in REPLIES}
    for file, lines in EXCEPTIONS.items():
        for name, (says, _) in lines.items():
            record = records[file, name]
            plain = GOOD if not record.errors else ERROR
            plain = TRUNCATED if record.errors[:1] == ["truncated"] else plain
            assert says != plain, name


def test_the_readme_counts_its_records() -> None:
    """A record that is not read would be a record that holds nothing."""
    text = (vectors.FOLDER / "README.md").read_text()
    for file in vectors.FILES:
        records = vectors.read(file)
        bad = sum(bool(record.errors) for record in records)
        assert len({record.name for record in records}) == len(records)
        cells = [f"`{file}`", str(len(records)), str(len(records) - bad), str(bad) if bad else ""]
        assert f"| {' | '.join(cells)} |".replace("|  |", "| |") in text, file
        assert all(record.plain["source"] for record in records)
