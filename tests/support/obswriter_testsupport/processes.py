"""Child processes that are waited for by condition and ended by their id."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sysconfig
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from obswriter_testsupport.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def free_port() -> int:
    """Return a TCP port that nobody listened to on loopback a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def accepts_connections(port: int, host: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def find_program(name: str) -> str | None:
    """Find a program beside the running interpreter, else on PATH."""
    return shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)


def end_process(process: subprocess.Popen[bytes], timeout: float = 10.0) -> None:
    """Ask this one process to stop, and kill it when it does not."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def serving(
    command: Sequence[str],
    port: int,
    *,
    env: Mapping[str, str] | None = None,
    timeout: float = 30.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; enter the block once its port accepts connections."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env
        )

        def said() -> str:
            output.seek(0)
            return f"{command[0]} on port {port}: {output.read().decode(errors='replace')}"

        def ready() -> bool:
            if process.poll() is not None:
                raise AssertionError(f"ended with status {process.returncode}: {said()}")
            return accepts_connections(port)

        try:
            wait_until(ready, timeout, message=said)
            yield process
        finally:
            end_process(process)
