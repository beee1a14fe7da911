"""The process under atheris: ``python -m tests.fuzz.under TARGET [libFuzzer's options] [folders]``.

Nothing of the package may be imported before this: what is, is not covered.
"""

from __future__ import annotations

import os
import sys


def main(arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["fence_prbarrier"]):
        from .targets import TARGETS
    target = TARGETS[arguments[0]]

    def one_input(data: bytes) -> None:
        target(bytes(data))

    atheris.Setup([os.environ.get("PRBARRIER_FUZZ_ITSELF", "fuzz"), *arguments[1:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
