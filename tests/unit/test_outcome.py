"""One classification of every way that a command can end, in a fixed order."""

from __future__ import annotations

from itertools import product

import pytest

from fence_prbarrier.scsi import outcome as verdicts
from fence_prbarrier.scsi import spc
from fence_prbarrier.scsi.command import LogicalUnitReset, read_keys, reserve
from fence_prbarrier.scsi.outcome import Completion, classify

READ = read_keys(64)
OUT = reserve(0x5A1700010C8D2B41)
RESET = LogicalUnitReset()
GOOD_DATA = bytes(64)
DRIVER_SENSE = 0x08


def fixed(key: int, asc: int = 0, ascq: int = 0, code: int = 0x70) -> bytes:
    return bytes((code, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq, 0, 0, 0, 0))


def descriptor(key: int, asc: int = 0, ascq: int = 0, code: int = 0x72) -> bytes:
    return bytes((code, key, asc, ascq, 0, 0, 0, 0))


def check(sense: bytes, **more: int) -> Completion:
    return Completion(spc.CHECK_CONDITION, sense, GOOD_DATA, **more)


CAUSES = {
    "os error": {"os_error": "the device is gone (ENODEV)"},
    "host": {"host": 0x01},
    "driver": {"driver": 0x06},
    "sense": {"status": spc.CHECK_CONDITION, "sense": fixed(5, 0x26)},
    "residual": {"residual": 65},
}
ORDER = list(CAUSES)


@pytest.mark.parametrize("mask", range(1, 1 << len(ORDER)))
def test_the_most_remote_cause_is_told(mask: int) -> None:
    """Of every combination of causes the first in the order of the design is the verdict."""
    present = [name for bit, name in enumerate(ORDER) if mask >> bit & 1]
    fields: dict[str, object] = {"data": GOOD_DATA}
    for name in present:
        fields.update(CAUSES[name])
    alone = classify(READ, Completion(data=GOOD_DATA, **CAUSES[present[0]]))  # type: ignore[arg-type]
    found = classify(READ, Completion(**fields))  # type: ignore[arg-type]
    assert (found.verdict, found.detail) == (alone.verdict, alone.detail)
    assert not found.good and found.data == b""


@pytest.mark.parametrize("status", range(256))
def test_every_status_byte(status: int) -> None:
    """Whatever is not understood is unknown, never good."""
    wanted = {
        spc.GOOD: verdicts.GOOD,
        spc.RESERVATION_CONFLICT: verdicts.CONFLICT,
        spc.BUSY: verdicts.BUSY,
        spc.TASK_SET_FULL: verdicts.BUSY,
    }.get(status, verdicts.UNKNOWN)
    found = classify(READ, Completion(status, data=GOOD_DATA))
    assert found.verdict == wanted
    assert found.good == (status == 0)
    assert (found.data == GOOD_DATA) == (status == 0)


@pytest.mark.parametrize("host", range(1, 256))
def test_every_host_status_is_unknown(host: int) -> None:
    for status in (spc.GOOD, spc.BUSY, spc.CHECK_CONDITION, spc.TASK_ABORTED):
        found = classify(READ, Completion(status, fixed(6, 0x29), GOOD_DATA, host=host))
        assert found.verdict == verdicts.UNKNOWN
        assert f"{host:02X}h" in found.detail


def test_a_conflict_in_disguise() -> None:
    """Kernels before 5.19: DID_NEXUS_FAILURE comes with RESERVATION CONFLICT, and only then."""
    for host in (0x10, 0x11, 0x12):
        found = classify(OUT, Completion(spc.RESERVATION_CONFLICT, host=host))
        assert found.verdict == (verdicts.CONFLICT if host == 0x11 else verdicts.UNKNOWN)


@pytest.mark.parametrize("driver", range(256))
def test_every_driver_status(driver: int) -> None:
    """Only "sense came" is no failure; and where it says so, sense must be there."""
    found = classify(READ, Completion(driver=driver, data=GOOD_DATA))
    if driver & 0x0F == 0:
        assert found.verdict == verdicts.GOOD
    else:
        assert found.verdict == verdicts.UNKNOWN


def test_driver_sense_with_recovered_error_is_good() -> None:
    found = classify(READ, Completion(driver=DRIVER_SENSE, sense=fixed(1), data=GOOD_DATA))
    assert found.good and found.data == GOOD_DATA
    assert classify(READ, check(fixed(1), residual=65)).verdict == verdicts.UNKNOWN


@pytest.mark.parametrize(
    ("triple", "verdict"),
    [
        ((0x6, 0x2A, 0x03), verdicts.PREEMPTED),
        ((0x6, 0x2A, 0x04), verdicts.PREEMPTED),
        ((0x6, 0x2A, 0x05), verdicts.PREEMPTED),
        ((0x6, 0x29, 0x00), verdicts.ATTENTION),
        ((0x6, 0x29, 0x03), verdicts.ATTENTION),
        ((0x6, 0x2F, 0x00), verdicts.ATTENTION),
        ((0x6, 0x3F, 0x0E), verdicts.ATTENTION),
        ((0x6, 0x2A, 0x09), verdicts.ATTENTION),
        ((0x6, 0x80, 0x00), verdicts.ATTENTION),
        ((0x2, 0x04, 0x01), verdicts.BUSY),
        ((0x2, 0x04, 0x02), verdicts.REFUSED),
        ((0x2, 0x08, 0x00), verdicts.REFUSED),
        ((0x5, 0x20, 0x00), verdicts.UNSUPPORTED),
        ((0x5, 0x24, 0x00), verdicts.UNSUPPORTED),
        ((0x5, 0x26, 0x00), verdicts.REFUSED),
        ((0x5, 0x55, 0x04), verdicts.REFUSED),
        ((0x5, 0x2A, 0x05), verdicts.REFUSED),
        ((0x3, 0x11, 0x00), verdicts.REFUSED),
        ((0x4, 0x44, 0x00), verdicts.REFUSED),
        ((0xB, 0x00, 0x00), verdicts.UNKNOWN),
        ((0xB, 0x2A, 0x05), verdicts.UNKNOWN),
        ((0x0, 0x00, 0x00), verdicts.REFUSED),
    ],
)
@pytest.mark.parametrize("form", [fixed, descriptor])
def test_sense(triple: tuple[int, int, int], verdict: str, form: object) -> None:
    """Fixed and descriptor format say the same; "preempted" is never a mere attention."""
    for command in (READ, OUT):
        found = classify(command, check(form(*triple)))  # type: ignore[operator]
        assert found.verdict == verdict
        assert f"{triple[1]:02X}h/{triple[2]:02X}h" in found.detail


def test_no_check_condition_is_ever_good_but_a_recovered_error() -> None:
    for key, asc, ascq in product(range(16), (0, 0x04, 0x20, 0x24, 0x29, 0x2A), (0, 1, 3, 5)):
        assert classify(OUT, check(fixed(key, asc, ascq))).good == (key == 1)


@pytest.mark.parametrize("form", [fixed, descriptor])
def test_a_deferred_error_is_of_another_command(form: object) -> None:
    """This one was not performed: send it again, whatever the deferred one says."""
    code = 0x71 if form is fixed else 0x73
    for key in (1, 3, 4, 5, 6, 0xB):
        found = classify(OUT, check(form(key, 0x2A, 0x05, code)))  # type: ignore[operator]
        assert found.verdict == verdicts.ATTENTION


@pytest.mark.parametrize("sense", [b"", b"\x70", b"\x72\x06\x2a", b"\x00" * 18, b"\x7f" * 18])
def test_sense_that_says_nothing_is_unknown(sense: bytes) -> None:
    assert classify(OUT, check(sense)).verdict == verdicts.UNKNOWN


@pytest.mark.parametrize("residual", [-1, 0, 1, 63, 64, 65, 1 << 31])
def test_residual_of_a_read(residual: int) -> None:
    """Data that did not come is cut off; an impossible residual is no good end."""
    found = classify(READ, Completion(data=bytes(range(64)), residual=residual))
    if 0 <= residual <= 64:
        assert found.good and found.data == bytes(range(64 - residual))
    else:
        assert found.verdict == verdicts.UNKNOWN


@pytest.mark.parametrize("residual", [-24, -1, 1, 8, 24, 25])
def test_parameters_that_were_not_taken(residual: int) -> None:
    found = classify(OUT, Completion(residual=residual))
    assert found.verdict == verdicts.UNKNOWN and not found.good
    assert classify(OUT, Completion()).good


def test_a_reset() -> None:
    assert classify(RESET, Completion()).good
    assert classify(RESET, Completion(os_error="EBUSY")).verdict == verdicts.UNKNOWN
    assert classify(RESET, Completion(residual=1)).verdict == verdicts.UNKNOWN
