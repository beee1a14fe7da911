"""The edge: how a command reaches a LU through one path.

A transport offers three calls, and ``running``; it knows nothing of the barrier:

* ``execute(command, timeout_ms)`` -> Completion;
* ``reset(timeout_ms)`` -> Completion, of a LOGICAL UNIT RESET;
* ``close()``;
* ``running``: whether the path is in a state to get commands, asked of no device.

It never raises for what a device or a fabric does: that is a Completion.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ..scsi.command import Command
    from ..scsi.outcome import Completion

    class Transport(Protocol):
        """One path to one LU."""

        @property
        def running(self) -> bool: ...

        def execute(self, command: Command, timeout_ms: int) -> Completion: ...

        def reset(self, timeout_ms: int) -> Completion: ...

        def close(self) -> None: ...
