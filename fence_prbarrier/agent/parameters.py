"""The one table of parameters and actions: stdin, command line, XML, help and manual read it."""

from __future__ import annotations

from ..errors import InvalidInput

STRING = "string"
SECOND = "second"
INTEGER = "integer"
BOOLEAN = "boolean"
SELECT = "select"

TRUE_WORDS = ("1", "yes", "on", "true")
FALSE_WORDS = ("0", "no", "off", "false")
MAX_SECONDS = 86400

DEFAULT_STATE_DIR = "/run/fence_prbarrier"


class Parameter:
    """One row.  ``name`` is the stdin name; the long option has ``-`` for ``_``.

    ``argument`` is the placeholder in help texts, empty for a flag.  ``people``: only
    a person gives it, so no cluster manager is told of it.
    """

    __slots__ = (
        "name", "short", "kind", "default", "text", "argument", "choices", "low", "high",
        "required", "obsoletes", "deprecated", "effect", "people",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        short: str,
        kind: str,
        default: str,
        text: str,
        argument: str = "",
        choices: tuple[str, ...] = (),
        low: int = 0,
        high: int = MAX_SECONDS,
        required: bool = False,
        obsoletes: str = "",
        deprecated: bool = False,
        effect: bool = True,
        people: bool = False,
    ) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.default = default
        self.text = text if effect else f"{text} Accepted for compatibility, without effect."
        self.argument = argument
        self.choices = choices
        self.low = low
        self.high = high
        self.required = required
        self.obsoletes = obsoletes
        self.deprecated = deprecated
        self.effect = effect
        self.people = people

    @property
    def long(self) -> str:
        return self.name.replace("_", "-")

    def check(self, value: str) -> str:
        """The value as the agent uses it; InvalidInput says what was expected."""
        if self.kind == BOOLEAN:
            return self._boolean(value)
        if self.kind in (SECOND, INTEGER):
            if not (value.isascii() and value.isdigit() and len(value) < 10):
                raise self._wrong(value, f"a whole number from {self.low} to {self.high}")
            if not self.low <= int(value) <= self.high:
                raise self._wrong(value, f"{self.low} to {self.high}")
        if self.choices and value not in self.choices:
            raise self._wrong(value, f"one of {', '.join(self.choices)}")
        return value

    def _boolean(self, value: str) -> str:
        if value.lower() in TRUE_WORDS:
            return "1"
        if value.lower() in FALSE_WORDS:
            return "0"
        raise self._wrong(value, f"{'/'.join(TRUE_WORDS)} or {'/'.join(FALSE_WORDS)}")

    def _wrong(self, value: str, expected: str) -> InvalidInput:
        return InvalidInput(f"{self.name}={value[:60]!r}: expected {expected}")


class Action:
    """One action, and what it needs: ``plug`` a node, ``units`` devices, ``cluster`` names.

    ``people``: only a person asks for it, so no cluster manager is told of it.
    """

    __slots__ = ("name", "plug", "units", "on_target", "automatic", "people")

    def __init__(
        self,
        name: str,
        plug: bool = False,
        units: bool = True,
        on_target: bool = False,
        automatic: bool = False,
        people: bool = False,
    ) -> None:
        self.name = name
        self.plug = plug
        self.units = units
        self.on_target = on_target
        self.automatic = automatic
        self.people = people


# No reboot: fabric fencing cuts a node off, it does not start it again.
ACTIONS = (
    Action("on", plug=True, on_target=True, automatic=True),
    Action("off", plug=True),
    Action("status", plug=True),
    Action("monitor"),
    Action("list", units=False),
    Action("list-status"),
    Action("metadata", units=False),
    Action("manpage", units=False),
    Action("validate-all"),
    Action("clear", people=True),
)
ACTIONS_BY_NAME = {action.name: action for action in ACTIONS}

PARAMETERS = (
    Parameter("action", "o", STRING, "off", "Fencing action.", "action",
              tuple(action.name for action in ACTIONS), required=True),
    Parameter("plug", "n", STRING, "",
              "Node to act on: its name or its node number.", "id", obsoletes="port"),
    Parameter("port", "", STRING, "", "Deprecated name of plug.", "id", deprecated=True),
    Parameter("nodename", "", STRING, "",
              "The node that Pacemaker names; serves where plug is not given.", "name"),
    Parameter("devices", "d", STRING, "",
              "Shared disks, separated by commas or blanks: block, sg or bsg nodes of whole SCSI"
              " disks, dm-multipath devices, links to these, patterns such as"
              " /dev/disk/by-id/wwn-0x6*, or mock:FILE for a simulated one. Default, where"
              " devices_file is not given either: the disks of all shared LVM volume groups.",
              "devices"),
    Parameter("devices_file", "", STRING, "",
              "File with one device or pattern a line, read at every action, in addition to"
              " devices; so the set can change without a change of the configuration.", "file"),
    Parameter("cluster_name", "", STRING, "",
              "Name of the cluster, from which the tag in its keys is made."
              " Default: cluster_name of corosync.conf.", "name"),
    Parameter("cluster_tag", "", STRING, "",
              "Tag in this cluster's keys, four hexadecimal digits, instead of one made from its"
              " name.", "tag"),
    Parameter("nodes", "", STRING, "",
              "Names and numbers of all nodes, such as n1:1,n2:2."
              " Default: name and nodeid of corosync.conf's nodelist.", "nodes"),
    Parameter("local_name", "", STRING, "",
              "Name of the node that the agent runs on. Default: the host name.", "name"),
    Parameter("aptpl", "", SELECT, "auto",
              "Whether registrations outlive a power loss of the disks: auto asks for it where the"
              " disk can do it.", "mode", ("auto", "yes", "no")),
    Parameter("rejoin", "", SELECT, "reboot",
              "What on does for a node that was evicted in this boot: reboot refuses until it has"
              " rebooted, allow lets it join again.", "mode", ("reboot", "allow")),
    Parameter("state_dir", "", STRING, DEFAULT_STATE_DIR,
              "Directory for what this boot remembers, writable by root only.", "directory"),
    Parameter("drain", "", STRING, "auto",
              "How commands of the victim that are already in the disk come to an end: target"
              " trusts PREEMPT AND ABORT, reset resets the LU afterwards, wait:SECONDS lets time"
              " pass, auto resets where the kind of target needs it or no abort was seen.",
              "policy"),
    Parameter("command_timeout", "", SECOND, "5",
              "Seconds for one SCSI command; PREEMPT AND ABORT and a reset get what is left of the"
              " action's time.", "seconds", low=1, high=600),
    Parameter("power_timeout", "", SECOND, "60",
              "Seconds for off, and at most for any other action. Set Pacemaker's own limit"
              " (pcmk_off_timeout, stonith-timeout) at least 10 seconds above it, delay and"
              " power_wait added.",
              "seconds", low=1),
    Parameter("on_timeout", "", SECOND, "20",
              "Seconds for on. Nobody can fence a node while its on has no answer, so this is less"
              " than power_timeout; set pcmk_on_timeout at least 5 seconds above it.",
              "seconds", low=1),
    Parameter("monitor_timeout", "", SECOND, "15",
              "Seconds for status, list-status, monitor and validate-all. Pacemaker's own limit"
              " for monitor must be above it.",
              "seconds", low=1),
    Parameter("delay", "", SECOND, "0", "Seconds to wait before off begins.", "seconds"),
    Parameter("power_wait", "", SECOND, "0", "Seconds to wait after on or off.", "seconds"),
    Parameter("retry_on", "", INTEGER, "1", "How many times on is tried.", "attempts",
              low=1, high=20),
    Parameter("stonith_status_sleep", "", SECOND, "1", "Seconds between status calls.",
              "seconds", effect=False),
    Parameter("login_timeout", "", SECOND, "5", "Seconds to wait for a prompt.",
              "seconds", effect=False),
    Parameter("shell_timeout", "", SECOND, "3", "Seconds to wait for a prompt.",
              "seconds", effect=False),
    Parameter("disable_timeout", "", STRING, "", "Disable timeouts (true/false).",
              "boolean", effect=False),
    Parameter("plug_separator", "", STRING, ",", "Separator of plugs in plug.", "char",
              effect=False),
    Parameter("separator", "C", STRING, ",", "Separator of the fields of list.", "char"),
    Parameter("quiet", "q", BOOLEAN, "0", "No logging to stderr or syslog."),
    Parameter("verbose", "v", BOOLEAN, "0",
              "Log every SCSI command and what came back.",
              ),
    Parameter("verbose_level", "", INTEGER, "0",
              "Level of logging: 1 and 2 what is decided, 3 every SCSI command.", "level",
              high=10),
    Parameter("debug_file", "D", STRING, "",
              "File that everything is logged to; not on a shared disk.", "file"),
    Parameter("logfile", "", STRING, "",
              "File that is logged to as to stderr; not on a shared disk.", "file"),
    Parameter("confirm", "", BOOLEAN, "0",
              "For clear only: remove what it shows without asking.", people=True),
    Parameter("force", "", STRING, "",
              "For clear only: remove-members removes keys of nodes that stand in the cluster's"
              " list of nodes too.", "word", ("remove-members",), people=True),
    Parameter("help", "h", BOOLEAN, "0", "Show this help and exit."),
    Parameter("version", "V", BOOLEAN, "0", "Show the version and exit."),
)  # fmt: skip
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


# What the OCF resource agent knows, and of the same table.
OCF_ACTIONS = ("start", "stop", "monitor", "validate-all", "meta-data", "usage")
# Advised limits; a monitor that hangs on a dead path still ends in time to say so.
OCF_ACTION_SECONDS = {
    "start": 40, "stop": 20, "monitor": 30, "validate-all": 20, "meta-data": 10,
}  # fmt: skip
OCF_MONITOR_INTERVAL_SECONDS = 30
OCF_PARAMETERS = (
    "devices", "devices_file", "cluster_name", "cluster_tag", "nodes", "local_name", "aptpl",
    "state_dir", "command_timeout", "verbose",
)  # fmt: skip


class Options:
    """Checked values by name; a missing one has its default."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, str]) -> None:
        self._values = {}
        for name, value in values.items():
            # An empty value is what a cluster manager sends for "not set".
            self._values[name] = BY_NAME[name].check(value) if value else BY_NAME[name].default

    def __getitem__(self, name: str) -> str:
        return self._values.get(name, BY_NAME[name].default)

    def flag(self, name: str) -> bool:
        return self[name] == "1"

    def number(self, name: str) -> int:
        return int(self[name])
