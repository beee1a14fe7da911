"""Three fence agents on the same dm-multipath LUs: their commands, their keys, their words."""

from __future__ import annotations

import time
from typing import NamedTuple

from ..bench.fence_off import STARTERS, Counted, costs
from ..cluster.node import Node
from ..cluster.storage import WERO
from ..lab.inguest_scsi import pr_out
from ..lab.model import Reply
from .ground import FABRICS, NAMES, SURVIVOR, VICTIM, Ground

OURS, MPATH, SCSI = AGENTS = ("fence_prbarrier", "fence_mpath", "fence_scsi")
# Those of fence_mpath stand in multipath.conf as well.
KEYS = {MPATH: {"n1": 0xA0001, "n2": 0xA0002}, SCSI: {"n1": 0xB0001, "n2": 0xB0002}}
REGISTER_AND_IGNORE, RESERVE, KIND, APTPL = 6, 1, 5, 1
TEST_UNIT_READY = bytes(6).hex()
TRIES_MAX = 8
RUN_LIMIT_S = 100
TRACE = "/run/paths-trace"
NEXT_LIFE = 1


class Said(NamedTuple):
    """What a run of an agent came to. `code` is 124 when it has not ended within the limit."""

    code: int
    seconds: float
    output: str


class Contest:
    """The lab, with three agents that take turns."""

    def __init__(self, ground: Ground) -> None:
        """Have each agent remember, from an `on` of its own, what it needs to know."""
        self.ground = ground
        # Not asked for again: nothing is to come between a cut and an agent's start.
        self._devices = {name: ground.devices(name) for name in NAMES}
        self.keys = {name: dict(keys) for name, keys in KEYS.items()}
        for agent in AGENTS:
            self.bare()
            for name in NAMES:
                said = self.run(agent, "on", name, name)
                key = ground.storage.bears(0).key(name)
                if said.code != 0 or key is None:
                    raise RuntimeError(f"{agent}: {name} has not joined: {said}")
                self.keys.setdefault(agent, {})[name] = key

    # -- the agents -------------------------------------------------------------------------

    def command(self, agent: str, action: str, caller: str, plug: str) -> tuple[str, str]:
        """Return an agent's command line and its standard input."""
        devices = self._devices[caller]
        if agent == OURS:
            return agent, f"action={action}\nplug={plug}\ndevices={devices}\nrejoin=allow\n"
        option = "-n" if agent == MPATH else "-k"
        return f"{agent} -o {action} {option} {KEYS[agent][plug]:x} -d {devices}", ""

    def run(
        self, agent: str, action: str, caller: str = SURVIVOR, plug: str = VICTIM, before: str = ""
    ) -> Said:
        """Run it to its end, and tell how long it took by the guest's clock."""
        line, stdin = self.command(agent, action, caller, plug)
        script = (
            f"{before}\nbegan=$EPOCHREALTIME; timeout {RUN_LIMIT_S} {line}; code=$?"
            "\necho; echo $code $began $EPOCHREALTIME"
        )
        output = self.ground.node(caller).ok(script, RUN_LIMIT_S + 30, stdin)
        text, _, last = output.rstrip().rpartition("\n")
        code, began, ended = last.split()
        return Said(int(code), float(ended) - float(began), text.strip())

    def count(self, agent: str, action: str) -> Counted:
        """Return the processes that one more run has started, and the ioctls it has sent."""
        line, stdin = self.command(agent, action, SURVIVOR, VICTIM)
        node = self.ground.node(SURVIVOR)
        strace = f"strace -f -qq -e signal=none -e trace={STARTERS},ioctl -o {TRACE}"
        node.ok(f"{strace} {line}", RUN_LIMIT_S, stdin)
        return costs(node.ok(f"cat {TRACE}; rm {TRACE}").splitlines())

    # -- the LUs ------------------------------------------------------------------------------

    def bare(self) -> None:
        """Clear every LU. All paths must be there."""
        for name in NAMES:
            node = self.ground.node(name)
            node.call(
                "sweep", units=[[node.sg(lun, s) for s in FABRICS] for lun in self.ground.luns]
            )

    def prepare(self, agent: str) -> None:
        """Have both nodes registered on every nexus by the agent's keys, reserved by n1."""
        self.bare()
        keys = self.keys[agent]
        if agent == OURS:
            keys[VICTIM] += NEXT_LIFE  # one that was evicted does not come back
        for lun in self.ground.luns:
            for name in NAMES:
                for segment in FABRICS:
                    self._out(
                        name, lun, segment, pr_out(REGISTER_AND_IGNORE, 0, keys[name], 0, APTPL)
                    )
            self._out(SURVIVOR, lun, FABRICS[0], pr_out(RESERVE, keys[SURVIVOR], 0, KIND))
        for name in NAMES:
            for path in self.ground.node(name).paths():
                _send(self.ground.node(name), path.sg, TEST_UNIT_READY, "")

    def _out(self, name: str, lun: int, segment: str, words: tuple[str, str]) -> None:
        node = self.ground.node(name)
        _send(node, node.sg(lun, segment), *words)

    def left(self, agent: str) -> tuple[int, int]:
        """Return on how many nexuses, of both LUs, the target has the victim's and the own key."""
        found = [self.ground.storage.bears(lun) for lun in self.ground.luns]
        counts = [
            sum(keys.count(self.keys[agent][name]) for b in found for keys in b.keys.values())
            for name in (VICTIM, SURVIVOR)
        ]
        if any(bears.type != WERO for bears in found):
            raise RuntimeError(f"after {agent}: {found}")
        return counts[0], counts[1]


def _send(node: Node, device: str, cdb: str, out: str) -> None:
    """Send a command, past whatever unit attentions wait."""
    reply = None
    for _ in range(TRIES_MAX):
        reply = Reply.of(node.call("scsi", node=device, cdb=cdb, out=out))
        if reply.good:
            return
        time.sleep(0.1)
    raise RuntimeError(f"{node.name}: {device}: {cdb}: {reply}")
