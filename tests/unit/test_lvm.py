"""What vgs says, strictly; a vgs that fails, lies or hangs; what is kept of it in a boot."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from fence_prbarrier import lvm, volume_groups
from fence_prbarrier.errors import BarrierError, DeviceError, MemoryFault, OutOfTime
from fence_prbarrier.lvm import parse, shared_volumes
from fence_prbarrier.volume_groups import VolumeGroups

# Captured from LVM 2.03.16 on two LUs of Linux LIO: (stdout, stderr), the exit code is 0 in each.
LOCAL = ("  wz--n-:shared:/dev/sdf\n  wz--n-:shared:/dev/sde\n", "")
SHARED = ("  wz--ns:shared:/dev/sdf\n  wz--ns:shared:/dev/sde\n", "")
BAD_AREA = (
    SHARED[0],
    "  WARNING: wrong checksum 98cdbd0e in mda header on /dev/sdf at 4096\n"
    "  WARNING: bad metadata header on /dev/sdf at 4096.\n"
    "  WARNING: scanning /dev/sdf mda1 failed to read metadata summary.\n"
    "  WARNING: repair VG metadata on /dev/sdf with vgck --updatemetadata.\n",
)
MISSING = (
    "  wz-pns:shared:/dev/sdf\n  wz-pns:shared:[unknown]\n",
    "  WARNING: Couldn't find device with uuid IsGh9z-pQuK-4SEw-0qcg-KDXC-0ocf-6YAPdz.\n"
    "  WARNING: VG shared is missing PV IsGh9z-pQuK-4SEw-0qcg-KDXC-0ocf-6YAPdz (last written to"
    " /dev/sde).\n",
)
CLUSTERED = (
    "",
    "  Skipping clustered VG parted.\n"
    "  See lvmlockd(8) for changing a clvm/clustered VG to a shared VG.\n",
)
# Printed by LVM 2.02 for a clustered group.
OLD = ("  wz--nc:old:/dev/mapper/mpatha\n  wz--n-:root:/dev/vda2\n", "")
SECONDS = 20.0
DISK = "/none/disk"  # of no sysfs entry, so no partition


def ignore(_: int) -> None:
    """Whoever is not told of the process."""


# --- what it says --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (LOCAL, []),
        (SHARED, ["/dev/sdf", "/dev/sde"]),
        (BAD_AREA, ["/dev/sdf", "/dev/sde"]),
        (OLD, ["/dev/mapper/mpatha"]),
        (("", ""), []),
        (("  wz--ns:a:/dev/by-path/ip-10.0.0.1:3260\n", ""), ["/dev/by-path/ip-10.0.0.1:3260"]),
    ],
    ids=["local", "shared", "bad area", "clustered", "none", "colon"],
)
def test_shared_groups_only(said: tuple[str, str], names: list[str]) -> None:
    assert parse(*said) == names


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (MISSING, "volume group shared: vgs misses a physical volume ([unknown])"),
        (CLUSTERED, "Skipping clustered VG parted"),
        (("  wz--ns:shared\n", ""), "not what was asked"),
        (("  wz--ns:shared:\n", ""), "not what was asked"),
        (("  wz--ns::/dev/sda\n", ""), "not what was asked"),
        (("  wz-:shared:/dev/sda\n", ""), "not what was asked"),
        (("  wz--ns:shared:/dev/s\x07da\n", ""), "not what was asked"),
        (("  wz--ns:shared:/dev/sda\n\n", ""), "not what was asked"),
        (("  WARNING: something\n", ""), "not what was asked"),
        (("  wz--ns:shared:/dev/\udcff\n", ""), "not what was asked"),
    ],
)
def test_anything_else_is_an_error_and_never_a_smaller_set(
    said: tuple[str, str], words: str
) -> None:
    with pytest.raises(DeviceError) as raised:
        parse(SHARED[0] + said[0], said[1])
    assert words in str(raised.value) and "devices_file" in str(raised.value)


# --- how it is run -------------------------------------------------------------------------------


class Fake:
    """A program in place of vgs: a shell script."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "vgs"

    def does(self, script: str) -> None:
        """Run this the next time."""
        self.path.write_text(f"#!/bin/sh\n{script}\n")
        self.path.chmod(0o755)

    def shows(self, *disks: str) -> None:
        """A shared group on these."""
        lines = "".join(f"  wz--ns:vg:{disk}\\n" for disk in disks)
        self.does(f"printf '{lines}'")


@pytest.fixture
def vgs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """No other vgs is found; the time limits are short."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(lvm, "FOLDERS", (str(folder),))
    return Fake(folder)


def test_it_is_found_without_path(vgs: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """By absolute name, in a clean environment, with nothing on stdin and none of our files."""
    elsewhere = vgs.path.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "vgs").write_text("#!/bin/sh\nexit 1\n")
    (elsewhere / "vgs").chmod(0o755)
    monkeypatch.setenv("PATH", str(elsewhere))
    monkeypatch.setenv("LVM_SYSTEM_DIR", "/none")
    with pytest.raises(DeviceError, match="install LVM"):
        shared_volumes(SECONDS, ignore)
    note = vgs.path.parent / "note"
    vgs.does(f'(env; echo "$@"; ls /proc/self/fd; cat) > {note}')
    told: list[int] = []
    held = os.dup2(os.open(os.devnull, os.O_RDONLY), 77, inheritable=False)
    assert shared_volumes(SECONDS, told.append) == []
    os.close(held)
    assert len(told) == 1
    text = note.read_text()
    assert "LC_ALL=C\n" in text and "LVM_SYSTEM_DIR" not in text
    assert "PATH=/usr/sbin:/sbin:/usr/bin:/bin\n" in text
    assert "--noheadings --separator : --sort pv_uuid" in text
    assert "\n77\n" not in text, "a descriptor of the agent's is inherited"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("printf '  wz--ns:vg:/dev/sda\\n'; echo no >&2; exit 5", "exit code 5, 'no'"),
        ("printf '  wz--ns:vg:/dev/sda\\n'; kill -11 $$", "killed by signal 11"),
        ("yes", "says more than"),
        ("yes >&2", "says more than"),
    ],
)
def test_a_failure_is_an_error(vgs: Fake, script: str, words: str) -> None:
    vgs.does(script)
    with pytest.raises(DeviceError) as raised:
        shared_volumes(SECONDS, ignore)
    assert words in str(raised.value)


def test_what_cannot_be_started_is_an_error(vgs: Fake) -> None:
    vgs.path.write_text("#!/none/sh\n")
    vgs.path.chmod(0o755)
    with pytest.raises(DeviceError, match="No such file"):
        shared_volumes(SECONDS, ignore)


@pytest.mark.parametrize(
    "script",
    ["printf '  wz--ns:vg:/dev/sda\\n'; exec sleep 600", "exec >&- 2>&-; exec sleep 600"],
    ids=["silent", "closed"],
)
def test_one_that_hangs_is_killed(vgs: Fake, script: str) -> None:
    vgs.does(script)
    told: list[int] = []
    began = time.monotonic()
    with pytest.raises(OutOfTime, match="no answer in"):
        shared_volumes(0.3, told.append)
    assert time.monotonic() - began < 5.0
    with pytest.raises(ProcessLookupError):
        os.kill(told[0], 0)


def test_no_descriptor_is_left_open(vgs: Fake) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    for script in ("exit 0", "exit 1", "exec sleep 600"):
        vgs.does(script)
        try:
            shared_volumes(0.3, ignore)
        except BarrierError:
            pass
    assert sorted(os.listdir("/proc/self/fd")) == before


# --- what is kept of it --------------------------------------------------------------------------


class Boot:
    """Actions of one boot; each knows nothing but the state_dir."""

    def __init__(self, folder: Path) -> None:
        self.state_dir = folder / "state"
        self.path = self.state_dir / "volume-groups"
        self.told: list[str] = []

    def names(self, refresh: bool = True, seconds: float = 60.0) -> list[str]:
        """What an action goes on with; warnings in ``told``."""
        self.told = []
        groups = VolumeGroups(str(self.state_dir), time.monotonic() + seconds, self.told.append)
        return groups.names(refresh)


@pytest.fixture
def boot(tmp_path: Path, vgs: Fake) -> Boot:
    """Nothing is kept yet, and vgs shows two disks."""
    vgs.shows(f"{DISK}2", f"{DISK}1")
    return Boot(tmp_path)


ONE, TWO, THREE = (f"{DISK}{number}" for number in (1, 2, 3))


def test_it_is_run_once_for_actions_that_must_not_wait(boot: Boot, vgs: Fake) -> None:
    assert (boot.names(refresh=False), boot.told) == ([ONE, TWO], [])
    vgs.does("exit 1")
    assert (boot.names(refresh=False), boot.told) == ([ONE, TWO], [])
    assert boot.path.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(boot.state_dir)) == ["volume-groups", "volume-groups.lock"]


def test_the_set_only_grows(boot: Boot, vgs: Fake) -> None:
    boot.names()
    vgs.shows(TWO, THREE)
    assert boot.names(refresh=False) == [ONE, TWO]
    assert boot.names() == [ONE, TWO, THREE]
    (warning,) = boot.told
    assert f"{ONE}: in no shared volume group any more" in warning
    assert f"remove {boot.path} and run on" in warning
    assert boot.names(refresh=False) == [ONE, TWO, THREE]
    vgs.does("exit 0")
    assert boot.names() == [ONE, TWO, THREE] and "stays in the set" in boot.told[0]


def test_the_way_out_that_it_names(boot: Boot, vgs: Fake) -> None:
    boot.names()
    vgs.shows(TWO)
    boot.path.unlink()
    assert (boot.names(), boot.told) == ([TWO], [])


@pytest.mark.parametrize(
    "script", ["exit 5", "exec sleep 600", "printf '  wz-pns:vg:[unknown]\\n'", "echo nonsense"]
)
def test_where_vgs_fails_what_is_kept_serves(boot: Boot, vgs: Fake, script: str) -> None:
    boot.names()
    vgs.does(script)
    assert boot.names(seconds=1.5) == [ONE, TWO]
    (warning,) = boot.told
    assert "going on with the disks found before" in warning
    assert boot.names(refresh=False) == [ONE, TWO]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 5", "exit code 5"),
        ("exec sleep 600", "no answer"),
        ("printf '  wz-pns:vg:[unknown]\\n'", "misses a physical volume"),
        ("exit 0", "no shared volume group; give the shared disks in devices or devices_file"),
        (f"printf '  wz--n-:vg:{DISK}\\n'", "no shared volume group"),
    ],
)
@pytest.mark.parametrize("refresh", [True, False])
def test_without_anything_kept_a_failure_is_an_error(
    boot: Boot, vgs: Fake, script: str, words: str, refresh: bool
) -> None:
    vgs.does(script)
    with pytest.raises(BarrierError, match="no devices are given") as raised:
        boot.names(refresh, seconds=1.5)
    assert words in str(raised.value)
    assert not boot.path.exists()


def test_another_boots_set_is_not_this_ones(
    boot: Boot, vgs: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot.names()
    monkeypatch.setattr(volume_groups, "boot_id", lambda: "another boot")
    vgs.shows(THREE)
    assert (boot.names(refresh=False), boot.told) == ([THREE], [])


def test_what_is_broken_is_no_empty_set(boot: Boot, vgs: Fake) -> None:
    boot.names()
    whole = boot.path.read_bytes()
    vgs.shows(ONE)
    for length in range(len(whole)):
        boot.path.write_bytes(whole[:length])
        for refresh in (True, False):
            with pytest.raises(MemoryFault, match="then remove the file"):
                boot.names(refresh)
    for index in range(len(whole)):
        boot.path.write_bytes(whole[:index] + bytes((whole[index] ^ 1,)) + whole[index + 1 :])
        with pytest.raises(MemoryFault):
            boot.names()


@pytest.mark.parametrize(
    "lines", ["", "disk a\n", "disk /b\ndisk /a\n", "disk /a\ndisk /a\n", "disc /a\n", "\n"]
)
def test_lines_that_no_version_writes(boot: Boot, lines: str) -> None:
    from binascii import crc32

    boot.names()
    body = "".join(f"{line}\n" for line in boot.path.read_text().split("\n")[:2]) + lines
    boot.path.write_text(f"{body}end {crc32(body.encode()):08x}\n")
    with pytest.raises(MemoryFault, match="version"):
        boot.names()


def test_what_somebody_else_could_write_is_refused(
    boot: Boot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot.names()
    copy = tmp_path / "copy"
    copy.write_bytes(boot.path.read_bytes())
    boot.path.chmod(0o666)
    with pytest.raises(MemoryFault, match="mode 0666"):
        boot.names(refresh=False)
    boot.path.unlink()
    boot.path.symlink_to(copy)
    with pytest.raises(MemoryFault, match="symbolic links"):
        boot.names(refresh=False)
    boot.path.unlink()
    boot.names()
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(MemoryFault, match=f"must belong to user {other}"):
        boot.names()


def test_where_nothing_can_be_kept_vgs_is_believed(boot: Boot, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    boot.state_dir = tmp_path / "file" / "state"
    with pytest.raises(MemoryFault):  # a state_dir that cannot be looked at
        boot.names()
    boot.state_dir = tmp_path / "none" / "state"
    for refresh in (True, False):
        assert boot.names(refresh) == [ONE, TWO]
        assert len(boot.told) == 1 and "give a writable directory" in boot.told[0]


def test_a_full_disk_is_a_warning(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", refuse)
    assert boot.names() == [ONE, TWO]
    assert len(boot.told) == 1 and "No space left" in boot.told[0]
    assert sorted(os.listdir(boot.state_dir)) == ["volume-groups.lock"]


# --- several at once -----------------------------------------------------------------------------


def forked(call: object) -> int:
    """Run in a process of its own; its id."""
    pid = os.fork()
    if pid == 0:
        try:
            call()  # type: ignore[operator]
            os._exit(0)
        except BaseException:
            os._exit(1)
    return pid


def test_agents_at_once_lose_nothing(boot: Boot, vgs: Fake) -> None:
    """Each sees another disk; nobody sees half a file, and all disks are kept."""
    vgs.does(f'printf "  wz--ns:vg:{DISK}$PPID\\n"')
    children = [forked(boot.names) for _ in range(8)]
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            assert status == 0
            children.remove(pid)
        if boot.path.exists():
            assert boot.names(refresh=False)
    assert len(boot.names(refresh=False)) == 8


def test_a_killed_writer_leaves_the_old_set(boot: Boot, vgs: Fake) -> None:
    assert boot.names() == [ONE, TWO]
    (boot.state_dir / "volume-groups.new").write_text("half")
    vgs.shows(ONE, TWO, THREE)
    assert boot.names() == [ONE, TWO, THREE]


def test_one_that_hangs_is_not_started_again(
    boot: Boot, vgs: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even SIGKILL ends it: until it is gone the others do without."""
    boot.names()
    note = vgs.path.parent / "started"
    vgs.does(f"echo $$ >> {note}; exec sleep 600")
    monkeypatch.setattr(lvm, "SIGKILL", signal.SIGCONT)  # the kernel does not let it go
    for _ in range(3):
        assert boot.names(seconds=3.0) == [ONE, TWO]
        assert "going on with the disks found before" in boot.told[0]
    assert "another agent's vgs is at work or hangs" in boot.told[0]
    (process,) = note.read_text().split()
    os.kill(int(process), signal.SIGKILL)
    os.waitpid(int(process), 0)
    vgs.shows(ONE, TWO)
    assert (boot.names(), boot.told) == ([ONE, TWO], [])
