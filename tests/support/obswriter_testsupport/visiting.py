"""Servers under load that are ended in the middle of it, and what they acknowledged until then.

The application records some events in each request and acknowledges each by a line in a file,
once ``record_*`` has returned: that outlives the server whatever becomes of it.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from obswriter_testsupport.faults import Outcome
from obswriter_testsupport.processes import accepts_connections, end_process
from obswriter_testsupport.wait import wait_until

WORK = """
import itertools, os, signal, time
import obswriter
from obswriter import Log

ACKNOWLEDGED = os.open(os.environ["ACKNOWLEDGED"], os.O_WRONLY | os.O_APPEND)
numbers = itertools.count()

def record():
    text = f"{os.getpid()} {next(numbers)}"
    obswriter.get_writer().record_log(Log(level="info", message=text))
    os.write(ACKNOWLEDGED, (text + "\\n").encode())

if os.environ.get("WITHOUT_ADOPTION"):  # nobody stores for another what that one should have
    import obswriter.spool
    obswriter.spool.adopt = lambda *_: obswriter.adoption.Recovery()
"""

WSGI = (
    WORK
    + """
def application(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        hang()
    for _ in range(5):
        record()
        time.sleep(0.002)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]

def hang():
    record()
    if os.environ["HANG"] == "deaf":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGABRT])
    while True:
        time.sleep(60)
"""
)

ASGI = (
    WORK
    + """
import asyncio
from obswriter_asgi import ObservabilityMiddleware

async def answer(scope, receive, send):
    if scope["type"] == "lifespan":
        for _ in range(2):
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
        return
    for _ in range(5):
        record()
        await asyncio.sleep(0.002)
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})

application = ObservabilityMiddleware(answer)
"""
)

# Whoever started the tests may ignore them (nohup, a shell's background job).
HEED_SIGNALS = """
import os, signal, sys
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""

CONFIGURED = "\nobswriter.configure()\n"


PYTHON = sys.executable

End = Callable[["Site"], None]


class Acknowledging:
    """Something that runs, and what its processes have acknowledged in a file."""

    log: Path

    def state(self) -> str:
        raise NotImplementedError

    def acknowledged(self) -> list[str]:
        # The last line may be in the making.
        return self.log.read_text().rpartition("\n")[0].splitlines()

    def pids(self) -> set[int]:
        """Return the processes that have acknowledged something."""
        return {int(line.split()[0]) for line in self.acknowledged()}

    def wait_for_more(self, events: int = 60) -> None:
        """Wait until so many more are acknowledged: the server is in the middle of its work."""
        wanted = len(self.acknowledged()) + events
        wait_until(lambda: len(self.acknowledged()) >= wanted, 30, message=self.state)


@dataclass
class Site(Acknowledging):
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def wait_for_processes(self, count: int, timeout: float = 30) -> None:
        """Wait until so many have acknowledged something, those that are gone included."""
        wait_until(lambda: len(self.pids()) >= count, timeout, message=self.state)

    def end(self, end: End) -> int:
        end(self)
        return self.process.wait(30)

    def state(self) -> str:
        return f"status {self.process.poll()}, {len(self.acknowledged())} events by {self.pids()}"


def ask(port: int, path: str = "/", timeout: float = 10) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


@contextmanager
def visitors(port: int, count: int = 3) -> Iterator[None]:
    """Have some threads ask on and on, whether they are answered or not."""
    stop = threading.Event()

    def visit() -> None:
        while not stop.is_set():
            try:
                ask(port)
            except (OSError, http.client.HTTPException):
                stop.wait(0.05)

    threads = [threading.Thread(target=visit) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return a server's environment. Servers are other people's: their warnings are none of ours.

    The timer never stores anything here, so that only the end can.
    """
    unwanted = {"PYTHONDEVMODE", "PYTHONWARNINGS"}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    paths = [str(folder), *filter(None, [kept.get("PYTHONPATH")])]
    return {
        **kept,
        "ACKNOWLEDGED": str(folder / "acknowledged"),
        "OBSWRITER_FILE_STORAGE": str(folder / "store"),
        "OBSWRITER_FLUSH_INTERVAL_MS": "60000",
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


@contextmanager
def site(
    folder: Path, command: Sequence[str], port: int, environ: Mapping[str, str]
) -> Iterator[Site]:
    """Run a server until the block ends; enter it once the port accepts connections."""
    log = folder / "acknowledged"
    log.touch()
    with tempfile.TemporaryFile("w+b") as output:
        process = subprocess.Popen(
            [PYTHON, "-c", HEED_SIGNALS, *command],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

        def is_ready() -> bool:
            assert process.poll() is None, f"it ended with status {process.returncode}"
            return accepts_connections(port)

        try:
            wait_until(is_ready, 60)
            yield Site(process, port, log)
        except Exception as error:
            output.seek(0)
            error.add_note(f"{' '.join(command)} said:\n{output.read().decode(errors='replace')}")
            raise
        finally:
            end_process(process)


def end_under_load(
    folder: Path,
    application: str,
    command: Sequence[str],
    port: int,
    end: End,
    *,
    status: int,
    workers: int = 1,
    at_once: bool = True,
    idle: bool = False,
    **environ: str,
) -> Outcome:
    """Serve *application* (as module ``app``), and have *end* end it while visitors ask.

    Not before all *workers* are at work: one that still loads the application may well fail.

    Where each process is to store its own events *at_once*, no other one adopts them meanwhile.
    With *idle*, the visitors are gone before the end.
    """
    (folder / "app.py").write_text(application)
    if at_once:
        environ["WITHOUT_ADOPTION"] = "1"
    with site(folder, command, port, environment(folder, **environ)) as running:
        with visitors(port):
            running.wait_for_processes(workers)
            running.wait_for_more()
            if not idle:
                found = running.end(end)
        if idle:
            found = running.end(end)
        assert found == status, f"the exit status is {found}, and should be {status}"
        return Outcome(folder / "store", found, running.acknowledged(), "")


def reload(running: Site) -> int:
    """Change the application in the middle of work; return the process that serves then.

    More than once where need be: a server takes what it finds at its first look for unchanged.
    """
    module = running.log.with_name("app.py")
    for _ in range(6):
        later = module.stat().st_mtime + 10  # whatever the clock's grain
        os.utime(module, (later, later))
        with suppress(AssertionError):
            running.wait_for_processes(2, timeout=5)
            break
    running.wait_for_processes(2)
    running.wait_for_more(20)
    return int(running.acknowledged()[-1].split()[0])


def send(number: int) -> End:
    """Return an end: one signal to the process that was started."""
    return lambda running: running.process.send_signal(number)
