"""What the agent's stories have in common: resources, incarnations, and a blow with witnesses."""

from __future__ import annotations

import time

from .blocks import Watch, Writer
from .cluster import Cluster
from .fencing import SKEW_S, Fencing, when
from .node import Node
from .pacemaker import dummy, prefers

MOVER = "mover"
SETTLE_S = 90.0
WATCHED_S = 4.0
SEEN_S = 20.0
INCARNATION = 0xFFFFFFFF
# Of each node on each LU: many in flight, and few enough that the nodes' clusters hear each other.
THREADS = 4
REGION_BYTES = 1 << 18
START = ".*Requesting local execution of start operation for {} "


def incarnations(cluster: Cluster, node: str) -> set[int]:
    """Return the incarnations of a node that any LU bears."""
    keys = [
        key for u in cluster.storage.units for key in cluster.storage.keys(u.index).get(node, [])
    ]
    return {key & INCARNATION for key in keys}


def run_on(cluster: Cluster, node: str, name: str) -> None:
    """Start a resource that would rather run on one node."""
    cluster.create("resources", dummy(name))
    cluster.create("constraints", prefers(name, node))
    await_where(cluster, name, [node])


def await_where(cluster: Cluster, name: str, nodes: list[str]) -> str:
    """Wait until a resource runs on one of some nodes; return on which."""

    def there() -> str:
        found = cluster.status().where(name)
        return found[0] if len(found) == 1 and found[0] in nodes else ""

    return cluster.wait_for(there, SETTLE_S, f"{name} to run on one of {nodes}")


def starts(cluster: Cluster, name: str, after: float) -> list[float]:
    """Return when a resource's start was begun anywhere, since a moment."""
    text = START.format(name)
    times = [t for node in cluster.nodes.values() for t in when(node.log(), text)]
    return sorted(t for t in times if t >= after)


def is_evicted(cluster: Cluster, name: str) -> bool:
    """Whether no LU bears any key of a node, and the target itself says so."""
    return all(name not in cluster.storage.keys(u.index) for u in cluster.storage.units)


class Scene:
    """A node with a resource, about to be hurt, and the witnesses.

    Every node writes to every LU; what the victim writes is watched by another.
    """

    def __init__(self, cluster: Cluster, victim: str) -> None:
        """Start all that; returns once the watches have seen the victim's writes."""
        self.cluster = cluster
        self.victim = cluster.node(victim)
        self.others = [name for name in cluster.nodes if name != victim]
        run_on(cluster, victim, MOVER)
        self.before = incarnations(cluster, victim)
        self.writers = {name: self._write(cluster.node(name)) for name in cluster.nodes}
        self.watches = [
            Watch(cluster.node(other), writer)
            for other, writer in zip(self.others, self.writers[victim])
        ]
        for watch in self.watches:
            cluster.wait_for(watch.changes, SEEN_S, "the victim's blocks to be seen")
        self.boot_id = self.victim.boot_id()
        self.began = time.time()

    def _write(self, node: Node) -> list[Writer]:
        writers = []
        for u in self.cluster.storage.units:
            key = self.cluster.storage.bears(u.index).key(node.name)
            assert key is not None
            given = {"threads": THREADS, "region": REGION_BYTES}
            writers.append(Writer(node, u.index, incarnation=key & INCARNATION, **given))
        return writers

    def await_eviction(self) -> Fencing:
        """Wait until the victim is declared fenced, and its resource runs elsewhere.

        What is declared must be true at that moment, and for a while.
        """
        cluster, victim = self.cluster, self.victim.name
        fencing = cluster.await_fenced(victim, self.began)
        assert is_evicted(cluster, victim)
        assert "successful" in cluster.history(victim)
        via = fencing.by
        cluster.wait_for(lambda: not cluster.status(via).nodes[victim].unclean, SETTLE_S, "clean")
        where = await_where(cluster, MOVER, self.others)
        first = starts(cluster, MOVER, self.began)[0]
        assert first > fencing.declared - SKEW_S, "the resource started before the victim was out"
        time.sleep(max(0.0, fencing.declared + WATCHED_S - time.time()))
        self.assert_silence(fencing.declared)
        print(
            f"{victim}: fenced by {fencing.by} {fencing.declared - self.began:.1f} s after the"
            f" blow, of which the agent {fencing.agent_seconds:.1f} s; {MOVER} on {where}"
            f" {first - self.began:.1f} s after it"
        )
        return fencing

    def assert_silence(self, since: float) -> None:
        """Nothing of the victim has reached a disk since; that would have been seen."""
        for watch in self.watches:
            assert watch.changed_after(self.began - 1), "this watch has never seen anything"
            assert watch.changed_after(since) == []

    def end(self) -> None:
        """Stop the witnesses; check what they alone know.

        The survivors wrote on without an error; the blocks watched bear the
        victim's signature, and all that was acknowledged to it.
        """
        for name in self.others:
            for writer in self.writers[name]:
                before = writer.acknowledged
                more = lambda w=writer, b=before: min(w.acknowledged) > max(b)  # noqa: E731
                self.cluster.wait_for(more, SEEN_S, f"{name} to go on writing")
                assert writer.first_error() is None
                writer.stop()
        (incarnation,) = self.before
        for watch, writer in zip(self.watches, self.writers[self.victim.name]):
            watch.stop()
            signed = [s for s in watch.found() if s is not None]
            life = (self.victim.name, self.boot_id, incarnation)
            assert {(s.node, s.boot_id, s.incarnation) for s in signed} == {life}
            for thread, acknowledged in enumerate(writer.acknowledged):
                last = max(s.sequence for s in signed if s.thread == thread)
                assert 0 < acknowledged <= last
