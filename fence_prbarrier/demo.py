"""``make demo``: a fence, shown on simulated disks.

Three nodes join two LUs; one is evicted, its write is refused, the others'
are not; it "reboots" and joins again with a new incarnation.  Every step runs
the real agent in a process of its own; the LUs are files, written as real
disks would be: through a queue that checks reservations.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from .barrier.exchange import Route
from .barrier.inspect import look
from .explain import explain_command, explain_key
from .scsi.command import write_10
from .scsi.outcome import Outcome, classify
from .transport.mock import MockPath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .barrier.inspect import Snapshot

NODES = {1: "n1", 2: "n2", 3: "n3"}
CLUSTER = "demo"
BLOCK_BYTES = 512
STEP_SECONDS = 30
# Shown once each: the commands that make the barrier.
TELLING = ("REGISTER AND IGNORE", "RESERVE on", "PREEMPT AND ABORT", "LOGICAL UNIT RESET")


class Demo:
    """The scene: two files that are LUs, and a memory directory for each node's boot."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.files = [os.path.join(directory, name) for name in ("lu0", "lu1")]
        self.boots = dict.fromkeys(NODES.values(), 1)
        self.failures = 0

    def agent(self, node: str, action: str, plug: str, expected: int) -> None:
        """Run the agent on ``node`` and show what it says and sends."""
        options = {
            "action": action,
            "plug": plug,
            "devices": ",".join(f"mock:{file}?profile=spec" for file in self.files),
            "cluster_name": CLUSTER,
            "nodes": ",".join(f"{name}:{number}" for number, name in NODES.items()),
            "local_name": node,
            "state_dir": os.path.join(self.directory, f"{node}-boot{self.boots[node]}"),
            "verbose": "1",
        }
        text = "".join(f"{name}={value}\n" for name, value in options.items())
        done = subprocess.run(
            [sys.executable, "-m", "fence_prbarrier"],
            input=text,
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
            cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
        )
        print(f"  [{node}] fence_prbarrier action={action} plug={plug}")
        self._show_commands(done.stderr)
        for line in done.stdout.splitlines():
            print(f"      -> {line}")
        if done.returncode:
            for line in done.stderr.splitlines():
                if "failed" in line:
                    print(f"      -> {line}")
        self.check(f"exit code {done.returncode}", done.returncode == expected)

    def _show_commands(self, log: str) -> None:
        """The telling commands of a verbose log, for the first LU, with their meaning."""
        for line in log.splitlines():
            if not line.startswith(TELLING) or self.files[0] not in line:
                continue
            name, _, rest = line.partition(" on ")
            sent, _, answer = rest.partition(": ")[2].partition(" -> ")
            print(f"      {name}: {sent} -> {answer}")
            cdb, _, data = sent.strip("[]").partition("|")
            for meaning in explain_command(bytes.fromhex(cdb), bytes.fromhex(data), self.name_of):
                print(f"          {meaning}")

    @staticmethod
    def name_of(number: int) -> str:
        return NODES.get(number, str(number))

    def reboot(self, node: str) -> None:
        """Nothing is remembered: a fresh memory directory, and more than a second passes."""
        self.boots[node] += 1
        time.sleep(1.1)

    def life(self, node: str) -> int:
        """The incarnation in which a node is registered on the first LU, 0 if in none."""
        keys = self._snapshot().keys()
        return max((key.incarnation for key in keys if NODES.get(key.node) == node), default=0)

    def write(self, node: str, refused: bool) -> None:
        """A direct write to the first LU, through the node's own I_T nexus."""
        command = write_10(7, node.encode().ljust(BLOCK_BYTES, b"."))
        outcome = self._send(node, command)
        print(f"  [{node}] WRITE(10) to block 7 -> {outcome.detail}")
        wanted = "refused" if refused else "done"
        self.check(f"the write was to be {wanted}", outcome.good is not refused)

    def _send(self, node: str, command: object) -> Outcome:
        path = MockPath(self.files[0], node)
        for _ in range(4):  # a unit attention is reported first; the write is then sent again
            outcome = classify(command, path.execute(command, 1000))  # type: ignore[arg-type]
            if not outcome.sense or outcome.sense.key != 6:
                break
        return outcome

    def show(self) -> None:
        """Who is registered on the first LU, read through an outsider's nexus."""
        snapshot = self._snapshot()
        reservation = snapshot.reservation or "no reservation"
        print(f"  LU 0, generation {snapshot.generation}: {reservation}")
        for registration in snapshot.registrations:
            holder = "  holds the reservation" if registration.holder else ""
            print(f"      {explain_key(registration.key, self.name_of)}{holder}")

    def _snapshot(self) -> Snapshot:
        path = MockPath(self.files[0], "outsider")
        procedure = look(Route(1))
        request = next(procedure)
        while True:
            action = request.action
            try:
                completion = path.execute(action, 1000)  # type: ignore[arg-type]
                request = procedure.send(classify(action, completion))  # type: ignore[arg-type]
            except StopIteration as stop:
                snapshot: Snapshot = stop.value
                return snapshot

    def check(self, what: str, holds: bool) -> None:
        """Count what did not come out as the story says."""
        print(f"      {'as it should be' if holds else 'WRONG'}: {what}")
        self.failures += not holds


def run(demo: Demo) -> None:
    """The story."""
    print("1. Three nodes join: each registers its key, the first one reserves.")
    for name in NODES.values():
        demo.agent(name, "on", name, 0)
    demo.show()
    for name in NODES.values():
        demo.write(name, refused=False)
    before = demo.life("n2")
    print("\n2. n2 hangs.  n1 evicts it and reads back that it is gone.")
    demo.agent("n1", "off", "n2", 0)
    demo.agent("n3", "status", "n2", 2)
    demo.show()
    print("\n3. n2 wakes up.  Its writes are refused; it can evict nobody and not slip back in.")
    demo.write("n2", refused=True)
    demo.write("n1", refused=False)
    demo.write("n3", refused=False)
    demo.agent("n2", "off", "n1", 1)
    demo.agent("n2", "on", "n2", 1)
    print("\n4. n2 reboots and joins again: the same node, a larger incarnation.")
    demo.reboot("n2")
    demo.agent("n2", "on", "n2", 0)
    demo.write("n2", refused=False)
    demo.show()
    now = demo.life("n2")
    demo.check(f"incarnation {before:08x} has become {now:08x}", now > before > 0)


def main() -> int:
    """Run the story in a temporary directory; 0 if every step came out right."""
    with tempfile.TemporaryDirectory(prefix="fence_prbarrier-demo-") as directory:
        demo = Demo(directory)
        run(demo)
    verdict = "every step came out as told" if not demo.failures else "SOME STEPS CAME OUT WRONG"
    print(f"\nDone: {verdict}.")
    return 1 if demo.failures else 0


if __name__ == "__main__":
    sys.exit(main())
