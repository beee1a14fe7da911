"""Many direct writes in flight at once, inside the victim; plain Python, nothing of the project.

    inguest_burst.py DEVICE COUNT BYTES WORD

One write of so many bytes from each of COUNT threads, next to each other from the start of
the device, every block beginning with WORD.  Prints a line for each kind of result:
`32 written` or `32 EBADE`.
"""

from __future__ import annotations

import collections
import errno
import mmap
import os
import sys
import threading

BLOCK_BYTES = 512


def main() -> None:
    """Write, and wait for every end."""
    device, count, size, word = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    page = mmap.mmap(-1, size)  # O_DIRECT wants aligned memory
    page[:] = word.encode().ljust(BLOCK_BYTES, b".") * (size // BLOCK_BYTES)
    descriptor = os.open(device, os.O_WRONLY | os.O_DIRECT)
    came: collections.Counter[str] = collections.Counter()

    def write(number: int) -> None:
        try:
            with memoryview(page) as view:
                written = os.pwritev(descriptor, [view], number * size)
            came["written" if written == size else "short"] += 1
        except OSError as error:
            came[errno.errorcode.get(error.errno or 0, str(error.errno))] += 1

    threads = [threading.Thread(target=write, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, number in sorted(came.items()):
        print(number, name)


if __name__ == "__main__":
    main()
