"""The resident agent of a guest: serves requests without starting an interpreter for each.

A new interpreter costs 0.3 s in a guest, and a fork of this one 0.1 s. Every
request is served by a thread of its own, because what it does may sleep in the
kernel for minutes.

Usage: python3 -m inguest.inguest_agent FIFO. A line N on the FIFO means /lab/N.req; the answer
is /lab/N.ans, renamed into place so that it is whole when it is seen.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from typing import Any, Callable

from . import inguest_lio, inguest_scsi

OPERATIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        inguest_lio.prepare,
        inguest_lio.target_up,
        inguest_lio.target_down,
        inguest_lio.add_unit,
        inguest_lio.remove_unit,
        inguest_lio.delay,
        inguest_lio.devices,
        inguest_lio.wait_devices,
        inguest_scsi.scsi,
        inguest_scsi.sweep,
        inguest_scsi.reset,
        inguest_scsi.write,
        inguest_scsi.read,
        inguest_scsi.run_file,
    )
}


def serve(number: str) -> None:
    """Serve one request and write its answer."""
    try:
        with open(f"/lab/{number}.req") as file:
            request = json.load(file)
        value = OPERATIONS[request["operation"]](**request["arguments"])
        answer = {"value": value}
    except Exception as error:  # whatever it is, the host is waiting for an answer
        answer = {"error": f"{error!r}\n{traceback.format_exc()}"}
    with open(f"/lab/{number}.part", "w") as file:
        json.dump(answer, file)
    os.rename(f"/lab/{number}.part", f"/lab/{number}.ans")


def main() -> None:
    """Serve for ever."""
    with open(sys.argv[1]) as requests:
        for line in requests:
            threading.Thread(target=serve, args=[line.strip()], daemon=True).start()


if __name__ == "__main__":
    main()
