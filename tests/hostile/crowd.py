"""Many agents of one node at once, and what must be so when the last of them has ended."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter

from ..agent.stage import PROCESS_LIMIT_SECONDS
from .scene import ACTS, Act, Scene

SIZE = 20
MIX = ("on, in place", "off", "monitor", "status, on", "resource monitor")
NOT_IN_PLACE = ("on, first", "monitor", "resource start", "list-status")
UNDER_WAY = "another action=on"
# What of these may be said when others change the picture meanwhile.
LATER = ("not registered: it has", "has not joined in this boot")


class Crowd:
    """Rounds of twenty, mixed by a seed."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self._scene = scene
        self._chance = random.Random(seed)
        self.ends: Counter[str] = Counter()

    def round(self, situation: str, killed: int = 0) -> list[str]:
        """One round; what is wrong after it."""
        scene = self._scene
        scene.restore("started" if situation == "joined" else situation)
        names = MIX if situation == "joined" else NOT_IN_PLACE
        acts = [act for act in ACTS if act.name in names]
        calls = [self._chance.choice(acts) for _ in range(SIZE - 1)]
        calls.append(acts[0])
        running = [self._begin(act) for act in calls]
        victims = self._chance.sample(range(SIZE), killed)
        for index in victims:
            time.sleep(self._chance.random() * 0.02)
            os.killpg(running[index].pid, signal.SIGKILL)
        found = []
        for index, (act, process) in enumerate(zip(calls, running)):
            out, err = process.communicate(timeout=PROCESS_LIMIT_SECONDS)
            self.ends[f"{act.action}: {process.returncode}"] += 1
            if index not in victims:
                found += self._judge(act, process.returncode, out.decode(), err.decode())
        return found + self._afterwards(situation, calls, killed)

    def _begin(self, act: Act) -> subprocess.Popen[bytes]:
        words, environment = act.call(self._scene)
        return subprocess.Popen(
            words, cwd=self._scene.folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def _judge(self, act: Act, code: int, out: str, err: str) -> list[str]:
        """Only a join may be told that another one is at work."""
        if "Traceback" in err or "internal error" in err:
            return [f"{act.name}: {err}"]
        if code in (0, act.code) or (act.action == "status" and code == 2):
            return []
        if UNDER_WAY in err or (act.action == "status" and "Status: " not in out):
            return []
        if act.action == "monitor" and act.situation != "started":
            return [] if any(words in err for words in LATER) else [f"{act.name}: {code} {err}"]
        return [f"{act.name}: exit {code}: {err}"]

    def _afterwards(self, situation: str, calls: list[Act], killed: int) -> list[str]:
        """Memory and LUs agree, the evicted one is out, nothing is left, and it goes on."""
        scene = self._scene
        found = []
        if situation == "joined" and not killed and any(scene.all_keys("n2")) and any(
            act.name == "off" for act in calls
        ):  # fmt: skip
            found.append("n2 has a key, and every off has ended")
        again = scene.do("n1", "on", "n1")
        if again.code:
            found.append(f"on, afterwards: {again}")
        memory = scene.memory()
        if memory is None or memory.key is None or len(memory.joined) < 2:
            found.append("the memory is not that of a member")
        elif scene.all_keys("n1") != [[memory.key]] * 2:
            found.append(f"{memory.key} is remembered, {scene.all_keys('n1')} are registered")
        if scene.strays():
            found.append(f"left over: {scene.strays()}")
        off = scene.do("n1", "off", "n2")
        if off.code or any(scene.all_keys("n2")):
            found.append(f"off, afterwards: {off}")
        return found
