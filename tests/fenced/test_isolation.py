"""The nodes themselves: what they do stays in them, and they end with their owner."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ..agent.stage import ROOT
from .node import AGENT, FENCER, LISTENER, Node, living, wait_for

# As a test does; "gone" comes in only if its owner is not killed.
OWNER = """
import sys
from pathlib import Path
from tests.fenced.node import Node

with Node("n1", Path(sys.argv[1]), Path(sys.argv[2])) as node:
    node.start_fencer()
    print(node.namespace, flush=True)
    sys.stdin.read()
"""


def _mentioning(path: Path) -> list[str]:
    """Command lines, on the whole machine, in which a path stands."""
    namespaces = {os.readlink(entry) for entry in Path("/proc").glob("[0-9]*/ns/pid")}
    lines = [" ".join(words) for each in namespaces for _, words in living(each)]
    return [line for line in lines if str(path) in line]


def test_nothing_shows_outside(node: Node) -> None:
    """The listener is installed, the fencer runs and answers; the machine has none of that."""
    assert node.run("test", "-x", f"/usr/sbin/{LISTENER}").code == 0
    assert node.run("uname", "-n").out == "n1\n"
    assert not os.path.exists(f"/usr/sbin/{LISTENER}")
    assert "lowerdir=usr:/usr" in node.run("cat", "/proc/mounts").out
    assert "lowerdir=usr:/usr" not in Path("/proc/mounts").read_text()
    for kind in ("mnt", "uts", "ipc", "net", "pid"):
        inside, outside = f"/proc/{node.pid}/ns/{kind}", f"/proc/self/ns/{kind}"
        assert os.readlink(inside) != os.readlink(outside)
    (fencer,) = [words for words in node.processes().values() if words[0].endswith(FENCER)]
    assert "--stand-alone" in fencer
    # mount(8) makes a folder of its own.
    assert set(node.run("ls", "/run").out.split()) <= {"crm", "heard", "mount"}


def test_a_killed_run_leaves_nothing(tmp_path: Path, installed: Path) -> None:
    """The owner is killed: the kernel ends the node's processes, the fencer among them."""
    folder = tmp_path / "n1"
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder), str(installed)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None and owner.stdin is not None
    namespace = owner.stdout.readline().strip()
    assert len(dict(living(namespace))) >= 2
    owner.kill()
    owner.wait()
    wait_for(lambda: not dict(living(namespace)), "the node to end", 10)
    wait_for(lambda: not _mentioning(tmp_path), "its launchers to end", 10)
    owner.stdin.close()
    owner.stdout.close()


def test_the_installed_agent_runs(node: Node) -> None:
    """And not the one of the clone."""
    words = ("-c", f"import {AGENT}")
    assert node.run("/usr/bin/python3", *words).code != 0
    assert node.run(f"/usr/sbin/{AGENT}", "--version").out.startswith(f"{AGENT} ")
