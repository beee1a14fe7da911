"""Writers and watchers of signed blocks: who wrote what, until when.

A writer runs on a node and fills that node's own region of a LU; a watcher runs
on another node (or on all) and reads the same region. What matters is
`Watch.changed_after(moment)`: after a node has been declared fenced it must be
empty, for as long as one cares to watch.
"""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any, NamedTuple

from ..lab.guest import Job, JobTimeout
from .inguest_blocks import Signature
from .node import Node

PROGRAM = "inguest_blocks.py"
REGION_BYTES = 1 << 20
BLOCK_BYTES = 4096
THREADS = 8
BEGIN_TIMEOUT_S = 30.0
END_TIMEOUT_S = 60.0


class Change(NamedTuple):
    """One pass of a watcher that differed from the pass before, which began at `since`."""

    since: float
    began: float
    blocks: int
    samples: list[Signature | None]


class Tool:
    """A writer or a watcher that runs on a node. Its log is on the host, written through."""

    def __init__(self, node: Node, what: str, device: str, given: dict[str, Any]) -> None:
        """Start it; returns at once."""
        node.guest.share(PROGRAM, (Path(__file__).parent / PROGRAM).read_bytes())
        stamp = f"{what}-{given['name']}-on-{node.name}-{time.monotonic_ns()}.jsonl"
        # In the folder that is mounted in the guest for Pacemaker's logs.
        self._log = node.logs / "pacemaker" / stamp
        words = ["/usr/bin/python3", f"/lab/{PROGRAM}", what, device, json.dumps(given)]
        words.append(f"/var/log/pacemaker/{stamp}")
        self.node = node
        self.given = given
        self.job: Job = node.spawn(" ".join(map(shlex.quote, words)))

    def lines(self) -> list[dict[str, Any]]:
        """Return what it has logged so far; the last line may be on its way."""
        text = self._log.read_text() if self._log.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of one kind."""
        return [line for line in self.lines() if line["event"] == event]

    def await_event(self, event: str, timeout: float = BEGIN_TIMEOUT_S) -> None:
        """Wait until it has logged a line of a kind."""
        deadline = time.monotonic() + timeout
        while not self.of(event):
            if not self.job.running:
                raise AssertionError(f"{self._log.name} has ended: {self.job.wait(1)}")
            if time.monotonic() > deadline:
                raise JobTimeout(f"{self._log.name}: no {event!r} after {timeout} s")
            time.sleep(0.05)

    def stop(self, timeout: float = END_TIMEOUT_S) -> None:
        """Tell it to end, and wait."""
        self._log.with_name(f"{self._log.name}.stop").touch()
        code, output = self.job.wait(timeout)
        if code != 0:
            raise AssertionError(f"{self._log.name}: exit code {code}\n{output}")


class Writer(Tool):
    """Writes, many in flight, until it is stopped or its node dies."""

    def __init__(
        self,
        node: Node,
        lun: int = 0,
        *,
        incarnation: int = 0,
        threads: int = THREADS,
        block: int = BLOCK_BYTES,
        region: int = REGION_BYTES,
        device: str = "",
        pause_s: float = 0,
    ) -> None:
        """Start writing to the node's own region of a LU; returns once writes are acknowledged.

        By the LU's first path, unless it is told by which `device`. With a pause
        each thread rests between its writes, for the sake of others on the machine.
        """
        given: dict[str, Any] = {"base": node.number * region, "length": region, "block": block}
        given = {**given, "threads": threads, "name": node.name, "incarnation": incarnation}
        given["pause_s"] = pause_s
        super().__init__(node, "write", device or node.dev(lun), given)
        self.lun = lun
        self.await_event("acks")

    @property
    def acknowledged(self) -> list[int]:
        """The last sequence number of each thread that was acknowledged, at the latest flush."""
        acks = [line["acknowledged"] for line in self.lines() if "acknowledged" in line]
        return list(acks[-1]) if acks else []

    def first_error(self) -> dict[str, Any] | None:
        """Return the first write that failed (errno, thread, sequence, sent, time), or None."""
        errors = self.of("error")
        return errors[0] if errors else None

    def errnos(self) -> set[str]:
        """Return the names of all errors so far."""
        return {line["errno"] for line in self.of("error")}


class Watch(Tool):
    """Reads a writer's region on another node, over and over, and notes each change."""

    def __init__(self, node: Node, writer: Writer, device: str = "") -> None:
        """Start watching, by the LU's first path or as told; returns after the first whole pass."""
        super().__init__(node, "watch", device or node.dev(writer.lun), writer.given)
        self.await_event("begin")

    def changes(self) -> list[Change]:
        """Return every change so far."""
        return [
            Change(
                line["since"],
                line["began"],
                line["blocks"],
                [Signature(*s) if s else None for s in line["samples"]],
            )
            for line in self.of("change")
        ]

    def changed_after(self, moment: float) -> list[Change]:
        """Return the changes that were surely written after a moment (of time.time())."""
        return [change for change in self.changes() if change.since >= moment]

    def found(self) -> list[Signature | None]:
        """Return what every block bore in the last pass. Once it has been stopped."""
        (end,) = self.of("end")
        return [Signature(*s) if s else None for s in end["blocks"]]


__all__ = ["Change", "Signature", "Watch", "Writer"]
