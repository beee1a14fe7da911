"""Files to put bytes into: one small folder a process, gone with it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from fence_prbarrier import files

# Thousands of small files a second are written where that costs least.
MEMORY = "/dev/shm"
BOOT = "0f6a1c52-3c1e-4c4d-8a55-1f2e3d4c5b6a"
OTHER_BOOT = "11111111-2222-4333-8444-555555555555"


def where() -> str | None:
    """The parent of temporary folders; None for the usual one."""
    return MEMORY if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) else None


class Scratch:
    """Made when it is first used, by this process and not by one that forked it."""

    def __init__(self) -> None:
        self._root = ""
        self._owner = 0

    @property
    def root(self) -> str:
        if self._owner != os.getpid():
            self._root = tempfile.mkdtemp(prefix="fuzz-prbarrier-", dir=where())
            self._owner = os.getpid()
            atexit.register(shutil.rmtree, self._root, True)
            os.mkdir(self.path("state"), 0o700)
        return self._root

    def path(self, name: str) -> str:
        return os.path.join(self.root, name)

    def file(self, name: str, content: bytes) -> str:
        """A file with this content, its owner's only; its path."""
        path = self.path(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        descriptor = os.open(path, flags, 0o600)
        try:
            os.write(descriptor, content)
        finally:
            os.close(descriptor)
        return path

    def folder(self, name: str, names: Iterable[str]) -> str:
        """A folder with these empty files; its path."""
        path = self.path(name)
        if not os.path.isdir(path):
            os.mkdir(path)
            for each in names:
                self.file(os.path.join(name, each), b"")
        return path

    @contextmanager
    def booted(self) -> Iterator[str]:
        """The folder that serves as state_dir, in the boot BOOT."""
        before, files.BOOT_ID_FILE = files.BOOT_ID_FILE, self.path("boot_id")
        if not os.path.exists(files.BOOT_ID_FILE):
            self.file("boot_id", f"{BOOT}\n".encode())
        try:
            yield self.path("state")
        finally:
            files.BOOT_ID_FILE = before


SCRATCH = Scratch()
