"""This boot's memory among other processes and other users: whom it ends, whom it trusts."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from fence_prbarrier import files
from fence_prbarrier.barrier.memory import Memory
from fence_prbarrier.errors import MemoryFault
from fence_prbarrier.state import OVERDUE_SECONDS, Store

TAG, NODE = 0x5A17, 3
MEMORY = Memory(TAG, NODE, 0x0C8D2B41, True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "state"), TAG, NODE)


def test_another_process_of_that_number_is_not_ended(store: Store) -> None:
    """The holder of the lock has ended, and its number belongs to somebody else now."""
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    try:
        began = files.start_time(child)
        os.close(store.lock())
        note = Path(f"{store.path}.lock")
        note.write_text(f"{child} {int(began) + 1} 0\n")
        assert store.end_overdue() == 0
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        note.write_text(f"{child} {began} 0\n")
        assert store.end_overdue() == (child if time.monotonic() > OVERDUE_SECONDS else 0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_link_to_where_others_may_write(tmp_path: Path) -> None:
    """state_dir lies below a link of root's that leads below a directory of everybody's."""
    (tmp_path / "loose" / "inner").mkdir(parents=True)
    (tmp_path / "loose").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "loose" / "inner")
    with pytest.raises(MemoryFault, match="loose has owner"):
        Store(str(tmp_path / "link" / "state"), TAG, NODE).save(MEMORY)
