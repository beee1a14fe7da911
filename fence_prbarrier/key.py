"""The reservation key: cluster tag, node number, incarnation.

Rules that this module keeps:

* a key is a number; text is only a way to write it down;
* a key of this project can only be built with every field in its range;
* an incarnation is larger than every earlier one of its node, whatever the
  clock does.
"""

from __future__ import annotations

from .errors import InvalidInput, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_BITS = 64
TAG_BITS = 16
NODE_BITS = 16
INCARNATION_BITS = 32

MAX_TAG = (1 << TAG_BITS) - 1
MAX_NODE = (1 << NODE_BITS) - 1
MAX_INCARNATION = (1 << INCARNATION_BITS) - 1

# lvmlockd builds its keys as 0x1000 00GG GGGG HHHH (lvmlockd, persistent reservations).
LVM_TAG = 0x1000
# Keys of 32 bits or less, fence_scsi's among them, have this tag.
NO_TAG = 0x0000
FORBIDDEN_TAGS = (NO_TAG, LVM_TAG)

# 2020-01-01T00:00:00Z in seconds since 1970: incarnation zero of the hybrid clock.
EPOCH_UNIX_SECONDS = 1577836800

_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


class Key(int):
    """A registered reservation key, 1 to 2**64-1, ours or anybody's.

    Zero is not a key: SPC uses it for "not registered" (SPC-4 6.14.3).
    """

    __slots__ = ()

    def __new__(cls, value: int) -> Key:
        if not 0 < value < 1 << KEY_BITS:
            raise InvalidInput(f"a reservation key is 1 to 2**64-1, not {value:#x}")
        return super().__new__(cls, value)

    @classmethod
    def build(cls, tag: int, node: int, incarnation: int) -> Key:
        """The key of one life of one node; each field is checked."""
        check_tag(tag)
        check_node(node)
        if not 0 < incarnation <= MAX_INCARNATION:
            raise InvalidInput(f"an incarnation is 1 to {MAX_INCARNATION}, not {incarnation}")
        return cls(tag << (NODE_BITS + INCARNATION_BITS) | node << INCARNATION_BITS | incarnation)

    @property
    def tag(self) -> int:
        """Bits 63..48: the cluster."""
        return int(self) >> (NODE_BITS + INCARNATION_BITS)

    @property
    def node(self) -> int:
        """Bits 47..32: the node number."""
        return int(self) >> INCARNATION_BITS & MAX_NODE

    @property
    def incarnation(self) -> int:
        """Bits 31..0: the life of that node."""
        return int(self) & MAX_INCARNATION

    @property
    def hex(self) -> str:
        """``0xTTTTNNNNIIIIIIII``, as sg_persist takes it."""
        return f"{int(self):#018x}"

    def __str__(self) -> str:
        return f"{self.tag:04x}:{self.node:04x}:{self.incarnation:08x}"

    def __repr__(self) -> str:
        return f"Key({self.hex})"


def check_tag(tag: int) -> int:
    """The tag itself, or InvalidInput where it is out of range or another product's."""
    if not 0 <= tag <= MAX_TAG:
        raise InvalidInput(f"a cluster tag is 0x0001 to 0xffff, not {tag:#x}")
    if tag in FORBIDDEN_TAGS:
        whose = "LVM's own prefix" if tag == LVM_TAG else "the prefix of short keys"
        raise InvalidInput(f"cluster tag 0x{tag:04x} is {whose}; choose another cluster_tag")
    return tag


def check_node(number: int) -> int:
    """The node number itself, or InvalidInput where it is not 1 to 65535."""
    if not 0 < number <= MAX_NODE:
        raise InvalidInput(f"a node number is 1 to {MAX_NODE}, not {number}")
    return number


def parse_key(text: str) -> Key:
    """A key from any spelling: ``0x..``, bare hex in either case, ``TTTT:NNNN:IIIIIIII``."""
    bare = text.strip()
    if ":" in bare:
        parts = bare.split(":")
        if len(parts) != 3 or not all(parts):
            raise _not_a_key(text)
        widths = (TAG_BITS, NODE_BITS, INCARNATION_BITS)
        value = 0
        for part, bits in zip(parts, widths):
            field = _hex(part, text)
            if field >> bits:
                raise _not_a_key(text)
            value = value << bits | field
        return Key(value)
    if bare[:2] in ("0x", "0X"):
        bare = bare[2:]
    return Key(_hex(bare, text))


def _hex(digits: str, whole: str) -> int:
    # int(x, 16) alone would also take signs, blanks and underscores.
    if not digits or len(digits) > KEY_BITS // 4 or not _HEX_DIGITS.issuperset(digits):
        raise _not_a_key(whole)
    return int(digits, 16)


def _not_a_key(text: str) -> InvalidInput:
    return InvalidInput(
        f"{text[:40]!r} is not a reservation key: expected up to 16 hexadecimal digits,"
        " with or without 0x, or TTTT:NNNN:IIIIIIII"
    )


def tag_of_cluster(name: str) -> int:
    """The cluster tag of a cluster's name: the first allowed 16 bits of its SHA-256."""
    if not name:
        raise InvalidInput("the cluster has no name: set cluster_name or cluster_tag")
    digest = _sha256(name.encode())
    for offset in range(0, len(digest), 2):
        tag = int.from_bytes(digest[offset : offset + 2], "big")
        if tag not in FORBIDDEN_TAGS:
            return tag
    raise InvalidInput(f"no tag can be made of cluster name {quoted(name)}: set cluster_tag")


def _sha256(data: bytes) -> bytes:
    # hashlib loads OpenSSL, a fifth of a fence's start-up; the interpreter has its own.
    try:
        from _sha256 import sha256
    except ImportError:  # CPython 3.12 renamed it; others may not have it
        from hashlib import sha256
    return bytes(sha256(data).digest())


def next_incarnation(seen: Iterable[int], remembered: int | None, now_unix_seconds: int) -> int:
    """A hybrid clock: above all that was seen or remembered, and not behind the clock.

    ``seen`` are the incarnations of this node on any LU.  Grows while anything
    is seen or remembered, whatever the clock does.  Of a life that nobody
    remembers and no LU bears any more only the clock tells: two such lives get
    one incarnation if both began in the same second by this node's clock.
    """
    candidates = [1, now_unix_seconds - EPOCH_UNIX_SECONDS]
    candidates.extend(incarnation + 1 for incarnation in seen)
    if remembered is not None:
        candidates.append(remembered + 1)
    incarnation = max(candidates)
    if incarnation > MAX_INCARNATION:
        raise InvalidInput(
            f"the incarnation would be {incarnation}, above {MAX_INCARNATION}: a key of this node"
            " or the clock is far in the future; clear that key or set the clock"
        )
    return incarnation


def owner_of(key: Key) -> str:
    """Whose a key seems to be, in words, for a refusal's message."""
    if key.tag == LVM_TAG:
        return f"LVM (lvmlockd), key {key.hex}"
    if key.tag == NO_TAG:
        return f"a product with short keys such as fence_scsi, key {key.hex}"
    return f"cluster tag 0x{key.tag:04x}, key {key}"
