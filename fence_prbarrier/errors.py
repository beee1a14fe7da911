"""What can go wrong, sorted by who must act.

Every error is one line of text that names what is wrong, what was expected and
what to do.  All of them end an action with exit code 1: a fence that is not
known to be done is not done.
"""

from __future__ import annotations

# Of LUs or devices that meet the same error, so many are named.
MAX_NAMED = 4
# Of a text that somebody gave, so much is shown: a line of any length must not hide what is said.
MAX_QUOTED = 200

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def quoted(text: str) -> str:
    """Somebody's text for a message: in quotes, on one line, and no more than its beginning."""
    shown = repr(text[:MAX_QUOTED])
    if len(text) <= MAX_QUOTED and len(shown) <= MAX_QUOTED + len("''"):
        return shown
    return shown[:MAX_QUOTED] + "…'"


class BarrierError(Exception):
    """An action that could not be done, or could not be shown to be done.

    ``where`` names the LU or device that it is about, once that is known.
    """

    where = ""

    @property
    def what(self) -> str:
        """The text without the place."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class Several(BarrierError):
    """More than one LU has its own error; all are told in one line, and equal ones together.

    Pacemaker cuts a line of its log, so what is wrong is not said once for each LU.
    """

    def __init__(self, errors: Sequence[BarrierError]) -> None:
        self.errors = tuple(errors)
        places: dict[str, list[str]] = {}
        for error in errors:
            places.setdefault(error.what, []).append(error.where)
        super().__init__("; ".join(_at(where, what) for what, where in places.items()))


def _at(places: list[str], what: str) -> str:
    """``what``, and where: the first few places by name, how many more there are."""
    named = [place for place in places if place]
    if not named:
        return what
    more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
    return f"{', '.join(named[:MAX_NAMED])}{more}: {what}"


class InvalidInput(BarrierError):
    """A parameter, an input line or a configuration file: the administrator corrects it."""


class DeviceError(BarrierError):
    """A device name that leads to no usable path: the storage administrator mends it."""


class WrongUnit(DeviceError):
    """A path that leads to another LU than whoever uses it believes."""


class CommandFailed(BarrierError):
    """A command that had no good end on any path: the path or the target needs a look."""


class ProtocolError(BarrierError):
    """A reply that breaks the standard: the target's vendor must mend it."""


class Truncated(ProtocolError):
    """A reply whose declared length exceeds the buffer: read again.

    ``needed`` is the number of bytes the whole reply takes.
    """

    def __init__(self, text: str, needed: int) -> None:
        super().__init__(text)
        self.needed = needed


class ForeignProperty(BarrierError):
    """A LU that somebody else reserved: its owner must be asked (rule 6)."""


class NotMember(BarrierError):
    """This node's key is not on the LU: it was evicted, or never joined (rules 3 and 4)."""


class Rejoined(BarrierError):
    """The victim came back with a newer incarnation: the cluster manager must decide anew."""


class BarrierBroken(BarrierError):
    """The read-back does not show what success requires (rule 1)."""


class MemoryFault(BarrierError):
    """This boot's memory cannot be read or written: see ``state_dir``."""


class JoinUnderWay(MemoryFault):
    """Another process of this node holds its join lock."""


class OutOfTime(BarrierError):
    """The action's time is used up; what is not known to be done is not done."""


def in_words(error: BaseException) -> str:
    """One line for what is no BarrierError: the system's refusal, or a defect of this program."""
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename or 'input or output'}"
    if isinstance(error, MemoryError):
        return "the system has no memory for it"
    if isinstance(error, ImportError):
        return f"a part of the program cannot be loaded: {error}"
    return f"internal error: {type(error).__name__}: {error}"


def raise_all(errors: Sequence[BarrierError]) -> None:
    """Raise the one error, or one that tells all of them; return if there is none."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise Several(errors)
