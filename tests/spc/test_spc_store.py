"""One unit in one file, many processes: nothing is lost, nothing is torn, nothing is guessed."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from fence_prbarrier.simulator import store
from fence_prbarrier.simulator.faults import parse_fault
from fence_prbarrier.simulator.textform import MAX_FILE_BYTES
from fence_prbarrier.simulator.unit import LogicalUnit
from fence_prbarrier.simulator.values import Nexus, SimulatorError

from .wire import (
    BLOCK,
    IGNORE,
    KEY_A,
    KEY_B,
    READ_KEYS,
    RESERVE,
    TEST_UNIT_READY,
    WERO,
    WRITE_16,
    A,
    B,
    keys,
    out_cdb,
    outcome,
    plist,
    reservation,
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    name = str(tmp_path / "lu")
    store.create(name, LogicalUnit())
    return name


def _fork(body: object) -> int:
    """A child that does this and nothing of pytest's; its exit status is 0 if it got through."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        assert callable(body)
        body()
        status = 0
    finally:
        os._exit(status)


def test_no_file_and_no_folder_are_errors(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    for attempt in (
        lambda: store.read(missing),
        lambda: store.command(missing, A, TEST_UNIT_READY),
        lambda: store.create(str(tmp_path / "no" / "lu"), LogicalUnit()),
        lambda: store.read(str(tmp_path)),
        lambda: store.command(str(tmp_path), A, TEST_UNIT_READY),
    ):
        with pytest.raises(SimulatorError, match=str(tmp_path)):
            attempt()
    assert not os.path.exists(missing)


def test_a_state_too_large_is_not_written(path: str) -> None:
    def fill(unit: LogicalUnit) -> None:
        unit.medium.written = {lba: BLOCK for lba in range(MAX_FILE_BYTES // 1024)}

    before = Path(path).read_bytes()
    with pytest.raises(SimulatorError, match="more than"):
        store.transact(path, fill)
    assert Path(path).read_bytes() == before


# --- Creating and changing -----------------------------------------------------------------------


def test_create_does_not_replace(path: str) -> None:
    before = Path(path).read_bytes()
    with pytest.raises(SimulatorError, match="exists"):
        store.create(path, LogicalUnit("lio"))
    assert Path(path).read_bytes() == before
    assert os.listdir(os.path.dirname(path)) == ["lu"]


def test_transact_creates_only_when_asked(tmp_path: Path) -> None:
    path = str(tmp_path / "lu")
    assert store.transact(path, keys, lambda: LogicalUnit("lio")) == []
    assert store.read(path).profile.name == "lio"


def test_where_nothing_changes_the_file_is_not_rewritten(path: str) -> None:
    store.command(path, A, TEST_UNIT_READY)  # the unit meets A
    with open(path, "rb") as held:  # so that its inode number is not used again
        store.command(path, A, TEST_UNIT_READY)
        store.command(path, A, READ_KEYS, data_in_length=999)
        assert os.stat(path).st_ino == os.fstat(held.fileno()).st_ino


def test_where_the_change_raises_nothing_is_written(path: str) -> None:
    def change(unit: LogicalUnit) -> None:
        unit.power_cycle()
        unit.medium.write(1, BLOCK)
        raise KeyError("no")

    before = Path(path).read_bytes()
    with pytest.raises(KeyError):
        store.transact(path, change)
    assert Path(path).read_bytes() == before


def test_mode_and_symbolic_links_are_kept(path: str, tmp_path: Path) -> None:
    os.chmod(path, 0o640)
    link = str(tmp_path / "link")
    os.symlink(path, link)
    store.command(link, A, out_cdb(IGNORE), plist(0, KEY_A))
    assert os.path.islink(link)
    assert os.stat(path).st_mode & 0o777 == 0o640
    assert keys(store.read(path)) == [KEY_A]


def test_what_a_killed_process_left_is_overwritten(path: str) -> None:
    Path(path + ".new").write_bytes(b"half" * 100_000)
    store.command(path, A, out_cdb(IGNORE), plist(0, KEY_A))
    assert keys(store.read(path)) == [KEY_A]


def test_faults_reach_another_process(path: str) -> None:
    store.transact(path, lambda unit: unit.add_fault(parse_fault(["busy", "skip=1"])))
    answers = []
    for _ in range(3):
        child = _fork(lambda: os._exit(store.command(path, A, TEST_UNIT_READY).status))
        answers.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert answers == [0, 0x08, 0]


def test_a_held_write_of_another_process_is_in_flight(path: str) -> None:
    store.transact(path, lambda unit: unit.add_fault(parse_fault(["hold", "op=8a"])))
    child = _fork(lambda: store.command(path, B, WRITE_16, BLOCK))
    os.waitpid(child, 0)
    assert store.read(path).medium.read(5) == bytes(512)
    response = store.transact(path, lambda unit: unit.complete(1))
    assert response is not None and outcome(response) == "good"
    assert store.read(path).medium.read(5) == BLOCK


def test_a_delay_sleeps_outside_the_lock_and_before_the_command(path: str) -> None:
    fault = f"delay:400 op=5f initiator={B.initiator}"
    store.transact(path, lambda unit: unit.add_fault(parse_fault(fault.split())))

    def slow() -> None:
        begin = time.monotonic()
        assert store.command(path, B, out_cdb(IGNORE), plist(0, KEY_B)).delay_ms == 400
        assert time.monotonic() - begin >= 0.4

    child = _fork(slow)
    while store.read(path).faults:
        time.sleep(0.005)
    begin = time.monotonic()
    store.command(path, A, out_cdb(IGNORE), plist(0, KEY_A))
    assert time.monotonic() - begin < 0.3
    assert keys(store.read(path)) == [KEY_A]
    assert os.waitpid(child, 0)[1] == 0
    assert keys(store.read(path)) == [KEY_A, KEY_B]


def test_a_delayed_reset(path: str) -> None:
    store.transact(path, lambda unit: unit.add_fault(parse_fault(["delay:30", "op=reset"])))
    begin = time.monotonic()
    assert store.reset(path, A).delay_ms == 30
    assert time.monotonic() - begin >= 0.03


def test_a_lock_that_is_never_given_is_an_error(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()

    def sit(unit: LogicalUnit) -> None:
        os.write(writer, b"x")
        time.sleep(60)

    child = _fork(lambda: store.transact(path, sit))
    try:
        os.read(reader, 1)
        monkeypatch.setattr(store, "LOCK_TIMEOUT_S", 0.05)
        with pytest.raises(SimulatorError, match="not locked"):
            store.command(path, A, TEST_UNIT_READY)
        assert keys(store.read(path)) == []  # reading needs no lock
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


# --- Many processes ------------------------------------------------------------------------------


def test_a_lock_on_a_file_that_was_replaced_meanwhile_is_not_taken_for_the_lock(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other transaction falls between open() and flock(): its command must not be lost."""
    real = store._try_lock
    overtaken: list[bool] = []

    def overtaken_once(descriptor: int) -> bool:
        if not overtaken:
            overtaken.append(True)
            store.command(path, B, out_cdb(IGNORE), plist(0, KEY_B))
        return real(descriptor)

    monkeypatch.setattr(store, "_try_lock", overtaken_once)
    store.command(path, A, out_cdb(IGNORE), plist(0, KEY_A))
    assert keys(store.read(path)) == [KEY_B, KEY_A]


WRITERS = 6
COMMANDS_EACH = 40


def test_no_command_of_many_processes_is_lost(path: str) -> None:
    def node(number: int) -> None:
        nexus = Nexus(f"iqn.a:{number}")
        for turn in range(COMMANDS_EACH):
            action_key = number << 16 | turn + 1
            response = store.command(path, nexus, out_cdb(IGNORE), plist(0, action_key))
            assert outcome(response) == "good"

    children = [_fork(lambda number=number: node(number)) for number in range(1, WRITERS + 1)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * WRITERS
    unit = store.read(path)
    assert unit.reservations.generation == WRITERS * COMMANDS_EACH
    assert sorted(keys(unit)) == [number << 16 | COMMANDS_EACH for number in range(1, WRITERS + 1)]
    assert os.listdir(os.path.dirname(path)) == ["lu"]


def test_many_creators_make_one(tmp_path: Path) -> None:
    path = str(tmp_path / "lu")

    def node(number: int) -> None:
        nexus = Nexus(f"iqn.a:{number}")
        store.transact(
            path,
            lambda unit: unit.command(nexus, out_cdb(IGNORE), plist(0, number)),
            LogicalUnit,
        )

    children = [_fork(lambda number=number: node(number)) for number in range(1, WRITERS + 1)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * WRITERS
    assert sorted(keys(store.read(path))) == list(range(1, WRITERS + 1))


def test_one_of_many_gets_the_reservation(path: str) -> None:
    """RESERVE races: one GOOD, conflicts for the rest."""

    def node(number: int) -> None:
        nexus = Nexus(f"iqn.a:{number}")
        store.command(path, nexus, out_cdb(IGNORE), plist(0, number))
        os._exit(store.command(path, nexus, out_cdb(RESERVE, WERO), plist(number)).status)

    children = [_fork(lambda number=number: node(number)) for number in range(1, WRITERS + 1)]
    answers = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sorted(answers) == [0] + [0x18] * (WRITERS - 1)
    assert reservation(store.read(path)) == (answers.index(0) + 1, WERO)


KILLS = 60


def test_a_process_killed_at_any_instant_leaves_a_whole_file(path: str) -> None:
    """Each command is there or is not; what the killed process was told is there."""
    chance = random.Random(20240101)
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    told = 0
    for round_number in range(KILLS):
        base = told + 1000 * (round_number + 1)

        def node(base: int = base) -> None:
            for turn in range(10_000):
                key = base + turn
                store.command(path, A, out_cdb(IGNORE), plist(0, key))
                os.write(writer, key.to_bytes(8, "big"))

        child = _fork(node)
        time.sleep(chance.uniform(0.001, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        heard = b""
        while True:
            try:
                heard += os.read(reader, 1 << 16)
            except BlockingIOError:
                break
        there = keys(store.read(path))
        if heard:
            told = int.from_bytes(heard[-8:], "big")
            assert there in ([told], [told + 1])
        # The lock died with the process.
        assert store.command(path, B, TEST_UNIT_READY).status == 0
    os.close(reader)
    os.close(writer)
    assert told > 0


def test_a_reader_without_the_lock_never_sees_half(path: str) -> None:
    def write() -> None:
        for turn in range(150):
            store.command(path, A, WRITE_16, bytes((turn % 255 + 1,)) * 512)

    child = _fork(write)
    reads = 0
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        block = store.read(path).medium.read(5)
        assert len(set(block)) == 1
        reads += 1
    assert reads > 10
