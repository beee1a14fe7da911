"""One target under atheris, in a process of its own: libFuzzer ends the process when it is done."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from .ground import where
from .seeds import kept, seeds

ROOT = Path(__file__).resolve().parents[2]
# An input that takes longer than this hangs; the slowest takes some tenths of a second.
INPUT_SECONDS = 10
# The interpreter, atheris and the package take some 100 MiB of it.
MEMORY_MIB = 512
MAX_INPUT_BYTES = 4096
STATUS = re.compile(r"^#(\d+)\s+\S+\s+cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
UNITS = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
MEMORY = re.compile(r"^stat::peak_rss_mb:\s*(\d+)", re.MULTILINE)

ITSELF = "PRBARRIER_FUZZ_ITSELF"


class Run(NamedTuple):
    """How a run ended; ``edges`` and ``features`` are libFuzzer's count of what was covered."""

    target: str
    code: int
    executions: int
    edges: int
    features: int
    peak_mib: int
    output: str
    found: bytes | None  # the input that broke the property

    @property
    def figure(self) -> str:
        return (
            (
                f"{self.executions:,} executions, {self.edges:,} edges, {self.features:,} features,"
                f" {self.peak_mib} MiB at most"
            )
            .replace(",", " ")
            .replace("  ", ", ")
        )


def why_not() -> str | None:
    """Why atheris cannot run here; None if it can."""
    if find_spec("atheris") is None:
        return f"atheris is not installed (no wheel for Python {sys.version.split()[0]})"
    return None


def command(target: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "tests.fuzz.under", target, *options]


def fuzz(target: str, seconds: int, seed: int, keep: Path | None = None, runs: int = -1) -> Run:
    """Fuzz one target from its seeds and kept corpus; new inputs go to ``keep``."""
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=where()) as scratch:
        start, new, broken = (Path(scratch, name) for name in ("start", "new", "broken-"))
        start.mkdir()
        new.mkdir()
        for number, data in enumerate(seeds(target) + [path.read_bytes() for path in kept(target)]):
            (start / f"{number:04}").write_bytes(data)
        done = subprocess.run(
            command(
                target,
                f"-max_total_time={seconds}",
                f"-runs={runs}",
                f"-seed={seed}",
                f"-timeout={INPUT_SECONDS}",
                f"-rss_limit_mb={MEMORY_MIB}",
                f"-max_len={MAX_INPUT_BYTES}",
                f"-artifact_prefix={broken}",
                "-print_final_stats=1",
                str(keep or new),
                str(start),
            ),
            cwd=ROOT,
            env={**os.environ, "TMPDIR": scratch, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            timeout=seconds + 120,
            check=False,
        )
        output = done.stderr.decode("utf-8", "replace") + done.stdout.decode("utf-8", "replace")
        crashes = sorted(Path(scratch).glob("broken-*"))
        found = crashes[0].read_bytes() if crashes else None
    states = STATUS.findall(output)
    _, edges, features, _ = states[-1] if states else ("0", "0", "0", "0")
    units, memory = UNITS.findall(output), MEMORY.findall(output)
    return Run(
        target, done.returncode, int(units[-1]) if units else 0, int(edges), int(features),
        int(memory[-1]) if memory else 0, output, found,
    )  # fmt: skip


def merge(target: str, into: Path, *sources: Path) -> None:
    """Add to a folder the fewest inputs of the sources that cover more than it does."""
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=where()) as scratch:
        # libFuzzer starts itself again, by its first word alone.
        itself = Path(scratch, "itself")
        itself.write_text(f'#!/bin/sh\nexec {" ".join(command(target))} "$@"\n')
        itself.chmod(0o700)
        subprocess.run(
            [itself, "-merge=1", f"-max_len={MAX_INPUT_BYTES}", into, *sources],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": scratch, "PYTHONPATH": str(ROOT), ITSELF: str(itself)},
            capture_output=True,
            check=True,
        )
