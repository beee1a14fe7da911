"""Fuzz every parser, guided by coverage: ``python -m tests.fuzz --seconds N --json FILE``.

Each target has a share of the time, a whole action several.  A broken property is printed with
its input, which can be kept in tests/fuzz/corpus/TARGET as it is.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

from .checks import Violation
from .engine import Run, fuzz, merge, why_not
from .processes import play, stage_in
from .seeds import CORPUS, kept, seeds
from .targets import ACTIONS, TARGETS

LEAST_SECONDS = 2
LEAST_CALLS = 30
# They have the most to get wrong, and take the longest for one input.
SHARES_OF_AN_ACTION = 5
MAX_TAIL_LINES = 40
# What is kept of a target, the shortest inputs first.
MAX_KEPT_BYTES = 8000
MAX_KEPT_FILES = 40
NAME_LENGTH = 12
# Inputs with this in their name were put there by hand, and stay: those that broke a property,
# and those that tell a product that has lost a check.
BY_HAND = "-"


def main() -> int:
    options = _options()
    reason = why_not()
    if reason is not None:
        print(f"the fuzzer cannot run: {reason}", file=sys.stderr)
        return 1
    names = options.target or list(TARGETS)
    shares = {name: SHARES_OF_AN_ACTION if name in ACTIONS else 1 for name in names}
    one = options.seconds / sum(shares.values())
    seconds = {name: max(LEAST_SECONDS, round(one * shares[name])) for name in names}
    print(f"{len(names)} targets, {sum(seconds.values())} s, --seed {options.seed}", flush=True)
    runs = [_run(name, seconds[name], options) for name in names]
    broken = [run for run in runs if run.code]
    calls = max(LEAST_CALLS, options.seconds // 6) if not options.target else 0
    whole = _play(calls, options.seed)
    if options.json:
        rows = [
            {"what": f"{run.target}, {seconds[run.target]} s", "figure": run.figure + _verdict(run)}
            for run in runs
        ]
        rows.append({"what": "all targets", "figure": _sum(runs)})
        if calls:
            figure = whole or f"{calls} calls"
            rows.append({"what": "the agent, random stdin and LUs", "figure": figure})
        report = {"part": "fuzz", "ok": not (broken or whole), "rows": rows}
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(_sum(runs))
    return 1 if broken or whole else 0


def _play(calls: int, seed: int) -> str:
    """The agent as a process, so many times; empty, or what broke."""
    if not calls:
        return ""
    with tempfile.TemporaryDirectory(prefix="fuzz-stage-") as folder:
        try:
            good = play(stage_in(Path(folder)), calls, seed)
        except Violation as error:
            print(f"the agent as a process: BROKEN: {error}", flush=True)
            return f"BROKEN: {error}"
    print(f"the agent as a process: {calls} calls, {good} of them succeeded", flush=True)
    return ""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="for all targets together")
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="these only")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 1 << 31))
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--keep", action="store_true", help="put inputs that cover more into tests/fuzz/corpus"
    )
    return parser.parse_args()


def _run(name: str, seconds: int, options: argparse.Namespace) -> Run:
    with tempfile.TemporaryDirectory(prefix="fuzz-new-") as folder:
        run = fuzz(name, seconds, options.seed, Path(folder))
        print(f"{name:20} {run.figure}{_verdict(run)}", flush=True)
        if run.code:
            print("\n".join(run.output.splitlines()[-MAX_TAIL_LINES:]))
            print(f"the input, in hex: {(run.found or b'').hex()}", flush=True)
        elif options.keep:
            _keep(name, Path(folder))
    return run


def _keep(name: str, found: Path) -> None:
    """Of the kept corpus and of what was found, what covers more than the seeds do."""
    home = CORPUS / name
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-merged-") as folder:
        given = {Path(folder, f"seed-{number}"): data for number, data in enumerate(seeds(name))}
        for path, data in given.items():
            path.write_bytes(data)
        merge(name, Path(folder), home, found)
        chosen = sorted(
            set(Path(folder).iterdir()) - set(given), key=lambda path: path.stat().st_size
        )
        for path in kept(name):
            if BY_HAND not in path.name:
                path.unlink()
        left = MAX_KEPT_BYTES
        for path in chosen[:MAX_KEPT_FILES]:
            left -= path.stat().st_size
            if left < 0:
                break
            (home / path.name[:NAME_LENGTH]).write_bytes(path.read_bytes())


def _verdict(run: Run) -> str:
    return f"; BROKEN, exit code {run.code}" if run.code else ""


def _sum(runs: list[Run]) -> str:
    executions = f"{sum(run.executions for run in runs):,}".replace(",", " ")
    broken = sum(1 for run in runs if run.code)
    return f"{executions} executions of {len(runs)} targets, {broken} broken"


if __name__ == "__main__":
    sys.exit(main())
