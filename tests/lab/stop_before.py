"""Run the agent, unchanged, and stop it (SIGSTOP) just before it sends a certain command.

Usage: stop_before.py COMMAND N PID_FILE: before the Nth COMMAND, "PREEMPT" or
"LOGICAL UNIT RESET" say. Then PID_FILE holds the number of the stopped process;
SIGCONT lets it go on.
"""

from __future__ import annotations

import os
import signal
import sys

from fence_prbarrier.agent.cli import main
from fence_prbarrier.scsi.command import Command, LogicalUnitReset
from fence_prbarrier.scsi.outcome import Completion
from fence_prbarrier.transport.sgio import SgIo

wanted, turn, pid_file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
met = [0]
genuine_execute, genuine_reset = SgIo.execute, SgIo.reset


def stop_before(name: str) -> None:
    """Stop if this is the command to stop before."""
    met[0] += name == wanted
    if name == wanted and met[0] == turn:
        with open(pid_file + ".new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(pid_file + ".new", pid_file)
        os.kill(os.getpid(), signal.SIGSTOP)


def execute(self: SgIo, command: Command, timeout_ms: int) -> Completion:
    """Stop in time, then do what the transport does."""
    stop_before(command.name)
    return genuine_execute(self, command, timeout_ms)


def reset(self: SgIo, timeout_ms: int) -> Completion:
    """Stop in time, then do what the transport does."""
    stop_before(LogicalUnitReset.name)
    return genuine_reset(self, timeout_ms)


SgIo.execute, SgIo.reset = execute, reset  # type: ignore[method-assign]
sys.exit(main([]))
