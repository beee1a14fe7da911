"""Patterns in place of device names, and partitions.

* What matched never shrinks by itself in a boot.  A link goes when its disk is
  lost; were its name forgotten with it, a fence would be called done without
  that LU.
* What cannot be looked at is an error, never nothing.
"""

from __future__ import annotations

import os
import stat

from .errors import MAX_NAMED, DeviceError, InvalidInput, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Warn = Callable[[str], None]

SYSFS = "/sys"
SIMULATED = "mock:"
WILD = "*?["
MAX_NAMES = 4096
# A pattern such as /*/*/*/* must not walk through all of a machine.
MAX_ENTRIES = 1 << 16


# --- patterns ----------------------------------------------------------------------------------


def is_pattern(name: str) -> bool:
    """Whether a name stands for all that match it.

    Of a simulated LU the file may; what follows its first ``?`` are settings.
    """
    if name.startswith(SIMULATED):
        name = name.partition("?")[0]
    return any(character in name for character in WILD)


def expand(names: Sequence[str], known: Callable[[], Iterable[str]], warn: Warn) -> list[str]:
    """The names, each pattern replaced by what matches it, in order, partitions left out.

    ``known`` tells the names that led to the LUs of the last join: those that
    match stay, though the file system does not show them any more.
    DeviceError where a pattern matches nothing.
    """
    found: dict[str, None] = {}
    for name in names:
        if not is_pattern(name):
            found[name] = None
            continue
        _check(name)
        there = _matches(name)
        kept = sorted({each for each in known() if _fits(each, name)} - set(there))
        if not there and not kept:
            raise DeviceError(
                f"devices: {quoted(name)} matches no disk; mend the pattern, or take it off"
            )
        if kept:
            more = f" and {len(kept) - MAX_NAMED} more" if len(kept) > MAX_NAMED else ""
            warn(
                f"devices: {', '.join(kept[:MAX_NAMED])}{more}: not there any more, and stays in"
                f" the set by {name}; if that LU is gone for good, put the names of the others in"
                " place of the pattern, run on, and put it back"
            )
        found.update(dict.fromkeys(sorted([*there, *kept])))
    if len(found) > MAX_NAMES:
        raise InvalidInput(f"devices: {len(found)} names, at most {MAX_NAMES} are supported")
    return list(found)


def _check(pattern: str) -> None:
    """InvalidInput where fnmatch cannot read it: Python before 3.10 refuses [z-a]."""
    from fnmatch import fnmatchcase
    from re import error as Unreadable

    for part in _split(pattern)[1].split("/"):
        try:
            fnmatchcase("", part)
        except Unreadable as error:
            raise InvalidInput(f"devices: {quoted(pattern)} is no pattern: {error}") from None


def _split(name: str) -> tuple[str, str, str]:
    """What stands before the path, the path, and what follows it."""
    if not name.startswith(SIMULATED):
        return "", name, ""
    path, mark, settings = name[len(SIMULATED) :].partition("?")
    return SIMULATED, path, mark + settings


def _fits(name: str, pattern: str) -> bool:
    """Whether a name that is not there any more would be found by the pattern."""
    from fnmatch import fnmatchcase

    head, path, tail = _split(name)
    wanted_head, wanted, wanted_tail = _split(pattern)
    parts, wanted_parts = path.split("/"), wanted.split("/")
    return (head, tail, len(parts)) == (wanted_head, wanted_tail, len(wanted_parts)) and all(
        map(fnmatchcase, parts, wanted_parts)
    )


def _matches(pattern: str) -> list[str]:
    """What the file system shows; unlike glob's, an error is not taken for nothing."""
    from fnmatch import filter as matching

    head, path, tail = _split(pattern)
    if not os.path.isabs(path):
        raise InvalidInput(
            f"devices: {quoted(pattern)}: a pattern is an absolute path such as /dev/…"
        )
    found = [""]
    for part in path.split("/")[1:]:
        if is_pattern(part):
            folders, found = found, []
            for folder in folders:
                names = sorted(matching(_entries(folder or "/"), part))
                found += [
                    f"{folder}/{name}"
                    for name in names
                    if part.startswith(".") or not name.startswith(".")
                ]
                if len(found) > MAX_ENTRIES:
                    raise InvalidInput(
                        f"devices: {quoted(pattern)}: more than {MAX_ENTRIES} files match it or"
                        " its beginning; expected a pattern for disks, such as"
                        " /dev/disk/by-id/wwn-0x6*"
                    )
        else:
            found = [f"{folder}/{part}" for folder in found]
    there = [path for path in found if os.path.lexists(path)]
    return [head + path + tail for path in there if head or not is_partition(path)]


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []  # no such folder: nothing in it matches
    except OSError as error:
        raise DeviceError(f"devices: {folder}: {error.strerror}: its names are not known") from None


# --- partitions --------------------------------------------------------------------------------


def _sysfs(path: str) -> str:
    """The sysfs directory of a block device; empty where the name leads to none."""
    try:
        found = os.stat(path)
    except OSError:
        return ""  # whoever opens it says so
    if not stat.S_ISBLK(found.st_mode):
        return ""
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    return os.path.realpath(os.path.join(SYSFS, "dev/block", number))


def _is_mapped_partition(directory: str) -> bool:
    """Whether kpartx made it, a partition of a device-mapper device."""
    try:
        with open(os.path.join(directory, "dm/uuid"), encoding="ascii", errors="replace") as file:
            kind = file.read(256).partition("-")[0]
    except OSError:
        return False  # no device-mapper device
    return kind.startswith("part") and kind[4:].isdigit()


def is_partition(path: str) -> bool:
    """Whether a name leads to a partition, or did by udev's naming if it leads nowhere."""
    directory = _sysfs(path)
    if directory:
        inside = os.path.exists(os.path.join(directory, "partition"))
        return inside or _is_mapped_partition(directory)
    number = path.rpartition("-part")[2]
    return "-part" in path and number.isdigit() and not os.path.exists(path)


def whole_disk(path: str) -> str:
    """The disk that a partition is on; any other name as it is.

    Reservations are of the whole disk.
    """
    directory = _sysfs(path)
    if directory and os.path.exists(os.path.join(directory, "partition")):
        return os.path.join("/dev", os.path.basename(os.path.dirname(directory)))
    if directory and _is_mapped_partition(directory):
        below = _entries(os.path.join(directory, "slaves"))
        if len(below) != 1:
            raise DeviceError(f"device {path}: a partition of {len(below)} devices; name the disk")
        return os.path.join("/dev", below[0])
    return path
