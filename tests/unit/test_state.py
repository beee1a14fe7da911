"""This boot's memory on disk: atomic, its owner's only, strict, and whole after any crash."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from fence_prbarrier import files, state
from fence_prbarrier.barrier.memory import NO_NEXUS, Memory, Standing
from fence_prbarrier.errors import InvalidInput, MemoryFault, NotMember
from fence_prbarrier.files import boot_id
from fence_prbarrier.key import Key
from fence_prbarrier.state import MAX_FILE_BYTES, Store

TAG, NODE = 0x5A17, 3
TWO_PATHS = Standing(3, frozenset({("/sys/a#1", "/dev/sda"), ("/sys/b b#2", "/dev/sdb")}))
MEMORY = Memory(
    TAG,
    NODE,
    0x0C8D2B41,
    True,
    {"naa.6001": Standing(1, frozenset(), False), "t10.A_B%2f": TWO_PATHS},
)
CRASHES = 150
SEED = 20261122


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "state"), TAG, NODE)


def _same(one: Memory, two: Memory) -> bool:
    return all(getattr(one, name) == getattr(two, name) for name in Memory.__slots__)


def _saved(store: Store) -> Path:
    store.save(MEMORY)
    return Path(store.path)


def test_nothing_is_remembered_before_the_first_join(store: Store) -> None:
    """Neither without a directory nor without a file; and looking makes neither."""
    assert _same(store.load(), Memory(TAG, NODE))
    assert not os.path.exists(os.path.dirname(store.path))
    os.mkdir(os.path.dirname(store.path), 0o700)
    assert _same(store.load(), Memory(TAG, NODE))
    with pytest.raises(NotMember):
        store.load().require_key()


def test_what_was_saved_is_loaded(store: Store) -> None:
    store.save(MEMORY)
    loaded = store.load()
    assert _same(loaded, MEMORY)
    assert loaded.require_key() == Key.build(TAG, NODE, 0x0C8D2B41)
    other = Standing(1, frozenset({("/sys/c#3", "/dev/sdc"), (NO_NEXUS, "/dev/sdd")}))
    store.save(loaded.having_joined({"eui.1": other}))
    assert store.load().joined == {**MEMORY.joined, "eui.1": other}


def test_directory_and_file_are_their_owners_only(store: Store) -> None:
    path = _saved(store)
    assert os.stat(os.path.dirname(store.path)).st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(os.path.dirname(store.path)) == [path.name]


def test_each_node_and_cluster_has_a_memory_of_its_own(store: Store) -> None:
    store.save(MEMORY)
    assert _same(Store(os.path.dirname(store.path), TAG, NODE + 1).load(), Memory(TAG, NODE + 1))
    assert _same(Store(os.path.dirname(store.path), TAG + 1, NODE).load(), Memory(TAG + 1, NODE))
    with pytest.raises(ValueError, match="another node"):
        Store(os.path.dirname(store.path), TAG, NODE + 1).save(MEMORY)


def test_another_boots_memory_has_an_incarnation_and_nothing_else(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(MEMORY)
    monkeypatch.setattr(state, "boot_id", lambda: "another boot")
    loaded = store.load()
    assert loaded.incarnation == MEMORY.incarnation
    assert (loaded.current, loaded.joined, loaded.key) == (False, {}, None)


def test_without_a_boot_id_nothing_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(boot_id()) == 36
    _saved(store)
    monkeypatch.setattr(files, "BOOT_ID_FILE", "/none/boot_id")
    for call in (store.load, lambda: store.save(MEMORY)):
        with pytest.raises(MemoryFault, match="/none/boot_id"):
            call()


@pytest.mark.parametrize(
    "lines",
    ["joined naa.1", "joined naa.1 x", "joined naa.1 -1", "path /sys/a\t/dev/sda", "what else"],
)
def test_a_line_that_no_version_writes_is_an_error(store: Store, lines: str) -> None:
    from binascii import crc32

    path = _saved(store)
    body = f"{state.MAGIC}\nboot {boot_id()}\nincarnation 5\n{lines}\n"
    path.write_text(f"{body}end {crc32(body.encode()):08x}\n")
    with pytest.raises(MemoryFault, match=str(path)):
        store.load()


def test_what_could_not_be_loaded_is_not_saved(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _saved(store)
    for name in ("line\nfeed", "tab\tulator", "\udcff"):
        odd = Standing(1, frozenset({("/sys/a#1", name)}))
        with pytest.raises(MemoryFault, match="rename it"):
            store.save(MEMORY.having_joined({"x": odd}))
    monkeypatch.setattr(state, "MAX_FILE_BYTES", 300)
    with pytest.raises(MemoryFault, match="more than 300 bytes"):
        store.save(MEMORY.having_joined(_many(1)))
    assert _same(store.load(), MEMORY)


def test_a_relative_state_dir_is_refused() -> None:
    with pytest.raises(InvalidInput, match="absolute"):
        Store("run/state", TAG, NODE)


def test_every_truncation_is_an_error(store: Store) -> None:
    """A broken file is never an empty memory (rule 2)."""
    path = _saved(store)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(MemoryFault, match=str(path)):
            store.load()


def test_every_changed_byte_is_an_error(store: Store) -> None:
    path = _saved(store)
    whole = path.read_bytes()
    for index in range(len(whole)):
        for bit in (0x01, 0x80):
            path.write_bytes(whole[:index] + bytes((whole[index] ^ bit,)) + whole[index + 1 :])
            with pytest.raises(MemoryFault):
                store.load()


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"\xff" * 100, b"end ", b"end 00000000\n", b"x" * (MAX_FILE_BYTES + 1)],
    ids=["empty", "zeros", "ones", "end", "sum of nothing", "too long"],
)
def test_garbage_is_an_error(store: Store, content: bytes) -> None:
    path = _saved(store)
    path.write_bytes(content)
    with pytest.raises(MemoryFault, match="reboot the node"):
        store.load()


@pytest.mark.parametrize(
    "body",
    [
        "another product 1\nboot x\nincarnation 5\n",
        "fence_prbarrier memory 1\nboot x\nincarnation 5\n",
        "fence_prbarrier memory 3\nboot x\nincarnation 5\n",
        "fence_prbarrier memory 2\nboot x\n",
        "fence_prbarrier memory 2\nboot x\nincarnation 0\n",
        "fence_prbarrier memory 2\nboot x\nincarnation -5\n",
        "fence_prbarrier memory 2\nboot x\nincarnation 4294967296\n",
        "fence_prbarrier memory 2\nboot x\nincarnation None\n",
    ],
)
def test_a_sound_sum_over_wrong_content_is_an_error(store: Store, body: str) -> None:
    from binascii import crc32

    path = _saved(store)
    path.write_text(f"{body}end {crc32(body.encode()):08x}\n")
    with pytest.raises(MemoryFault, match=str(path)):
        store.load()


def test_a_planted_link_is_not_followed(store: Store, tmp_path: Path) -> None:
    """Neither as the file, nor as the fresh one, nor as the lock."""
    path = _saved(store)
    target = tmp_path / "target"
    target.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(target)
    with pytest.raises(MemoryFault, match=str(path)):
        store.load()
    Path(f"{path}.new").symlink_to(target)
    store.save(MEMORY.having_joined({"x": TWO_PATHS}))
    assert not path.is_symlink() and "x" in store.load().joined
    assert b"joined x" not in target.read_bytes()
    Path(f"{path}.lock").symlink_to(target)
    with pytest.raises(MemoryFault, match="symbolic links"):
        store.lock()


def test_a_linked_directory_is_not_followed(store: Store, tmp_path: Path) -> None:
    real = Store(str(tmp_path / "real"), TAG, NODE)
    real.save(MEMORY)
    os.symlink(os.path.dirname(real.path), os.path.dirname(store.path))
    for call in (store.load, store.lock, lambda: store.save(MEMORY)):
        with pytest.raises(MemoryFault, match="not a link"):
            call()


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o770, 0o1777])
def test_a_directory_that_others_could_write_to_is_refused(store: Store, mode: int) -> None:
    _saved(store)
    os.chmod(os.path.dirname(store.path), mode)
    for call in (store.load, store.lock, lambda: store.save(MEMORY)):
        with pytest.raises(MemoryFault, match=f"mode {mode:04o}"):
            call()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_could_write_is_refused(store: Store, mode: int) -> None:
    path = _saved(store)
    path.chmod(mode)
    with pytest.raises(MemoryFault, match=f"mode {mode:04o}"):
        store.load()


def test_what_belongs_to_another_user_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _saved(store)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    for call in (store.load, store.lock, lambda: store.save(MEMORY)):
        with pytest.raises(MemoryFault, match=f"must belong to user {other}"):
            call()


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_is_no_file_is_refused_at_once(store: Store, kind: str) -> None:
    """A FIFO must not make the agent wait for a writer."""
    path = _saved(store)
    path.unlink()
    (os.mkdir if kind == "directory" else os.mkfifo)(path, 0o600)
    pid = os.fork()
    if pid == 0:
        signal.alarm(5)
        try:
            store.load()
        except MemoryFault:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_a_failed_save_leaves_the_old_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _saved(store)

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    for name in ("write", "fsync", "rename", "open"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, refuse)
            with pytest.raises(MemoryFault, match="No space left"):
                store.save(MEMORY.having_joined({"new": TWO_PATHS}))
        assert _same(store.load(), MEMORY)
    assert os.listdir(os.path.dirname(store.path)) == [path.name]


def test_it_is_synced_before_it_is_renamed_and_the_directory_after(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On return the new memory is what a crash of the machine would leave."""
    calls: list[str] = []
    for name in ("write", "fsync", "rename"):
        real = getattr(os, name)

        def note(*args: object, name: str = name, real: object = real) -> object:
            calls.append(name)
            return real(*args)  # type: ignore[operator]

        monkeypatch.setattr(os, name, note)
    store.save(MEMORY)
    assert calls == ["write", "fsync", "rename", "fsync"]


def test_a_crash_at_any_instant_leaves_a_whole_memory(store: Store) -> None:
    """Children save in a loop and are killed at random instants; the file always loads."""
    source = random.Random(SEED)
    store.save(MEMORY)
    last = 0
    for number in range(1, CRASHES + 1):
        pid = os.fork()
        if pid == 0:
            _save_for_ever(store, number)
        time.sleep(source.uniform(0.0, 0.012))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        loaded = store.load()
        assert loaded.current and loaded.incarnation is not None
        if loaded.incarnation != MEMORY.incarnation:
            assert loaded.incarnation <= number
            assert loaded.joined == _many(loaded.incarnation)
            last = loaded.incarnation
    assert last > CRASHES // 2, "the children were killed before they saved anything"
    store.save(MEMORY)
    assert _same(store.load(), MEMORY)


def _many(number: int) -> dict[str, Standing]:
    names = [f"naa.{number:032x}", *(f"naa.{each:032x}{each:032x}" for each in range(200))]
    return dict.fromkeys(names, TWO_PATHS)


def _save_for_ever(store: Store, number: int) -> None:
    joined = _many(number)
    try:
        while True:
            store.save(Memory(TAG, NODE, number, True, joined))
    finally:
        os._exit(1)


def test_the_lock_admits_one(store: Store) -> None:
    """Across processes; and it goes with its holder, however that ends."""
    first = store.lock()
    with pytest.raises(MemoryFault, match="another action=on"):
        store.lock()
    pid = os.fork()
    if pid == 0:
        os.close(first)
        try:
            store.lock()
        except MemoryFault:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    os.close(first)
    os.close(store.lock())
