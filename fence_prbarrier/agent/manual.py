"""Help and manual page, from the table of parameters."""

from __future__ import annotations

from .. import __version__
from .parameters import ACTIONS, BOOLEAN, PARAMETERS, Parameter

SUMMARY = "Fence agent for SCSI-3 persistent reservation I/O barriers"

DESCRIPTION = (
    "fence_prbarrier cuts a failed node off from the disks that a cluster shares. Every node"
    " registers a key on every shared logical unit (LU); one WRITE EXCLUSIVE - REGISTRANTS ONLY"
    " reservation stands on each; a surviving node takes the failed node's key away with PREEMPT"
    " AND ABORT, so that it can never write again in that life.",
    "A key is made of a tag of the cluster, the node's number, and an incarnation that grows with"
    " every join, so nobody needs to remember old keys and a late eviction cannot hit a node that"
    " has come back. An action succeeds only if what it claims was read back from every LU.",
    "The disks must support PERSISTENT RESERVE IN and OUT of SPC-3 or later with reservations of"
    " type 5. In Pacemaker the stonith resource needs the meta attribute provides=unfencing. A"
    " node that was evicted must be rebooted.",
)

OCF_SUMMARY = "This node's SCSI-3 persistent reservation I/O barrier"

OCF_DESCRIPTION = (
    "Tells Pacemaker whether this node may still write to the disks that the cluster shares. Run"
    " it as a clone, with the devices of the fence_prbarrier stonith resource, and order the"
    " resources that use the disks after it: a node that was evicted and has not been rebooted"
    " then gets none of them.",
    "start checks this node's key on every usable path of every logical unit (LU), and joins where"
    " unfencing has not. monitor checks key and reservation; a path or LU that is new or has come"
    " back is registered with the same key; a lost path is reported as degraded (190) while"
    " another one works. An evicted node is a hard error (4): reboot it. stop sends nothing: the"
    " disks stay protected.",
)

ACTION_TEXTS = {
    "on": "Join: register this node on every LU. Runs on the node itself.",
    "off": "Evict a node: remove its key from every LU and abort its commands.",
    "status": "Tell whether a node is registered: exit code 0 is on, 2 is off, 1 is not known.",
    "monitor": "Check that every LU can be read and bears this cluster's barrier.",
    "list": "Print name and number of every node.",
    "list-status": "Print name, number and status of every node.",
    "metadata": "Print the agent's XML metadata.",
    "manpage": "Print this manual page.",
    "validate-all": "Check the parameters and that every LU can bear the barrier; silent if so.",
    "clear": "For people only: show and, once confirmed, remove the keys of one node (plug), or all"
    " keys of this cluster and its reservation, from every LU that is named.",
}

EXIT_CODES = (
    ("0", "Done, on, or healthy."),
    ("1", "Everything else: not done, or not known to be done."),
    ("2", "status only: the node is off."),
)

EXAMPLES = (
    "fence_prbarrier -o on -n n1 -d /dev/sdb,/dev/sdc --nodes n1:1,n2:2 --cluster-name prod",
    "fence_prbarrier -o off -n n2 -d /dev/sdb,/dev/sdc --nodes n1:1,n2:2 --cluster-name prod",
    "printf 'action=status\\nplug=n2\\ndevices=/dev/sdb\\n' | fence_prbarrier",
)


def version() -> list[str]:
    """One line."""
    return [f"fence_prbarrier {__version__}"]


def usage() -> list[str]:
    """What --help prints."""
    lines = ["Usage: fence_prbarrier [options]    (or key=value lines on stdin)", "", SUMMARY, ""]
    lines.append("Actions (-o):")
    lines += [f"  {action.name:<14}{ACTION_TEXTS[action.name]}" for action in ACTIONS]
    lines += ["", "Options:"]
    for parameter in PARAMETERS:
        if parameter.deprecated:
            continue
        lines.append("  " + _option(parameter))
        lines += _wrapped(parameter.text + _default(parameter), " " * 10)
    lines += ["", "Exit codes:"] + [f"  {code}  {text}" for code, text in EXIT_CODES]
    return lines + ["", "Examples:"] + [f"  {example}" for example in EXAMPLES]


def _option(parameter: Parameter) -> str:
    short = f"-{parameter.short}, " if parameter.short else "    "
    argument = "" if parameter.kind == BOOLEAN else f"={parameter.argument.upper()}"
    return f"{short}--{parameter.long}{argument}"


def _default(parameter: Parameter) -> str:
    if parameter.kind == BOOLEAN or not parameter.default:
        return ""
    return f" Default: {parameter.default}."


def _wrapped(text: str, indent: str) -> list[str]:
    from textwrap import wrap

    return wrap(text, 79, initial_indent=indent, subsequent_indent=indent)


def manual_page() -> list[str]:
    """The manual page in man(7)'s macros."""
    lines = [
        f'.TH FENCE_PRBARRIER 8 "" "fence_prbarrier {__version__}" "Fence agents"',
        ".SH NAME",
        f"fence_prbarrier \\- {SUMMARY}",
        ".SH SYNOPSIS",
        ".B fence_prbarrier",
        "[\\fIoptions\\fR]",
        ".SH DESCRIPTION",
    ]
    for paragraph in DESCRIPTION:
        lines += [".PP", _roff(paragraph)]
    lines += [".SH ACTIONS"]
    for action in ACTIONS:
        lines += [".TP", f"\\fB{_roff(action.name)}\\fR", _roff(ACTION_TEXTS[action.name])]
    lines += [
        ".SH OPTIONS",
        "On standard input the same names are given without the leading"
        " dashes, and with _ for each dash within, as key=value lines.",
    ]
    for parameter in PARAMETERS:
        text = parameter.text + _default(parameter)
        lines += [".TP", f"\\fB{_roff(_option(parameter).strip())}\\fR", _roff(text)]
    lines += [".SH EXIT STATUS"]
    for code, text in EXIT_CODES:
        lines += [".TP", f"\\fB{code}\\fR", _roff(text)]
    lines += [".SH EXAMPLES"]
    for example in EXAMPLES:
        lines += [".PP", f"\\fB{_roff(example)}\\fR"]
    return lines


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped[:1] in (".", "'") else escaped
