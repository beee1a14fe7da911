"""Two nodes that have lost sight of each other evict each other: one wins, on all LUs.

Seventeen duels are fought by agents started by hand, with the moments of their
starts swept past each other; three by the nodes' own Pacemakers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest

from ..lab.guest import Job, Result
from .cluster import Cluster
from .conftest import Floor
from .fencing import when
from .storage import WERO
from .stories import SETTLE_S

NAMES = ("n1", "n2")
# Close together where both are under way at once, a few further out.
OFFSETS_S = [-0.4, -0.2, -0.1, *(step / 100 for step in range(-5, 6)), 0.1, 0.2, 0.4]
# A storage far away: from the first look at a LU to its change takes as long as the starts differ.
DISTANT = "modprobe sch_netem && tc qdisc add dev vec1 root netem delay 80ms"
NEAR = "tc qdisc del dev vec1 root"
CUTS = (("n1",), ("n2",), NAMES)
PACEMAKER_ROUND_S = 60.0
SHOT = "PREEMPT"
FAILED = r".*Operation '\w+' \[\d+\] targeting {} using \S+ returned 1 "
FORMAT = "{:>10} {:>7}   {:<34} {:<34}"


class Round(NamedTuple):
    """One duel."""

    how: str  # how much later than n1 did n2 begin; or who was cut off
    winner: str
    notes: dict[str, str]  # by node, what became of its attempt
    contested: bool = False  # whether the loser, too, had sent a PREEMPT

    def line(self) -> str:
        """Return its line of the table."""
        return FORMAT.format(self.how, self.winner, *map(self.notes.get, NAMES))


@pytest.fixture(scope="module")
def pair(floor: Floor) -> Iterator[Cluster]:
    """Two nodes and two LUs; no cluster runs."""
    yield floor.put("pair", Cluster(nodes=NAMES, started=False), lambda cluster: None)
    floor.clear()


def other(name: str) -> str:
    """Return the other of the two."""
    return NAMES[1 - NAMES.index(name)]


def only_winner(cluster: Cluster) -> str:
    """Return whose key the LUs bear: one node's only, the same on all, and it holds them."""
    bears = [cluster.storage.bears(u.index) for u in cluster.storage.units]
    owners = [sorted(each.keys) for each in bears]
    assert len(bears) == 2 and owners[0] == owners[1] and len(owners[0]) == 1, bears
    (winner,) = owners[0]
    assert all((each.holder, each.type) == (winner, WERO) for each in bears), bears
    return winner


def fight(cluster: Cluster, offset: float) -> Round:
    """Have both nodes evict each other, n2 so much later than n1."""
    began = {}
    jobs: dict[str, Job] = {}
    for name in NAMES if offset >= 0 else reversed(NAMES):
        if jobs:
            time.sleep(abs(offset))
        began[name] = time.monotonic()
        jobs[name] = cluster.node(name).start_agent("off", other(name), verbose=1)
    ended: dict[str, float] = {}
    while len(ended) < len(jobs):
        for name, job in jobs.items():
            if name not in ended and not job.running:
                ended[name] = time.monotonic()
        time.sleep(0.01)
        assert time.monotonic() < began["n1"] + SETTLE_S, "the duel has no end"
    said: dict[str, Result] = {name: job.wait() for name, job in jobs.items()}
    winner = only_winner(cluster)
    assert {name: result.code for name, result in said.items()} == {winner: 0, other(winner): 1}
    assert "Success: Powered OFF" in said[winner].output
    assert "evicted" in said[other(winner)].output.splitlines()[-1], said
    sent = {name: output.count(f"{SHOT} on") for name, (_, output) in said.items()}
    notes = {
        name: f"{code} ({ended[name] - began[name]:.2f} s, {sent[name]} {SHOT})"
        for name, (code, _) in said.items()
    }
    return Round(f"{offset:+.2f} s", winner, notes, sent[other(winner)] > 0)


def test_by_hand(pair: Cluster) -> None:
    """Whoever is first on the first LU wins on both; each is first with some head start."""
    for name in NAMES:
        pair.node(name).cut()
        assert pair.node(name).agent("on", name).code == 0
        pair.node(name).ok(DISTANT)
    print("", FORMAT.format("n2 later", "winner", *NAMES), sep="\n")
    rounds = []
    for offset in OFFSETS_S:
        rounds.append(fight(pair, offset))
        print(rounds[-1].line(), flush=True)
        loser = other(rounds[-1].winner)
        assert pair.node(loser).agent("on", loser).code == 1
        assert pair.node(loser).agent("on", loser, rejoin="allow").code == 0
        assert pair.joined(NAMES)
    assert {one.winner for one in rounds} == set(NAMES)
    assert any(one.contested for one in rounds)
    for name in NAMES:
        pair.node(name).ok(NEAR)
        pair.node(name).mend()


def fight_by_pacemaker(cluster: Cluster, cut: Sequence[str]) -> Round:
    """Take one or both nodes off the network, and wait for what their Pacemakers do."""
    began = time.time()
    for name in cut:
        cluster.node(name).cut()

    def declared() -> str:
        return next((name for name in NAMES if cluster.fencings(name, began)), "")

    loser = cluster.wait_for(declared, PACEMAKER_ROUND_S, "one of them to be fenced")
    winner = other(loser)
    failed = FAILED.format(winner)
    refused = cluster.wait_for(
        lambda: [t for t in when(cluster.node(loser).log(), failed) if t > began],
        PACEMAKER_ROUND_S,
        f"the attempt of {loser} to fail",
    )
    assert only_winner(cluster) == winner
    assert cluster.fencings(winner, began) == []
    (fencing, *_) = cluster.fencings(loser, began)
    notes = {
        winner: f"0 ({fencing.returned - began:.2f} s after the cut)",
        loser: f"1 ({refused[0] - began:.2f} s after the cut)",
    }
    return Round(f"{'+'.join(cut)}", winner, notes)


def test_by_pacemaker(pair: Cluster) -> None:
    """The network between them is cut; the loser's Pacemaker hears that it cannot fence."""
    pair.start()
    pair.configure_stonith()
    print("", FORMAT.format("cut off", "winner", *NAMES), sep="\n")
    for cut in CUTS:
        fought = fight_by_pacemaker(pair, cut)
        print(fought.line(), flush=True)
        loser = pair.node(other(fought.winner))
        loser.reboot()
        for name in cut:
            pair.node(name).mend()
        pair.rejoin(loser.name)
        pair.await_joined(NAMES)
