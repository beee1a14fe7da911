"""The key: cluster tag, node number, incarnation; every spelling; the hybrid clock."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fence_prbarrier.errors import InvalidInput
from fence_prbarrier.key import (
    EPOCH_UNIX_SECONDS,
    FORBIDDEN_TAGS,
    LVM_TAG,
    MAX_INCARNATION,
    MAX_NODE,
    MAX_TAG,
    Key,
    check_node,
    check_tag,
    next_incarnation,
    owner_of,
    parse_key,
    tag_of_cluster,
)

TAGS = st.integers(1, MAX_TAG).filter(lambda tag: tag not in FORBIDDEN_TAGS)
NODES = st.integers(1, MAX_NODE)
INCARNATIONS = st.integers(1, MAX_INCARNATION)
# 2026-11-22T00:00:00Z
NOW = 1795305600


def test_the_fields_stand_where_the_design_puts_them() -> None:
    """16 bits of tag, 16 of node number, 32 of incarnation, in this order."""
    key = Key.build(0x5A17, 0x0001, 0x0C8D2B41)
    assert key == 0x5A1700010C8D2B41
    assert (str(key), key.hex) == ("5a17:0001:0c8d2b41", "0x5a1700010c8d2b41")
    assert (key.tag, key.node, key.incarnation) == (0x5A17, 1, 0x0C8D2B41)


@given(TAGS, NODES, INCARNATIONS)
def test_what_is_written_is_read_back(tag: int, node: int, incarnation: int) -> None:
    key = Key.build(tag, node, incarnation)
    assert (key.tag, key.node, key.incarnation) == (tag, node, incarnation)
    for text in (str(key), key.hex, str(key).upper(), key.hex.upper(), f"{int(key):x}"):
        assert parse_key(text) == key


@given(TAGS, NODES, INCARNATIONS, INCARNATIONS)
def test_keys_of_a_node_are_ordered_as_its_lives(tag: int, node: int, one: int, two: int) -> None:
    assert (Key.build(tag, node, one) < Key.build(tag, node, two)) == (one < two)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x5a1700010c8d2b41", 0x5A1700010C8D2B41),
        ("5A1700010C8D2B41", 0x5A1700010C8D2B41),
        ("0X5a1700010C8D2B41", 0x5A1700010C8D2B41),
        ("5a17:0001:0c8d2b41", 0x5A1700010C8D2B41),
        ("5A17:1:C8D2B41", 0x5A1700010C8D2B41),
        ("  0x00000000000000ab \n", 0xAB),
        ("ab", 0xAB),
        ("123", 0x123),
    ],
)
def test_every_spelling(text: str, value: int) -> None:
    """Keys are numbers: 0x, upper case and leading zeros are only ways to write them."""
    assert parse_key(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "0x", "0", "0x0000000000000000", "xyz", "-1", "+1", "0x-1", "1_0", "0x 1", "٣", "0x٣",
     "12345678123456781", "0x12345678123456781", "1:2", "1:2:3:4", "1::3", ":::", "12345:1:1",
     "1:12345:1", "1:1:123456789", "0x1:1:1", "1:1:1 2", "0:0:0"],
)  # fmt: skip
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_key(text)


@pytest.mark.parametrize("value", [0, -1, 1 << 64])
def test_a_wrong_key_cannot_be_built(value: int) -> None:
    with pytest.raises(InvalidInput):
        Key(value)


@pytest.mark.parametrize(
    ("tag", "node", "incarnation", "words"),
    [
        (0, 1, 1, "short keys"),
        (LVM_TAG, 1, 1, "LVM"),
        (0x10000, 1, 1, "0x10000"),
        (-1, 1, 1, "tag"),
        (1, 0, 1, "node number"),
        (1, 65536, 1, "65536"),
        (1, 1, 0, "incarnation"),
        (1, 1, 1 << 32, "incarnation"),
    ],
)
def test_each_field_is_checked(tag: int, node: int, incarnation: int, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Key.build(tag, node, incarnation)


def test_the_ends_of_each_range_are_in_it() -> None:
    assert (check_tag(1), check_tag(0xFFFF)) == (1, 0xFFFF)
    assert (check_node(1), check_node(65535)) == (1, 65535)
    assert Key.build(0xFFFF, 65535, MAX_INCARNATION) == (1 << 64) - 1


@pytest.mark.parametrize("name", ["demo", "prod", "Größe", "a" * 300])
def test_the_tag_is_the_head_of_the_names_sha256(name: str) -> None:
    digest = hashlib.sha256(name.encode()).digest()
    assert tag_of_cluster(name) == int.from_bytes(digest[:2], "big")


def test_a_forbidden_head_is_passed_over() -> None:
    """Never 0x0000 and never LVM's prefix: the next 16 bits serve."""
    seen = set()
    for number in range(200_000):
        digest = hashlib.sha256(str(number).encode()).digest()
        head = int.from_bytes(digest[:2], "big")
        if head in FORBIDDEN_TAGS:
            assert tag_of_cluster(str(number)) == int.from_bytes(digest[2:4], "big")
            seen.add(head)
        if seen == set(FORBIDDEN_TAGS):
            return
    raise AssertionError("no such names found")


def test_a_cluster_without_a_name_has_no_tag() -> None:
    with pytest.raises(InvalidInput, match="cluster_tag"):
        tag_of_cluster("")


def test_the_tag_without_the_interpreters_own_sha256() -> None:
    """CPython 3.12 renamed _sha256; others may not have it."""
    program = (
        "import sys; sys.modules['_sha256'] = None\n"
        "from fence_prbarrier.key import tag_of_cluster; print(tag_of_cluster('demo'))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(run.stdout) == tag_of_cluster("demo")


def test_the_incarnation_tells_when_the_node_joined() -> None:
    assert next_incarnation([], None, NOW) == NOW - EPOCH_UNIX_SECONDS


@given(st.lists(INCARNATIONS.filter(lambda i: i < MAX_INCARNATION)),
       st.none() | st.integers(1, MAX_INCARNATION - 1), st.integers(0, 1 << 32))  # fmt: skip
def test_an_incarnation_is_above_all_that_was_seen_or_remembered(
    seen: list[int], remembered: int | None, now: int
) -> None:
    """Whether nothing is remembered, the clock stands still, or goes back."""
    fresh = next_incarnation(seen, remembered, now)
    assert all(fresh > one for one in seen)
    assert remembered is None or fresh > remembered
    assert fresh >= max(1, now - EPOCH_UNIX_SECONDS)


@pytest.mark.parametrize(
    ("seen", "remembered", "now"),
    [
        ([MAX_INCARNATION], None, NOW),
        ([], MAX_INCARNATION, NOW),
        ([], None, EPOCH_UNIX_SECONDS + MAX_INCARNATION + 1),
    ],
)
def test_there_is_no_incarnation_after_the_last(
    seen: list[int], remembered: int | None, now: int
) -> None:
    """It never wraps around: that would be an older life."""
    with pytest.raises(InvalidInput, match="incarnation"):
        next_incarnation(seen, remembered, now)


def test_whose_a_key_seems_to_be() -> None:
    assert "LVM" in owner_of(Key(0x1000000000010001))
    assert "fence_scsi" in owner_of(Key(0x6F6D0001))
    assert "0x5a17" in owner_of(Key(0x5A17000100000001))
