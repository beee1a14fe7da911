"""Targets: files that the agent wrote earlier, and that something has changed since.

The first byte of an input says what the rest is: even, the body of a file,
under which the right checksum is put, so that the lines are read; odd, the
whole file as it is.  The second says where a bit flips in what was accepted.
"""

from __future__ import annotations

import os
import re
import time
from binascii import crc32
from typing import Any, Callable

from fence_prbarrier import sightings, state, volume_groups
from fence_prbarrier.barrier.memory import Memory, Standing
from fence_prbarrier.errors import MemoryFault
from fence_prbarrier.sightings import Sightings
from fence_prbarrier.state import Store
from fence_prbarrier.volume_groups import VolumeGroups

from .checks import Refused, attempt, require
from .ground import BOOT, SCRATCH

TAG, NODE = 0x5A17, 3
# What this version writes, and nothing else.
STATE = re.compile(
    rf"{state.MAGIC}\nboot ([^\n]*)\nincarnation ([0-9]{{1,10}})\n"
    r"((?:(?:joined|unlisted) [^ \n]+ [0-9]+\n(?:path [^\t\n]*\t[^\t\n]+\n)*)*)"
)
UNIT = re.compile(r"(joined|unlisted) ([^ \n]+) ([0-9]+)\n((?:path [^\n]*\n)*)")
SIGHTING = re.compile(r"lus((?: [^ \n]+)+)\nseen((?: [0-9a-f]{16})*)\nended((?: [0-9a-f]{16})*)\n")


def _file(data: bytes, magic: str) -> bytes:
    """The bytes of a file; see above."""
    body = data[2:]
    if data[:1] and data[0] % 2:
        return body
    if data[:1] and data[0] % 4 == 2:
        body = f"{magic}\nboot {BOOT}\n".encode() + body
    return body + b"end %08x\n" % crc32(body)


def _read(name: str, content: bytes, load: Callable[[str], Any]) -> Any:
    with SCRATCH.booted() as folder:
        SCRATCH.file(os.path.join(folder, name), content)
        return attempt(lambda: load(folder), MemoryFault)


def _damaged(name: str, content: bytes, where: int, load: Callable[[str], Any]) -> None:
    """A bit that flips, or an end that is lost, is noticed: there, and at some more places."""
    last = len(content) - 1
    for at in {where * last // 255, last // 3, last // 2, last * 2 // 3, last - 14}:
        for bit in (1, 32, 128):
            flipped = content[:at] + bytes((content[at] ^ bit,)) + content[at + 1 :]
            got = _read(name, flipped, load)
            require(isinstance(got, Refused), f"byte {at} changed, and nobody notices", content)
        got = _read(name, content[:at], load)
        require(isinstance(got, Refused), f"cut off after {at} bytes, unnoticed", content)


def state_file(data: bytes) -> None:
    """What is believed of this boot stands in the file, word for word, and comes back."""
    name, content = f"{TAG:04x}-{NODE:04x}", _file(data, state.MAGIC)
    got = _read(name, content, lambda folder: Store(folder, TAG, NODE).load())
    if isinstance(got, Refused):
        return
    body, _, end = content.rpartition(b"end ")
    require(end == b"%08x\n" % crc32(body), "read without its checksum", content)
    found = STATE.match(body.decode())
    if found is None:
        require(False, "a file that this version does not write was believed", content, got)
        return
    boot, incarnation, units = found.groups()
    current = boot == BOOT
    # Of another boot only the incarnation is of use, so the rest is not read.
    require(found.end() == len(body.decode()) or not current, "more than is believed", content)
    require((got.current, got.incarnation) == (current, int(incarnation)), "another life", got)
    listed = UNIT.findall(units) if current else []
    told = {unit[1]: unit for unit in listed}
    require(len(told) == len(listed), "a LU stands there twice", units)
    require(set(got.joined) == set(told), "other LUs were joined", got.joined, told)
    for unit, standing in got.joined.items():
        kind, _, count, lines = told[unit]
        paths = [line[len("path ") :].partition("\t") for line in lines.split("\n")[:-1]]
        expected = Standing(int(count), frozenset((n, d) for n, _, d in paths), kind == "joined")
        require(standing == expected, "it stood otherwise there", standing.paths, expected.paths)
    _again(got)
    if data[:1]:
        _damaged(
            name, content, data[1] if len(data) > 1 else 0, lambda f: Store(f, TAG, NODE).load()
        )


def _again(memory: Memory) -> None:
    """What was read can be written, and is then the same."""
    if not memory.current:
        return
    with SCRATCH.booted() as folder:
        store = Store(folder, TAG, NODE)
        saved = attempt(lambda: store.save(memory), MemoryFault)
        if not isinstance(saved, Refused):
            back = store.load()
            same = all(getattr(back, each) == getattr(memory, each) for each in Memory.__slots__)
            require(same, "saved and loaded, it is another memory", memory.joined, back.joined)


def sightings_file(data: bytes) -> None:
    """The lives that are believed to have ended stand in the file as such."""
    name, content = f"{TAG:04x}-{NODE:04x}.seen", _file(data, sightings.MAGIC)

    def load(folder: str) -> Any:
        return Sightings(folder, TAG, NODE).load()

    got = _read(name, content, load)
    if isinstance(got, Refused):
        return
    body = content.rpartition(b"end ")[0].decode()
    head, _, rest = body.partition("\n")
    whole = re.fullmatch(f"(?:{SIGHTING.pattern})*", rest)
    require(head == sightings.MAGIC and whole, "not what this version writes", content)
    told = {
        unit: (set(seen.split()), set(ended.split()))
        for units, seen, ended in SIGHTING.findall(rest)
        for unit in units.split(" ")[1:]
    }
    require(set(told) == set(got.sightings), "other LUs", got.sightings, told)
    for unit, each in got.sightings.items():
        lives = tuple({f"{int(key):016x}" for key in keys} for keys in (each.seen, each.ended))
        require(lives == told[unit], "other lives", lives, told[unit])
    SCRATCH.file(f"state/{name}", sightings_body(got))
    again = _read(name, sightings_body(got), load)
    require(again == got, "written again it is something else", again, got)
    _damaged(name, content, data[1] if len(data) > 1 else 0, load)


def sightings_body(witness: Any) -> bytes:
    body = sightings._body(witness).encode()
    return body + b"end %08x\n" % crc32(body)


def volume_group_cache(data: bytes) -> None:
    """Disks that vgs has shown in this boot: every line one, or an error."""
    content = _file(data, volume_groups.MAGIC)

    def load(folder: str) -> Any:
        return VolumeGroups(folder, time.monotonic(), lambda _: None)._load()

    got = _read(volume_groups.CACHE_NAME, content, load)
    if isinstance(got, Refused):
        return
    lines = content.rpartition(b"end ")[0].decode().split("\n")[:-1]
    require(lines[0] == volume_groups.MAGIC, "not what this version writes", content)
    require(re.fullmatch("boot .*", lines[1]), "a boot that is none", lines[1])
    current = lines[1] == f"boot {BOOT}"
    require(got == [line[5:] for line in lines[2:]] if current else got == [], "others", got, lines)
    require(got or not current, "nothing was found, and that is believed", content)
    _damaged(volume_groups.CACHE_NAME, content, data[1] if len(data) > 1 else 0, load)
