"""A world of simulated LUs and nodes in one process, to run the real procedures in.

A plan is run one command at a time, so that a test can put anything between
two commands of a node: another node's step, a fault, a loss of power.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

from fence_prbarrier.barrier.everywhere import (
    Each,
    Remember,
    evict_everywhere,
    inspect_everywhere,
    join_everywhere,
)
from fence_prbarrier.barrier.inspect import Snapshot
from fence_prbarrier.barrier.memory import Memory
from fence_prbarrier.barrier.unit import Unit
from fence_prbarrier.errors import BarrierError
from fence_prbarrier.key import Key
from fence_prbarrier.scsi.command import Command, LogicalUnitReset, Pause
from fence_prbarrier.scsi.outcome import Completion, Outcome, classify
from fence_prbarrier.simulator.unit import LogicalUnit
from fence_prbarrier.simulator.values import Nexus

TAG = 0x2A97
WRITE_10_ONE_BLOCK = bytes.fromhex("2a 00 00 00 00 00 00 00 01 00")
ATTENTION_KEY = 0x6
RESERVATION_CONFLICT = 0x18


def ends(paths: int, unit: str = "x") -> tuple[tuple[str, str], ...]:
    """Paths to a LU as a dispatcher describes them: nexus and device."""
    return tuple((f"nexus {unit} {path}", f"/dev/{unit}-{path}") for path in range(paths))


class World:
    """LUs by name, and what each node remembers."""

    def __init__(self, *profiles: str, paths: int = 1) -> None:
        names = [f"naa.6000{index}" for index in range(len(profiles))]
        self.units = {
            name: LogicalUnit(profile, serial=name.replace(".", ""))
            for name, profile in zip(names, profiles)
        }
        self.paths = paths
        self.memories: dict[int, Memory] = {}
        self.clock = 1_790_000_000
        self.sent: list[tuple[int, str, str]] = []
        self.paused_seconds = 0.0

    def nexus(self, node: int, path: int = 0) -> Nexus:
        return Nexus(f"iqn.2003-08.example:n{node}", port=path + 1)

    def described(self, node: int) -> list[Unit]:
        """The LUs as a node's dispatcher would describe them."""
        vendors = {"lio": "LIO-ORG"}
        return [
            Unit(name, ends(self.paths, name), vendors.get(unit.profile.name, "OTHER"))
            for name, unit in self.units.items()
        ]

    def steps(self, node: int, plan: Any) -> Iterator[tuple[str, str]]:
        """Run a plan; before each command yields (LU, command name); returns its result."""
        try:
            effect = next(plan)
            while True:
                if isinstance(effect, Remember):
                    self.memories[node] = effect.memory
                    effect = plan.send(None)
                    continue
                results: dict[str, Any] = {}
                for name, procedure in effect.jobs.items():
                    try:
                        results[name] = yield from self._drive(node, name, procedure)
                    except BarrierError as error:
                        results[name] = error
                effect = plan.send(results)
        except StopIteration as stop:
            return stop.value

    def _drive(self, node: int, name: str, procedure: Any) -> Any:
        try:
            request = next(procedure)
            while True:
                action = request.action
                if isinstance(action, Pause):
                    self.paused_seconds += action.seconds
                    outcome = Outcome("good", "paused")
                else:
                    yield name, action.name
                    outcome = self.send(node, name, action, request.path)
                request = procedure.send(outcome)
        except StopIteration as stop:
            return stop.value

    def send(
        self, node: int, name: str, action: Command | LogicalUnitReset, path: int = 0
    ) -> Outcome:
        """One command from one nexus, now."""
        unit, nexus = self.units[name], self.nexus(node, path)
        self.sent.append((node, name, action.name))
        if isinstance(action, LogicalUnitReset):
            answer = unit.reset(nexus)
        else:
            answer = unit.command(nexus, action.cdb, action.data_out, action.data_in_length)
        return classify(
            action,
            Completion(answer.status, answer.sense, answer.data, host=answer.host_status),
        )

    def finish(
        self, steps: Iterator[tuple[str, str]], before: Callable[[str, str], None] | None = None
    ) -> Any:
        """Run steps to their end; ``before`` is called before each command."""
        while True:
            try:
                name, command = next(steps)
            except StopIteration as stop:
                return stop.value
            if before is not None:
                before(name, command)

    def memory(self, node: int) -> Memory:
        return self.memories.get(node) or Memory(TAG, node)

    def joining(self, node: int, rejoin: str = "reboot", aptpl: str = "auto") -> Any:
        plan = join_everywhere(self.described(node), self.memory(node), aptpl, rejoin, self.clock)
        return self.steps(node, plan)

    def evicting(self, node: int, victim: int, drain: str = "auto") -> Any:
        plan = evict_everywhere(self.described(node), self.memory(node), victim, drain)
        return self.steps(node, plan)

    def join(self, node: int, **options: str) -> Any:
        return self.finish(self.joining(node, **options))

    def evict(self, node: int, victim: int, drain: str = "auto") -> Any:
        done, _ = self.finish(self.evicting(node, victim, drain))
        return done

    def reboot(self, node: int) -> None:
        """Everything is forgotten, and time has passed."""
        self.memories.pop(node, None)
        self.clock += 60

    def look(self, name: str, observer: int = 99) -> Snapshot:
        """What a LU shows to somebody who is not registered."""
        only = [Unit(name, ends(1))]
        found = self.finish(self.steps(observer, inspect_everywhere(only)))
        snapshot: Snapshot = found[name]
        return snapshot

    def key(self, node: int) -> Key:
        return self.memory(node).require_key()

    def can_write(self, node: int, name: str) -> bool:
        """Whether a write of this node takes effect on a LU now."""
        for _ in range(10):
            answer = self.units[name].command(
                self.nexus(node), WRITE_10_ONE_BLOCK, bytes([node]) * 512
            )
            if answer.status != 0x02 or answer.sense[2] & 0x0F != ATTENTION_KEY:
                break
        if answer.status not in (0, RESERVATION_CONFLICT):
            raise ValueError(f"the write met {answer!r}")
        return answer.status == 0


__all__ = ["TAG", "BarrierError", "Each", "World", "ends"]
