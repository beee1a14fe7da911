"""Fences during which a fabric is cut, at instants spread over all that `off` takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from ..cluster.node import AGENT_TIMEOUT_S
from ..cluster.storage import Bears
from .ground import FABRICS, SURVIVOR, VICTIM, WHOLE, Ground

WATCHED_S = 1.0
# The cut comes at any time from the start of `off` until shortly before its end without one.
SPREAD = 0.9 if WHOLE else 0.4  # few fences: all of them cut
WARM_UPS = 3 if WHOLE else 1


class How(NamedTuple):
    """Who is cut off which fabric; 'storage' is everybody at once."""

    who: str
    segment: str


HOWS = [How(who, segment) for segment in FABRICS for who in (SURVIVOR, "storage", VICTIM)]


class Round(NamedTuple):
    """What became of one fence."""

    how: How
    offset: float
    within: bool  # whether the fence was not over yet when the cut came
    first: int  # the exit code of the first attempt
    seconds: float
    last: str  # what a failed attempt said

    def line(self) -> str:
        """Return its line of the table."""
        who = "everybody" if self.how.who == "storage" else self.how.who
        said = "done" if self.first == 0 else f"failed, then done: {self.last}"
        said += "" if self.within else " (before the cut)"
        cut = f"{who:>9} off {self.how.segment} after {self.offset:4.2f} s"
        return f"{cut}: {self.seconds:5.2f} s, {said}"


def turns(count: int) -> Iterator[tuple[How, float]]:
    """Yield so many ways and instants (1 is the end): the instants grow, the ways take turns."""
    for number in range(count):
        yield HOWS[number % len(HOWS)], SPREAD * number / max(1, count - 1)


class Campaign:
    """Fence after fence under the writers of both nodes, whatever becomes of their paths."""

    def __init__(self, ground: Ground) -> None:
        """Start the writers, and have the survivor watch what the victim writes."""
        self.ground = ground
        self.rounds: list[Round] = []
        self.durations: list[float] = []
        self.writers = {name: ground.write(name) for name in (SURVIVOR, VICTIM)}
        self.watches = ground.watch(SURVIVOR, self.writers[VICTIM])

    def warm_up(self) -> None:
        """See how long `off` takes when nothing goes wrong."""
        took = []
        for _ in range(WARM_UPS):
            began = time.monotonic()
            said = self.ground.agent(SURVIVOR, "off", VICTIM)
            took.append(time.monotonic() - began)
            assert said.code == 0, said
            self.ground.join(VICTIM)
        self.durations = took

    @property
    def duration(self) -> float:
        """How many seconds `off` takes at present, when nothing goes wrong for the survivor."""
        return sorted(self.durations[-WARM_UPS:])[WARM_UPS // 2]

    def bears(self) -> list[Bears]:
        """Return what the LUs bear."""
        return [self.ground.storage.bears(lun) for lun in self.ground.luns]

    def check(self, code: int, output: str) -> None:
        """What `off` has said is true at this moment, and the survivor has both its nexuses."""
        found = self.bears()
        for bears in found:
            assert len(bears.keys.get(SURVIVOR, [])) == len(FABRICS), (output, found)
        if code == 0:
            assert output.endswith("Success: Powered OFF\n") or "Already OFF" in output, output
            assert self.ground.joined([SURVIVOR]), (output, found)
        else:
            assert code == 1 and "Success" not in output, (code, output)

    def fight(self, how: How, instant: float) -> Round:
        """Begin a fence, cut, see what comes of it, put everything right."""
        ground = self.ground
        offset = instant * self.duration
        machine = ground.storage if how.who == "storage" else ground.node(how.who)
        self._await_victim_writing()
        job = ground.begin(SURVIVOR, "off", VICTIM)
        began = time.monotonic()
        time.sleep(offset)
        machine.cut(how.segment)
        within = job.running
        first = job.wait(AGENT_TIMEOUT_S)
        ended = time.monotonic()
        self.check(*first)
        if first.code != 0:
            second = ground.agent(SURVIVOR, "off", VICTIM)
            assert second.code == 0, (how, offset, first, second)
            self.check(*second)
        declared = time.time()
        time.sleep(WATCHED_S)
        ground.mend()
        for watch in self.watches:
            assert watch.changed_after(declared) == [], (how, offset)
        assert ground.joined([SURVIVOR]), self.bears()
        for writer in self.writers[SURVIVOR]:
            assert writer.first_error() is None, (how, offset)
        ground.join(VICTIM)
        assert ground.joined(), self.bears()
        said = first.output.strip().splitlines()[-1] if first.code else ""
        if how.who == VICTIM:  # which the survivor does not notice
            self.durations.append(ended - began)
        self.rounds.append(Round(how, offset, within, first.code, ended - began, said))
        return self.rounds[-1]

    def _await_victim_writing(self) -> None:
        """Wait until what the victim writes in this life has been seen."""
        self.ground.await_progress(self.writers[VICTIM])
        since = time.time()
        self.ground.cluster.wait_for(
            lambda: all(watch.changed_after(since) for watch in self.watches), 20, "its blocks"
        )

    def summary(self) -> str:
        """Return the figures."""
        took = sorted(one.seconds for one in self.rounds)
        done = sum(one.first == 0 for one in self.rounds)
        return (
            f"{len(took)} fences, {sum(one.within for one in self.rounds)} of them cut before"
            f" their end; {done} done at the first attempt, {len(took) - done} at the second;"
            f" seconds without a cut {self.duration:.2f}, with one: median"
            f" {took[len(took) // 2]:.2f}, longest {took[-1]:.2f}"
        )

    def end(self) -> None:
        """Stop the witnesses; the survivor's writers have seen nothing."""
        for watch in self.watches:
            watch.stop()
        self.ground.end_calmly(self.writers[SURVIVOR])
        for writer in self.writers[VICTIM]:
            assert writer.errnos() <= {"EBADE"}, writer.errnos()
            writer.stop()
