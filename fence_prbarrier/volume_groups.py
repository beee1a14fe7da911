"""The disks of shared volume groups: what ``vgs`` shows now, and has shown in this boot.

* Within a boot the set only grows: what vgs does not show any more stays until a
  person removes the file in ``state_dir``.
* Actions that must not wait read the file; the others run vgs and write it.
"""

from __future__ import annotations

import os
import time

from .errors import MAX_NAMED, BarrierError, DeviceError, InvalidInput, MemoryFault
from .files import CheckedFile, boot_id, start_time
from .finding import MAX_NAMES, whole_disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .finding import Warn

CACHE_NAME = "volume-groups"
MAGIC = "fence_prbarrier volume groups 1"
MAX_CACHE_BYTES = 1 << 20
NEED = "what vgs shows cannot be kept; a writable state_dir is needed"
REMEDY = (
    "which disks vgs has shown in this boot is not known; see that vgs --shared shows all of them,"
    " then remove the file"
)
# For vgs, at most, of what is left of an action's time.
MAX_VGS_SECONDS = 10.0
VGS_SHARE = 1 / 3
# How long another agent's vgs is waited for where there is a copy of what it said before.
TURN_SECONDS = 1.0
TURN_PAUSE_SECONDS = 0.05


class VolumeGroups:
    """The disks of the shared volume groups: what vgs shows now, and has shown in this boot."""

    __slots__ = ("_file", "_warn", "_deadline", "kept")

    def __init__(self, state_dir: str, deadline: float, warn: Warn) -> None:
        """``deadline`` is the action's, on time.monotonic()'s scale."""
        self._file = CheckedFile(state_dir, CACHE_NAME, NEED, REMEDY)
        self._warn = warn
        self._deadline = deadline
        # Names that vgs has shown earlier, and not when it was run now.
        self.kept: list[str] = []

    def names(self, refresh: bool) -> list[str]:
        """All of them, in order.  vgs is run to ``refresh``, or if it never ran in this boot.

        DeviceError where there is none; another BarrierError where it is not known.
        """
        known = self._load()
        if known and not refresh:
            return known
        try:
            return self._found(known)
        except BarrierError as error:
            if not known:
                raise type(error)(f"no devices are given, and none are found: {error}") from None
            self._warn(f"volume groups: {error}; going on with the disks found before in this boot")
            return known

    def _found(self, known: list[str]) -> list[str]:
        """What vgs shows now and what is known; kept for the next time."""
        seconds = min(MAX_VGS_SECONDS, (self._deadline - time.monotonic()) * VGS_SHARE)
        try:
            lock = self._take_turn(TURN_SECONDS if known else seconds)
        except MemoryFault as error:
            self._warn(str(error))
            return self._merged(known, self._ask(seconds, None))
        try:
            known = self._load() or known  # another agent may have written meanwhile
            names = self._merged(known, self._ask(seconds, lock))
            if names != known:
                self._keep(names)
            return names
        finally:
            os.close(lock)

    def _take_turn(self, seconds: float) -> int:
        """The lock of the file; DeviceError where another agent's vgs does not come back."""
        give_up = time.monotonic() + seconds
        while True:
            lock = self._file.lock()
            if lock is not None and not _hangs(lock):
                return lock
            if lock is not None:
                os.close(lock)
            if time.monotonic() > give_up:
                raise DeviceError("another agent's vgs is at work or hangs")
            time.sleep(TURN_PAUSE_SECONDS)

    def _ask(self, seconds: float, lock: int | None) -> list[str]:
        from .lvm import shared_volumes

        def started(process: int) -> None:
            if lock is not None:
                _note(lock, process)

        disks = [whole_disk(name) for name in shared_volumes(seconds, started)]
        return list(dict.fromkeys(disks))

    def _merged(self, known: list[str], shown: list[str]) -> list[str]:
        """Both; a name that is not shown any more stays, with a word on how to drop it."""
        gone = self.kept = [name for name in known if name not in shown]
        if gone:
            more = f" and {len(gone) - MAX_NAMED} more" if len(gone) > MAX_NAMED else ""
            self._warn(
                f"volume groups: {', '.join(gone[:MAX_NAMED])}{more}: in no shared volume group any"
                f" more, and stays in the set in this boot; if that is right, remove"
                f" {self._file.path} and run on"
            )
        names = sorted({*known, *shown})
        if not names:
            raise DeviceError(
                "vgs shows no shared volume group; give the shared disks in devices or devices_file"
            )
        if len(names) > MAX_NAMES:
            raise InvalidInput(f"volume groups: more than {MAX_NAMES} disks")
        return names

    def _load(self) -> list[str]:
        """What was kept in this boot; MemoryFault where that cannot be told."""
        lines = self._file.read(MAX_CACHE_BYTES)
        if lines is None:
            return []
        if lines[:1] != [MAGIC] or len(lines) < 3 or not lines[1].startswith("boot "):
            raise self._file.broken("not written by this version")
        if lines[1] != f"boot {boot_id()}":
            return []
        names = [line.removeprefix("disk ") for line in lines[2:] if line.startswith("disk /")]
        if len(names) != len(lines) - 2 or names != sorted(set(names)):
            raise self._file.broken("lines in it that no version writes")
        return names

    def _keep(self, names: list[str]) -> None:
        lines = [MAGIC, f"boot {boot_id()}", *(f"disk {name}" for name in names), ""]
        try:
            self._file.write("\n".join(lines), MAX_CACHE_BYTES)
        except MemoryFault as error:
            self._warn(str(error))


def _note(lock: int, process: int) -> None:
    """Say in the lock's file which vgs runs, so that one that hangs stays the only one."""
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{process} {start_time(process)}\n".encode(), 0)
    except OSError:
        pass  # a full disk: a second vgs may then be started beside one that hangs


def _hangs(lock: int) -> bool:
    """Whether the vgs of whoever had the lock before still runs."""
    process, _, began = os.pread(lock, 64, 0).decode("ascii", "replace").strip().partition(" ")
    return process.isdigit() and bool(began) and start_time(int(process)) == began
