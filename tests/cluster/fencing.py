"""When a node was fenced, by whom and how long each part took, as Pacemaker's own logs say it.

The logs lie on the host, so that asking costs the cluster nothing. Guests run on
the host's clock, in ticks of 10 ms: they agree to some hundredths of a second.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

SKEW_S = 0.3
STAMP = r"^(\w{3} \d\d \d\d:\d\d:\d\d\.\d{3}) "
REQUESTED = r".*Requesting peer fencing \(\w+\) targeting {target} \| id={id}"
STARTED = r".*Requesting that {by} perform '\w+' action targeting {target} "
RETURNED = r".*Operation '\w+' \[\d+\] targeting {target} using \S+ returned 0"
DECLARED = re.compile(
    STAMP + r".*Operation '(\w+)' targeting (\S+) by (\S+) for \S+: OK \(complete\) \| id=(\w+)",
    re.MULTILINE,
)


class Fencing(NamedTuple):
    """One successful fencing. Times are those of time.time()."""

    action: str
    target: str
    by: str
    requested: float
    started: float
    returned: float
    declared: float

    @property
    def agent_seconds(self) -> float:
        """How long the agent took, its start and end as the fencer saw them."""
        return self.returned - self.started


def seconds(stamp: str) -> float:
    """Return a log's time stamp (UTC, without a year) as of time.time()."""
    year = time.gmtime().tm_year
    parsed = time.strptime(f"{year} {stamp[:-4]}", "%Y %b %d %H:%M:%S")
    return calendar.timegm(parsed) + float(stamp[-4:])


def when(log: str, pattern: str) -> Iterator[float]:
    """Yield the time of each line that matches a pattern (which begins after the time)."""
    for match in re.finditer(STAMP + pattern, log, re.MULTILINE):
        yield seconds(match[1])


def fencings(logs: Mapping[str, str], target: str, after: float) -> list[Fencing]:
    """Return the successful fencings and unfencings of a node, in order; `logs` by node's name.

    Declared is the moment at which the first node knew: from then on anybody may act on it.
    """
    first: dict[str, tuple[float, str, str]] = {}
    for log in logs.values():
        for stamp, action, victim, by, identity in DECLARED.findall(log):
            moment = seconds(stamp)
            if victim == target and moment >= after:
                known = first.get(identity)
                if known is None or moment < known[0]:
                    first[identity] = (moment, action, by)
    found = []
    for identity, (declared, action, by) in sorted(first.items(), key=lambda item: item[1]):

        def last(pattern: str, until: float = declared, by: str = by, id: str = identity) -> float:
            text = pattern.format(target=re.escape(target), by=re.escape(by), id=id)
            times = [t for log in logs.values() for t in when(log, text) if t <= until + SKEW_S]
            return max(times, default=float("nan"))

        found.append(
            Fencing(action, target, by, last(REQUESTED), last(STARTED), last(RETURNED), declared)
        )
    return found
