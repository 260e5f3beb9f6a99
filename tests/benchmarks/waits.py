"""By how much do waits outlast their timeouts, on a store that hangs for ever?

`python waits.py WHAT SECONDS FOLDER` prints the seconds that ``flush`` or ``shutdown`` took beyond
their timeout; after ``exit`` the caller sees how long the interpreter took to end.
"""

from __future__ import annotations

import sys
import threading
import time

import obswriter


class HangingStorage(obswriter.LocalStorage):
    """A store from which no call comes back."""

    destination = "hanging"

    def write(self, path: str, data: bytes) -> None:
        threading.Event().wait()

    put_file = write  # type: ignore[assignment]


def main(what: str, seconds: str, folder: str) -> None:
    timeout = float(seconds)
    writer = obswriter.configure(
        file_storage=HangingStorage(folder),
        project_id="bench",
        spool_dir=folder,
        shutdown_timeout_ms=int(timeout * 1000),
    )
    writer.record_log(obswriter.Log(level="info", message="waits"))
    if what == "exit":
        print(time.time(), flush=True)
        return
    began = time.perf_counter()
    getattr(writer, what)(timeout)
    print(time.perf_counter() - began - timeout)
    sys.stdout.flush()
    writer.shutdown(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
