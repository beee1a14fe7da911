"""dm-multipath on a node of the lab: multipathd, its configuration, and its maps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ..cluster.machine import Machine
from ..cluster.node import Node

CONF = "/etc/multipath.conf"
LOG = "/var/log/pacemaker/multipathd.log"
START_TIMEOUT_S = 60.0
MAPS_TIMEOUT_S = 60.0
# Seconds after which a path that does not answer is given up, and how often its return is tried.
ISCSI: dict[str, object] = {
    "node.session.timeo.replacement_timeout": 2,
    "node.conn[0].timeo.noop_out_interval": 1,
    "node.conn[0].timeo.noop_out_timeout": 1,
}
# multibus: I/O goes by all paths, so that one without a key is met at once.
DEFAULTS: dict[str, object] = {
    "user_friendly_names": "yes",
    "find_multipaths": "no",
    "polling_interval": 1,
    "max_polling_interval": 1,
    "fast_io_fail_tmo": 2,
    "path_grouping_policy": "multibus",
    "path_selector": '"round-robin 0"',
    "no_path_retry": 30,
}
START = f"""
modprobe -a dm-multipath dm-round-robin dm-service-time
multipathd -d -s -v3 </dev/null >>{LOG} 2>&1 &
for try in $(seq 100); do
    multipathd show status >/dev/null 2>&1 && exit 0
    sleep 0.1
done
exit 1
"""
STOP = """
pid=$(pidof multipathd) || exit 0
kill $pid
while [ -d /proc/$pid ]; do sleep 0.1; done
"""
LOOK = """
for dm in /sys/block/dm-*; do
    [ -e "$dm/dm/uuid" ] || continue
    echo "$(cat $dm/dm/uuid) $(cat $dm/dm/name) ${dm##*/} $(echo $(ls $dm/slaves))"
done
"""
PATH = re.compile(r"^(sd\w+) +(\w+) +(\w+) +(\w+) *$", re.MULTILINE)


class Map(NamedTuple):
    """One dm-multipath map."""

    wwid: str
    name: str
    dm: str
    slaves: tuple[str, ...]

    @property
    def mapper(self) -> str:
        """Its node by name: '/dev/mapper/mpatha'."""
        return f"/dev/mapper/{self.name}"


def conf(**changes: object) -> str:
    """Return a multipath.conf; None leaves a default of the lab out."""
    values = {name: value for name, value in {**DEFAULTS, **changes}.items() if value is not None}
    lines = "\n".join(f"    {name} {value}" for name, value in values.items())
    return f"defaults {{\n{lines}\n}}"


def write_conf(node: Node, **changes: object) -> None:
    """Write the configuration, now and for the next boot; multipathd reads it when it starts."""
    node.files[CONF] = conf(**changes)
    node.ok(f"cat >{CONF}", stdin=node.files[CONF])


def start(node: Node) -> None:
    """Start multipathd; wait until there is a map for every LU with a path on every fabric."""
    node.ok(START, timeout=START_TIMEOUT_S)
    await_maps(node)


def stop(node: Node) -> None:
    """Stop multipathd; the maps stay."""
    node.ok(STOP, timeout=START_TIMEOUT_S)


def restart(node: Node, **changes: object) -> None:
    """Have multipathd run with another configuration."""
    write_conf(node, **changes)
    stop(node)
    start(node)


def maps(node: Node) -> dict[str, Map]:
    """Return the maps by wwid ('36001405...'), as the kernel has them."""
    found = {}
    for line in node.ok(LOOK).splitlines():
        uuid, name, dm, *slaves = line.split()
        if uuid.startswith("mpath-"):
            wwid = uuid[len("mpath-") :]
            found[wwid] = Map(wwid, name, dm, tuple(slaves))
    return found


def wwid(serial: str) -> str:
    """Return what multipathd calls a LU of LIO."""
    return f"36001405{serial[:25]}"


def map_of(node: Node, lun: int) -> Map:
    """Return the map of a LU on a node."""
    (unit,) = [u for u in node.storage.units if u.index == lun]
    return maps(node)[wwid(unit.serial)]


def path_states(node: Node) -> Mapping[str, str]:
    """Return what the kernel's maps have of each path: 'active', 'failed'."""
    said = node.ok('multipathd show paths format "%d %t %T %o"')
    return {name: dm for name, dm, _, _ in PATH.findall(said)}


def await_maps(node: Node, timeout: float = MAPS_TIMEOUT_S) -> None:
    """Wait until every LU has a map, all paths of the fabrics that are not cut active in it."""
    wanted = len([s for s in node.storage.segments if s not in node.cut_off])

    def there() -> bool:
        known, states = maps(node), path_states(node)
        return all(
            sum(states.get(s) == "active" for s in known[w].slaves) >= wanted
            if w in known
            else False
            for w in (wwid(u.serial) for u in node.storage.units)
        )

    Machine.wait_for(there, timeout, f"{node.name}'s maps")


def await_lost(node: Node, count: int, timeout: float = MAPS_TIMEOUT_S) -> None:
    """Wait until multipathd has failed so many of a node's paths."""
    Machine.wait_for(
        lambda: sum(s == "failed" for s in path_states(node).values()) >= count,
        timeout,
        f"{count} paths of {node.name} to fail",
    )
