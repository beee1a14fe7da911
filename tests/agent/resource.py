"""The resource agent as a process, as Pacemaker starts it: one action, and an environment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from fence_prbarrier.simulator import store

from .stage import CLUSTER, NODES, PROCESS_LIMIT_SECONDS, ROOT, Result, Stage

AGENT = ROOT / "ocf" / "prbarrier"
SUCCESS, GENERIC, ARGS, UNIMPLEMENTED, EVICTED, CONFIGURED, NOT_RUNNING, DEGRADED = (
    0, 1, 2, 3, 4, 6, 7, 190,
)  # fmt: skip
EXIT_REASON = "ocf-exit-reason:"
FIRST_PORT, SECOND_PORT = "?port=1", "?port=2"


class Timed(NamedTuple):
    """How a process ended, and after how many seconds."""

    result: Result
    seconds: float


class Resource:
    """One resource instance on one node of a stage."""

    def __init__(self, stage: Stage, node: str = "n1", instance: str = "barrier") -> None:
        self.stage = stage
        self.node = node
        self.instance = instance

    def environment(self, options: dict[str, object]) -> dict[str, str]:
        """None takes a default one away; CRM_meta_timeout is Pacemaker's limit."""
        values: dict[str, object] = {
            "devices": self.stage.devices,
            "nodes": NODES,
            "cluster_name": CLUSTER,
            "local_name": self.node,
            "state_dir": self.stage.state(self.node),
        }
        values.update(options)
        found = {f"OCF_RESKEY_{name}": str(value) for name, value in values.items()
                 if value is not None}  # fmt: skip
        found["OCF_RESOURCE_INSTANCE"] = self.instance
        found["PATH"] = os.environ.get("PATH", "")
        return found

    def begin(self, action: str, **options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-IS", str(AGENT), action],
            cwd=self.stage.folder,
            env=self.environment(options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
        )

    def do(self, action: str, **options: object) -> Result:
        process = self.begin(action, **options)
        out, err = process.communicate(timeout=PROCESS_LIMIT_SECONDS)
        assert "Traceback" not in err, err
        return Result(process.returncode, out, err)

    def timed(self, action: str, **options: object) -> Timed:
        began = time.monotonic()
        result = self.do(action, **options)
        return Timed(result, time.monotonic() - began)

    def started(self) -> Resource:
        assert self.do("start") == (SUCCESS, "", "")
        return self


def assert_fails(result: Result, code: int, *words: str) -> None:
    """That code, nothing on stdout, exactly one line for Pacemaker, and every word on stderr."""
    assert result.code == code, result
    assert result.out == "", result
    assert result.err.count(EXIT_REASON) == 1, result
    for word in words:
        assert word in result.err, (word, result.err)


def two_paths(lu: Path) -> str:
    """Both paths to one LU, as devices has them."""
    return f"mock:{lu}{FIRST_PORT},mock:{lu}{SECOND_PORT}"


def doubly(stage: Stage) -> str:
    """``devices`` with two paths to each LU."""
    return ",".join(two_paths(path) for path in stage.units)


def change_nothing(stage: Stage, node: str = "n1") -> None:
    """From here on a state-changing command of this node is an error on every LU."""
    from .stage import initiator

    for unit in range(len(stage.units)):
        stage.fault(f"sense:b/00/00 op=5f times=always initiator={initiator(node)}", unit)


def clear_faults(stage: Stage) -> None:
    for path in stage.units:
        store.transact(str(path), lambda unit: unit.faults.clear())
