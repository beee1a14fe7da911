"""An eviction on a real target that is killed, or fails, at its ioctls.

The steps of every action are taken one by one over simulated LUs (tests/hostile);
here a few, where the command is an SG_IO that the kernel may have sent.
"""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from .agent import Node, bears, joined, number_of
from .san import Lab

TRACE = "/run/trace-hostile"
SENDS = ("SG_IO", "0x2285", "SG_SCSI_RESET", "0x2284")
LEAST_COMMANDS = 4
_known: list[int] = []


def _points(lab: Lab) -> list[int]:
    """The ioctls of the busiest thread of an undisturbed off to strike at, counted from 1."""
    if _known:
        return _known
    n1, *_ = joined(lab)
    said = n1.start("off", "n2", prefix=f"strace -f -qq -e trace=ioctl -o {TRACE}").wait()
    assert said.code == 0, said
    calls: dict[str, list[bool]] = defaultdict(list)
    for line in lab.ok(f"cat {TRACE}; rm {TRACE}").splitlines():
        found = re.match(r"(\d+) +ioctl\(", line)
        if found:
            calls[found[1]].append(any(word in line for word in SENDS))
    busiest = max(calls.values(), key=sum)
    places = [number for number, sends in enumerate(busiest, 1) if sends]
    assert len(places) > LEAST_COMMANDS, calls
    # In the middle, where it evicts, and at the last one, where it reads back.
    _known.extend([places[len(places) // 2], places[-1]])
    return _known


def _keys_of(lab: Lab, lun: int, node: int) -> list[int]:
    return [key for key in bears(lab, lun).keys if number_of(key) == node]


def _is_true(lab: Lab, n1: Node, said_off: bool) -> None:
    """Nothing is claimed that is not so; and the next off does the work."""
    if said_off:
        assert [_keys_of(lab, unit.index, 2) for unit in lab.units] == [[] for _ in lab.units]
    for unit in lab.units:
        assert _keys_of(lab, unit.index, 1) == [n1.key(unit.index)], "n1 lost its own key"
    again = n1.run("off", "n2")
    assert again.code == 0 and again.out.startswith("Success: "), again
    for unit in lab.units:
        assert _keys_of(lab, unit.index, 2) == [] and bears(lab, unit.index).type == 5


@pytest.mark.parametrize("blow", ["signal=KILL", "error=EIO"])
def test_an_eviction_that_is_struck_at_an_ioctl(lab: Lab, blow: str) -> None:
    ends = []
    for point in _points(lab):
        lab.clear()
        n1, *_ = joined(lab)
        inject = f"-e inject=ioctl:{blow}:when={point}"
        prefix = f"strace -f -qq -e trace=ioctl {inject} -o /dev/null"
        said = n1.start("off", "n2", prefix=prefix).wait()
        assert "Traceback" not in said.err and "internal error" not in said.err, said
        ends.append(said.code)
        _is_true(lab, n1, said.code == 0 or "Success" in said.out)
    # An error that another look overcomes ends in a success that is true.
    assert all(ends) or blow != "signal=KILL", ends
