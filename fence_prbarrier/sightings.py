"""What this node saw of the others' lives, on disk: one file a node in ``state_dir``.

It outlives a boot where ``state_dir`` does: a life that has ended stays ended.
Nothing rests on it but a warning, so it is never a reason for an action to fail.
"""

from __future__ import annotations

import os

from .barrier.witness import Sighting, Witness
from .files import CheckedFile
from .key import Key

MAGIC = "fence_prbarrier sightings 1"
MAX_FILE_BYTES = 1 << 23
KEY_DIGITS = 16
LUS, SEEN, ENDED = "lus", "seen", "ended"
NEED = "what was seen of other nodes needs a writable state_dir"
REMEDY = "remove the file; a registration that comes back late is then not noticed once"


class Sightings:
    """The file of node ``node`` of cluster ``tag``."""

    __slots__ = ("_file",)

    def __init__(self, state_dir: str, tag: int, node: int) -> None:
        self._file = CheckedFile(state_dir, f"{tag:04x}-{node:04x}.seen", NEED, REMEDY)

    def load(self) -> Witness:
        """What was seen; nothing where there is no file, MemoryFault where it is broken."""
        lines = self._file.read(MAX_FILE_BYTES)
        if lines is None:
            return Witness()
        if lines[:1] != [MAGIC] or len(lines) % 3 != 1:
            raise self._file.broken("not written by this version")
        found = {}
        for at in range(1, len(lines), 3):
            names, seen, ended = (
                self._words(kind, line) for kind, line in zip((LUS, SEEN, ENDED), lines[at:])
            )
            if not all(names) or not names:
                raise self._file.broken("a line without the name of a LU")
            sighting = Sighting(map(self._key, seen), map(self._key, ended))
            found.update(dict.fromkeys(names, sighting))
        return Witness(found)

    def _words(self, kind: str, line: str) -> list[str]:
        first, *rest = line.split(" ")
        if first != kind:
            raise self._file.broken(f"a line that begins with {first[:20]!r}, {kind} expected")
        return rest

    def _key(self, text: str) -> Key:
        # int(x, 16) alone would also take signs, blanks, underscores and 0x.
        if len(text) != KEY_DIGITS or text.strip("0123456789abcdef") or not int(text, 16):
            raise self._file.broken(f"{text[:20]!r} is no key")
        return Key(int(text, 16))

    def update(self, add: WitnessChange) -> bool:
        """Replace what is there by ``add`` of it; False where another process is at it."""
        lock = self._file.lock()
        if lock is None:
            return False
        try:
            before = self.load()
            after = add(before)
            if after != before:
                self._file.write(_body(after), MAX_FILE_BYTES)
        finally:
            os.close(lock)
        return True


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    WitnessChange = Callable[[Witness], Witness]


def _body(witness: Witness) -> str:
    """LUs of which the same is known stand together: as a rule, all of them."""
    groups: dict[Sighting, list[str]] = {}
    for name, sighting in sorted(witness.sightings.items()):
        groups.setdefault(sighting, []).append(name)
    body = f"{MAGIC}\n"
    for sighting, names in groups.items():
        body += " ".join([LUS, *names]) + "\n"
        for kind, keys in ((SEEN, sighting.seen), (ENDED, sighting.ended)):
            body += " ".join([kind, *(f"{int(key):016x}" for key in sorted(keys))]) + "\n"
    return body
