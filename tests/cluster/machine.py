"""One guest of the premises over many boots: power, plug, freezer, links, logs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from ..lab.guest import Guest, Job, LabError, Result
from .premises import Premises

READY = "lab-ready"
POLL_S = 0.05
SETUP_TIMEOUT_S = 90.0
REBOOT_TIMEOUT_S = 60.0
# By the kernel's own hand, as a watchdog does it: nothing is stopped or synced first.
REBOOT_NOW = "echo b >/proc/sysrq-trigger"


class Machine:
    """A computer with a power plug. Boot it, then talk to it with `sh` and `ok`."""

    def __init__(
        self, premises: Premises, name: str, number: int, segments: Sequence[str], memory_mb: int
    ) -> None:
        """Prepare; `number` ends its addresses, `segments` are its networks, vec0 first."""
        self.premises = premises
        self.name = name
        self.number = number
        self.segments = tuple(segments)
        self.boots = 0
        self.frozen = False
        self.words: list[str] = []
        self._memory_mb = memory_mb
        self._guest: Guest | None = None

    # -- power ------------------------------------------------------------------------

    @property
    def guest(self) -> Guest:
        """The running guest."""
        if self._guest is None:
            raise LabError(f"{self.name} is switched off")
        return self._guest

    @property
    def on(self) -> bool:
        """Whether it is switched on (it may be frozen)."""
        return self._guest is not None

    @property
    def responsive(self) -> bool:
        """Whether it is on and not frozen."""
        return self.on and not self.frozen

    def power_on(self) -> None:
        """Boot a kernel, up to its console; `boot` is this and `set_up`."""
        if self._guest is not None:
            raise LabError(f"{self.name} is on already")
        for segment in self.segments:
            self.premises.plug(self.name, segment)
        words = [
            f"vec{index}:transport=tap,ifname={self.premises.tap(self.name, segment)},"
            f"depth=128,gro=1,mac={self._mac(index)}"
            for index, segment in enumerate(self.segments)
        ]
        guest = Guest(self.name, self._memory_mb, [*self.words, *words], self.premises.prefix)
        # Its files go where the next run looks for what this one may leave behind.
        guest.scratch.rmdir()
        guest.scratch = self.premises.folder / f"{self.name}-{self.boots}"
        guest.scratch.mkdir()
        guest.start()
        self._guest = guest
        self.boots += 1

    def boot(self) -> None:
        """Switch it on and make it what it is."""
        self.power_on()
        self.set_up()

    def set_up(self) -> None:
        """Make a freshly booted guest what it is."""
        lines = []
        for index, segment in enumerate(self.segments):
            lines.append(f"ip addr add {self.address(segment)}/24 dev vec{index}")
            lines.append(f"ip link set vec{index} up")
        self.ok("set -e\n" + "\n".join(lines), timeout=SETUP_TIMEOUT_S)

    def kill(self) -> None:
        """Pull the power plug: every process of the guest ends at once."""
        guest, self._guest = self.guest, None
        self.frozen = False
        self._keep_console(guest)
        guest.end()

    def freeze(self) -> None:
        """Stop the guest's kernel in the middle of whatever it does."""
        os.kill(self.guest.pid, signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """Let it go on as if nothing had happened; its clock has gone on meanwhile."""
        os.kill(self.guest.pid, signal.SIGCONT)
        self.frozen = False

    def reboot(self, command: str = REBOOT_NOW) -> None:
        """Reboot from inside, and make it again what it is. By default at once, without a sync."""
        count = self.boots_seen()
        self.spawn(command)
        self.await_boot(count)

    def boots_seen(self) -> int:
        """Return how often the guest, since it was switched on, has booted by itself."""
        return self.guest.console().count(READY)

    def await_boot(self, seen: int, timeout: float = REBOOT_TIMEOUT_S) -> None:
        """Wait for one more boot than `boots_seen` had said (a watchdog's, say); set it up."""
        self.wait_for(lambda: self.boots_seen() > seen, timeout, f"{self.name} to reboot")
        for segment in self.segments:
            self.premises.plug(self.name, segment)
        self.boots += 1
        self.set_up()

    # -- commands ---------------------------------------------------------------------

    def sh(self, script: str, timeout: float = 30.0, stdin: str | bytes = b"") -> Result:
        """Run a bash script: (exit code, output of 1 and 2 together)."""
        return self.guest.sh(script, timeout, stdin)

    def ok(self, script: str, timeout: float = 30.0, stdin: str | bytes = b"") -> str:
        """Run a script that has to succeed; return its output."""
        return self.guest.ok(script, timeout, stdin)

    def spawn(self, script: str, stdin: str | bytes = b"") -> Job:
        """Start a script and return at once; `Job.wait`, `.running`, `.kill`."""
        return self.guest.spawn(script, stdin)

    def call(self, operation: str, timeout: float = 30.0, **arguments: Any) -> Any:
        """Have the guest's resident agent do something; see tests/lab/inguest_agent.py."""
        return self.guest.call(operation, timeout, **arguments)

    def boot_id(self) -> str:
        """Return what tells this boot from every other."""
        return self.ok("cat /proc/sys/kernel/random/boot_id").strip()

    @staticmethod
    def wait_for(condition: Callable[[], object], timeout: float, what: str) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise LabError(f"waited {timeout} s in vain for {what}")
            time.sleep(POLL_S)

    # -- networks ---------------------------------------------------------------------

    def _mac(self, index: int) -> str:
        return f"02:00:00:00:{index:02x}:{self.number:02x}"

    def address(self, segment: str) -> str:
        """Return this machine's address on a segment."""
        return f"10.78.{self.premises.segments.index(segment)}.{self.number}"

    def cut(self, segment: str | None = None) -> None:
        """Take it off a network, by default its first: its packets vanish."""
        self.premises.cut(self.name, segment or self.segments[0])

    def mend(self, segment: str | None = None) -> None:
        """Undo `cut`."""
        self.premises.mend(self.name, segment or self.segments[0])

    @property
    def cut_off(self) -> list[str]:
        """The networks that it has been taken off."""
        return [segment for segment in self.segments if self.premises.is_cut(self.name, segment)]

    # -- logs -------------------------------------------------------------------------

    @property
    def logs(self) -> Path:
        """The folder (on the host) of all that this machine logs, over all its boots."""
        folder = self.premises.folder / "logs" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _keep_console(self, guest: Guest) -> None:
        with contextlib.suppress(LabError):  # the guest has ended, the text is still there
            guest.console()
        # The shell tells of each job that it starts; nobody wants to read that.
        text = re.sub(r"(?m)^\[\d+\] \d+\s*$\n?", "", guest._console.decode(errors="replace"))
        (self.logs / f"console-{guest.scratch.name}.txt").write_text(text)

    def keep_console(self) -> None:
        """Write what the console has shown to `logs`."""
        if self._guest is not None:
            self._keep_console(self._guest)
