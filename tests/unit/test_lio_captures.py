"""Bytes captured from real Linux LIO (tests/lab/capture.py), read by our readers."""

from __future__ import annotations

import os

import pytest

from fence_prbarrier.barrier import inspect
from fence_prbarrier.errors import ProtocolError, Truncated
from fence_prbarrier.scsi import command as build
from fence_prbarrier.scsi import outcome as verdicts
from fence_prbarrier.scsi import reply, spc
from fence_prbarrier.scsi.identity import (
    name_of_unit,
    parse_designators,
    parse_inquiry,
    parse_serial_number,
    parse_supported_pages,
)
from fence_prbarrier.scsi.outcome import Completion, classify

from .test_lint import ROOT

FOLDER = os.path.join(ROOT, "tests", "vectors", "lio")
KEYS = [0x7A3C00010B5E1000, 0x7A3C00020B5E1000, 0x7A3C00030B5E1000]


class Capture:
    """One file: what its comments say, and its bytes."""

    def __init__(self, name: str) -> None:
        self.facts: dict[str, str] = {}
        self.data = b""
        with open(os.path.join(FOLDER, name + ".txt"), encoding="ascii") as file:
            for line in file:
                if line.startswith("#"):
                    key, _, value = line[1:].strip().partition(": ")
                    self.facts[key] = value
                else:
                    self.data += bytes.fromhex(line)
        words = self.facts["command"].split()
        self.allocation_length = int(words[words.index("-r") + 1]) if "-r" in words else 0

    def completion(self) -> Completion:
        status = int(self.facts["status"][:2], 16)
        if status == spc.CHECK_CONDITION:
            return Completion(status, sense=self.data)
        return Completion(status, data=self.data)


def names(prefix: str) -> list[str]:
    return sorted(name[:-4] for name in os.listdir(FOLDER) if name.startswith(prefix))


def test_read_keys() -> None:
    for name, keys in (("read_keys_0", []), ("read_keys_1", KEYS[:1]), ("read_keys_3", KEYS)):
        capture = Capture(name)
        assert list(reply.parse_read_keys(capture.data, capture.allocation_length)[1]) == keys


def test_read_keys_lists_a_key_once_for_each_nexus() -> None:
    capture = Capture("read_keys_duplicate")
    keys = reply.parse_read_keys(capture.data, capture.allocation_length)[1]
    assert len(keys) > len(set(keys))


@pytest.mark.parametrize("length", [8, 12, 16, 24])
def test_read_keys_too_small_a_buffer(length: int) -> None:
    capture = Capture(f"read_keys_3_length_{length}")
    with pytest.raises(Truncated) as cut:
        reply.parse_read_keys(capture.data, capture.allocation_length)
    assert cut.value.needed == 8 + 3 * 8


@pytest.mark.parametrize("length", [8, 16, 40, 112, 220, 224])
def test_full_status_that_lio_cut_is_never_believed(length: int) -> None:
    """It declares what it kept: with 8 to 40 bytes, that nobody is registered at all."""
    capture = Capture(f"full_status_length_{length}")
    with pytest.raises(ProtocolError):
        inspect._whole_full_status(capture.data, capture.allocation_length)


def test_full_status() -> None:
    capture = Capture("full_status_holder")
    _, found = inspect._whole_full_status(capture.data, capture.allocation_length)
    assert [entry.key for entry in found] == KEYS
    assert [entry.holder for entry in found] == [False, True, False]
    assert found[1].reservation is not None and found[1].reservation.type == 5
    assert {entry.port for entry in found} == {1}
    assert found[2].initiator == "iqn.2020-01.org.example:n3,i,0x00023d000001"


def test_full_status_of_nobody() -> None:
    capture = Capture("full_status_0")
    assert inspect._whole_full_status(capture.data, capture.allocation_length)[1] == ()


@pytest.mark.parametrize("name", names("read_reservation_") or ["none captured"])
def test_read_reservation(name: str) -> None:
    capture = Capture(name)
    if capture.allocation_length < 24:
        with pytest.raises(Truncated):
            reply.parse_read_reservation(capture.data, capture.allocation_length)
        return
    _, found = reply.parse_read_reservation(capture.data, capture.allocation_length)
    digit = name.split("_")[2]
    if digit == "none":
        assert found is None
    elif digit.isdigit():
        assert found is not None and found.type == int(digit)
        assert (found.key is None) == (found.type in (7, 8))


def test_capabilities() -> None:
    for name, active in (("report_capabilities", False), ("report_capabilities_aptpl", True)):
        found = reply.parse_capabilities(Capture(name).data, 8)
        assert (found.aptpl_capable, found.aptpl_active) == (True, active)
        assert found.types == frozenset(spc.TYPE_NAMES)


def test_identity() -> None:
    first, second = Capture("vpd_83"), Capture("vpd_83_lu1")
    identities = {
        name_of_unit(parse_designators(each.data, each.allocation_length))
        for each in (first, second)
    }
    assert len(identities) == 2
    assert all(name.startswith("naa.6001405") and len(name) == 36 for name in identities)
    short = Capture("vpd_83_short")
    with pytest.raises(Truncated):
        parse_designators(short.data, len(short.data))


def test_inquiry_and_vital_product_data() -> None:
    found = parse_inquiry(Capture("inquiry_standard").data)
    assert (found.vendor, found.device_type, found.qualifier) == ("LIO-ORG", 0, 0)
    pages = Capture("vpd_00")
    assert 0x83 in parse_supported_pages(pages.data, pages.allocation_length)
    serial = Capture("vpd_80")
    assert parse_serial_number(serial.data, serial.allocation_length).isalnum()


VERDICTS = {
    "ua_preempt_n2": verdicts.PREEMPTED,
    "ua_preempt_abort_n2": verdicts.PREEMPTED,
    "ua_release_n2": verdicts.PREEMPTED,
    "ua_clear_n2": verdicts.PREEMPTED,
    "ua_reset_n1": verdicts.ATTENTION,
    "ua_reset_n2": verdicts.ATTENTION,
    "wrong_opcode": verdicts.UNSUPPORTED,
    "wrong_in_action_1f": verdicts.UNSUPPORTED,
    "wrong_preempt_zero": verdicts.REFUSED,
    "wrong_reserve_wrong_key": verdicts.CONFLICT,
    "wrong_preempt_abort_absent": verdicts.CONFLICT,
    "wrong_preempt_abort_wrong_key": verdicts.CONFLICT,
    "unregistered_reserve": verdicts.REFUSED,
    "unregistered_reserved_reserve": verdicts.CONFLICT,
    "unregistered_reserved_write": verdicts.CONFLICT,
    "read_keys_3": verdicts.GOOD,
}


@pytest.mark.parametrize("name", VERDICTS)
def test_verdict(name: str) -> None:
    found = classify(build.read_keys(8192), Capture(name).completion())
    assert found.verdict == VERDICTS[name], found


def test_no_error_of_lio_is_taken_for_good() -> None:
    every = [Capture(name) for name in names("")]
    errors = [each for each in every if not each.facts["status"].startswith("00")]
    assert len(errors) > 30
    for each in errors:
        assert not classify(build.read_keys(8192), each.completion()).good
