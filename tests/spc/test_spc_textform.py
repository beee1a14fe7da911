"""The text form: what is written is read; what is broken is refused, never guessed."""

from __future__ import annotations

from binascii import crc32
from pathlib import Path

import pytest

from fence_prbarrier.simulator import store
from fence_prbarrier.simulator.faults import parse_fault
from fence_prbarrier.simulator.textform import MAX_FILE_BYTES, dump, load
from fence_prbarrier.simulator.unit import LogicalUnit
from fence_prbarrier.simulator.values import Nexus, SimulatorError

from .wire import (
    ABORT,
    BLOCK,
    IGNORE,
    KEY_A,
    KEY_B,
    KEY_C,
    READ_KEYS,
    TEST_UNIT_READY,
    WEAR,
    WERO,
    WRITE_16,
    A,
    B,
    C,
    out,
    run,
    unit_with,
)

# --- Text form -----------------------------------------------------------------------------------


def _busy_unit() -> LogicalUnit:
    """One of everything that a file can hold."""
    unit = unit_with(A, B, kind=WERO)
    assert out(unit, C, IGNORE, 0, KEY_C, flags=5) == "good"
    unit.submit(A, WRITE_16, BLOCK)
    unit.submit(Nexus("iqn.other:x"), WRITE_16, BLOCK)  # refused: its verdict is kept
    assert out(unit, A, ABORT, KEY_A, KEY_B) == "good"
    unit.submit(C, WRITE_16, BLOCK)
    unit.submit(C, TEST_UNIT_READY)
    unit.add_fault(parse_fault(["lost-reply:0e", "op=5f/05", "skip=1"]))
    unit.add_fault(parse_fault(["dead-path", "initiator=iqn.a", "port=2"]))
    assert run(unit, A, WRITE_16, BLOCK) == "good"
    return unit


@pytest.mark.parametrize(
    "unit",
    [
        LogicalUnit(),
        LogicalUnit("lio", "abc", 7, descriptor_sense=True, aptpl=False, max_registrations=3),
        LogicalUnit("tgt", all_tg_pt=True),
        _busy_unit(),
        unit_with(A, B, kind=WEAR),
    ],
)
def test_what_is_written_is_read(unit: LogicalUnit) -> None:
    text = dump(unit)
    again = load(text)
    assert dump(again) == text
    for request in (READ_KEYS, bytes.fromhex("5e0200000000001000 00"), WRITE_16):
        left = unit.command(A, request, BLOCK, 999)
        assert left == again.command(A, request, BLOCK, 999)


def test_the_text_is_what_the_documentation_says() -> None:
    unit = unit_with(Nexus(A.initiator), kind=WERO)
    body = (
        "fence_prbarrier simulator 1\n"
        "profile spec\n"
        "serial 0000000000000001\n"
        "blocks 2048\n"
        "descriptor-sense 0\n"
        "can-aptpl 1\n"
        "can-all-tg-pt 1\n"
        "max-registrations 128\n"
        "generation 1\n"
        "aptpl 0\n"
        "next-tag 1\n"
        f"nexus {A.initiator} 00023d000001 1 -\n"
        f"registration 0 {KEY_A:016x} 0\n"
        "reservation 5 0\n"
    ).encode()
    assert dump(unit) == body + f"end 14 crc32 {crc32(body):08x}\n".encode()


# --- Broken files --------------------------------------------------------------------------------


def test_every_prefix_of_a_file_is_refused() -> None:
    text = dump(_busy_unit())
    for length in range(len(text)):
        with pytest.raises(SimulatorError):
            load(text[:length])


def test_every_altered_byte_is_refused() -> None:
    text = dump(unit_with(A, B, kind=WERO))
    for at in range(len(text)):
        for value in (text[at] ^ 1, 0x00, 0x0A, 0x20, 0xFF):
            if value != text[at]:
                with pytest.raises(SimulatorError):
                    load(text[:at] + bytes((value,)) + text[at + 1 :])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\n", "does not begin"),
        (b"garbage", "does not begin"),
        (b"fence_prbarrier simulator 2\n", "version '2'"),
        (b"fence_prbarrier simulator 1\n", "cut short"),
        (b"\xff\xfe", "not ASCII"),
        (dump(LogicalUnit()) + b"block 1 00\n", "not 'end'"),
        (dump(LogicalUnit()) * 2, "does not match"),
        (b"\0" * 4096, "does not begin"),
        (b"x" * (MAX_FILE_BYTES + 1), "more than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_file_is_an_error_that_names_the_file(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    path = tmp_path / "lu"
    path.write_bytes(data)
    for attempt in (
        lambda: store.read(str(path)),
        lambda: store.command(str(path), A, TEST_UNIT_READY),
        lambda: store.transact(str(path), LogicalUnit.power_cycle, LogicalUnit),
    ):
        with pytest.raises(SimulatorError) as caught:
            attempt()
        assert str(path) in str(caught.value) and reason in str(caught.value)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == data


def _sealed(lines: list[str]) -> bytes:
    body = ("\n".join(lines) + "\n").encode()
    return body + f"end {len(lines)} crc32 {crc32(body):08x}\n".encode()


@pytest.mark.parametrize(
    ("at", "line", "reason"),
    [
        (1, "profile none", "profile 'none'"),
        (1, "profil spec", "'profile' expected"),
        (2, "serial ", "'serial' expected"),
        (3, "blocks 0", "0 blocks"),
        (3, "blocks -1", "not a number"),
        (4, "descriptor-sense 2", "descriptor-sense: 2 is more than 1"),
        (8, "generation 4294967296", "generation: "),
        (11, "nexus a b", "not 4 or more"),
        (11, "nexus a 00023d000001 0 -", "target port 0"),
        (11, "nexus a 00023d000001 1 2a", "not 4 hex digits"),
        (12, "nexus iqn.2024-01.com.example:n1 00023d000001 1 -", "twice"),
        (13, "registration 9 00000000000000aa 0", "no I_T nexus 9"),
        (13, "registration 0 aa 0", "not 16 hex digits"),
        (13, "registration 0 0000000000000000 0", "key zero"),
        (14, "registration 0 00000000000000aa 0", "registered twice"),
        (15, "reservation 4 0", "type 4"),
        (15, "reservation 5 2", "no registration 2"),
        (15, "reservation 5 -", "wrong kind of holder"),
        (15, "reservation 7 0", "wrong kind of holder"),
        (15, "block 2048 00", "block 2048"),
        (15, "block 1 00", "of 1 bytes"),
        (15, "block 1 0", "not bytes in hex"),
        (15, "task 1 0 0000000000000000 00 - 0 -", "task 1"),
        (15, "fault bysy", "bysy"),
        (15, "surprise 1", "unknown statement"),
        (15, "", "unknown statement"),
    ],
)
def test_a_file_that_is_whole_and_wrong_is_refused(at: int, line: str, reason: str) -> None:
    lines = dump(unit_with(A, B, kind=WERO)).decode().split("\n")[:-2]
    assert len(lines) == 16
    lines[at] = line
    with pytest.raises(SimulatorError) as caught:
        load(_sealed(lines))
    assert reason in str(caught.value)
    if at > 10:
        assert str(caught.value).startswith(f"line {at + 1}: ")


@pytest.mark.parametrize(
    ("flags", "refused"), [("10", True), ("11", True), ("01", False), ("00", False)]
)
def test_one_initiator_port_is_covered_once(flags: str, refused: bool) -> None:
    """ALL_TG_PT covers every I_T nexus of its port; one of the port's nexuses only itself."""
    lines = dump(unit_with(A, kind=WERO)).decode().split("\n")[:-2]
    other = f"nexus {A.initiator} {A.isid} {A.port + 1} -"
    lines[11:] = [
        lines[11],
        other,
        *(f"registration {n} {9:016x} {f}" for n, f in enumerate(flags)),
    ]
    if refused:
        with pytest.raises(SimulatorError, match=r"line 15: .* is registered twice"):
            load(_sealed(lines))
    else:
        assert len(load(_sealed(lines)).reservations.registrations) == 2
