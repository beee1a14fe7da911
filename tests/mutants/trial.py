"""Run tests against a broken copy of the package and see which of them notice."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from .book import PACKAGE, ROOT, Mutant

LIMIT_S = 300.0
ALL_PASSED, SOME_FAILED = 0, 1
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
# Of the tree only what the tests need that notice mutants.
KEPT = (PACKAGE, "tests", "ocf", "install", "metadata", "docs", "README.md", "Makefile")
KEPT += ("pyproject.toml", "setup.cfg")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "corpus", "*.pyc", ".hypothesis")


class Verdict(NamedTuple):
    """``failed`` are the tests that noticed; ``trouble`` is why the trial tells nothing."""

    mutant: Mutant
    failed: tuple[str, ...]
    trouble: str

    @property
    def caught(self) -> bool:
        return bool(self.failed) and not self.trouble


def copy_tree(into: Path) -> None:
    """The tree without what is no source."""
    for name in KEPT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, into / name, ignore=LEFT_OUT, symlinks=True)
        else:
            shutil.copy2(source, into / name)


def run(tree: Path, tests: Iterable[str], first_only: bool) -> tuple[int, str]:
    """pytest on a tree: its exit code and output.  TimeoutExpired after LIMIT_S."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no"]
        + (["-x"] if first_only else [])
        + list(tests),
        cwd=tree,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return done.returncode, done.stdout


def try_out(mutant: Mutant, tests: Iterable[str], first_only: bool) -> Verdict:
    """One mutant against these tests."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        mutant.put_into(tree)
        try:
            code, output = run(tree, tests, first_only)
        except subprocess.TimeoutExpired:
            return Verdict(mutant, (), f"the tests did not end in {LIMIT_S:.0f} s")
    failed = tuple(FAILED.findall(output))
    if code == ALL_PASSED:
        return Verdict(mutant, (), "")
    if code != SOME_FAILED or not failed:
        return Verdict(mutant, (), f"pytest ended with {code}:\n{output[-2000:]}")
    return Verdict(mutant, failed, "")


def try_all(jobs: Iterable[tuple[Mutant, Iterable[str]]], first_only: bool) -> Iterator[Verdict]:
    """Every mutant against its tests, as many at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda job: try_out(job[0], job[1], first_only), jobs)
