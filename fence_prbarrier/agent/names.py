"""Which disks an action is about: named, matched by patterns, or of shared volume groups.

What was found must not shrink unseen: a LU that is left out of the set would be
left out of a fence.
"""

from __future__ import annotations

from ..devices import parse_devices, read_devices_file
from ..errors import BarrierBroken, BarrierError, DeviceError, InvalidInput
from .log import WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..dispatcher import Dispatcher
    from .parameters import Options
    from .task import Task

# Actions that do not wait for vgs where what it has shown in this boot is known.
MUST_NOT_WAIT = ("off", "status", "list-status")
# In a name: it may be a pattern.
WILD = frozenset("*?[")


def by_volume_groups(options: Options) -> bool:
    """Whether the disks are those of the shared volume groups: none are named."""
    return not options["devices"] and not options["devices_file"]


def device_names(task: Task, dispatcher: Dispatcher) -> tuple[list[str], list[str]]:
    """From ``devices`` and ``devices_file``, or of the shared volume groups where neither is given.

    Then those of them that vgs has shown earlier in this boot and does not show now.
    InvalidInput if there is none; BarrierError if it cannot be told which.
    """
    options = task.options

    def warn(text: str) -> None:
        dispatcher.report(WARNING, text)

    if task.action == "clear" and by_volume_groups(options):
        raise InvalidInput("clear: give the disks to be cleared in devices or devices_file")
    if by_volume_groups(options):
        from ..volume_groups import VolumeGroups

        groups = VolumeGroups(options["state_dir"], task.deadline, warn)
        task.found = True
        return groups.names(task.action not in MUST_NOT_WAIT), groups.kept
    names = parse_devices(options["devices"])
    if options["devices_file"]:
        listed = read_devices_file(options["devices_file"])
        names += [name for name in listed if name not in names]
    if not names:
        raise InvalidInput("no devices: give the shared disks in devices or devices_file")
    if not WILD.intersection("".join(names)):
        return names, []
    from ..finding import expand, is_pattern

    def known() -> list[str]:
        listed = [standing for standing in task.joined().values() if standing.listed]
        return [device for standing in listed for _, device in standing.paths]

    task.found = any(map(is_pattern, names))
    return expand(names, known, warn), []


def strayed(task: Task, dispatcher: Dispatcher, kept: list[str]) -> list[BarrierError]:
    """Where no disk is named: names that may lead to anybody's by now, and LUs without a name.

    ``kept`` are names that vgs has shown earlier and does not show now.
    """
    if not by_volume_groups(task.options):
        return []
    errors: list[BarrierError] = []
    remembered = task.remembered()
    for name in kept:
        identity = dispatcher.led.get(name)
        if identity is not None and identity != remembered.get(name):
            error = DeviceError(
                f"was in a shared volume group, is in none now and leads to LU {identity}, which"
                " this boot has not joined by it: if that is right, remove the file volume-groups"
                " in state_dir and run on"
            )
            error.where = f"device {name}"
            errors.append(error)
    if task.action == "on":
        return errors  # a person's, or unfencing: what it finds is the set from then on
    for name, standing in task.joined().items():
        devices = {device for _, device in standing.paths}
        if standing.listed and name not in dispatcher.paths and not devices & set(dispatcher.led):
            errors.append(
                BarrierBroken(
                    f"LU {name} ({', '.join(sorted(devices))}): joined in this boot, and in no"
                    " shared volume group that is known now: bring it back, or run on if it is gone"
                    " for good"
                )
            )
    return errors


def require_known_set(task: Task) -> None:
    """Whether "on no disk" can be said: BarrierBroken where a missing disk would not be noticed.

    A pattern and volume groups show what is there; what should be there is known
    to a node that has joined.
    """
    if task.found and not task.joined():
        raise BarrierBroken(
            "no node can be said to be OFF: the disks were found by a pattern or by volume groups,"
            " and this host has joined none of them in this boot, so one that is missing is not"
            " noticed; name the disks in devices, or ask a member"
        )
