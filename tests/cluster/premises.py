"""What a run occupies on this machine, marked with its owner, and how leftovers are found.

A run owns one folder (below the temporary directory), one process that holds
its network namespace open, and its guests. Each bears the pid and the start
time of the process that made it, so that a later run can tell what nobody owns
any more, and end it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from ..lab.guest import OWNER_MARK, LabError, end_stale

FOLDER_PREFIX = "prbarrier-cluster-"
HOLDER_MARK = "prbarrier-net="
IP_TIMEOUT_S = 20
HOLDER_TIMEOUT_S = 10
END_TIMEOUT_S = 10.0
# A program that needs nothing and ends by itself when its owner, who has the pipe, is gone.
HOLDER = "echo ready; read nothing"


def start_time(pid: int) -> str | None:
    """Return a process's start time, which tells two holders of one pid apart."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def owner_mark(pid: int | None = None) -> str:
    """Return the mark of a process's property; of this one's by default."""
    pid = os.getpid() if pid is None else pid
    return f"{pid}:{start_time(pid)}"


def _owner_is_gone(mark: str) -> bool:
    pid, _, started = mark.partition(":")
    return pid.isdigit() and start_time(int(pid)) != started


def _marked() -> Iterable[tuple[int, str]]:
    """Yield pid and owner's mark of every holder and guest on this machine."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for word in (entry / "cmdline").read_bytes().decode(errors="replace").split("\0"):
                for prefix in (HOLDER_MARK, OWNER_MARK):
                    if word.startswith(prefix):
                        yield int(entry.name), word[len(prefix) :]


def _folders() -> Iterable[tuple[Path, str]]:
    """Yield every run's folder and its owner's mark."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        yield folder, folder.name[len(FOLDER_PREFIX) :].rpartition("-")[0].replace("-", ":")


def _mounts() -> Iterable[str]:
    """Yield where this machine has mounted anything that belongs to a run."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if FOLDER_PREFIX in line:
            yield line


def belongings(mark: str) -> list[str]:
    """Return what a run (by its owner's mark) still occupies, for people to read."""
    found = [f"process {pid}" for pid, owner in _marked() if owner == mark]
    folders = [folder.name for folder, owner in _folders() if owner == mark]
    return found + folders + [line for line in _mounts() if mark.replace(":", "-") in line]


def sweep() -> list[str]:
    """End and remove whatever belongs to runs that are gone; return what that was."""
    ended = [f"{end_stale()} processes of guests"]
    for pid, mark in _marked():
        if _owner_is_gone(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                ended.append(f"process {pid}")
    for folder, mark in _folders():
        if _owner_is_gone(mark):
            shutil.rmtree(folder, ignore_errors=True)
            ended.append(folder.name)
    return [] if ended == ["0 processes of guests"] else ended


class Premises:
    """The run's folder and network: a namespace, a bridge for each segment, taps.

    The namespace has no name and no mount: it lives as long as a process in it.
    """

    def __init__(self, segments: Iterable[str]) -> None:
        """Prepare; each segment is a network of its own."""
        self.segments = tuple(segments)
        self.folder = Path()
        self._holder: subprocess.Popen[str] | None = None
        self._plugged: dict[str, str] = {}
        self._cut: set[str] = set()

    def start(self) -> None:
        """Make folder, namespace and bridges, after removing what dead runs have left."""
        sweep()
        mark = owner_mark()
        prefix = f"{FOLDER_PREFIX}{mark.replace(':', '-')}-"
        self.folder = Path(tempfile.mkdtemp(prefix=prefix))
        # Guests' daemons, some of which are not root, reach their logs through it.
        self.folder.chmod(0o755)
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", HOLDER, f"{HOLDER_MARK}{mark}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            raise LabError("no network namespace can be made here")
        lines = ["link set lo up"]
        for segment in self.segments:
            lines += [f"link add {segment} type bridge", f"link set {segment} up"]
        self.ip(*lines)

    def end(self) -> None:
        """Give everything back. The guests must have been ended before."""
        holder, self._holder = self._holder, None
        if holder is not None:
            assert holder.stdin is not None and holder.stdout is not None
            holder.stdin.close()
            holder.stdout.close()
            try:
                holder.wait(HOLDER_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                holder.kill()
                holder.wait(HOLDER_TIMEOUT_S)
        if self.folder.name.startswith(FOLDER_PREFIX):
            # A guest's kernel may have had a last file to write.
            deadline = time.monotonic() + END_TIMEOUT_S
            while self.folder.exists() and time.monotonic() < deadline:
                shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def prefix(self) -> list[str]:
        """What goes before a command that is to run in the namespace."""
        if self._holder is None:
            raise LabError("the premises have not been started, or have been given back")
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net"]

    def ip(self, *lines: str) -> None:
        """Run lines of `ip -batch` in the namespace."""
        done = subprocess.run(
            [*self.prefix, "ip", "-batch", "-"],
            input="".join(f"{line}\n" for line in lines),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=IP_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"ip: {lines}: {done.stdout}")

    def tap(self, machine: str, segment: str) -> str:
        """Return the name of a machine's tap on a segment."""
        return f"{machine}-{segment}"

    def plug(self, machine: str, segment: str) -> None:
        """Make a machine's tap anew; it stays cut if it was.

        Anew at every boot: a guest that reboots executes its kernel again with
        the old tap still open, and a tap takes one opener only.
        """
        tap = self.tap(machine, segment)
        lines = [f"link del {tap}"] if tap in self._plugged else []
        lines += [f"tuntap add {tap} mode tap", f"link set {tap} up"]
        if tap not in self._cut:
            lines.append(f"link set {tap} master {segment}")
        self.ip(*lines)
        self._plugged[tap] = segment

    def cut(self, machine: str, segment: str) -> None:
        """Take a machine off a segment: packets vanish, its own link seems to be up."""
        tap = self.tap(machine, segment)
        self._cut.add(tap)
        self.ip(f"link set {tap} nomaster")

    def mend(self, machine: str, segment: str) -> None:
        """Undo `cut`."""
        tap = self.tap(machine, segment)
        self._cut.discard(tap)
        self.ip(f"link set {tap} master {segment}")

    def is_cut(self, machine: str, segment: str) -> bool:
        """Whether a machine is off a segment."""
        return self.tap(machine, segment) in self._cut
