"""The agent as a process, with random stdin and random simulated LUs.

Whatever it is given, it ends in time with 0, 1 or 2, says on one line each what
is wrong, and shows no traceback; and where it says that a node is off, the file
of every LU shows no key of it.
"""

from __future__ import annotations

import random
import re
from binascii import crc32
from pathlib import Path

from fence_prbarrier.agent.parameters import ACTIONS, PARAMETERS
from fence_prbarrier.key import tag_of_cluster
from tests.agent.stage import CLUSTER, NODES, Result, Stage, run_raw

from .checks import MAX_MESSAGE_CHARACTERS, require

# Where a random value would make the agent wait, write elsewhere, or ask other disks.
FIXED = {
    "delay": "0", "power_wait": "0", "debug_file": "", "logfile": "", "devices_file": "",
    "power_timeout": "8", "on_timeout": "8", "monitor_timeout": "8", "quiet": "0",
    "verbose": "0", "verbose_level": "0", "help": "0", "version": "0", "separator": ",",
}  # fmt: skip
NAMES = [parameter.name for parameter in PARAMETERS]
ACTION_NAMES = [action.name for action in ACTIONS if not action.people]
VALUES = (
    "",
    "1",
    "yes",
    "no",
    "n1",
    "n2",
    "2",
    "9" * 6000,
    "²",
    "0x5a17",
    "wait:1",
    "auto",
    "x" * 900,
)
OFF = ("Success: Powered OFF\n", "Success: Already OFF\n")
SAID = {
    "on": ("Success: Powered ON\n", "Success: Already ON\n"),
    "off": OFF,
    "status": ("Status: ON\n", "Status: OFF\n"),
}


def random_lines(source: random.Random) -> bytes:
    """Lines of stdin: known names with odd values, noise, and bytes that are no text."""
    lines = []
    for _ in range(source.randrange(12)):
        kind = source.randrange(6)
        if kind < 4:
            lines.append(f"{source.choice(NAMES)}={source.choice(VALUES)}".encode())
        elif kind == 4:
            lines.append(
                source.choice((b"# no", b" a = b ", b"plug='n2'", b"nodeid=2", b"\xc2\x85"))
            )
        else:
            lines.append(source.randbytes(source.randrange(30)))
    return b"\n".join(lines) + b"\n"


def random_unit(source: random.Random, content: bytes) -> bytes:
    """The file of a LU with a line or some bytes changed; as a rule with the right last line."""
    body = content.rpartition(b"end ")[0]
    lines = body.split(b"\n")[:-1]
    for _ in range(source.randrange(1, 4)):
        at = source.randrange(1, len(lines))
        kind = source.randrange(4)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, source.choice(lines))
        else:
            words = bytearray(lines[at])
            words[source.randrange(len(words))] = source.choice(b"0123456789abcdef -\xff")
            lines[at] = bytes(words)
        if len(lines) < 2:
            break
    body = b"".join(line + b"\n" for line in lines)
    if source.randrange(8) == 0:
        return body[: source.randrange(len(body))]
    return body + b"end %d crc32 %08x\n" % (len(lines), crc32(body))


def call(stage: Stage, node: str, action: str, before: bytes) -> Result:
    """The agent on these LUs; what is given ``before`` is overruled where it could do harm."""
    lines = {
        **FIXED,
        "action": action,
        "devices": stage.devices,
        "state_dir": str(stage.state(node)),
        "local_name": node,
        "nodes": NODES,
        "cluster_name": CLUSTER,
        "cluster_tag": "",
    }
    text = "".join(f"{name}={value}\n" for name, value in lines.items())
    return run_raw(before + text.encode(), stage.folder)


def check(stage: Stage, action: str, victim: int, result: Result) -> None:
    """See the module's docstring."""
    lines = result.err.splitlines()
    require(result.code in (0, 1, 2), "exit code", result)
    require("Traceback" not in result.err and "internal error" not in result.err, "defect", result)
    for line in lines:
        require(line.strip() and line.isprintable(), "not one line for each problem", result)
        require(len(line) <= MAX_MESSAGE_CHARACTERS, "a line without an end", result)
    require((result.code == 2) == (result.out == "Status: OFF\n"), "2 is for OFF", result)
    if result.code == 1:
        require(lines and not result.out, "a failure without a word", result)
    elif action in SAID:
        require(result.out in SAID[action], "another answer", result)
    if result.out in (*OFF, "Status: OFF\n"):
        prefix = f"{tag_of_cluster(CLUSTER):04x}{victim:04x}"
        for unit in stage.units:
            text = unit.read_text()
            keys = re.findall(r"^registration \d+ ([0-9a-f]{16}) ", text, re.MULTILINE)
            require(not any(key.startswith(prefix) for key in keys), "off, and registered", result)
            require(re.search(r"^reservation 5 \d", text, re.MULTILINE), "off, no barrier", result)


def play(stage: Stage, rounds: int, seed: int) -> int:
    """So many calls on a stage that all nodes have joined; how many of them succeeded."""
    source = random.Random(seed)
    whole = [path.read_bytes() for path in stage.units]
    good = 0
    for number in range(rounds):
        for path, content in zip(stage.units, whole):
            chosen = source.randrange(3)
            path.write_bytes(content if chosen else random_unit(source, content))
        action = source.choice(ACTION_NAMES)
        victim = source.choice((1, 2, 2, 3, 4))
        noise = random_lines(source) if number % 3 == 0 else b""
        plug = f"plug=n{victim}\n" if number % 3 else ""
        node = source.choice(("n1", "n3"))
        result = call(stage, node, action, noise + plug.encode())
        if number % 3 or action in ("monitor", "list", "list-status", "validate-all", "metadata"):
            check(stage, action, victim, result)
        else:
            # Whom it was about is somewhere in the noise.
            check(stage, "", 0xFFFF, result)
        good += result.code in (0, 2)
    return good


def stage_in(folder: Path) -> Stage:
    return Stage(folder, lus=2).join_all()
