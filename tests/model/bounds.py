"""What a run of the checker explores: who does what, what may go wrong, how often."""

from __future__ import annotations

from typing import NamedTuple

# Faults of one command (units.STRIKES), and what else may happen to it or around it.
LOST = ("lost-command", "lost-reply")
REFUSED = ("busy", "conflict", "attention")
LATE = ("delayed", "duplicate", "repeated")
PATHS = ("dead-path",)
KILLS = ("killed", "hung")
POWER = ("power-loss",)
SWALLOWED = ("swallowed",)
# What a person does by hand, which no fence action does (rule 6).
BY_HAND = ("cleared", "released")
EVERY = (*LOST, *REFUSED, *LATE, *PATHS, *KILLS, *POWER, *SWALLOWED)


class Act(NamedTuple):
    """One action of a node: ``on``, ``off`` of a victim, ``status``.

    ``paths``: only so many of the node's paths; 0: all of them.
    """

    kind: str
    victim: int = 0
    paths: int = 0
    refresh: bool = True

    def __str__(self) -> str:
        few = f" by {self.paths} path{'s'[: self.paths > 1]}" if self.paths else ""
        return self.kind + (f" {self.victim}" if self.victim else "") + few


def on(paths: int = 0, refresh: bool = True) -> Act:
    return Act("on", 0, paths, refresh)


def off(victim: int, paths: int = 0) -> Act:
    return Act("off", victim, paths)


STATUS = Act("status")


class Agent(NamedTuple):
    """What a node runs, one action after the other; several agents of a node run at once.

    ``then``: what it runs after each reboot of the node, in place of what was left.
    """

    node: int
    acts: tuple[Act, ...]
    then: tuple[Act, ...] = ()


class Bounds(NamedTuple):
    """One exploration.  Everything not named here does not happen in it."""

    name: str
    agents: tuple[Agent, ...]
    # Run one after the other before anything is explored.
    before: tuple[tuple[int, Act], ...] = ()
    profiles: tuple[str, ...] = ("spec",)
    paths: int = 1
    # How often each node may lose its power; what it remembers is gone, as in /run.
    reboots: tuple[tuple[int, int], ...] = ()
    faults: tuple[str, ...] = ()
    budget: int = 0
    # Whose writes are watched; empty: those of every node that somebody evicts.
    writers: tuple[int, ...] = ()
    # The host knows how the target names its nexuses.
    named: bool = False
    keeps_aptpl: bool = True
    drain: str = "auto"
    rejoin: str = "reboot"
    # A stranger's key that is registered on every LU; it holds the reservation of the last one.
    stranger: int = 0
    stranger_holds: bool = False
    # Assumption "no late registration": a REGISTER of an ended life does not land.
    no_late_registration: bool = False
    # Otherwise commands on their way die with the boot that sent them.
    wire_outlives_boot: bool = False
    # Seconds that a node's clock moves on from boot to boot.
    clock_step: int = 60
    # Of two duellists exactly one must win.
    duel: bool = False
    # No off may say that it succeeded.
    never: bool = False

    @property
    def nodes(self) -> tuple[int, ...]:
        return tuple(sorted({agent.node for agent in self.agents} | {n for n, _ in self.before}))

    @property
    def watched(self) -> tuple[int, ...]:
        if self.writers:
            return self.writers
        acts = [act for agent in self.agents for act in (*agent.acts, *agent.then)]
        return tuple(sorted({act.victim for act in acts if act.victim}))
