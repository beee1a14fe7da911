"""A stage that is set up once and put back before each case, and the calls that play on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fence_prbarrier.barrier.memory import Memory
from fence_prbarrier.errors import BarrierError
from fence_prbarrier.key import Key, tag_of_cluster
from fence_prbarrier.state import Store

from ..agent.resource import DEGRADED, EVICTED, NOT_RUNNING, Resource, doubly
from ..agent.stage import CLUSTER, PROCESS_LIMIT_SECONDS, ROOT, Result, Stage
from .trap import Ended

TAG = tag_of_cluster(CLUSTER)
# The scripts as `make install` makes them, but for the folder that the package lies in.
AGENT, WATCHDOG = "agent", "watchdog"
SCRIPTS = {AGENT: "fence_prbarrier.in", WATCHDOG: "watchdog.in"}
CONFLICT = 0x18
REBOOT = 255
INSTANCE = "barrier"
SECONDS = 20
MEMORY_DISK = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# Options that take no value on a command line.
FLAGS = ("confirm",)
# Everything that may lie in a state_dir when nobody is at work.
KEPT = {
    f"{TAG:04x}-0001", f"{TAG:04x}-0001.lock", f"{TAG:04x}-0001.seen", f"{TAG:04x}-0001.seen.lock",
    f"running-{INSTANCE}",
}  # fmt: skip


def memory_folder() -> str:
    """A new folder where fsync() takes no time, if there is such a place."""
    return tempfile.mkdtemp(prefix="prbarrier-hostile-", dir=MEMORY_DISK)


class Scene(Stage):
    """Two LUs, three nodes, and pictures of all their files to go back to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, lus=2)
        self.scripts = {}
        for name, source in SCRIPTS.items():
            text = (ROOT / "install" / source).read_text()
            text = text.replace("@PYTHON@", sys.executable).replace("@DATADIR@", str(ROOT))
            text = text.replace("/run/fence_prbarrier", str(self.state("n1")))
            self.scripts[name] = folder / f"run-{name}"
            self.scripts[name].write_text(text)
        self._kept: dict[str, dict[str, bytes]] = {}
        self.remembered: dict[str, Memory | None] = {}

    # -- going back ------------------------------------------------------------------------------

    def keep(self, name: str) -> None:
        """Remember all LUs and memories as they are."""
        self._kept[name] = self._files()
        self.remembered[name] = self.memory()

    def restore(self, name: str) -> None:
        """Put everything back, and take away what has come since."""
        for folder in self.folder.glob("state-*"):
            shutil.rmtree(folder)
        for path in self.folder.glob("lu*"):
            path.unlink()
        for path, content in self._kept[name].items():
            file = self.folder / path
            file.parent.mkdir(mode=0o700, exist_ok=True)
            file.write_bytes(content)
            file.chmod(0o600)

    def _files(self) -> dict[str, bytes]:
        files = [*self.folder.glob("lu?"), *self.folder.glob("state-*/*")]
        return {str(file.relative_to(self.folder)): file.read_bytes() for file in files}

    def set_up(self) -> Scene:
        """Every situation that an action may find itself in."""
        for node in ("n2", "n3"):
            assert self.do(node, "on", node).code == 0
        self.keep("fresh")
        assert self.do("n1", "on", "n1").code == 0
        self.keep("joined")
        assert self.do("n2", "off", "n1").code == 0
        self.keep("evicted")
        self.restore("joined")
        assert self.do("n1", "off", "n2").code == 0
        self.keep("gone")
        self.restore("joined")
        assert Resource(self).do("start").code == 0
        self.keep("started")
        return self

    # -- calls -----------------------------------------------------------------------------------

    def words(self, node: str, action: str, plug: str = "", **options: object) -> list[str]:
        """A fence agent's call."""
        words = [sys.executable, "-IS", str(self.scripts[AGENT]), "-o", action]
        words += ["-n", plug] if plug else []
        for name, value in self.options(node, options).items():
            long = name.replace("_", "-")
            words.append(f"--{long}" if name in FLAGS else f"--{long}={value}")
        return words

    def do(self, node: str, action: str, plug: str = "", **options: object) -> Result:
        """The same as a Stage's, by arguments and as it is installed, which is faster."""
        done = subprocess.run(
            self.words(node, action, plug, **options), cwd=self.folder, env={},
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PROCESS_LIMIT_SECONDS,
            check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    # -- what is so ------------------------------------------------------------------------------

    def memory(self, node: int = 1) -> Memory | None:
        """A node's memory; None where it is broken."""
        try:
            return Store(str(self.state(f"n{node}")), TAG, node).load()
        except BarrierError:
            return None

    def all_keys(self, node: str) -> list[list[int]]:
        """The keys of a node's initiator, LU by LU."""
        return [self.keys(node, unit) for unit in range(len(self.units))]

    def lives(self, node: int) -> set[Key]:
        """The keys of a node on any nexus of any LU."""
        found = set()
        for picture in self.pictures():
            for line in picture:
                if line.startswith("registered"):
                    key = Key(int(line.split()[1], 16))
                    if key.tag == TAG and key.node == node:
                        found.add(key)
        return found

    def strays(self) -> list[str]:
        """What lies in n1's state_dir under a name that no later action would use again."""
        state = self.state("n1")
        names = os.listdir(state) if state.is_dir() else []
        return sorted({name.removesuffix(".new") for name in names} - KEPT)


class Act(NamedTuple):
    """One action of n1: the situation, the call, and which ends of it are true."""

    name: str
    situation: str
    action: str
    plug: str = ""
    options: tuple[tuple[str, object], ...] = ()
    # Exit codes of the undisturbed action, now and when it is run again.
    code: int = 0
    codes_again: tuple[int, ...] = (0,)
    check: Callable[[Scene], list[str]] = lambda scene: []
    face: str = AGENT
    double: bool = False
    joins: bool = False

    def call(self, scene: Scene) -> tuple[list[str], dict[str, str]]:
        """Words and environment."""
        options = dict(self.options)
        if self.double:
            options["devices"] = doubly(scene)
        if self.face == "ocf":
            environment = Resource(scene, instance=INSTANCE).environment(
                {**options, "CRM_meta_timeout": (SECONDS + 2) * 1000}
            )
            script = str(ROOT / "ocf" / "prbarrier")
            return [sys.executable, "-IS", script, self.action], environment
        if self.face == WATCHDOG:
            return [sys.executable, "-IS", str(scene.scripts[WATCHDOG]), self.action], {}
        options.setdefault("power_timeout", SECONDS)
        return scene.words("n1", self.action, self.plug, **options), {}

    def run(self, scene: Scene) -> Result:
        """The action, undisturbed."""
        words, environment = self.call(scene)
        done = subprocess.run(
            words, cwd=scene.folder, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=PROCESS_LIMIT_SECONDS, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def falsehoods(self, scene: Scene, ended: Ended | Result) -> list[str]:
        """What the process said, by exit code or stdout, that is not so."""
        if self.face == WATCHDOG:
            wrong = ended.code == REBOOT and self.code != REBOOT
            return ["a reboot of a node that is no evicted one"] if wrong else []
        if self.face == "ocf":
            found = []
            if ended.code == EVICTED and self.code != EVICTED:
                found.append("evicted, and it is not")
            if ended.code == NOT_RUNNING and self.code != NOT_RUNNING:
                found.append("not running, and it is")
            if ended.code in (0, DEGRADED):
                found += self.check(scene)
            return found
        claims = ended.code == 0 or "Success:" in ended.out
        if self.action == "status":
            # With 2 and no word the interpreter ends that cannot open its script.
            claims = ended.code == 0 or "Status:" in ended.out
        return self.check(scene) if claims else []


# -- what is to be so when an action says that it is done -----------------------------------------


def _evicted(scene: Scene) -> list[str]:
    """No key of n2, n1's own and the reservation in place, and no write of n2 passes."""
    found = []
    own = scene.memory()
    for unit, picture in enumerate(scene.pictures()):
        if scene.keys("n2", unit):
            found.append(f"LU {unit}: n2's key is there")
        if own is None or own.key is None or own.key not in scene.keys("n1", unit):
            found.append(f"LU {unit}: n1's own key is not there")
        if not any(line.startswith("reserved") for line in picture):
            found.append(f"LU {unit}: no reservation stands")
        if scene.write("n2", unit) != CONFLICT:
            found.append(f"LU {unit}: n2 can write")
    return found


def _member(scene: Scene) -> list[str]:
    """n1's key on both LUs, the barrier up, and all of it remembered."""
    memory = scene.memory()
    if memory is None or memory.key is None:
        return ["n1 remembers no key"]
    found = [f"LU {unit}: not joined by memory" for unit in range(2) if len(memory.joined) < 2]
    for unit, picture in enumerate(scene.pictures()):
        if memory.key not in scene.keys("n1", unit):
            found.append(f"LU {unit}: n1's key is not there")
        if not any(line.startswith("reserved") for line in picture):
            found.append(f"LU {unit}: no reservation stands")
    return found


def _member_twice(scene: Scene) -> list[str]:
    found = _member(scene)
    return found + [f"LU {u}: one nexus of two" for u in range(2) if len(scene.keys("n1", u)) < 2]


def _started(scene: Scene) -> list[str]:
    there = (scene.state("n1") / f"running-{INSTANCE}").exists()
    return _member(scene) + ([] if there else ["start left no mark"])


def _stopped(scene: Scene) -> list[str]:
    there = (scene.state("n1") / f"running-{INSTANCE}").exists()
    return ["the mark of start is there"] if there else []


def _never(scene: Scene) -> list[str]:
    return ["it was to be refused"]


def _is_on(scene: Scene) -> list[str]:
    return [] if any(scene.all_keys("n2")) else ["n2 has no key"]


def _is_off(scene: Scene) -> list[str]:
    return ["n2 has a key"] if any(scene.all_keys("n2")) else []


EVICT, JOIN = "off", "on"
ACTS = (
    Act("on, first", "fresh", JOIN, "n1", check=_member, joins=True),
    Act("on, in place", "joined", JOIN, "n1", check=_member, joins=True),
    Act("on, evicted", "evicted", JOIN, "n1", code=1, codes_again=(1,), check=_never, joins=True),
    Act("on, rejoin=allow", "evicted", JOIN, "n1", (("rejoin", "allow"),), check=_member,
        joins=True),
    Act("off", "joined", EVICT, "n2", check=_evicted),
    Act("off, done already", "gone", EVICT, "n2", check=_evicted),
    Act("off, evicted", "evicted", EVICT, "n2", code=1, codes_again=(1,), check=_never),
    Act("status, on", "joined", "status", "n2", check=_is_on),
    Act("status, off", "gone", "status", "n2", code=2, codes_again=(2,), check=_is_off),
    Act("monitor", "joined", "monitor"),
    Act("monitor, evicted", "evicted", "monitor", code=1, codes_again=(1,), check=_never),
    Act("list", "joined", "list"),
    Act("list-status", "joined", "list-status"),
    Act("validate-all", "joined", "validate-all"),
    Act("clear", "joined", "clear", "n2", (("force", "remove-members"), ("confirm", 1)),
        check=_is_off),
    Act("metadata", "joined", "metadata"),
    Act("resource start", "fresh", "start", check=_started, face="ocf", joins=True),
    Act("resource monitor", "started", "monitor", check=_member, face="ocf"),
    Act("resource monitor, repair", "started", "monitor", codes_again=(0,), check=_member_twice,
        face="ocf", double=True, joins=True),
    Act("resource stop", "started", "stop", check=_stopped, face="ocf"),
    Act("resource validate-all", "joined", "validate-all", face="ocf"),
    Act("watchdog", "joined", "test", face=WATCHDOG),
    Act("watchdog, evicted", "evicted", "test", code=REBOOT, codes_again=(REBOOT,),
        face=WATCHDOG),
)  # fmt: skip
