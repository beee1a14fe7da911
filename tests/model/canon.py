"""The canonical form of a value, of a suspended generator above all.

Two generators with one form go on alike: the form holds, for each frame down the
chain of ``yield from``, the code, the instruction it stands at, every bound local and
every temporary on the value stack (a loop's iterator with its position), and what
all of these lead to.  Objects that can be changed are told apart by identity, so the
form also says which of them are one and the same.

Sets are put in order.  So two states whose sets hold the same in another order of
iteration count as one; ``merge=False`` of the checker does without any of this.
"""

from __future__ import annotations

import enum
import gc
import types
from typing import Any

PLAIN = (int, str, bytes, float, bool, type(None))
NAMED = (type, types.ModuleType, types.BuiltinFunctionType, types.MethodDescriptorType)
ITERATORS = (
    type(iter([])),
    type(iter(())),
    type(iter(range(0))),
    type(iter({})),
    type(iter({}.items())),
    type(iter({}.values())),
    type(iter(set())),
    enumerate,
    zip,
)


class NoForm(TypeError):
    """A value that has no canonical form here."""


class _Canon:
    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.kept: list[Any] = []  # so that no identity is used twice

    def of(self, value: Any) -> Any:
        kind = type(value)
        if kind in PLAIN:
            return (kind.__name__, value)
        if isinstance(value, (int, str)) and not isinstance(value, enum.Enum):
            return (kind.__name__, kind.__base__.__name__, kind.__base__(value))
        if kind is tuple:
            return ("tuple", *map(self.of, value))
        if kind is range:
            return ("range", value.start, value.stop, value.step)
        if kind in (frozenset, set):
            items = sorted(map(self.of, value), key=repr)
            return ("set", *items) if kind is frozenset else self._once(value, "set", *items)
        if isinstance(value, NAMED):
            owner = getattr(value, "__self__", None)
            if owner is not None and not isinstance(owner, types.ModuleType):
                return ("bound", value.__qualname__, self.of(owner))
            return ("name", getattr(value, "__module__", ""), value.__name__)
        number = self.numbers.get(id(value))
        if number is not None:
            return ("same", number)
        return self._new(value, kind)

    def _once(self, value: Any, *parts: Any) -> Any:
        number = self.numbers.get(id(value))
        if number is not None:
            return ("same", number)
        self._number(value)
        return tuple(parts)

    def _number(self, value: Any) -> None:
        self.numbers[id(value)] = len(self.numbers)
        self.kept.append(value)

    def _new(self, value: Any, kind: type) -> Any:
        self._number(value)
        if kind is list:
            return ("list", *map(self.of, value))
        if kind is dict:
            return ("dict", *((self.of(key), self.of(each)) for key, each in value.items()))
        if kind is types.GeneratorType:
            return self._generator(value)
        if kind is types.FunctionType:
            cells = value.__closure__ or ()
            return ("function", value.__module__, value.__qualname__, *map(self.of, cells))
        if kind is types.CellType:
            return ("cell", *(self.of(each) for each in gc.get_referents(value)))
        if kind is types.MethodType:
            return ("method", value.__func__.__qualname__, self.of(value.__self__))
        if kind in ITERATORS:
            return ("iterator", kind.__name__, *map(self.of, value.__reduce__()[1:]))
        if isinstance(value, BaseException):
            return ("error", kind.__name__, self.of(value.args), self.of(vars(value)))
        return self._object(value, kind)

    def _object(self, value: Any, kind: type) -> Any:
        names = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
        names += sorted(getattr(value, "__dict__", ()))
        if not kind.__module__.startswith(("fence_prbarrier", "tests")):
            raise NoForm(f"no canonical form for {value!r}")
        slots = ((name, self.of(getattr(value, name))) for name in names if hasattr(value, name))
        return ("object", kind.__name__, *slots)

    def _generator(self, generator: Any) -> Any:
        frame = generator.gi_frame
        if frame is None:
            return ("ended", generator.__qualname__)
        names = tuple(frame.f_locals)
        parts = gc.get_referents(generator)
        # What follows the frame's code: its locals that are bound, then its value stack.
        code = max(at for at, each in enumerate(parts) if each is generator.gi_code)
        parts = parts[code + 1 :]
        if len(parts) < len(names):
            raise NoForm("this interpreter does not show what a generator holds")
        return ("generator", generator.__qualname__, frame.f_lasti, names, *map(self.of, parts))


def canonical(*values: Any) -> Any:
    """The form of these values together: nested tuples, to compare and to hash."""
    return _Canon().of(values)
