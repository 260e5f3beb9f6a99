"""The demo's processes: started, watched, and ended whatever happens."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from obswriter.cli.place import Place

STOP_SECONDS = 15.0

WORKER = [
    *("celery", "--app", "obswriter.cli.demo.worker", "worker"),
    *("--pool", "prefork", "--concurrency", "2", "--loglevel", "WARNING"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
]


class ChildError(Exception):
    """A process of the demo ended, or answered, as it should not."""


class Child:
    """One process, in a group of its own so that Ctrl-C is for the demo alone to handle."""

    def __init__(
        self, name: str, module: list[str], environ: Mapping[str, str], folder: Path, *fds: int
    ) -> None:
        self.name = name
        self._output = folder / f"{name}.txt"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603  # modules of ours and Celery's
                [sys.executable, "-m", *module],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environ,
                pass_fds=fds,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def check(self) -> None:
        """Raise ``ChildError`` if the process is no more."""
        if self._process.poll() is not None:
            raise self.error(f"ended with status {self._process.returncode}")

    def error(self, what: str) -> ChildError:
        """Return the error that says *what* happened, with all the process said."""
        said = self._output.read_text(errors="replace").strip()
        return ChildError(f"the {self.name} {what}. It said:\n{said or '(nothing)'}")

    def stop(self) -> None:
        """Ask the process to end, and wait for it."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise self.error(f"did not end within {STOP_SECONDS:.0f} s of SIGTERM") from None

    def end(self) -> None:
        """Have the process ended, kindly if that is possible; not even Ctrl-C leaves it behind."""
        try:
            if self._process.poll() is None:
                with suppress(ChildError):
                    self.stop()
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


def environment(place: Place, folder: Path) -> dict[str, str]:
    """Return the variables by which the children record into *place*."""
    return {
        **os.environ,
        "OBSWRITER_FILE_STORAGE": place.url,
        "OBSWRITER_BASE_PATH": place.base_path,
        "OBSWRITER_PROJECT_ID": str(place.project),
        "OBSWRITER_DISABLED": "0",
        "SHOP_BROKER_FOLDER": str(folder),
    }


@contextmanager
def application(place: Place, folder: Path) -> Iterator[tuple[Child, Child, int]]:
    """Have the web application and the worker running; yields them and the port."""
    (folder / "messages").mkdir()
    environ = environment(place, folder)
    with _termination_as_exit(), ExitStack() as ends:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port, fd = listener.getsockname()[1], listener.fileno()
            module = ["obswriter.cli.demo.serve", str(fd)]
            web = Child("web application", module, environ, folder, fd)
            ends.callback(web.end)
        worker = Child("worker", WORKER, environ, folder)
        ends.callback(worker.end)
        yield web, worker, port


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """A SIGTERM to the demo must end its children too."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
