"""What lies where the agent writes: links, pipes, devices, others' folders; and what it reads."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..agent.resource import GENERIC, Resource, assert_fails
from ..agent.stage import assert_refused
from .scene import INSTANCE, TAG, Scene
from .users import NOBODY, need_root

MEMORY = f"{TAG:04x}-0001"
LOCK, SEEN_LOCK, SEEN, MARK = (
    f"{MEMORY}.lock",
    f"{MEMORY}.seen.lock",
    f"{MEMORY}.seen",
    f"running-{INSTANCE}",
)
TREASURE = b"root:x:0:0:root:/root:/bin/bash\n"


@pytest.fixture
def joined(scene: Scene) -> Scene:
    scene.restore("joined")
    return scene


@pytest.fixture
def treasure(joined: Scene):
    """A file that must stay as it is."""
    path = joined.folder / "passwd"
    path.write_bytes(TREASURE)
    yield path
    assert path.read_bytes() == TREASURE
    path.unlink()


def _plant(scene: Scene, name: str, kind: str, treasure: Path) -> None:
    path = scene.state("n1") / name
    path.unlink(missing_ok=True)
    if kind == "symlink":
        path.symlink_to(treasure)
    elif kind == "hard link":
        os.link(treasure, path)
    elif kind == "FIFO":
        os.mkfifo(path, 0o600)
    elif kind == "device":
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
    else:
        path.mkdir()


KINDS = ("symlink", "hard link", "FIFO", "device", "directory")


def _unplant(scene: Scene, name: str) -> None:
    path = scene.state("n1") / name
    if path.is_dir() and not path.is_symlink():
        path.rmdir()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [MEMORY, LOCK])
def test_in_place_of_memory_or_lock(joined: Scene, treasure: Path, name: str, kind: str) -> None:
    """No join, and nothing else that needs the memory; nothing hangs, follows or overwrites."""
    if kind == "device":
        need_root()
    _plant(joined, name, kind, treasure)
    before = joined.pictures()
    assert_refused(joined.do("n1", "on", "n1"), str(joined.state("n1") / name))
    if name == MEMORY:
        for action, plug in (("off", "n2"), ("monitor", "")):
            assert_refused(joined.do("n1", action, plug), str(joined.state("n1") / name))
    assert joined.pictures() == before
    _unplant(joined, name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [f"{MEMORY}.new", f"{SEEN}.new"])
def test_in_place_of_a_new_file(joined: Scene, treasure: Path, name: str, kind: str) -> None:
    """It is replaced, not followed; a directory is told."""
    if kind == "device":
        need_root()
    joined.restore("fresh")
    joined.state("n1").mkdir(0o700)
    _plant(joined, name, kind, treasure)
    result = joined.do("n1", "on", "n1")
    if kind == "directory" and ".seen" not in name:
        assert_refused(result, name.removesuffix(".new"))
        assert joined.all_keys("n1") == [[], []]
    else:
        assert (result.code, result.out) == (0, "Success: Powered ON\n"), result
        off = joined.do("n1", "off", "n2")
        assert (off.code, off.out) == (0, "Success: Powered OFF\n"), off
    _unplant(joined, name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [SEEN, SEEN_LOCK])
def test_what_was_seen_is_never_worth_a_fence(
    joined: Scene, treasure: Path, name: str, kind: str
) -> None:
    if kind == "device":
        need_root()
    _plant(joined, name, kind, treasure)
    off = joined.do("n1", "off", "n2")
    assert (off.code, off.out) == (0, "Success: Powered OFF\n"), off
    assert str(joined.state("n1") / name) in off.err
    _unplant(joined, name)


@pytest.mark.parametrize("kind", KINDS)
def test_in_place_of_the_mark_of_start(joined: Scene, treasure: Path, kind: str) -> None:
    """A FIFO nobody reads was waited for; a hard link was written through."""
    if kind == "device":
        need_root()
    _plant(joined, MARK, kind, treasure)
    resource = Resource(joined, instance=INSTANCE)
    assert_fails(resource.do("start"), GENERIC, MARK)
    _unplant(joined, MARK)


def test_a_start_that_is_repeated_on_a_full_disk_keeps_its_mark(joined: Scene) -> None:
    """The mark is written over, not emptied first: a small file-size limit stands for the disk."""
    resource = Resource(joined, instance=INSTANCE).started()
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *_resource_words(), "start"],
        env=resource.environment({}), cwd=joined.folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == GENERIC and "File too large" in done.stderr, done
    assert resource.do("monitor").code == 0


def _resource_words() -> list[str]:
    import sys

    from ..agent.resource import AGENT

    return [sys.executable, "-IS", str(AGENT)]


# -- state_dir itself, and what is above it --------------------------------------------------------


def test_state_dir_is_a_link(joined: Scene) -> None:
    moved = joined.folder / "elsewhere"
    joined.state("n1").rename(moved)
    joined.state("n1").symlink_to(moved)
    before = joined.pictures()
    for action, plug in (("on", "n1"), ("off", "n2"), ("monitor", "")):
        assert_refused(joined.do("n1", action, plug), str(joined.state("n1")), "directory")
    assert joined.pictures() == before
    joined.state("n1").unlink()
    shutil.rmtree(moved)


@pytest.mark.parametrize("how", ["owner", "mode", "link's owner"])
def test_above_state_dir_somebody_else_may_write(joined: Scene, how: str) -> None:
    """Who may rename the directory may make the node forget that it has joined (rule 4)."""
    need_root()
    above = joined.folder / "above"
    above.mkdir(0o755)
    state = above / "state"
    shutil.copytree(joined.state("n1"), state)
    state.chmod(0o700)
    if how == "owner":
        os.chown(above, NOBODY, NOBODY)
    elif how == "mode":
        above.chmod(0o777)
    else:
        link = joined.folder / "link"
        link.symlink_to(above)
        os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
        state = link / "state"
    before = joined.pictures()
    try:
        for action, plug in (("on", "n1"), ("off", "n2"), ("monitor", "")):
            result = joined.do("n1", action, plug, state_dir=state)
            assert_refused(result, f"state_dir {state}", "another directory")
        # Moved away, it is no better: the node would seem never to have joined.
        (above / "state").rename(above / "gone")
        assert joined.do("n2", "off", "n1").code == 0
        evicted = joined.pictures()
        assert_refused(joined.do("n1", "on", "n1", state_dir=state), "another directory")
        assert joined.pictures() == evicted != before
    finally:
        shutil.rmtree(above)
        (joined.folder / "link").unlink(missing_ok=True)


def test_below_a_sticky_folder_and_a_link_of_its_own(joined: Scene) -> None:
    """As /tmp is, and /var/run: nobody else can move it there."""
    above = joined.folder / "above"
    above.mkdir()
    above.chmod(0o1777)
    shutil.move(joined.state("n1"), above / "state")
    (joined.folder / "link").symlink_to(above)
    for path in (above / "state", joined.folder / "link" / "state"):
        assert joined.do("n1", "monitor", state_dir=path) == (0, "", "")
    shutil.rmtree(above)
    (joined.folder / "link").unlink()


# -- logs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*KINDS, "somebody's file"])
@pytest.mark.parametrize("name", ["logfile", "debug_file"])
def test_a_log_in_a_folder_of_everybody(
    joined: Scene, treasure: Path, name: str, kind: str
) -> None:
    """What others put there is not written to, and stops no fence either."""
    need_root()
    folder = joined.folder / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    log = folder / "log"
    if kind == "symlink":
        log.symlink_to(treasure)
    elif kind == "hard link":
        os.link(treasure, log)
    elif kind == "FIFO":
        os.mkfifo(log)
    elif kind == "device":
        os.mknod(log, 0o666 | 0o020000, os.makedev(1, 3))
    elif kind == "directory":
        log.mkdir()
    else:
        log.write_text("")
        os.chown(log, NOBODY, NOBODY)
    result = joined.do("n1", "off", "n2", verbose_level=1, **{name: log})
    assert (result.code, result.out) == (0, "Success: Powered OFF\n"), result
    assert f"{name}={log}" in result.err and "nothing is logged there" in result.err
    if kind == "somebody's file":
        assert log.read_text() == ""
    shutil.rmtree(folder)


def test_a_log_of_its_own_in_a_folder_of_everybody(joined: Scene) -> None:
    folder = joined.folder / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    for _ in range(2):
        result = joined.do("n1", "status", "n2", verbose_level=1, logfile=folder / "log")
        assert result.code == 0 and "nothing is logged" not in result.err
    assert (folder / "log").read_text().count("status: ") == 2
    shutil.rmtree(folder)


# -- files that it reads ---------------------------------------------------------------------------


@pytest.fixture(params=["FIFO", "zeros", "directory", "huge"])
def no_file(request: pytest.FixtureRequest, joined: Scene) -> Iterator[Path]:
    """What cannot be read as a file of reasonable size."""
    if request.param == "zeros":
        yield Path("/dev/zero")
        return
    path = joined.folder / "thing"
    if request.param == "directory":
        path.mkdir()
        yield path
        path.rmdir()
        return
    if request.param == "FIFO":
        os.mkfifo(path)
    else:
        with open(path, "wb") as file:
            file.truncate(1 << 40)
    yield path
    path.unlink()


def test_devices_file_is_no_file(joined: Scene, no_file: Path) -> None:
    """Told at once; a pipe that nobody writes to is not waited for."""
    before = joined.pictures()
    result = joined.do("n1", "off", "n2", devices=None, devices_file=no_file)
    assert_refused(result, f"devices_file {no_file}")
    assert "timed out" not in result.err
    assert joined.pictures() == before


def test_the_file_of_a_simulated_lu_is_none(joined: Scene, no_file: Path) -> None:
    result = joined.do("n1", "status", "n2", devices=f"mock:{no_file}")
    assert_refused(result, f"mock:{no_file}")
    assert "timed out" not in result.err


def test_corosync_conf_is_a_pipe(joined: Scene) -> None:
    """Read by the process that answers, so it must not wait for a writer."""
    from fence_prbarrier.cluster import read_corosync_conf
    from fence_prbarrier.errors import InvalidInput

    path = joined.folder / "corosync.conf"
    os.mkfifo(path)
    try:
        with pytest.raises(InvalidInput, match="not a regular file"):
            read_corosync_conf(str(path))
    finally:
        path.unlink()
