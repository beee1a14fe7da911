"""How the agent gets onto the nodes: installed once into a folder, which each node copies."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ..lab.guest import REPO, LabError

PYTHON = "/usr/bin/python3"
INSTALL_TIMEOUT_S = 60


def install(destination: Path) -> None:
    """Install below a folder that stands for the root of a node, as a package would.

    Compiled here, once, for the nodes' Python: in a guest it takes ten times as long.
    """
    ours = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    where = [f"DESTDIR={destination}", "PREFIX=/usr", f"AGENT_PYTHON={PYTHON}"]
    done = subprocess.run(
        ["make", "-s", "-C", str(REPO), "install", *where],
        env=inherited,  # this may run below `make test`
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"make install: exit code {done.returncode}: {done.stdout}")
