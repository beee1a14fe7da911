"""Bad input: each has one clear line on stderr and exit code 1, and nothing has changed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from .stage import Result, Stage, assert_refused, environment, run_raw


@pytest.fixture
def guarded(joined: Stage):
    """A stage of which nothing may have changed at the end."""
    before = joined.pictures(), joined.memories()
    yield joined
    assert (joined.pictures(), joined.memories()) == before


def _stdin(stage: Stage, *lines: str) -> bytes:
    options = [f"{name}={value}" for name, value in stage.options("n1", {}).items()]
    return "\n".join(["action=off", "plug=n2", *options, *lines, ""]).encode()


# --- Devices -------------------------------------------------------------------------------------


def test_missing_devices(guarded: Stage) -> None:
    for action, plug in (("on", "n1"), ("off", "n2"), ("status", "n2"), ("monitor", "")):
        assert_refused(guarded.do("n1", action, plug, devices=None), "no devices")
    assert_refused(guarded.do("n1", "monitor", devices=" , ,"), "no devices")


def _devices(folder: Path) -> dict[str, tuple[str, str]]:
    """What it is -> (its name, what the line must say)."""
    (folder / "plain").write_text("no device")
    (folder / "broken").write_bytes(b"fence_prbarrier simulator\n\0\xff" * 9)
    (folder / "empty").write_bytes(b"")
    (folder / "dangling").symlink_to(folder / "nothing")
    os.mkfifo(folder / "fifo")
    return {
        "not there": ("/dev/no-such-disk", "is not there"),
        "dangling link": (f"{folder}/dangling", "is not there"),
        "below a file": (f"{folder}/plain/lu", "cannot be looked at"),
        "file": (f"{folder}/plain", "is a file, not a device"),
        "directory": (str(folder), "is a directory"),
        "fifo": (f"{folder}/fifo", "is not a device"),
        "character device": ("/dev/null", "is a character device of another kind"),
        "relative": ("sda", "not an absolute path"),
        "mock: not there": (f"mock:{folder}/nothing", "is not there"),
        "mock: directory": (f"mock:{folder}", "is not a file"),
        "mock: broken": (f"mock:{folder}/broken", "not a simulated logical unit"),
        "mock: empty": (f"mock:{folder}/empty", "not a simulated logical unit"),
        "mock: not absolute": ("mock:lu0", "not an absolute path"),
        "mock: option": (f"mock:{folder}/lu0?colour=red", "'colour=red'"),
        "mock: port": (f"mock:{folder}/lu0?port=x", "port"),
        "mock: profile": (f"mock:{folder}/new?profile=none", "none"),
    }


@pytest.mark.parametrize("what", [
    "not there", "dangling link", "below a file", "file", "directory", "fifo",
    "character device", "relative", "mock: not there", "mock: directory", "mock: broken",
    "mock: empty", "mock: not absolute", "mock: option", "mock: port", "mock: profile",
])  # fmt: skip
def test_a_device_that_is_none(guarded: Stage, what: str) -> None:
    """Named, with what it is instead; also when the other device is sound."""
    name, words = _devices(guarded.folder)[what]
    for devices in (name, f"{guarded.devices},{name}"):
        result = guarded.do("n1", "off", "n2", devices=devices)
        assert_refused(result, f"device {name}", words)
    assert_refused(guarded.do("n1", "on", "n1", devices=name), f"device {name}", words)


def test_every_bad_device_is_named_in_the_one_line(guarded: Stage) -> None:
    devices = f"/dev/none-1 {guarded.devices} /dev/none-2"
    assert_refused(guarded.do("n1", "off", "n2", devices=devices), "/dev/none-1", "/dev/none-2")


def test_a_block_device_that_is_no_scsi_disk(guarded: Stage) -> None:
    loops = [path for path in Path("/dev").glob("loop[0-9]*") if stat.S_ISBLK(path.stat().st_mode)]
    if not loops:
        pytest.skip("no /dev/loopN here; tests/unit/test_sysfs.py plays it on a false /sys")
    result = guarded.do("n1", "off", "n2", devices=loops[0])
    assert_refused(result, f"device {loops[0]}", "not a SCSI device", "whole SCSI disk")


def test_devices_file(guarded: Stage) -> None:
    file = guarded.folder / "devices.list"
    for content, words in (
        (None, "No such file"),
        (b"# nothing but a comment\n", "no devices"),
        (b"/dev/sd\xff\n", "not UTF-8"),
        (b"mock:/lu\0\n", "NUL"),
        (b"/dev/sda\n" * 40_000, "larger than 262144 bytes"),
        ("".join(f"/dev/d{n}\n" for n in range(5000)).encode(), "5000 names, at most 4096"),
    ):
        if content is not None:
            file.write_bytes(content)
        result = guarded.do("n1", "off", "n2", devices=None, devices_file=file)
        assert_refused(result, "devices", words)


# --- Standard input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"plug", ("line 8", "key=value", "'plug'")),
        (b"=n2", ("line 8", "key=value")),
        (b"x" * 10_000_000, ("more than 1048576 bytes",)),
        (b"plug=" + b"x" * 10_000_000, ("more than 1048576 bytes",)),
        (b"plug=" + b"x" * 70_000, ("line 8", "longer than 65536 bytes")),
        (b"plug=n\xff2", ("line 8", "not UTF-8")),
        (b"devices=/dev/sd\0a", ("line 8", "NUL")),
        (b"quiet=maybe", ("quiet='maybe'", "1/yes/on/true", "0/no/off/false")),
        (b"verbose=2", ("verbose='2'", "1/yes/on/true")),
        (b"power_timeout=0", ("power_timeout='0'", "1 to 86400")),
        (b"power_timeout=-1", ("power_timeout='-1'", "whole number")),
        (b"power_timeout=1e3", ("power_timeout='1e3'", "whole number")),
        (b"power_timeout=" + "٣".encode(), ("power_timeout=", "whole number")),
        (b"power_timeout=99999999999999999999", ("power_timeout=", "whole number")),
        (b"command_timeout=601", ("command_timeout='601'", "1 to 600")),
        (b"delay=86401", ("delay='86401'", "0 to 86400")),
        (b"retry_on=0", ("retry_on='0'", "1 to 20")),
        (b"verbose_level=11", ("verbose_level='11'", "0 to 10")),
        (b"login_timeout=soon", ("login_timeout='soon'", "whole number")),
        (b"aptpl=1", ("aptpl='1'", "auto, yes, no")),
        (b"rejoin=yes", ("rejoin='yes'", "reboot, allow")),
        (b"drain=soon", ("drain='soon'", "wait:SECONDS")),
        (b"drain=wait:3601", ("drain='wait:3601'", "wait:SECONDS")),
        (b"action=reboot", ("action='reboot'", "one of on, off, status")),
        (b"action=OFF", ("action='OFF'", "one of on, off, status")),
        (b"plug=n9", ("'n9'", "n1 (1), n2 (2), n3 (3)")),
        (b"plug=65536", ("'65536'", "n1 (1)")),
        (b"plug=", ("no node", "plug", "n1 (1)")),
        (b"cluster_tag=12345", ("0x12345", "0xffff")),
        (b"cluster_tag=xyz", ("cluster_tag='xyz'", "hexadecimal")),
        (b"cluster_tag=1000", ("0x1000", "LVM")),
        (b"cluster_tag=0", ("0x0000", "cluster_tag")),
        (b"nodes=n1:1,n2", ("'n2'", "NAME:NUMBER")),
        (b"nodes=n1:1,n2:1", ("'n1'", "'n2'", "number 1")),
        (b"nodes=n1:1,n1:2", ("'n1'", "twice")),
        (b"nodes=n1:1,n2:0", ("'n2'", "1 to 65535")),
        (b"nodes=n1:1,n2:65536", ("'n2'", "65536", "1 to 65535")),
        (b"nodes=n1:1,n2:two", ("'n2'", "'two'")),
        (b"nodes=,", ("nodes", "NAME:NUMBER")),
        (b"local_name=n9", ("'n9'", "n1 (1)", "local_name")),
    ],
    ids=lambda value: repr(value[:28]) if isinstance(value, bytes) else "",
)
def test_a_line_on_stdin(guarded: Stage, line: bytes, words: tuple[str, ...]) -> None:
    """Exactly one line that names what is wrong; nothing was sent."""
    result = run_raw(_stdin(guarded) + line + b"\n", guarded.folder)
    assert_refused(result, *words)
    assert len(result.err) < 1000


def test_nothing_on_stdin(bare: Stage) -> None:
    for text in (b"", b"\n", b"\n\n# only a comment\n"):
        result = run_raw(text + b"nodes=n1:1\ncluster_name=x\n", bare.folder)
        assert_refused(result, "no node", "plug")
        assert_refused(run_raw(text, bare.folder))


# --- corosync.conf -------------------------------------------------------------------------------

DRIVER = """
import sys
from fence_prbarrier import cluster
cluster.build_cluster.__defaults__ = (sys.argv.pop(1),)
from fence_prbarrier.agent.cli import main
sys.exit(main())
"""
SOUND = """
totem {
    version: 2
    cluster_name: demo
    interface {
        ringnumber: 0
    }
}
# nodelist { }
nodelist {
    node {
        ring0_addr: 10.0.0.1
        name: n1
        nodeid: 1
    }
    node { \n ring0_addr: n2 \n nodeid: 2 \n }
}
quorum {
    provider: corosync_votequorum
}
"""


def _with_corosync_conf(stage: Stage, path: Path, *more: str) -> Result:
    words = ["-o", "list", *more]
    run = subprocess.run(
        [sys.executable, "-c", DRIVER, str(path), *words],
        cwd=stage.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return Result(run.returncode, run.stdout, run.stderr)


def test_a_sound_corosync_conf(bare: Stage) -> None:
    path = bare.folder / "corosync.conf"
    path.write_text(SOUND)
    assert _with_corosync_conf(bare, path) == (0, "n1,1\nn2,2\n", "")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ("No such file", "nodes")),
        (b"", ("no nodelist",)),
        (SOUND[:150].encode(), ("cut off",)),
        (SOUND[: SOUND.index("quorum {") - 3].encode(), ("'nodelist'", "cut off")),
        (SOUND.replace("nodeid: 1", "").encode(), ("'n1'", "nodeid")),
        (SOUND.replace("nodeid: 2", "nodeid: 1").encode(), ("'n1'", "'n2'", "number 1")),
        (SOUND.replace("nodeid: 2", "nodeid: 0").encode(), ("'n2'", "1 to 65535")),
        (SOUND.replace("nodeid: 2", "nodeid: 70000").encode(), ("'n2'", "70000")),
        (SOUND.replace("ring0_addr: n2", "").encode(), ("neither name nor ring0_addr",)),
        (SOUND.replace("cluster_name: demo", "").encode(), ("cluster_name", "cluster_tag")),
        (SOUND.replace("version: 2", "version 2").encode(), ("line 3", "'version 2'")),
        (b"\xff" + SOUND.encode(), ("not UTF-8",)),
        (b"# " + bytes(1 << 20), ("larger than 1048576 bytes",)),
    ],
    ids=lambda value: "" if isinstance(value, (bytes, type(None))) else value[0],
)
def test_a_corosync_conf(bare: Stage, content: bytes | None, words: tuple[str, ...]) -> None:
    path = bare.folder / "corosync.conf"
    if content is not None:
        path.write_bytes(content)
    assert_refused(_with_corosync_conf(bare, path), str(path), *words)


def test_corosync_conf_is_not_read_where_the_parameters_say_it_all(bare: Stage) -> None:
    none = bare.folder / "none"
    result = _with_corosync_conf(bare, none, "--nodes=a:1", "--cluster-tag=3f2a")
    assert result == (0, "a,1\n", "")
    assert_refused(_with_corosync_conf(bare, none, "--nodes=a:1"), str(none))
