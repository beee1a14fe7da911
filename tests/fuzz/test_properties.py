"""Property tests of the same targets, and of what a writer here must be able to read there."""

from __future__ import annotations

import os
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fence_prbarrier import sightings
from fence_prbarrier.barrier.memory import Memory, Standing
from fence_prbarrier.barrier.witness import Sighting, Witness
from fence_prbarrier.key import MAX_INCARNATION, MAX_NODE, Key
from fence_prbarrier.scsi.reply import parse_read_full_status
from fence_prbarrier.sightings import Sightings
from fence_prbarrier.simulator.faults import Fault
from fence_prbarrier.simulator.textform import dump, load
from fence_prbarrier.simulator.unit import LogicalUnit
from fence_prbarrier.simulator.values import Nexus
from fence_prbarrier.state import Store

from . import memories
from .checks import require
from .ground import SCRATCH
from .seeds import kept, seeds
from .targets import TARGETS

# The same values in every run; the fuzzer is there for others.
same = settings(derandomize=True, deadline=None, database=None, max_examples=40)
SLOW = ("off", "on", "inspect", "mock_file")
MAX_PEAK_BYTES = 4 << 20

TRANSPORT_IDS = {
    "fc": b"\x00" + bytes(7) + bytes.fromhex("2100002437aabbcc") + bytes(8),
    "spi": b"\x01\0\0\x07\0\0\0\x01" + bytes(16),
    "sbp": b"\x03" + bytes(7) + b"\x01\x02\x03\x04\x05\x06\x07\x08" + bytes(8),
    "srp": b"\x04" + bytes(7) + bytes(range(16)),
    "iscsi-device": b"\x05\0\0\x18iqn.2003-08.example:n1\0\0",
    "iscsi-port": b"\x45\0\0\x2ciqn.2003-08.example:n1,i,0x00023d000001\0\0\0\0\0",
    "sas": b"\x06\0\0\0" + bytes.fromhex("5000c50012345678") + bytes(12),
    "sop": b"\x0a\0\0\0" + bytes(range(1, 9)) + bytes(12),
    "roce-like": b"\x0b" + bytes(3) + bytes(range(28)),
    "none": b"\x0f" + bytes(23),
}


@st.composite
def _edited(draw: Any, name: str) -> bytes:
    """A known input with something put in, left out, or changed."""
    known = [b"", *seeds(name), *(path.read_bytes() for path in kept(name)[:20])]
    data = bytearray(draw(st.sampled_from(known)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_break_a_property(name: str) -> None:
    examples = 20 if name in SLOW else 40

    @settings(same, max_examples=examples)
    @given(st.one_of(st.binary(max_size=200), _edited(name)))
    def check(data: bytes) -> None:
        TARGETS[name](data)

    check()


@pytest.mark.parametrize("kind", TRANSPORT_IDS)
@same
@given(
    st.lists(st.tuples(st.integers(1, (1 << 64) - 1), st.booleans(), st.integers(0, 65535))),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 40),
)
def test_every_well_formed_full_status_is_read(
    kind: str, registrants: list[tuple[int, bool, int]], generation: int, padding: int
) -> None:
    """With a TransportID of any protocol, and zeros after the list: strict is not deaf."""
    identifier = TRANSPORT_IDS[kind]
    body = b"".join(
        key.to_bytes(8, "big") + bytes(4) + bytes((everywhere << 1, 0)) + bytes(4)
        + port.to_bytes(2, "big") + len(identifier).to_bytes(4, "big") + identifier
        for key, everywhere, port in registrants
    )  # fmt: skip
    data = generation.to_bytes(4, "big") + len(body).to_bytes(4, "big") + body + bytes(padding)
    got, found = parse_read_full_status(data, len(data))
    assert got == generation
    ports = [(each.key, each.all_target_ports, each.port or 0) for each in found]
    assert ports == [(key, every, 0 if every else port) for key, every, port in registrants]
    TARGETS["full_status"](b"\xff\xff" + data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("00000001 ffffffff", id="four GiB of keys"),
        pytest.param("00000001 fffffff8 0000000000000001", id="four GiB, one key of them"),
        pytest.param("00000001 00000018" + "00" * 8 + "01" * 12 + "ffffffff", id="a TransportID"),
    ],
)
@pytest.mark.parametrize("name", ["read_keys", "read_reservation", "full_status"])
def test_a_declared_length_allocates_nothing(name: str, data: str) -> None:
    target, octets = TARGETS[name], b"\xff\xff" + bytes.fromhex(data)
    target(octets)
    tracemalloc.start()
    try:
        target(octets)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MAX_PEAK_BYTES


# --- There and back ------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8", exclude_characters=" "), min_size=1, max_size=20)
units = words.filter(str.isprintable)
ends = st.text(max_size=20).filter(str.isprintable)
keys = st.builds(
    lambda tag, node, life: Key(tag << 48 | node << 32 | life),
    st.integers(1, 0xFFFF), st.integers(1, MAX_NODE), st.integers(1, MAX_INCARNATION),
)  # fmt: skip


@same
@given(
    st.integers(1, MAX_INCARNATION),
    st.dictionaries(
        units,
        st.builds(
            Standing,
            st.integers(0, 1000),
            st.frozensets(st.tuples(ends, ends.filter(bool)), max_size=3),
            st.booleans(),
        ),
        max_size=4,
    ),
)
def test_a_memory_that_was_saved_is_loaded(life: int, joined: dict[str, Standing]) -> None:
    """And no single bit of it can change, nor its end be lost, unseen."""
    memory = Memory(memories.TAG, memories.NODE, life, True, joined)
    with SCRATCH.booted() as folder:
        store = Store(folder, memories.TAG, memories.NODE)
        store.save(memory)
        back = store.load()
        assert all(getattr(back, each) == getattr(memory, each) for each in Memory.__slots__)
        with open(store.path, "rb") as file:
            content = file.read()
    for where in range(0, 256, 64):
        TARGETS["state_file"](b"\1" + bytes((where,)) + content)


@same
@given(
    st.dictionaries(
        units,
        st.builds(Sighting, st.frozensets(keys, max_size=3), st.frozensets(keys, max_size=3)),
        max_size=4,
    )
)
def test_sightings_that_were_written_are_read(found: dict[str, Sighting]) -> None:
    with SCRATCH.booted() as folder:
        file = Sightings(folder, memories.TAG, memories.NODE)
        path = os.path.join(folder, f"{memories.TAG:04x}-{memories.NODE:04x}.seen")
        SCRATCH.file(path, memories.sightings_body(Witness()))
        assert file.update(lambda _: Witness(found))
        assert file.load() == Witness(found)
    require(sightings.MAGIC in memories.sightings_body(Witness(found)).decode(), "no magic")


@same
@given(
    st.lists(st.sampled_from(["n1", "n2", "n3"]), max_size=6),
    st.sampled_from(["busy", "hold", "lost-reply", "dead-path"]),
    st.binary(max_size=30),
)
def test_a_simulated_unit_that_was_written_is_read(
    nodes: list[str], kind: str, choices: bytes
) -> None:
    from .simulated import COMMANDS

    unit = LogicalUnit("spec", serial="1")
    unit.add_fault(Fault(kind))
    for choice, node in zip(choices, nodes * 30):
        cdb, data = COMMANDS[choice % len(COMMANDS)]
        unit.command(Nexus(f"iqn.2003-08.example:{node}"), bytes.fromhex(cdb), data, 512)
    text = dump(unit)
    assert dump(load(text)) == text
