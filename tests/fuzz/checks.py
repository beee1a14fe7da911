"""What every parser is held to, whatever bytes it is given."""

from __future__ import annotations

from typing import Any, Callable

from fence_prbarrier.agent.log import one_line

# A message is one line that a person reads; Pacemaker's log cuts longer ones.
MAX_MESSAGE_CHARACTERS = 2000


class Violation(Exception):
    """A property does not hold.  No parser may declare it, so nothing swallows it."""


class Refused:
    """The parser's declared error, as a value; the input was not accepted."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def require(holds: object, what: str, *shown: object) -> None:
    """Raise Violation unless the property holds (an assert would be lost under -O)."""
    if not holds:
        raise Violation(what + "".join(f"\n  {each!r:.600}" for each in shown))


def attempt(parse: Callable[[], Any], *declared: type[Exception]) -> Any:
    """What a parser makes of its input, or Refused; any error but a declared one goes on up."""
    try:
        return parse()
    except declared as error:
        require_clear(error)
        return Refused(error)


def require_clear(error: Exception) -> None:
    """One line, as it is printed, that says something and does not fill the log."""
    text = one_line(str(error))
    require(text.strip() and text.isprintable(), "the message is not one line", text)
    require(len(text) <= MAX_MESSAGE_CHARACTERS, f"a message of {len(text)} characters", text)


def agree(got: Any, expected: Any, what: str) -> None:
    """The parser and the independent reading say the same; Refused stands for None.

    Both ways: what is wrong is refused, and what is right is not.
    """
    mine = None if isinstance(got, Refused) else got
    require(
        mine == expected,
        f"{what}: the parser and the independent reading differ",
        got.error if isinstance(got, Refused) else got,
        expected,
    )
