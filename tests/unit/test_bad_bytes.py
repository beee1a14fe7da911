"""What fuzzing found, each once in plain words: tests/fuzz holds the properties."""

from __future__ import annotations

import fnmatch
import os
import re
from binascii import crc32
from pathlib import Path

import pytest

from fence_prbarrier import finding, sightings, state, volume_groups
from fence_prbarrier.agent import ocf
from fence_prbarrier.agent.cli import read_arguments
from fence_prbarrier.barrier.drain import check_policy
from fence_prbarrier.cluster import Cluster, build_cluster, parse_nodes, parse_tag
from fence_prbarrier.errors import (
    MAX_QUOTED,
    BarrierError,
    DeviceError,
    InvalidInput,
    MemoryFault,
    quoted,
)
from fence_prbarrier.files import boot_id
from fence_prbarrier.lvm import parse
from fence_prbarrier.sightings import Sightings
from fence_prbarrier.state import Store
from fence_prbarrier.transport import sysfs
from fence_prbarrier.transport.mock import MockPath
from fence_prbarrier.volume_groups import VolumeGroups

TAG, NODE = 0x5A17, 3
# int() refuses more than 4300 digits with a ValueError of its own.
MANY_DIGITS = "9" * 5000
MAX_MESSAGE = 1000


def _sealed(path: Path, body: bytes) -> None:
    """A file in state_dir with the checksum that belongs to it."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(body + b"end %08x\n" % crc32(body))
    path.chmod(0o600)


@pytest.mark.parametrize("text", [f"wait:{MANY_DIGITS}", "wait:²", "wait:-1", "wait:0"])
def test_a_wait_of_any_digits_is_told_in_our_words(text: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 3600 seconds"):
        check_policy(text)


@pytest.mark.parametrize("plug", [MANY_DIGITS, "²", "\u0661"])
def test_a_plug_of_any_digits_is_told_in_our_words(plug: str) -> None:
    with pytest.raises(InvalidInput, match=r"expected one of n1 \(1\)") as error:
        Cluster(TAG, {"n1": 1}).number_of(plug)
    assert len(str(error.value)) < MAX_MESSAGE


@pytest.mark.parametrize("text", ["0x0x5a17", "0X0x5a17", "0xx", "0x", "+5a1", "5_a", MANY_DIGITS])
def test_a_tag_is_digits_and_one_prefix(text: str) -> None:
    with pytest.raises(InvalidInput, match="up to four hexadecimal digits"):
        parse_tag(text)


def test_a_name_of_a_node_can_be_printed() -> None:
    with pytest.raises(InvalidInput, match="printable"):
        parse_nodes("n\x1b[31m:1")


def test_corosync_conf_has_lines_where_corosync_sees_them(tmp_path: Path) -> None:
    """A form feed or a line separator in a comment does not begin a line of its own."""
    conf = tmp_path / "corosync.conf"
    conf.write_text(
        "totem {\n cluster_name: demo\n}\nnodelist {\n node {\n name: n1\n nodeid: 1\n"
        " # was\u2028nodeid: 2\x0cname: n2\n }\n}\n"
    )
    assert build_cluster("", "", "", str(conf)).numbers == {"n1": 1}


@pytest.mark.parametrize("port", ["²", MANY_DIGITS, "0", "65536", "-1"])
def test_a_simulated_target_port_is_a_number(tmp_path: Path, port: str) -> None:
    (tmp_path / "lu").touch()
    with pytest.raises(DeviceError, match="relative target port"):
        MockPath(f"{tmp_path}/lu?port={port}", "n1")


@pytest.mark.parametrize(
    "number", ["²:³", "8:²", "x:0", ":0", "8", "8:0:1", "8:" + MANY_DIGITS, ""]
)
def test_a_slaves_number_that_is_none_is_an_error(tmp_path: Path, number: str) -> None:
    (tmp_path / "slaves/sda").mkdir(parents=True)
    (tmp_path / "slaves/sda/dev").write_text(number)
    (tmp_path / "dm").mkdir()
    (tmp_path / "dm/uuid").write_text("mpath-1")
    with pytest.raises(DeviceError, match="went away while its paths were read"):
        sysfs._paths_of_map(str(tmp_path))


def test_vgs_is_read_by_its_own_lines() -> None:
    """One name with a line separator in it is one name, and no two."""
    with pytest.raises(DeviceError, match="not what was asked"):
        parse("  wz--ns:g:/dev/a\u2028wz--ns:g:/dev/b\n", "")


@pytest.mark.parametrize(
    "lines",
    [
        "boo {boot}\nincarnation 5",
        "boot \nincarnation 5",
        "boot",
        "{boot}\nincarnation 5",
        "boot {boot}\nincarnatio 5",
        "boot {boot}\nincarnation ²",
        "boot {boot}\nincarnation " + MANY_DIGITS,
        "boot {boot}\nincarnation 5\njoined  1",
        "boot {boot}\nincarnation 5\njoined a 1\njoined a 2",
        "boot {boot}\nincarnation 5\njoined a " + MANY_DIGITS,
        "boot {boot}\nincarnation 5\njoined a 1\npath x",
        "boot {boot}\nincarnation 5\njoined a 1\npath x\ty\tz",
    ],
)
def test_a_memory_that_no_version_writes_is_no_other_boots(tmp_path: Path, lines: str) -> None:
    """Rule 4: read as another boot's, it would say that this boot has not joined."""
    store = Store(str(tmp_path / "state"), TAG, NODE)
    body = f"{state.MAGIC}\n{lines.format(boot=boot_id())}\n"
    _sealed(Path(store.path), body.encode())
    with pytest.raises(MemoryFault, match="reboot the node") as error:
        store.load()
    assert len(str(error.value)) < MAX_MESSAGE


def test_a_checksum_within_a_name_ends_no_file(tmp_path: Path) -> None:
    """Cut off behind a device that is called like the last line, a file is cut off."""
    store = Store(str(tmp_path / "state"), TAG, NODE)
    body = f"{state.MAGIC}\nboot {boot_id()}\nincarnation 5\njoined a 1\npath x\t/dev/"
    _sealed(Path(store.path), body.encode())
    with pytest.raises(MemoryFault, match="cut off"):
        store.load()


def test_a_memory_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "state"), TAG, NODE)
    body = f"{state.MAGIC}\nboot {boot_id()}\nincarnation 5\njoined ".encode() + b"\xff 1\n"
    _sealed(Path(store.path), body)
    with pytest.raises(MemoryFault, match="not UTF-8"):
        store.load()


@pytest.mark.parametrize("key", ["0x5a1700030c8d2b", "+5a1700030c8d2b41", "5a17", "²" * 16])
def test_a_sighting_is_sixteen_digits(tmp_path: Path, key: str) -> None:
    path = tmp_path / f"state/{TAG:04x}-{NODE:04x}.seen"
    _sealed(path, f"{sightings.MAGIC}\nlus a\nseen {key}\nended\n".encode())
    with pytest.raises(MemoryFault, match="is no key"):
        Sightings(str(path.parent), TAG, NODE).load()


def test_volume_groups_of_no_boot_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / f"state/{volume_groups.CACHE_NAME}"
    _sealed(path, f"{volume_groups.MAGIC}\nboo {boot_id()}\ndisk /dev/sda\n".encode())
    with pytest.raises(MemoryFault, match="not written by this version"):
        VolumeGroups(str(path.parent), 0.0, lambda _: None).names(refresh=False)


@pytest.mark.parametrize("name", ["cluster_name", "nodes", "local_name", "state_dir", "devices"])
def test_an_environment_that_is_no_text_is_an_error(
    name: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    environment = {
        "OCF_RESKEY_cluster_name": "demo",
        "OCF_RESKEY_nodes": "n1:1",
        "OCF_RESKEY_local_name": "n1",
        "OCF_RESKEY_devices": f"mock:{tmp_path}/lu",
        "OCF_RESKEY_state_dir": str(tmp_path),
        f"OCF_RESKEY_{name}": os.fsdecode(b"/\xff"),
    }
    assert ocf.main(["start"], environment) == ocf.ERR_CONFIGURED
    said = capfd.readouterr().err
    assert said == f"ocf-exit-reason:{name}: the value is not UTF-8 text\n"
    assert ocf.main(["stop"], environment) == ocf.SUCCESS


def test_a_pattern_does_not_walk_through_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        (tmp_path / f"d{number}").mkdir()
        for inner in range(12):
            (tmp_path / f"d{number}/{inner}").touch()
    monkeypatch.setattr(finding, "MAX_ENTRIES", 100)
    with pytest.raises(InvalidInput, match="more than 100 files"):
        finding.expand([f"{tmp_path}/*/*"], list, lambda _: None)
    assert len(finding.expand([f"{tmp_path}/*/1"], list, lambda _: None)) == 12


def test_a_pattern_that_cannot_be_read_is_told_in_our_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Python 3.9 finds /dev/[z-a]*."""

    def refuse(name: str, pattern: str) -> bool:
        if "z-a" in pattern:
            raise re.error("bad character range z-a")
        return False

    monkeypatch.setattr(fnmatch, "fnmatchcase", refuse)
    with pytest.raises(InvalidInput, match=r"'/dev/\[z-a\]\*' is no pattern: bad character range"):
        finding.expand(["/dev/[z-a]*"], list, lambda _: None)


@pytest.mark.parametrize(
    "refuse",
    [
        lambda text: read_arguments([f"--{text}"]),
        parse_tag,
        parse_nodes,
        lambda text: parse_nodes(f"{text}:x"),
        lambda text: parse_nodes(f"{text}:1,{text}:2"),
        lambda text: parse_nodes(f"{text}:1,b{text}:1"),
        lambda text: Cluster(TAG, {text: 1}).number_of("n"),
        lambda text: Cluster(TAG, {"n": 1}).local_number(text),
        check_policy,
        lambda text: Store(text, TAG, NODE),
        lambda text: parse(f"  wz--ns:{text}:[{text}]\n", ""),
        lambda text: MockPath(f"/x?{text}", "n1"),
        lambda text: finding.expand([f"/{text}*"], list, lambda _: None),
    ],
)
def test_a_text_of_any_length_does_not_fill_the_log(refuse) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BarrierError) as error:
        refuse("g\x1b" * 10_000)
    assert len(str(error.value)) < MAX_MESSAGE


def test_what_is_quoted_is_one_line_and_says_that_it_is_cut() -> None:
    assert quoted("a\nb") == r"'a\nb'"
    assert quoted("x" * MAX_QUOTED) == f"'{'x' * MAX_QUOTED}'"
    assert quoted("x" * (MAX_QUOTED + 1)).endswith("x…'")
    assert len(quoted("\x1b" * MAX_QUOTED)) == len(quoted("x" * 9999)) == MAX_QUOTED + 2
