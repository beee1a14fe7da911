"""Start-up is most of a fence's time: what a status loads, and how much memory it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fence_prbarrier.simulator import store
from fence_prbarrier.simulator.unit import LogicalUnit

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {
    "logging", "argparse", "json", "re", "dataclasses", "enum", "typing", "hashlib", "threading",
    "inspect", "lxml", "concurrent", "subprocess", "ctypes", "socket",
    "tempfile", "random", "ssl", "asyncio", "email", "traceback", "contextlib", "functools",
}  # fmt: skip
# What only the action clear needs.
FOR_PEOPLE = {
    "fence_prbarrier.agent.clearing", "fence_prbarrier.barrier.clear",
    "fence_prbarrier.barrier.order",
}  # fmt: skip
MAX_PEAK_KIB = 25 * 1024
REPORT_SECONDS = 10.0

# Runs the agent in this interpreter, then tells from outside of it what it took: the parent's
# modules, and the worker's, which end with it, from a report of their own.
DRIVER = """
import os, sys
sys.path.insert(0, sys.argv[1])
report, sys.argv[1:] = sys.argv[2], []
from fence_prbarrier import supervisor
end = os._exit
def peak():
    with open("/proc/self/status") as file:
        return [line.split()[1] for line in file if line.startswith("VmHWM")][0]
def tell(who):
    with open(f"{report}.{who}.new", "w") as file:
        file.write(peak() + " " + " ".join(sys.modules))
    os.rename(file.name, f"{report}.{who}")
def last(code):
    tell("worker")
    end(code)
os._exit = last
from importlib import import_module
module, _, arguments = CALL.partition(".main")
code = eval("main" + arguments, {"main": import_module("fence_prbarrier.agent." + module).main})
tell("agent")
sys.exit(code)
"""
# What DRIVER calls: a module's main, and its arguments.
AGENT = "cli.main([])"


def _measure(
    tmp_path: Path, action: str, plug: str = "n1", call: str = AGENT
) -> dict[str, tuple[int, set[str]]]:
    """who -> (peak KiB, modules) of one action over a simulated LU, by stdin, with -I -S."""
    lu = tmp_path / "lu"
    if not lu.exists():
        store.create(str(lu), LogicalUnit("spec", "1"))
    lines = f"action={action}\nplug={plug}\ndevices=mock:{lu}\nnodes=n1:1,n2:2\ncluster_name=demo\n"
    lines += f"local_name=n1\nstate_dir={tmp_path}/state\n"
    report = str(tmp_path / "report")
    program = DRIVER.replace("CALL", repr(call))
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(ROOT), report],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == (2 if action == "status" else 0), run.stderr
    found = {}
    for who in ("agent", "worker"):
        told = Path(f"{report}.{who}")
        limit = time.monotonic() + REPORT_SECONDS
        while not told.exists() and time.monotonic() < limit:
            time.sleep(0.01)  # the worker tells after the agent has gone
        peak, *modules = told.read_text().split(" ")
        told.unlink()
        found[who] = (int(peak), set(modules))
    return found


@pytest.mark.parametrize(
    ("action", "plug"), [("on", "n1"), ("off", "n2"), ("status", "n1"), ("monitor", "")]
)
def test_the_hot_path_loads_little(tmp_path: Path, action: str, plug: str) -> None:
    if action == "status":
        _reserve_only(tmp_path)
    elif action == "off":
        _measure(tmp_path, "on")
    for who, (_, modules) in _measure(tmp_path, action, plug).items():
        heads = {name.split(".")[0] for name in modules} | modules
        assert not heads & HEAVY, (who, heads & HEAVY)
        assert "fence_prbarrier.agent.cli" in modules
        assert not heads & FOR_PEOPLE, (who, heads & FOR_PEOPLE)


@pytest.mark.parametrize("action", ["start", "monitor", "watchdog"])
def test_resource_agent_and_watchdog_load_and_take_little(tmp_path: Path, action: str) -> None:
    """They run every half minute, on every node."""
    environment = {
        f"OCF_RESKEY_{name}": value
        for name, value in (
            ("devices", f"mock:{tmp_path}/lu"), ("nodes", "n1:1,n2:2"), ("cluster_name", "demo"),
            ("local_name", "n1"), ("state_dir", f"{tmp_path}/state"),
        )
    }  # fmt: skip
    if action != "start":
        _measure(tmp_path, "start", call=f"ocf.main(['start'], {environment})")
    call = f"ocf.main([{action!r}], {environment})"
    if action == "watchdog":
        call = f"watchdog.main(['test'], '{tmp_path}/state')"
    found = _measure(tmp_path, action, call=call)
    assert set(found) == {"agent", "worker"}
    for who, (peak_kib, modules) in found.items():
        heads = {name.split(".")[0] for name in modules} | modules
        assert not heads & HEAVY, (who, heads & HEAVY)
        assert 1024 < peak_kib < MAX_PEAK_KIB, who


def _reserve_only(tmp_path: Path) -> None:
    """A LU on which n1 is off: n2 has joined and holds the reservation."""
    lu = tmp_path / "lu"
    store.create(str(lu), LogicalUnit("spec", "1"))
    run = subprocess.run(
        [sys.executable, "-m", "fence_prbarrier", "-o", "on", "-n", "n2", f"-d mock:{lu}",
         "--nodes=n1:1,n2:2", "--cluster-name=demo", "--local-name=n2",
         f"--state-dir={tmp_path}/state-2"],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        check=False,
    )  # fmt: skip
    assert run.returncode == 0


def test_peak_memory_of_a_status(tmp_path: Path) -> None:
    _reserve_only(tmp_path)
    found = _measure(tmp_path, "status")
    assert set(found) == {"agent", "worker"}
    for who, (peak_kib, _) in found.items():
        assert 1024 < peak_kib < MAX_PEAK_KIB, who


def test_importing_the_package_does_nothing() -> None:
    """Pure Python values: no file, no device, no argument is looked at."""
    program = (
        "import sys, json; sys.path.insert(0, sys.argv[1])\n"
        "seen = []\n"
        "sys.addaudithook(lambda name, args: seen.append((name, str(args[:1])))"
        " if name in ('open', 'socket.connect', 'os.mkdir', 'os.fork', 'subprocess.Popen')"
        " and '.py' not in str(args[0]) and '/python' not in str(args[0]) else None)\n"
        "import fence_prbarrier.agent.cli, fence_prbarrier.agent.actions\n"
        "import fence_prbarrier.transport.sgio, fence_prbarrier.transport.mock\n"
        "print(json.dumps(seen))"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program, str(ROOT)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) == []
