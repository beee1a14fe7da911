"""The physical volumes of shared volume groups, as ``vgs`` shows them.

The one program that the package starts.  It reads every disk of the machine, so
it may take long or hang: it has a time limit, and whoever asks has a copy of
what it said before.
"""

from __future__ import annotations

import os
import time
from select import select

from .errors import DeviceError, OutOfTime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# PATH is whoever's started the agent.
FOLDERS = ("/usr/sbin", "/sbin", "/usr/bin", "/bin")
PROGRAM = "vgs"
# Shared groups are shown without lvmlockd running, as on a node that has not joined yet; and
# no lock of LVM's is waited for.  The name comes last: it may hold the separator.
ARGUMENTS = (
    "--noheadings", "--separator", ":", "--sort", "pv_uuid", "--options",
    "vg_attr,vg_name,pv_name", "--shared", "--nolocking",
)  # fmt: skip
ENVIRONMENT = {"LC_ALL": "C", "PATH": ":".join(FOLDERS), "LVM_SUPPRESS_FD_WARNINGS": "1"}
# The place in vg_attr that tells, and its values: clustered (LVM before 2.03) and shared.
SHARING, SHARED = 5, "cs"
# LVM 2.03 leaves a clustered group out, says so on stderr, and exits with 0.
SKIPPED = "Skipping clustered VG"
MAX_OUTPUT_BYTES = 1 << 20
MAX_SHOWN = 200
MAX_NAME = 100
DEATH_SECONDS = 0.5
POLL_SECONDS = 0.02
SIGKILL, SIGPIPE = 9, 13
REMEDY = "mend it, or give the shared disks in devices or devices_file"


def find_program() -> str:
    """The path of vgs; DeviceError if there is none."""
    for folder in FOLDERS:
        path = os.path.join(folder, PROGRAM)
        if os.access(path, os.X_OK):
            return path
    raise DeviceError(f"{PROGRAM} is in none of {', '.join(FOLDERS)}: install LVM")


def shared_volumes(seconds: float, started: Callable[[int], None]) -> list[str]:
    """Names of the physical volumes of all shared volume groups; empty if there is none.

    ``started`` is told the process id.  DeviceError where vgs fails, says
    anything else than it should, or misses a volume; OutOfTime where it takes
    longer than ``seconds``.
    """
    return parse(*run((find_program(), *ARGUMENTS), seconds, started))


def run(
    command: tuple[str, ...], seconds: float, started: Callable[[int], None]
) -> tuple[str, str]:
    """(stdout, stderr) of a program that ends with 0; DeviceError or OutOfTime otherwise.

    One that takes too long is killed; where the kernel does not let it go, it is left behind.
    """
    out, out_child = os.pipe()
    err, err_child = os.pipe()
    try:
        try:
            child = os.posix_spawn(
                command[0],
                command,
                ENVIRONMENT,
                file_actions=(
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, out_child, 1),
                    (os.POSIX_SPAWN_DUP2, err_child, 2),
                ),
                setsigdef=(SIGPIPE,),
            )
        except OSError as error:
            raise DeviceError(f"{command[0]}: {error.strerror}: {REMEDY}") from None
        finally:
            os.close(out_child)
            os.close(err_child)
        status = None
        try:
            started(child)
            deadline = time.monotonic() + seconds
            texts = _read((out, err), deadline)
            status = _await(child, deadline)
        finally:
            if status is None:
                os.kill(child, SIGKILL)
                _await(child, time.monotonic() + DEATH_SECONDS)
    finally:
        os.close(out)
        os.close(err)
    if texts is None or status is None:
        raise OutOfTime(f"{PROGRAM} gave no answer in {seconds:.1f} s and was killed")
    said, complaints = (text.decode("utf-8", "surrogateescape") for text in texts)
    if status:
        raise DeviceError(f"{PROGRAM} fails ({_end(status)}, {_short(complaints)!r}): {REMEDY}")
    return said, complaints


def parse(said: str, complaints: str) -> list[str]:
    """What vgs printed, strictly: one line a physical volume, in the order of ARGUMENTS."""
    if SKIPPED in complaints:
        raise DeviceError(
            f"{PROGRAM} leaves a volume group out ({_short(complaints)!r}): change it to a shared"
            " one, see lvmlockd(8), or give the shared disks in devices or devices_file"
        )
    names = []
    # Not splitlines(): it breaks at more than line feeds, and a name may hold those.
    for line in said.removesuffix("\n").split("\n") if said else ():
        attributes, _, rest = line.strip().partition(":")
        group, _, name = rest.partition(":")
        if len(attributes) <= SHARING or not group or not name or not name.isprintable():
            raise DeviceError(f"{PROGRAM} prints {_short(line)!r}, not what was asked: {REMEDY}")
        if attributes[SHARING] not in SHARED:
            continue
        if not os.path.isabs(name):  # "[unknown]"
            raise DeviceError(
                f"volume group {_short(group, MAX_NAME)}: {PROGRAM} misses a physical volume"
                f" ({_short(name, MAX_NAME)}): bring the disk back, or give the shared disks in"
                " devices or devices_file"
            )
        names.append(name)
    return list(dict.fromkeys(names))


def _read(ends: tuple[int, int], deadline: float) -> tuple[bytes, bytes] | None:
    """All that comes from both; None at the deadline, DeviceError where it is too much."""
    texts = dict.fromkeys(ends, b"")
    ready = list(ends)
    while ready:
        left = deadline - time.monotonic()
        answering = select(ready, [], [], left)[0] if left > 0 else []
        if not answering:
            return None
        for end in answering:
            chunk = os.read(end, 1 << 16)
            texts[end] += chunk
            if len(texts[end]) > MAX_OUTPUT_BYTES:
                raise DeviceError(f"{PROGRAM} says more than {MAX_OUTPUT_BYTES} bytes: {REMEDY}")
            if not chunk:
                ready.remove(end)
    return texts[ends[0]], texts[ends[1]]


def _await(child: int, deadline: float) -> int | None:
    """The wait status, or None if it does not end in time."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() > deadline:
            return None
        time.sleep(POLL_SECONDS)


def _end(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return f"exit code {os.WEXITSTATUS(status)}"


def _short(text: str, most: int = MAX_SHOWN) -> str:
    """One line of it, not too long, for a message."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most] + "…"
