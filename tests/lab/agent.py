"""The agent under test, run in the guest as one of the nodes; what a LU bears, without it."""

from __future__ import annotations

import itertools
import re
import struct
from typing import NamedTuple

from .guest import Job
from .san import INITIATORS, Lab

PYTHON = "/usr/bin/python3"
CLUSTER = "lab"
NODES = "n1:1,n2:2,n3:3"
# What an eviction sends to LIO; with drain=target PREEMPT_AND_ABORT and nothing else.
PREEMPT = "PREEMPT"
FLUSH = "SYNCHRONIZE CACHE"
PREEMPT_AND_ABORT = "PREEMPT AND ABORT"
RESET = "LOGICAL UNIT RESET"
WERO = 5  # Write Exclusive - Registrants Only
AGENT_TIMEOUT_S = 70.0
ATTENTIONS_MAX = 4

REGISTER_AND_IGNORE, RESERVE = 6, 1
READ_KEYS, READ_RESERVATION, REPORT_CAPABILITIES = 0, 1, 2
APTPL_ACTIVE = 0x01

_counter = itertools.count(1)
_first_joins: dict[tuple[Lab, int], list[int]] = {}


class Said(NamedTuple):
    """What one run of the agent came to."""

    code: int
    out: str
    err: str


class Running:
    """A run of the agent that has not been waited for."""

    def __init__(self, lab: Lab, job: Job, errors: str) -> None:
        self.job = job
        self._lab = lab
        self._errors = errors

    def wait(self, timeout: float = AGENT_TIMEOUT_S) -> Said:
        """Wait for its end; a run that is not over in time is killed, and raises."""
        code, out = self.job.wait(timeout)
        return Said(code, out, self._lab.ok(f"cat {self._errors}"))


class Node:
    """One node of a cluster: an initiator, its devices, its memory of this boot."""

    def __init__(
        self, lab: Lab, name: str, through: str = "dev", luns: tuple[int, ...] | None = None
    ) -> None:
        """``through`` is the kind of node, dev, sg or bsg; ``luns`` all LUs unless given."""
        self.lab = lab
        self.name = name
        wanted = tuple(unit.index for unit in lab.units) if luns is None else luns
        self.devices = [getattr(lab, through)(name, lun) for lun in wanted]
        self.cluster = CLUSTER
        self.state_dir = f"/run/fp-{name}"

    def reboot(self) -> None:
        """Forget this boot, as /run does in a reboot."""
        self.state_dir = f"/run/fp-{self.name}-{next(_counter)}"

    def start(
        self, action: str, plug: str = "", *, program: str = "", prefix: str = "", **options: str
    ) -> Running:
        """Start one action; ``program`` goes in place of ``-m fence_prbarrier``."""
        values = {
            "action": action,
            **({"plug": plug} if plug else {}),
            "local_name": self.name,
            "nodes": NODES,
            "cluster_name": self.cluster,
            "devices": ",".join(self.devices),
            "state_dir": self.state_dir,
            **options,
        }
        stdin = "".join(f"{name}={value}\n" for name, value in values.items())
        errors = f"/run/agent-errors-{next(_counter)}"
        run = f"{prefix} {PYTHON} {program or '-m fence_prbarrier'} 2>{errors}"
        # The guest's shell has cd'd to /root: the agent must not lean on its working directory.
        job = self.lab.spawn(f"export PYTHONPATH={self.lab.repo}; {run}", stdin=stdin)
        return Running(self.lab, job, errors)

    def run(self, action: str, plug: str = "", **options: str) -> Said:
        """One action to its end."""
        return self.start(action, plug, **options).wait()

    def key(self, lun: int = 0) -> int:
        """The one key of this node that a LU bears."""
        (key,) = {key for key in bears(self.lab, lun).keys if number_of(key) == number(self.name)}
        return key


class Stopped:
    """An `off` that was stopped (SIGSTOP) just before it sent a certain command."""

    def __init__(
        self, lab: Lab, node: Node, victim: str, turn: int = 1, command: str = PREEMPT
    ) -> None:
        """``turn`` is 1 for the first LU in order, the arbiter, 2 for the next one."""
        self.lab = lab
        file = f"/run/stopped-{next(_counter)}"
        stop = lab.repo / "tests/lab/stop_before.py"
        program = f"{stop} '{command}' {turn} {file}"
        self.run: Running = node.start("off", victim, program=program, verbose="1")
        self.pid = lab.ok(
            f"for i in $(seq 100); do test -e {file} && break; sleep 0.1; done; cat {file}"
        ).strip()
        state = f"/proc/{self.pid}/stat"
        lab.ok(f"for i in $(seq 50); do grep -q ') T ' {state} && exit; sleep 0.1; done; exit 1")

    def go_on(self) -> Running:
        """Let it go on."""
        self.lab.ok(f"kill -CONT {self.pid}")
        return self.run


def number(name: str) -> int:
    """The node number of a name."""
    return int(name[1:])


def number_of(key: int) -> int:
    """The node number in a key."""
    return key >> 32 & 0xFFFF


def incarnation_of(key: int) -> int:
    """The incarnation in a key."""
    return key & 0xFFFFFFFF


def nodes(lab: Lab, through: str = "dev") -> list[Node]:
    """The three nodes, which have never joined."""
    lab.ok("rm -rf /run/fp-n*")
    return [Node(lab, name, through) for name in INITIATORS]


def joined(lab: Lab, through: str = "dev", count: int = 3) -> list[Node]:
    """The three nodes, after the first ``count`` of them have joined all LUs.

    They join once in a boot of the lab, and after each scan for devices; from then on
    what they did is done again from the keys and the memory that this left, which
    takes a fifth of the time.
    """
    boot = (lab, lab.scans)
    if boot not in _first_joins:
        members = nodes(lab)
        for node in members:
            said = node.run("on", node.name)
            assert (said.code, said.out) == (0, "Success: Powered ON\n"), said
        lab.ok("rm -rf /run/joined; mkdir /run/joined; cp -a /run/fp-n* /run/joined")
        _first_joins[boot] = [node.key() for node in members]
        lab.clear()
    members = nodes(lab, through)
    keys = _first_joins[boot][:count]
    for unit in lab.units:
        for node, key in zip(members, keys):
            pr_out(lab, node.name, unit.index, REGISTER_AND_IGNORE, 0, key, aptpl=True)
        pr_out(lab, members[0].name, unit.index, RESERVE, keys[0], 0)
    copies = " ".join(f"/run/joined/fp-{node.name}" for node in members[:count])
    lab.ok(f"cp -a {copies} /run")
    return members


class Bears(NamedTuple):
    """What a LU bears, decoded here from the bytes, with nothing of the agent's code."""

    generation: int
    keys: list[int]
    holder: int
    type: int


def bears(lab: Lab, lun: int = 0, through: str = "n3") -> Bears:
    """Keys (once a registration), holder and type; holder and type are 0 if nothing is reserved."""
    keys = pr_in(lab, READ_KEYS, lun, through)
    generation, length = struct.unpack_from(">II", keys)
    held = pr_in(lab, READ_RESERVATION, lun, through)
    again, held_length = struct.unpack_from(">II", held)
    assert generation == again
    holder, kind = struct.unpack_from(">QxxxxxB", held, 8) if held_length else (0, 0)
    return Bears(
        generation,
        sorted(key for (key,) in struct.iter_unpack(">Q", keys[8 : 8 + length])),
        holder,
        kind & 0x0F,
    )


def aptpl_active(lab: Lab, lun: int = 0) -> bool:
    """Whether the LU says that its registrations outlive a power loss (PTPL_A)."""
    return bool(pr_in(lab, REPORT_CAPABILITIES, lun, "n3")[3] & APTPL_ACTIVE)


def pr_in(lab: Lab, action: int, lun: int, through: str) -> bytes:
    """One PERSISTENT RESERVE IN, past whatever unit attentions wait."""
    cdb = bytes([0x5E, action, 0, 0, 0, 0, 0, 2, 0, 0])
    for _ in range(ATTENTIONS_MAX):
        reply = lab.scsi(lab.sg(through, lun), cdb, length=512)
        if reply.good:
            return reply.data
    raise AssertionError(f"PERSISTENT RESERVE IN {action} of LU {lun}: {reply}")


def pr_out(
    lab: Lab, who: str, lun: int, action: int, key: int, sark: int, aptpl: bool = False
) -> None:
    """One PERSISTENT RESERVE OUT of an initiator that has no unit attention waiting."""
    cdb = bytes([0x5F, action, WERO if action == RESERVE else 0, 0, 0, 0, 0, 0, 24, 0])
    reply = lab.scsi(lab.sg(who, lun), cdb, struct.pack(">QQIB3x", key, sark, 0, aptpl))
    assert reply.good, (who, lun, action, reply)


def persist(lab: Lab, words: str, through: str, lun: int = 0) -> str:
    """Run ``sg_persist --out``, past whatever unit attentions wait."""
    node = lab.sg(through, lun)
    lab.sh(f"sg_turs {node}; sg_turs {node}")
    return lab.ok(f"sg_persist -n -o {words} {node}")


def commands_in(log: str) -> list[tuple[str, str]]:
    """(command, device) of every SCSI command that a verbose run says it sent."""
    return re.findall(r"^([A-Z][A-Z0-9h ]+) on (/dev/\S+): [\[t]", log, re.MULTILINE)
