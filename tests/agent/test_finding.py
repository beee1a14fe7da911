"""The set of LUs: by patterns, a LU that is added, one that is taken off, one that goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from fence_prbarrier.simulator import store
from fence_prbarrier.simulator.unit import LogicalUnit

from .resource import GENERIC, SUCCESS, Resource, assert_fails
from .stage import Stage, assert_refused

ACTIONS = [("off", "n2"), ("status", "n2"), ("list-status", ""), ("monitor", ""), ("on", "n1")]


@pytest.fixture
def globbed(joined: Stage) -> str:
    """A pattern for both LUs; n1, n2 and n3 have joined them by it."""
    pattern = f"mock:{joined.folder}/lu[0-9]"
    for node in ("n1", "n2", "n3"):
        assert joined.do(node, "on", node, devices=pattern).out == "Success: Already ON\n"
    return pattern


def _number(stage: Stage, unit: int) -> int:
    """How many nodes are registered on a LU."""
    return sum(len(stage.keys(node, unit)) for node in ("n1", "n2", "n3"))


def test_a_pattern_in_devices_and_in_the_file(joined: Stage, globbed: str) -> None:
    file = joined.folder / "devices"
    file.write_text(f"# all of them\n{globbed}\n")
    listed = {"devices": None, "devices_file": file}
    assert joined.do("n1", "status", "n2", **listed) == (0, "Status: ON\n", "")
    assert joined.do("n1", "off", "n2", devices=globbed) == (0, "Success: Powered OFF\n", "")
    assert (_number(joined, 0), _number(joined, 1)) == (2, 2)
    assert joined.do("n1", "status", "n2", **listed) == (2, "Status: OFF\n", "")
    assert Resource(joined).do("start", devices=globbed) == (SUCCESS, "", "")
    assert Resource(joined).do("monitor", **listed) == (SUCCESS, "", "")


@pytest.mark.parametrize(("action", "plug"), ACTIONS)
def test_a_pattern_that_matches_nothing(joined: Stage, action: str, plug: str) -> None:
    """Beside a name that is sound, too; and it does not ban the resource from the node."""
    pattern = f"mock:{joined.folder}/none*"
    for devices in (pattern, f"{joined.devices},{pattern}"):
        before = joined.pictures()
        assert_refused(joined.do("n1", action, plug, devices=devices), pattern, "matches no disk")
        assert joined.pictures() == before
    assert_fails(Resource(joined).do("start", devices=pattern), GENERIC, "matches no disk")


@pytest.mark.parametrize(("action", "plug"), ACTIONS)
def test_a_pattern_never_shrinks_the_set(
    joined: Stage, globbed: str, action: str, plug: str
) -> None:
    """A LU's name goes, as a lost disk's link does: nothing is called done without that LU."""
    joined.units[1].rename(joined.folder / "gone")
    result = joined.do("n1", action, plug, devices=globbed)
    assert result.code == 1 and result.out == ""
    assert f"mock:{joined.units[1]}: not there any more, and stays in the set" in result.err
    assert f"device mock:{joined.units[1]}" in result.err.splitlines()[-1]
    for verb in ("start", "monitor"):
        resource = Resource(joined)
        if verb == "monitor":
            boot = Path("/proc/sys/kernel/random/boot_id").read_text()
            (joined.state("n1") / "running-barrier").write_text(boot)
        assert resource.do(verb, devices=globbed).code == GENERIC


def test_the_way_out_that_the_warning_names(joined: Stage, globbed: str) -> None:
    """The names of the others in place of the pattern, on, and the pattern back."""
    joined.units[1].rename(joined.folder / "gone")
    assert joined.do("n1", "on", "n1", devices=f"mock:{joined.units[0]}").code == 0
    assert joined.do("n1", "on", "n1", devices=globbed) == (0, "Success: Already ON\n", "")
    assert joined.do("n1", "off", "n2", devices=globbed) == (0, "Success: Powered OFF\n", "")


def test_all_that_a_pattern_matched_is_gone(joined: Stage, globbed: str) -> None:
    for unit in joined.units:
        unit.rename(joined.folder / f"gone-{unit.name}")
    result = joined.do("n1", "off", "n2", devices=globbed)
    assert result.code == 1 and "lu0" in result.err and "lu1" in result.err


def test_a_memory_that_cannot_be_read_vouches_for_no_pattern(joined: Stage, globbed: str) -> None:
    (memory,) = joined.state("n1").glob("????-????")
    memory.write_bytes(memory.read_bytes()[:-1])
    assert_refused(joined.do("n1", "status", "n2", devices=globbed), "cut off or changed")


def test_no_devices_and_no_volume_groups(joined: Stage) -> None:
    """Whether this machine has LVM or not, it has no shared group (conftest.py)."""
    for action, plug in (*ACTIONS, ("validate-all", "")):
        assert_refused(joined.do("n1", action, plug, devices=None), "no devices are given", "vgs")
    assert Resource(joined).do("start", devices=None).code == GENERIC


def test_clear_wants_its_disks_named(joined: Stage) -> None:
    """What is cleared is what a person names, not what LVM shows."""
    result = joined.do("n1", "clear", "n2", devices=None)
    assert_refused(result, "clear: give the disks to be cleared")


# --- a LU that is added --------------------------------------------------------------------------


def _add(stage: Stage) -> Path:
    path = stage.folder / "lu2"
    store.create(str(path), LogicalUnit("spec", serial=f"{2:016x}"))
    stage.units.append(path)
    return path


def test_a_lu_that_is_added(joined: Stage, globbed: str) -> None:
    """monitor warns of it, off and status fail, on and the clone's monitor join it: same key."""
    resource = Resource(joined, "n2")
    assert resource.do("start", devices=globbed).code == SUCCESS
    key = joined.keys("n1")
    path = _add(joined)
    monitored = joined.do("n1", "monitor", devices=globbed)
    assert monitored.code == 0 and "not joined in this boot; run on" in monitored.err
    for action in ("off", "list-status"):
        result = joined.do("n1", action, "n2", devices=globbed)
        assert result.code == 1 and str(path) in result.err, result
    assert all(len(joined.keys("n2", unit)) == 1 for unit in (0, 1))
    assert joined.do("n1", "on", "n1", devices=globbed).out == "Success: Powered ON\n"
    assert joined.keys("n1", 2) == key
    result = resource.do("monitor", devices=globbed)
    assert result.code == SUCCESS and "repaired, registered on 1 path" in result.err
    assert joined.keys("n2", 2) == joined.keys("n2", 0)
    assert joined.do("n1", "off", "n2", devices=globbed).out == "Success: Powered OFF\n"
    assert not any(joined.keys("n2", unit) for unit in (0, 1, 2))


def test_who_has_not_the_line_does_not_see_the_lu(joined: Stage) -> None:
    """off by a node with the old list evicts from the old LUs only: the lists must be equal."""
    old = joined.devices
    _add(joined)
    for node in ("n2", "n3"):
        assert joined.do(node, "on", node).code == 0
    assert joined.do("n1", "off", "n2", devices=old).out == "Success: Powered OFF\n"
    assert [bool(joined.keys("n2", unit)) for unit in (0, 1, 2)] == [False, False, True]


# --- a LU that is taken off ----------------------------------------------------------------------


def test_a_lu_that_is_taken_off_keeps_its_keys(joined: Stage) -> None:
    """No action sends it anything any more, and off leaves the victim's key on it."""
    first = f"mock:{joined.units[0]}"
    resource = Resource(joined)
    assert resource.do("start").code == SUCCESS
    before = joined.pictures()[1]
    for verb in ("monitor", "start"):
        assert resource.do(verb, devices=first) == (SUCCESS, "", "")
    for action, plug, code in (("on", "n1", 0), ("monitor", "", 0), ("off", "n2", 0),
                               ("status", "n2", 2), ("list-status", "", 0)):  # fmt: skip
        result = joined.do("n1", action, plug, devices=first)
        assert (result.code, result.err) == (code, "")
    assert joined.pictures()[1] == before
    assert len(joined.keys("n2", 1)) == 1
