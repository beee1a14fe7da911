"""Patterns in place of device names, and which names are partitions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fence_prbarrier import finding
from fence_prbarrier.errors import BarrierError, DeviceError, InvalidInput
from fence_prbarrier.finding import expand, is_pattern, whole_disk


def none() -> list[str]:
    """A boot that has joined nothing."""
    return []


@pytest.fixture
def disks(tmp_path: Path) -> Path:
    """Three links, one of them leading nowhere, a hidden one, and a partition's."""
    for name in ("wwn-b", "wwn-a", ".wwn-h", "other"):
        (tmp_path / name).write_text("")
    (tmp_path / "wwn-c").symlink_to("/none/sdc")
    (tmp_path / "wwn-c-part1").symlink_to("/none/sdc1")
    return tmp_path


def expanded(*names: str, known: list[str] | None = None) -> tuple[list[str], list[str]]:
    """(names, warnings)."""
    told: list[str] = []
    return expand(names, lambda: known or [], told.append), told


@pytest.mark.parametrize(
    ("name", "wild"),
    [
        ("/dev/sda", False), ("/dev/sd?", True), ("/dev/sd[ab]", True), ("/dev/disk/by-id/*", True),
        ("mock:/lu?profile=spec", False), ("mock:/lu*?profile=spec", True), ("mock:/lu[01]", True),
        ("mock:/lu?port=[1]", False),
    ],
)  # fmt: skip
def test_what_is_a_pattern(name: str, wild: bool) -> None:
    assert is_pattern(name) is wild


def test_a_pattern_stands_for_what_matches_in_order(disks: Path) -> None:
    """A link that leads nowhere is one of them: its disk was there."""
    a, b, c = (f"{disks}/wwn-{letter}" for letter in "abc")
    assert expanded(f"{disks}/wwn-*") == ([a, b, c], [])
    assert expanded(f"{disks}/other", f"{disks}/wwn-[!a]", a) == ([f"{disks}/other", b, c, a], [])
    assert expanded(b, f"{disks}/wwn-?") == ([b, a, c], [])
    assert expanded(f"{disks.parent}/{disks.name[:-1]}[{disks.name[-1]}]/wwn-a")[0] == [a]
    assert expanded(f"mock:{disks}/wwn-[ab]?profile=spec")[0] == [
        f"mock:{a}?profile=spec", f"mock:{b}?profile=spec",
    ]  # fmt: skip


def test_names_alone_are_not_looked_at() -> None:
    assert expanded("/none/a", "mock:b?port=1", "c") == (["/none/a", "mock:b?port=1", "c"], [])


@pytest.mark.parametrize("pattern", ["/none/*", "/dev/null/*", "/none*/x", "mock:/none/lu*"])
def test_what_matches_nothing_is_an_error_that_names_it(pattern: str) -> None:
    with pytest.raises(DeviceError, match="matches no disk") as raised:
        expanded("/dev/sda", pattern)
    assert pattern in str(raised.value)


def test_a_relative_pattern_is_refused() -> None:
    for pattern in ("sd*", "mock:lu*", "./sd?"):
        with pytest.raises(InvalidInput, match="absolute"):
            expanded(pattern)


def test_a_folder_that_cannot_be_read_is_not_empty(
    disks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> list[str]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(DeviceError, match="Input/output error"):
        expanded(f"{disks}/wwn-*")


def test_there_is_a_limit(disks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MAX_NAMES", 2)
    with pytest.raises(InvalidInput, match="3 names, at most 2"):
        expanded(f"{disks}/wwn-*")


def test_a_name_of_the_last_join_stays_though_it_is_gone(disks: Path) -> None:
    """And a warning says how to get rid of it; what does not match is somebody else's affair."""
    known = [f"{disks}/wwn-a", f"{disks}/wwn-z", f"{disks}/other-z", f"{disks}/x/wwn-y", "/wwn-q"]
    names, told = expanded(f"{disks}/wwn-?", known=known)
    assert names == [f"{disks}/wwn-{letter}" for letter in "abcz"]
    (warning,) = told
    assert f"{disks}/wwn-z:" in warning and "not there any more" in warning
    assert f"stays in the set by {disks}/wwn-?" in warning and "run on" in warning
    gone = ["/none/wwn-1", "/none/wwn-2"]
    assert expanded("/none/wwn-*", known=gone)[0] == gone
    simulated = ["mock:/none/lu0?port=1", "mock:/none/lu1?port=2"]
    assert expanded("mock:/none/lu*?port=1", known=simulated)[0] == simulated[:1]


def test_a_memory_that_cannot_be_read_is_no_empty_one(disks: Path) -> None:
    def broken() -> list[str]:
        raise BarrierError("cut off")

    with pytest.raises(BarrierError, match="cut off"):
        expand([f"{disks}/wwn-*"], broken, print)


# --- partitions --------------------------------------------------------------------------------


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What sysfs shows of sda and its partition, of a map and its partition, by their names."""
    root = tmp_path / "sys"
    numbers = {"sda": "1:1", "sda1": "1:2", "dm-0": "1:3", "dm-1": "1:4", "dm-2": "1:5"}
    folders = {"sda1": "sda/sda1"}
    for name, number in numbers.items():
        folder = root / "block" / folders.get(name, name)
        folder.mkdir(parents=True)
        (root / "dev/block").mkdir(parents=True, exist_ok=True)
        (root / "dev/block" / number).symlink_to(folder)
    (root / "block/sda/sda1/partition").write_text("1\n")
    for name, uuid in (("dm-0", "mpath-36001"), ("dm-1", "part1-mpath-36001"), ("dm-2", "LVM-x")):
        (root / "block" / name / "dm").mkdir()
        (root / "block" / name / "dm/uuid").write_text(f"{uuid}\n")
        (root / "block" / name / "slaves").mkdir()
    (root / "block/dm-1/slaves/dm-0").write_text("")
    real = os.stat

    def found(path: str, **how: bool) -> object:
        number = numbers.get(os.path.basename(path))
        if number is None or not str(path).startswith(str(tmp_path / "dev")):
            return real(path, **how)

        class Block:
            st_mode = 0o060660
            st_rdev = os.makedev(*map(int, number.split(":")))

        return Block()

    monkeypatch.setattr(finding, "SYSFS", str(root))
    monkeypatch.setattr(finding.os, "stat", found)
    (tmp_path / "dev").mkdir()
    for name in numbers:
        (tmp_path / "dev" / name).write_text("")
    return tmp_path


def test_partitions_are_left_out(sysfs: Path) -> None:
    dev = sysfs / "dev"
    assert expanded(f"{dev}/*")[0] == [f"{dev}/{name}" for name in ("dm-0", "dm-2", "sda")]
    with pytest.raises(DeviceError, match="matches no disk"):
        expanded(f"{dev}/sda[0-9]")


def test_a_partition_stands_for_its_disk(sysfs: Path) -> None:
    dev = sysfs / "dev"
    assert whole_disk(f"{dev}/sda1") == "/dev/sda"
    assert whole_disk(f"{dev}/dm-1") == "/dev/dm-0"
    for name in ("sda", "dm-0", "dm-2", "none"):
        assert whole_disk(f"{dev}/{name}") == f"{dev}/{name}"
    (sysfs / "sys/block/dm-1/slaves/dm-2").write_text("")
    with pytest.raises(DeviceError, match="partition of 2 devices"):
        whole_disk(f"{dev}/dm-1")
