"""Stores and disks that misbehave on request, for any test."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from obswriter import FileInfo, LocalStorage
from obswriter_testsupport.faults import Outcome, run


class FaultyStorage:
    """A directory behind a store that is not local: files are sent to it, not renamed into it.

    ``fault`` is called before each write and may raise; ``after`` likewise, when the file is
    there already (stored, but reported as failed). ``hold()`` makes writes hang until released,
    ``tear()`` makes them leave half a file behind and fail.
    """

    def __init__(self, root: Path) -> None:
        self.inner = LocalStorage(root)
        self.destination = f"faulty:{root}"
        self.fault: Callable[[str], None] = lambda path: None
        self.after: Callable[[str], None] = lambda path: None
        self.attempts: list[str] = []
        self.tears = False
        self._open = threading.Event()
        self._open.set()
        self.hanging = threading.Event()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def refuse(self, error: Exception | None = None) -> None:
        def fault(path: str) -> None:
            raise error or OSError("the store is down")

        self.fault = fault

    def tear(self) -> None:
        self.tears = True

    def recover(self) -> None:
        self.fault = self.after = lambda path: None
        self.tears = False

    def write(self, path: str, data: bytes) -> None:
        self.attempts.append(path)
        if not self._open.is_set():
            self.hanging.set()
            self._open.wait()
        self.fault(path)
        if self.tears:
            self.inner.write(path, data[: len(data) // 2])
            raise ConnectionResetError("the connection was lost in the middle")
        self.inner.write(path, data)
        self.after(path)

    def read(self, path: str) -> bytes:
        return self.inner.read(path)

    def list(self, prefix: str = "") -> list[FileInfo]:
        return self.inner.list(prefix)

    def delete(self, path: str) -> None:
        self.inner.delete(path)

    def move(self, source: str, destination: str) -> None:
        self.inner.move(source, destination)

    def exists(self, path: str) -> bool:
        return self.inner.exists(path)


IMPORTS = f"""
import logging, resource, shutil, subprocess
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from obswriter.segment import MappedSegment, Segment
from obswriter_testsupport.stores import FaultyStorage
from obswriter_testsupport.wait import wait_until
"""

WATCH = (
    IMPORTS
    + """disk = Path(os.environ["DISK"])
said = []
class Listener(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
logging.getLogger("obswriter").addHandler(Listener())

number = 0
def record_some(count=60):
    global number
    for _ in range(count):
        record(f"{number:05d} " + "x" * 100)
        number += 1

def kind():
    writer = obswriter.get_writer()
    return type(writer._batcher._buckets["log", writer.project_id].segment)

def record_until(wanted, meanwhile=lambda: None):
    # What is open is used up first; when it is sealed, its file is cut to what is used of it.
    for _ in range(20):
        meanwhile()
        record_some(10)
        if kind() is wanted:
            return
        obswriter.flush()
    raise AssertionError(f"never a {wanted.__name__}: {said}")

def warned_once():
    # What goes wrong at the same moment is said together: the memory used, and the store's refusal.
    assert len({text.split(":")[1] for text in said}) == len(said) > 0, said

def fill():
    with open(disk / "filler", "ab", buffering=0) as file:
        for size in (65536, 4096, 512):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                pass
"""
)

NAMESPACE = """
import ctypes
assert ctypes.CDLL(None).unshare(0x00020000) == 0  # CLONE_NEWNS
def sh(*command):
    subprocess.run(command, check=True)
sh("mount", "--make-rprivate", "/")
def keep():
    # The disk goes with this process; what is on it shall be looked at.
    shutil.copytree(disk, os.environ["KEPT"], ignore=shutil.ignore_patterns("filler", "lost+found"))
"""

MOUNT = {
    "tmpfs": """
sh("mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk))
""",
    "ext4": """
image = f"{disk}.image"
with open(image, "wb") as file:
    file.truncate(6 << 20)
sh("mkfs.ext4", "-q", image)
sh("mount", "-o", "loop,errors=remount-ro", image, str(disk))
""",
}

BREAK = {
    "read-only": """
def break_disk():
    # Not even open files may be written any more: errors=remount-ro.
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    [device] = [line.split()[0] for line in mounts if f" {disk} " in line]
    Path("/sys/fs/ext4", os.path.basename(device), "trigger_fs_error").write_text("1")
""",
    "input/output error": """
def break_disk():
    import fcntl, struct
    folder = os.open(disk, os.O_RDONLY)
    fcntl.ioctl(folder, 0x8004587D, struct.pack("I", 0))  # EXT4_IOC_SHUTDOWN
    os.close(folder)
""",
}


@cache
def problem_with(kind: str) -> str | None:
    """Say why such a disk cannot be mounted here, or return None."""
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder, "disk")
        disk.mkdir()
        script = "import os, subprocess, shutil\nfrom pathlib import Path\n"
        script += f"disk = Path({str(disk)!r})\n" + NAMESPACE + MOUNT[kind]
        tried = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        return tried.stderr.strip().rpartition("\n")[2] if tried.returncode else None


def on_disk(kind: str, script: str, folder: Path, **environ: str) -> Outcome:
    """Run *script* with a small disk of its own at ``disk``, the store, which is kept."""
    if problem := problem_with(kind):
        pytest.skip(f"no {kind} can be mounted here: {problem}")
    disk, kept = folder / "disk", folder / "kept"
    disk.mkdir()
    environ = {"DISK": str(disk), "KEPT": str(kept), **environ}
    outcome = run(WATCH + NAMESPACE + MOUNT[kind] + script, disk, **environ)
    outcome.root = kept
    return outcome


DROP_ROOT = """
# Where this interpreter lies, other users may not be able to read: all is loaded before.
import concurrent.futures.thread, urllib.parse, obswriter.carrier
obswriter.configure, obswriter.Log, obswriter.flush, obswriter.context.load()
if os.getuid() == 0:  # who may do everything
    os.setgid(12001)
    os.setuid(12001)
"""


@contextmanager
def folder_for_everybody() -> Iterator[Path]:
    """Make a directory that every user reaches, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="obswriter-test-") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)
