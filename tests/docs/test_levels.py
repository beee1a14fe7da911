"""The table of what Pacemaker runs with two fencing levels, row by row.

Pacemaker and the configuration are real and the page's. The agents are not: they
have the metadata of the real ones, write down what they are asked, and fail when told.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..fenced.node import Node
from ..lab.guest import REPO
from . import machine, pages
from .machine import WORK, await_running, settle, shell

BARRIER, POWER = "fence_prbarrier", "fence_apc_snmp"
AGENT_TIMEOUT_S = 30
REQUEST_TIMEOUT_S = 20
# The agent's name, the action, and from the second disk's name in it whether it is `alone`.
FAKE = """#!/bin/sh
me=$(basename "$0")
case "$*" in *metadata*) exec cat "/usr/share/$me.xml" ;; esac
given=$(cat)
action=$(printf '%s\\n' "$given" | sed -n 's/^action=//p' | tail -n 1)
case $action in
    metadata) exec cat "/usr/share/$me.xml" ;;
    list) printf 'n1,1\\nn2,2\\n'; exit 0 ;;
    monitor) exit 0 ;;
esac
case $given in *alone*) name=alone ;; *) name=$me ;; esac
echo "$name $action" >> @WORK@/calls
[ ! -e "@WORK@/fail-$me-$action" ] || { echo "told to fail" >&2; exit 1; }
"""
NAMES = {BARRIER: "fence", POWER: "power", "alone": "alone"}
TIMES = {"twice": 2}


@pytest.fixture
def acted(tmp_path: Path) -> Iterator[Node]:
    """A cluster of one whose agents are actors, with the levels of the page."""
    machine.require_tools()
    real = subprocess.run(
        [f"/usr/sbin/{POWER}", "-o", "metadata"],
        capture_output=True,
        text=True,
        timeout=AGENT_TIMEOUT_S,
        check=True,
    )
    exported = (REPO / f"metadata/{BARRIER}.xml").read_text()
    root = tmp_path / "root"
    for folder in ("usr/sbin", "usr/share"):
        (root / folder).mkdir(parents=True)
    for name, metadata in ((BARRIER, exported), (POWER, real.stdout)):
        (root / f"usr/share/{name}.xml").write_text(metadata)
        script = root / f"usr/sbin/{name}"
        script.write_text(FAKE.replace("@WORK@", WORK))
        script.chmod(0o755)
    root.chmod(0o755)
    with Node("n1", tmp_path / "n1", root) as node:
        machine.prepare(node)
        alone = node.path(f"{WORK}/alone.xml")
        alone.write_text(alone.read_text().replace("/lu1", "/alone"))
        machine.start_cluster(node)
        for step in ("fence", "levels"):
            done = shell(node, pages.step("xml", step))
            assert done.code == 0, done
        await_running(node, "fence", "power", "alone")
        yield node


def asked(node: Node, want: str, fails: str) -> tuple[list[str], bool]:
    """What the agents were asked when Pacemaker wants something, and whether it succeeded."""
    settle(node)
    calls = node.path(f"{WORK}/calls")
    calls.write_text("")
    for flag in node.path(WORK).glob("fail-*"):
        flag.unlink()
    if fails:
        device, action = fails.split()
        agent = {"power": POWER, "fence": BARRIER}[device]
        node.path(f"{WORK}/fail-{agent}-{action}").touch()
    option, target = {
        "reboot": ("--reboot", "n2"), "off": ("--fence", "n2"), "unfence": ("--unfence", "n1")
    }[want]  # fmt: skip
    done = node.run("stonith_admin", option, target, "--timeout", str(REQUEST_TIMEOUT_S))
    told = []
    for line in calls.read_text().splitlines():
        name, action = line.split()
        told.append(f"{NAMES[name]} {action}")
    return told, done.code == 0


def documented() -> list[tuple[str, str, list[str], bool]]:
    """The page's table: what is wanted, what fails, what is run, whether it succeeds."""
    found = []
    want = ""
    for wants, runs in pages.rows(pages.DOCS / "fencing.md", "it wants"):
        words = wants.split()
        want = want if words[0] == "the" else words[0]
        fails = wants.partition("and ")[2].removesuffix(" fails").replace("`", "")
        calls, _, end = runs.rpartition(":") if ": done" in runs or ": failed" in runs else (
            runs, "", ""
        )  # fmt: skip
        told = []
        for step in calls.rpartition("on `n1`:")[2].replace(";", ",").split(","):
            device, action, *times = step.replace("`", "").split()
            told += [f"{device} {action}"] * TIMES.get(" ".join(times), 1)
        found.append((want, fails, told, not end.strip().startswith("failed")))
    return found


def test_levels(acted: Node) -> None:
    """Each row of the table."""
    rows = documented()
    assert len(rows) == 7
    for want, fails, told, succeeds in rows:
        assert asked(acted, want, fails) == (told, succeeds), (want, fails)


def test_without_a_device_of_its_own_unfencing_needs_the_power_agent(acted: Node) -> None:
    """With `fence` itself in level 2, unfencing fails while the power agent does."""
    level = '<fencing-level id="level-2" devices="fence"/>'
    done = shell(acted, f"cibadmin --modify --xml-text '{level}'")
    assert done.code == 0, done
    settle(acted)
    told, succeeds = asked(acted, "unfence", "power on")
    assert told[:3] == ["fence on", "power on", "power on"]
    assert not succeeds
