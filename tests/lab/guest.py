"""Boot, drive and end one user-mode-linux guest.

The console (a pty held by pexpect) is only used to *start* things. Scripts,
standard input, output and exit codes are files in a scratch directory that
host and guest both see, so output is exact to the byte, nothing is echoed, no
terminal has a say, and several jobs can run at once: one that hangs in the
kernel does not block the next.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import itertools
import json
import os
import platform
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, NamedTuple

with contextlib.suppress(ImportError):  # without it the tests are skipped, not broken
    import pexpect

KERNEL = Path("/usr/bin/linux.uml")
HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
GUEST_MODULES = ("inguest_agent.py", "inguest_lio.py", "inguest_scsi.py")
SCRATCH_PREFIX = "prbarrier-lab-"
OWNER_MARK = "lab_owner="
BOOT_TIMEOUT_S = 60.0
POLL_S = 0.003
NUDGE_S = 0.1
NUDGE_MAX_S = 1.0
END_TIMEOUT_S = 10.0


class LabError(Exception):
    """The laboratory itself has failed; says nothing about the thing under test."""


class JobTimeout(LabError, TimeoutError):
    """A job was not over in time; it has been killed."""


class Result(NamedTuple):
    """What a command in the guest came to."""

    code: int
    output: str


def why_not() -> str | None:
    """Return the reason why no guest can run on this machine, or None."""
    if importlib.util.find_spec("pexpect") is None:
        return "the Python module pexpect is missing"
    if os.geteuid() != 0:
        return "the lab needs root"
    if platform.machine() != "x86_64":
        return "user-mode-linux exists for x86_64 only"
    if not os.access(KERNEL, os.X_OK):
        return f"{KERNEL} is missing (tests/lab/deps.sh installs it)"
    for program in ("iscsid", "iscsiadm", "sg_persist", "sg_raw", "insmod", "ip", "dmsetup"):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            return f"{program} is missing (tests/lab/deps.sh installs it)"
    return None


def _start_time(pid: int) -> str | None:
    """Return a process's start time, which tells two holders of one pid apart."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _commandlines() -> dict[int, list[str]]:
    """Return the words of every user-mode-linux process's command line by pid."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if words and os.path.basename(words[0]) == KERNEL.name:
                    found[int(entry.name)] = words
    return found


def session_members(session: int) -> set[int]:
    """Return the live processes of a session; a guest's helpers stay in its session."""
    members = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] not in "ZX":
                    members.add(int(entry.name))
    return members


def end_stale() -> int:
    """End the guests of runs that are themselves gone; return how many processes that were."""
    ended = 0
    for pid, words in _commandlines().items():
        mark = next((w[len(OWNER_MARK) :] for w in words if w.startswith(OWNER_MARK)), "")
        owner, _, started = mark.partition(":")
        if not owner.isdigit() or _start_time(int(owner)) == started:
            continue
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            ended += 1
        scratch = next((w[12:] for w in words if w.startswith("lab_scratch=")), "")
        if os.path.basename(scratch).startswith(SCRATCH_PREFIX):
            shutil.rmtree(scratch, ignore_errors=True)
    return ended


class Guest:
    """One running guest. Use it as a context manager, or call `start` and `end`."""

    def __init__(
        self,
        name: str = "lab",
        memory_mb: int = 512,
        words: Sequence[str] = (),
        prefix: Sequence[str] = (),
    ) -> None:
        """Prepare a guest.

        `words` go on the kernel's command line (a network device, say); `prefix`
        goes before the kernel (`ip netns exec NAME`).
        """
        self.name = name
        self.repo = REPO
        self.scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX))
        self._words = [f"mem={memory_mb}M", *words]
        self._prefix = list(prefix)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._child: Any | None = None
        self._console = b""

    def __enter__(self) -> Guest:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def start(self, timeout: float = BOOT_TIMEOUT_S) -> None:
        """Boot, and wait until the console shell is there."""
        end_stale()
        atexit.register(self.end)
        package = self.scratch / "inguest"
        package.mkdir()
        (package / "__init__.py").touch()
        for module in GUEST_MODULES:
            shutil.copy(HERE / module, package / module)
        for file in ("init", "shell.rc"):
            shutil.copy(HERE / file, self.scratch / file)
        (self.scratch / "init").chmod(0o755)
        (self.scratch / "uml").mkdir()
        me = os.getpid()
        command = [
            *self._prefix,
            *(str(KERNEL), "rootfstype=hostfs", "ro", f"init={self.scratch}/init"),
            *("con=null", "con0=fd:0,fd:1", "quiet", "loglevel=3"),
            *(f"umid={self.name}", f"uml_dir={self.scratch}/uml/"),
            *(f"lab_scratch={self.scratch}", f"lab_name={self.name}"),
            *(f"{OWNER_MARK}{me}:{_start_time(me)}", *self._words),
        ]
        try:
            # A session of its own comes with the pty: all that is in it is ours to end.
            self._child = pexpect.spawn(command[0], command[1:], timeout=timeout, echo=False)
            self._child.delaybeforesend = None
            self._child.expect_exact(b"lab-ready")
        except (pexpect.ExceptionPexpect, OSError) as error:
            said = b"" if self._child is None else (self._child.before or b"")
            if not isinstance(said, bytes):
                said = b""
            self.end()
            text = said.decode(errors="replace")
            raise LabError(f"the guest did not boot ({type(error).__name__}): {text}") from error

    @property
    def pid(self) -> int:
        """The guest's first process: SIGSTOP freezes the guest, SIGKILL pulls its plug."""
        if self._child is None:
            raise LabError("the guest is not running")
        return int(self._child.pid)

    def end(self) -> None:
        """Pull the plug: end every process of the guest, and remove its files."""
        atexit.unregister(self.end)
        child, self._child = self._child, None
        if child is not None:
            deadline = time.monotonic() + END_TIMEOUT_S
            while True:
                left = session_members(child.pid)
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                if not left or time.monotonic() > deadline:
                    break
                time.sleep(POLL_S)
            child.close(force=True)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def console(self) -> str:
        """Return what the console has shown since the boot (the kernel's complaints)."""
        with self._lock:
            self._drain()
        return self._console.decode(errors="replace")

    def _drain(self) -> None:
        """Read the console, so that the guest never waits for a reader."""
        if self._child is None:
            raise LabError("the guest is not running")
        try:
            while True:
                self._console += self._child.read_nonblocking(65536, timeout=0)
        except pexpect.TIMEOUT:
            return
        except pexpect.EOF:
            text = self._console.decode(errors="replace")
            raise LabError(f"the guest has ended by itself: {text[-2000:]}") from None

    def _send(self, line: str) -> None:
        with self._lock:
            self._drain()
            assert self._child is not None
            self._child.sendline(line)

    def spawn(self, script: str, stdin: str | bytes = b"", cwd: str | Path | None = None) -> Job:
        """Start a bash script in the guest and return at once."""
        number = next(self._numbers)
        base = self.scratch / str(number)
        data = stdin.encode() if isinstance(stdin, str) else stdin
        base.with_suffix(".in").write_bytes(data)
        change = "" if cwd is None else f"cd '{cwd}' || exit 125\n"
        base.with_suffix(".sh").write_text(change + script + "\n")
        self._send(f"J {number}")
        return Job(self, number, script)

    def sh(
        self,
        script: str,
        timeout: float = 30.0,
        stdin: str | bytes = b"",
        cwd: str | Path | None = None,
    ) -> Result:
        """Run a bash script in the guest; return exit code and output (1 and 2 together)."""
        return self.spawn(script, stdin, cwd).wait(timeout)

    def ok(self, script: str, timeout: float = 30.0, stdin: str | bytes = b"") -> str:
        """Run a script that has to succeed; return its output."""
        code, output = self.sh(script, timeout, stdin)
        if code != 0:
            raise AssertionError(f"exit code {code} from: {script}\n{output}")
        return output

    def call(self, operation: str, timeout: float = 30.0, **arguments: Any) -> Any:
        """Have the resident agent do something; see `inguest_agent`."""
        number = next(self._numbers)
        request = {"operation": operation, "arguments": arguments}
        (self.scratch / f"{number}.req").write_text(json.dumps(request))
        self._send(f"A {number}")
        answer = self.scratch / f"{number}.ans"
        self.wait_for(answer.exists, timeout, f"agent's {operation}")
        reply = json.loads(answer.read_text())
        if "error" in reply:
            raise LabError(f"{operation} {arguments}: {reply['error']}")
        return reply["value"]

    def wait_for(self, condition: Callable[[], object], timeout: float, what: str) -> None:
        """Wait until a condition holds, with an eye on the guest.

        About once in a thousand times user-mode-linux misses that its console has
        input, and sees it only when more comes: so an empty line is sent now and then.
        """
        began = time.monotonic()
        looked, nudge = began, NUDGE_S
        while not condition():
            now = time.monotonic()
            if now > began + timeout:
                raise JobTimeout(f"{what}: not over after {timeout} s")
            if now > looked + nudge:
                looked, nudge = now, min(2 * nudge, NUDGE_MAX_S)
                self._send("")
            time.sleep(POLL_S)

    def share(self, name: str, data: Mapping[str, Any] | str | bytes) -> str:
        """Put a file into the scratch directory; return its path in the guest."""
        if isinstance(data, Mapping):
            data = json.dumps(data)
        path = self.scratch / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return f"/lab/{name}"


class Job:
    """A script that runs in the guest."""

    def __init__(self, guest: Guest, number: int, script: str) -> None:
        self._guest = guest
        self._number = number
        self._base = guest.scratch / str(number)
        self.script = script

    @property
    def running(self) -> bool:
        """Whether the job has not ended yet."""
        try:
            return not self._base.with_suffix(".rc").read_bytes().endswith(b"\n")
        except FileNotFoundError:
            return True

    @property
    def raw(self) -> bytes:
        """The output, to the byte. Complete once the job has ended."""
        try:
            return self._base.with_suffix(".out").read_bytes()
        except FileNotFoundError:
            return b""

    def kill(self) -> None:
        """End the job and whatever it started."""
        self._guest._send(f"K {self._number}")

    def wait(self, timeout: float = 30.0) -> Result:
        """Wait for the end; a job that is not over in time is killed, and raises."""
        try:
            self._guest.wait_for(lambda: not self.running, timeout, self.script)
        except JobTimeout as late:
            self.kill()
            said = self.raw.decode(errors="replace")
            raise JobTimeout(f"{late}\noutput so far: {said[-2000:]}") from None
        code = int(self._base.with_suffix(".rc").read_text().split()[1])
        return Result(code, self.raw.decode(errors="replace"))
