"""A node for Pacemaker's fencer: namespaces of its own, in which the agent is installed.

Mounts, host name, network, processes and System V objects are the node's own, so
Pacemaker's sockets and files meet neither the machine's nor another run's.  `/usr` is
an overlay with the installed agent on top, `/run` and the like are empty.  All of it
lives as long as the node's first process, which ends when the pipe to its owner does:
a run that is killed leaves nothing behind.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Callable, NamedTuple

from ..agent.stage import CLUSTER, NODES, Result, Stage
from ..lab.guest import LabError

AGENT = "fence_prbarrier"
DEVICE = "fence"
# Pacemaker makes two attempts of its own accord, the second after a second.
ONCE = {f"pcmk_{action}_retries": 1 for action in ("on", "off", "monitor")}
# Writes down what the fencer says on stdin, then becomes the agent.
LISTENER = "fence_listener"
USER, GROUP = "hacluster", "haclient"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
DAEMONS = "/usr/lib/pacemaker:/usr/libexec/pacemaker"
FENCER = "pacemaker-fenced"
START_TIMEOUT_S = 30.0
END_TIMEOUT_S = 20.0
TOOL_TIMEOUT_S = 60.0
POLL_S = 0.02

# The pid is read while /proc is still the machine's.  Relative, the overlay's folder needs
# no quoting.  A socket of syslog that is not below /run would lead out of the node, and so
# would what Pacemaker writes to where it finds that a node must not go on.
FIRST_PROCESS = """
set -e
read -r pid rest < /proc/self/stat
mount -t proc proc /proc
cd "$1"
mount -t overlay overlay -o ro,lowerdir=usr:/usr /usr
for folder in /run /var/log /var/lib/pacemaker /var/lib/corosync /etc/corosync; do
    [ ! -d $folder ] || mount -t tmpfs -o mode=755 tmpfs $folder
done
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mkdir /run/crm /run/heard /var/lib/pacemaker/cores
[ ! -S /dev/log ] || mount --bind /dev/null /dev/log
[ ! -e /proc/sysrq-trigger ] || mount --bind /dev/null /proc/sysrq-trigger
echo "$2" > /proc/sys/kernel/hostname
echo "$pid"
read -r nothing || :
"""
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")
LISTENER_TEXT = f"""#!/bin/sh
heard=/run/heard/$(date +%s%N)
cat > "$heard.part"
mv "$heard.part" "$heard"
exec /usr/sbin/{AGENT} < "$heard"
"""


def environment() -> dict[str, str]:
    """What processes in a node get: nothing of the caller's, and no logs but those asked for."""
    return {"PATH": PATH, "LC_ALL": "C.UTF-8", "PCMK_logfile": "none", "PCMK_logfacility": "none"}


def wait_for(condition: Callable[[], object], what: str, seconds: float = START_TIMEOUT_S) -> None:
    """Poll until it holds; LabError where it does not in time."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise LabError(f"waited {seconds:g} s for {what}")
        time.sleep(POLL_S)


def as_words(options: Mapping[str, object]) -> list[str]:
    """Parameters of a device for stonith_admin."""
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def living(namespace: str) -> Iterator[tuple[int, list[str]]]:
    """Yield pid and command line of what lives in a pid namespace, which /proc/PID/ns/pid names.

    What has ended has no command line, buried or not.
    """
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/ns/pid") == namespace:
                words = Path(f"/proc/{entry}/cmdline").read_bytes()
                if words:
                    yield int(entry), words.decode(errors="replace").split("\0")
        except OSError:
            pass  # it has just ended


class Node:
    """One node, by name.  Use it as a context manager."""

    def __init__(self, name: str, folder: Path, installed: Path) -> None:
        """Prepare; `installed` stands for the root below which the agent was installed."""
        self.name = name
        self.folder = folder
        self.pid = 0
        self._installed = installed
        self._first: subprocess.Popen[str] | None = None
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Node:
        self.folder.mkdir()
        words = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--propagation", "private"]
        self._first = subprocess.Popen(
            [*words, "sh", "-c", FIRST_PROCESS, "sh", str(self._installed), self.name],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the owner, who ends the node in order
        )
        assert self._first.stdout is not None and self._first.stderr is not None
        answer = self._first.stdout.readline()
        if not answer.strip().isdigit():
            reason = self._first.stderr.read().strip()
            self.__exit__()
            raise LabError(f"no node can be made: {reason}")
        self.pid = int(answer)
        return self

    def __exit__(self, *_: object) -> None:
        """End every process of the node; the kernel takes the rest away."""
        first, self._first = self._first, None
        if first is None:
            return
        for stream in (first.stdin, first.stdout, first.stderr):
            assert stream is not None
            stream.close()
        first.wait(END_TIMEOUT_S)
        for daemon in self._daemons.values():
            daemon.wait(END_TIMEOUT_S)

    @property
    def _prefix(self) -> list[str]:
        return ["nsenter", f"--target={self.pid}", *NAMESPACES, "--"]

    @property
    def namespace(self) -> str:
        """The name of its pid namespace."""
        return os.readlink(f"/proc/{self.pid}/ns/pid")

    def path(self, inside: str) -> Path:
        """A path in the node, as the machine sees it."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def processes(self) -> dict[int, list[str]]:
        """Command lines by pid, as the machine counts, of what lives in the node."""
        return dict(living(self.namespace))

    def agents(self) -> list[list[str]]:
        """Command lines of the agent's processes."""
        return [words for words in self.processes().values() if f"/usr/sbin/{AGENT}" in words]

    def run(self, *words: str, user: str = "", stdin: str = "") -> Result:
        """Run a command in the node, as root or as another user."""
        become = ("setpriv", "--reuid", user, "--regid", GROUP, "--init-groups") if user else ()
        done = subprocess.run(
            [*self._prefix, *become, *words],
            env=environment(),
            input=stdin,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=TOOL_TIMEOUT_S,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, name: str, *words: str) -> None:
        """Start a daemon in the foreground; its output goes to NAME.console."""
        with open(self.folder / f"{name}.console", "ab") as console:
            self._daemons[name] = subprocess.Popen(
                [*self._prefix, *words],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def require_running(self, name: str) -> None:
        """LabError, with what it said, where a daemon has ended."""
        code = self._daemons[name].poll()
        if code is not None:
            console = (self.folder / f"{name}.console").read_text(errors="replace")
            raise LabError(f"{name} on {self.name} ended with {code}: {console}{self.log()}")

    # --- Pacemaker -------------------------------------------------------------------------------

    def start_fencer(self, mode: str = "--stand-alone") -> None:
        """Start the fencer, with an empty log, and wait until it answers."""
        program = shutil.which(FENCER, path=DAEMONS)
        assert program is not None
        self._log.unlink(missing_ok=True)
        self.start(FENCER, program, mode, "--verbose", "--logfile", str(self._log))

        def answers() -> bool:
            self.require_running(FENCER)
            return self.admin("--list-registered").code == 0

        wait_for(answers, f"{self.name}'s fencer")

    def stop_fencer(self) -> None:
        """Kill it, and every agent that it has left."""
        for pid, words in self.processes().items():
            if os.path.basename(words[0]) == FENCER or f"/usr/sbin/{AGENT}" in words:
                os.kill(pid, signal.SIGKILL)
        daemon = self._daemons.pop(FENCER, None)
        if daemon is not None:
            daemon.wait(END_TIMEOUT_S)

    def admin(self, *words: str, user: str = "") -> Result:
        """Run stonith_admin."""
        return self.run("stonith_admin", *words, user=user)

    def register(self, device: str, options: Mapping[str, object], agent: str = AGENT) -> None:
        """Tell the fencer of a device, or of other parameters of one that it has."""
        result = self.admin("--register", device, "--agent", agent, *as_words(options))
        assert result == (0, "", ""), result

    def succeed(self, *words: str) -> None:
        """Run stonith_admin, which has nothing to say."""
        result = self.admin(*words)
        assert result == (0, "", ""), (words, result, self.log())

    def fail(self, *words: str) -> str:
        """Run stonith_admin, which fails; its one line."""
        result = self.admin(*words)
        assert result.code != 0 and result.out == "", (words, result, self.log())
        assert result.err.count("\n") == 1, result
        return result.err

    @property
    def _log(self) -> Path:
        return self.folder / "fencer.log"

    def log(self) -> str:
        """What the fencer has logged."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def warnings(self) -> list[str]:
        """What the agent has written to stderr, line by line, as the fencer's log shows it."""
        return re.findall(r"stderr: \[ (.*) \]$", self.log(), re.MULTILINE)

    def heard(self) -> list[dict[str, str]]:
        """What the fencer has said to the listener, call by call."""
        files = sorted(self.path("/run/heard").iterdir(), key=lambda file: file.name)
        calls = [file.read_text().splitlines() for file in files]
        return [dict(line.split("=", 1) for line in call) for call in calls]

    def forget(self) -> None:
        """Forget this boot, as a reboot does."""
        shutil.rmtree(self.path(f"/run/{AGENT}"), ignore_errors=True)


class Two(NamedTuple):
    """n1 and n2."""

    n1: Node
    n2: Node


def parameters(stage: Stage, name: str = "n1", /, **more: object) -> dict[str, object]:
    """Those of the device on a node whose fencer stands alone, and so calls it localhost."""
    others = ";".join(f"{node}:{node}" for node in ("n1", "n2", "n3"))
    return {
        "devices": stage.devices,
        "nodes": NODES,
        "cluster_name": CLUSTER,
        "pcmk_host_map": f"localhost:{name};{others}",
        **more,
    }
