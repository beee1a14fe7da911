"""The bounds that are explored: in each run of the tests, and in the deep run."""

from __future__ import annotations

from .bounds import BY_HAND, EVERY, LATE, LOST, REFUSED, STATUS, Act, Agent, Bounds, off, on

BOTH: tuple[tuple[int, Act], ...] = ((1, on()), (2, on()))
THREE: tuple[tuple[int, Act], ...] = (*BOTH, (3, on()))
HALF: tuple[tuple[int, Act], ...] = ((1, on()), (2, on(1)))
OFF_2 = Agent(1, (off(2),))
OFF_1 = Agent(2, (off(1),))

DUEL = Bounds("duel", (OFF_2, OFF_1), BOTH, duel=True)
RING = Bounds("three in a ring", (OFF_2, Agent(2, (off(3),)), Agent(3, (off(1),))), THREE)
JOINING = Bounds("evicted while joining", (OFF_2, Agent(2, (on(),))), ((1, on()),))
REBOOT = Bounds("evicted and rebooting", (OFF_2, Agent(2, (), (on(),))), BOTH, reboots=((2, 1),))
NEW_PATH = Bounds("evicted with a new path", (OFF_2, Agent(2, (on(),))), HALF, paths=2)
NEW_PATH_DUEL = Bounds("duel with a new path", (OFF_2, Agent(2, (on(),)), OFF_1), HALF, paths=2)
JOINING_DUEL = Bounds(
    "duel while joining", (OFF_2, Agent(2, (on(),)), OFF_1), ((1, on()),), paths=2
)
TOGETHER = Bounds("joining together", (Agent(1, (on(),)), Agent(2, (on(),))))
SAME_VICTIM = Bounds("two evict a third", (Agent(1, (off(3),)), Agent(2, (off(3),))), THREE)
CHAIN = Bounds(
    "evicted while fencing who is gone", (Agent(1, (off(3), off(2))), Agent(2, (off(3),))), THREE
)
AGAIN = Bounds(
    "evicted, on again, off again", (Agent(1, (off(2), off(2))), Agent(2, (on(), on()))), BOTH
)
WATCHED = Bounds(
    "status meanwhile", (OFF_2, Agent(2, (on(),)), Agent(3, (STATUS,))), ((1, on()), (3, on()))
)
FORGETFUL = REBOOT._replace(
    name="a target that keeps nothing",
    agents=(Agent(1, (off(2), on(), off(2))), Agent(2, (on(),), (on(),))),
    keeps_aptpl=False,
    faults=("power-loss",),
    budget=1,
)


def on_each(bounds: Bounds, profile: str, lus: int = 1, paths: int = 1) -> Bounds:
    """The same on so many LUs of a kind, through so many paths each."""
    return bounds._replace(profiles=(profile,) * lus, paths=max(paths, bounds.paths))


def one_fault(bounds: Bounds, faults: tuple[str, ...] = EVERY) -> Bounds:
    """The same with one fault anywhere."""
    return bounds._replace(faults=faults, budget=1)


def title(bounds: Bounds) -> str:
    """What a row says: who is at what, on what, and what may go wrong."""
    nodes, lus = len(bounds.nodes), len(bounds.profiles)
    words = [
        bounds.name,
        f"{nodes} nodes",
        f"{lus} LU{'s'[: lus > 1]} {bounds.profiles[0]}",
        f"{bounds.paths} path{'s'[: bounds.paths > 1]}",
    ]
    if bounds.budget:
        kinds = len(bounds.faults)
        many = "one fault" if bounds.budget == 1 else f"up to {bounds.budget} faults"
        words.append(f"{many} of {kinds} kinds" if kinds > 1 else f"{many}: {bounds.faults[0]}")
    else:
        words.append("no fault")
    if bounds.named:
        words.append("nexuses named")
    if bounds.wire_outlives_boot:
        words.append("commands outlive the boot")
    if bounds.no_late_registration:
        words.append("no late registration")
    if bounds.clock_step < 0:
        words.append("clock going back")
    return ", ".join(words)


LATE_REBOOT = one_fault(REBOOT, ("delayed", "hung", "duplicate"))._replace(wire_outlives_boot=True)
BACKWARDS = one_fault(REBOOT, ("delayed", "killed", "power-loss"))._replace(clock_step=-3600)
BARE_LATER = one_fault(on_each(JOINING, "spec", 2), ("power-loss",))._replace(keeps_aptpl=False)
BY_PERSON = FORGETFUL._replace(
    name="the barrier is taken away by hand",
    agents=(Agent(1, (off(2), on(), off(2))), Agent(2, (on(),))),
    reboots=(),
    keeps_aptpl=True,
    faults=BY_HAND,
)
PROPERTY = Bounds(
    "a LU of a stranger",
    (Agent(1, (on(), off(2))), Agent(2, (on(),))),
    profiles=("spec", "spec"),
    stranger=0x5EED_0001_00000001,
    stranger_holds=True,
    never=True,
)
STRANGER = one_fault(DUEL)._replace(name="beside a stranger's key", stranger=0x5EED_0001_00000001)

# What every run of the tests explores, whole.
BOUNDED = [
    DUEL,
    on_each(DUEL, "spec", 2, 2),
    on_each(DUEL, "lio", 2, 1),
    on_each(RING, "spec"),
    on_each(JOINING, "spec", 1, 2),
    on_each(REBOOT, "spec", 2),
    on_each(NEW_PATH, "lio"),
    on_each(NEW_PATH_DUEL, "spec"),
    JOINING_DUEL,
    on_each(TOGETHER, "spec", 1, 2),
    SAME_VICTIM,
    CHAIN,
    AGAIN,
    WATCHED,
    on_each(DUEL, "liar")._replace(name="a target that lies", never=True, duel=False),
    on_each(DUEL, "tgt")._replace(name="without PREEMPT AND ABORT", never=True, duel=False),
    FORGETFUL,
    BARE_LATER,
    BY_PERSON,
    PROPERTY,
    one_fault(PROPERTY, (*LOST, *REFUSED, *LATE)),
    one_fault(DUEL),
    one_fault(on_each(DUEL, "spec", 2)),
    one_fault(on_each(DUEL, "lio")),
    one_fault(on_each(DUEL, "spec", 1, 2))._replace(named=True),
    one_fault(JOINING),
    one_fault(REBOOT),
    one_fault(on_each(REBOOT, "lio")),
    one_fault(SAME_VICTIM),
    one_fault(AGAIN, ("hung", "killed", "lost-reply", "delayed")),
    one_fault(NEW_PATH, ("hung", "conflict", "dead-path", "power-loss", "killed")),
    LATE_REBOOT,
    BACKWARDS,
    STRANGER,
    one_fault(JOINING, ("delayed", "duplicate", "hung"))._replace(no_late_registration=True),
]

# Besides, in the deep run.
DEEP = [
    on_each(RING, "spec", 2),
    on_each(JOINING, "spec", 2, 1),
    on_each(JOINING, "lio", 1, 2),
    on_each(JOINING, "spec", 2, 2),
    on_each(REBOOT, "lio", 2),
    on_each(REBOOT, "spec", 2, 2),
    on_each(TOGETHER, "spec", 2, 1),
    on_each(TOGETHER, "lio", 2, 2),
    on_each(NEW_PATH_DUEL, "lio"),
    on_each(JOINING_DUEL, "spec", 2),
    one_fault(JOINING_DUEL),
    one_fault(on_each(DUEL, "lio", 2)),
    one_fault(on_each(DUEL, "spec", 2, 2)),
    one_fault(on_each(RING, "spec")),
    one_fault(on_each(JOINING, "spec", 2, 1)),
    one_fault(on_each(JOINING, "spec", 1, 2)),
    one_fault(on_each(REBOOT, "spec", 2)),
    one_fault(NEW_PATH),
    one_fault(on_each(NEW_PATH, "lio")),
    one_fault(NEW_PATH_DUEL),
    one_fault(AGAIN),
    one_fault(WATCHED),
    one_fault(on_each(SAME_VICTIM, "lio")),
    one_fault(on_each(SAME_VICTIM, "spec", 2)),
    one_fault(DUEL)._replace(budget=2),
    one_fault(REBOOT)._replace(budget=2),
    one_fault(JOINING)._replace(budget=2),
]

# Where random courses go: more of everything, several faults in one run.
CROWD = Bounds(
    "a crowd",
    (
        Agent(1, (off(2), off(3), on()), (on(), off(4))),
        Agent(2, (off(1), on(), off(3)), (on(), off(1))),
        Agent(2, (on(), on()), (STATUS,)),
        Agent(3, (on(), off(1), off(2)), (on(), off(2))),
        Agent(4, (STATUS, on(), off(3)), (on(), off(3))),
    ),
    (*THREE, (4, on())),
    reboots=((1, 1), (2, 2), (3, 1), (4, 1)),
    faults=EVERY,
    budget=6,
)
WALKS = [
    on_each(CROWD, "spec", 2, 2),
    on_each(CROWD, "lio", 3, 2),
    on_each(CROWD, "spec", 1, 3)._replace(named=True),
    on_each(CROWD, "lio", 1, 2)._replace(keeps_aptpl=False),
    on_each(NEW_PATH_DUEL, "spec", 2, 2)._replace(faults=EVERY, budget=4),
]
