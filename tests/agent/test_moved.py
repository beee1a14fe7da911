"""Names that lead to another LU than when this boot joined; LUs that were cleared, not evicted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fence_prbarrier.errors import CommandFailed, InvalidInput, Several

from .resource import EVICTED, GENERIC, Resource, assert_fails
from .stage import ROOT, Stage, assert_refused
from .test_watchdog import EVICTED as SEEN_EVICTED
from .test_watchdog import FINE, _check

REGISTER_AND_IGNORE, CLEAR = 6, 3
FOREIGN = 0xC1EA4


@pytest.fixture
def linked(bare: Stage) -> Stage:
    """n1 and n2 have joined both LUs, the second by a link."""
    link = bare.folder / "link"
    link.symlink_to(bare.units[1])
    bare.units[1] = link
    for node in ("n1", "n2"):
        assert bare.do(node, "on", node).code == 0
    return bare


def _point(link: Path, target: Path) -> None:
    link.unlink()
    link.symlink_to(target)


@pytest.mark.parametrize(
    ("action", "plug"),
    [("off", "n2"), ("status", "n2"), ("monitor", ""), ("list-status", ""), ("on", "n1")],
)
def test_a_lu_to_which_no_name_leads_any_more(linked: Stage, action: str, plug: str) -> None:
    """Its name leads to the other LU now: nothing of it was read, so nothing is said of it."""
    second = Path(os.path.realpath(linked.units[1]))
    _point(linked.units[1], linked.units[0])
    result = linked.do("n1", action, plug)
    assert_refused(result, f"device mock:{linked.units[1]}: led to LU", "mend the list")
    for verb in ("start", "monitor"):
        resource = Resource(linked)
        if verb == "monitor":
            (linked.state("n1") / "running-barrier").write_text(
                Path("/proc/sys/kernel/random/boot_id").read_text()
            )
        assert_fails(resource.do(verb), GENERIC, "led to LU")
    result = _check(linked.state("n1"))
    assert result.code == FINE and "no name leads to it" in result.out
    _point(linked.units[1], second)
    assert len(linked.keys("n2", 1)) == 1
    assert linked.do("n1", "off", "n2").code == 0


@pytest.mark.parametrize(("action", "plug"), [("status", "n2"), ("list-status", ""), ("off", "n2")])
def test_a_memory_that_cannot_be_read_vouches_for_no_list(
    joined: Stage, action: str, plug: str
) -> None:
    """Whether each joined LU was read is not known then, so nobody is called off."""
    (memory,) = joined.state("n1").glob("????-????")
    memory.write_bytes(memory.read_bytes()[:-1])
    assert joined.do("n3", "off", "n2").code == 0
    assert_refused(joined.do("n1", action, plug), "cut off or changed")


def test_the_way_out_that_it_names(linked: Stage) -> None:
    """A LU that is gone for good: off the list, on, back on the list."""
    other = linked.folder / "other"
    subprocess.run(
        [sys.executable, "-m", "fence_prbarrier.simulator", "create", str(other)],
        cwd=ROOT, check=True, timeout=30,
    )  # fmt: skip
    _point(linked.units[1], other)
    assert linked.do("n1", "on", "n1").code == 1
    assert linked.do("n1", "on", "n1", devices=f"mock:{linked.units[0]}").code == 0
    assert linked.do("n1", "on", "n1").code == 0
    assert linked.do("n1", "monitor").code == 0


def test_the_watchdog_during_the_documented_clear(joined: Stage) -> None:
    """On the last member's disks: its key is replaced in place, then all is cleared."""
    for node in ("n2", "n3"):
        assert joined.do("n1", "off", node).code == 0
    assert joined.reserve_out("n1", REGISTER_AND_IGNORE, 0, FOREIGN) == 0
    result = _check(joined.state("n1"))
    assert result.code == FINE and "not an eviction" in result.out
    assert joined.reserve_out("n1", CLEAR, FOREIGN) == 0
    assert _check(joined.state("n1")).code == FINE


def test_the_watchdog_after_the_cluster_was_renamed(joined: Stage) -> None:
    """The old name's memory says joined; the disks were cleared and joined under the new one."""
    for unit in range(2):
        assert joined.reserve_out("n2", CLEAR, joined.keys("n2", unit)[0], unit=unit) == 0
    for node in ("n1", "n2"):
        assert joined.do(node, "on", node, cluster_name="renamed").code == 0
    assert _check(joined.state("n1")).code == FINE
    assert joined.do("n2", "off", "n1", cluster_name="renamed").code == 0
    assert _check(joined.state("n1")).code == SEEN_EVICTED


def test_a_lu_that_was_off_the_list_and_cleared(joined: Stage) -> None:
    """Bare it is joined as new; with others on it, it is not called an eviction."""
    first = f"mock:{joined.units[0]}"
    resources = [Resource(joined, node).started() for node in ("n1", "n2")]
    for resource in resources:
        assert resource.do("monitor", devices=first).code == 0
    assert joined.reserve_out("n3", CLEAR, joined.keys("n3", 1)[0], unit=1) == 0
    assert resources[0].do("monitor").code == 0
    assert len(joined.keys("n1", 1)) == 1
    assert_fails(resources[1].do("monitor"), GENERIC, "back on the list")
    assert joined.do("n2", "on", "n2", rejoin="allow").code == 0
    assert resources[1].do("monitor").code == 0
    assert joined.do("n1", "off", "n2").code == 0
    assert resources[1].do("monitor").code == EVICTED


def test_a_file_that_is_being_rewritten_bans_nobody(joined: Stage) -> None:
    """For a monitor a missing file is an error that passes; 2 would be a hard one."""
    resource = Resource(joined).started()
    listed = joined.folder / "listed"
    assert_fails(resource.do("monitor", devices_file=listed), GENERIC, "No such file")


def test_the_watchdogs_script_without_its_package(tmp_path: Path) -> None:
    """Half installed is no reason to reboot."""
    script = (ROOT / "install" / "watchdog.in").read_text().replace("@DATADIR@", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-IS", "-c", script, "test"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "not known whether" in done.stdout and "ModuleNotFoundError" in done.stdout


def test_an_error_of_many_lus_is_said_once() -> None:
    """Pacemaker cuts a long line of its log; what is wrong must be in it."""
    errors: list[CommandFailed | InvalidInput] = []
    for number in range(6):
        error = CommandFailed("does not answer")
        error.where = f"LU {number}"
        errors.append(error)
    errors.append(InvalidInput("odd"))
    said = "LU 0, LU 1, LU 2, LU 3 and 2 more: does not answer; odd"
    assert str(Several(errors)) == said
