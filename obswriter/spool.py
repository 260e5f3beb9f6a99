"""A process's directory of segments: where it lies, whose it is, and what becomes of them.

    {home}/{destination}/{process}/{type}/{project}/{name}.jsonl.open    being written
    {home}/{destination}/{process}/{type}/{project}/{name}.jsonl         sealed, to be sent
    {home}/{destination}/destination.json                                for which store
    {home}/{destination}/{process}/owner.json                            boot, host, heartbeat
    {home}/{destination}/{process}/started                               what is going on

The owner holds a ``flock`` on its directory. It decides only within one boot; a directory of
another boot or host is adopted when its heartbeat is old (``adoption.py``).
"""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .exceptions import StorageError
from .file_naming import OPEN_SUFFIX, generate_file_path, get_processed_file_path
from .marks import StartMarks
from .segment import MappedSegment, Segment
from .serializer import whole_lines
from .storage import FileStorage, LocalStorage, destination_of, fsync_directory, replace_file
from .vocabulary import EventType

try:
    import fcntl
except ImportError:  # Windows: segments stay in memory
    fcntl = None  # type: ignore[assignment]

FORMAT_VERSION = 1
OWNER = "owner.json"
MARKS = "started"
DESTINATION = "destination.json"
NEW_PREFIX = ".new-"

_LOCAL_FILE_SYSTEMS = frozenset(
    "apfs bcachefs btrfs exfat ext2 ext3 ext4 f2fs hfs jfs nilfs2 overlay ramfs reiserfs rootfs "
    "tmpfs ubifs ufs vfat xfs zfs".split()
)


class Spool:
    """This process's directory, held by a lock for as long as it lives."""

    def __init__(self, home: Path, storage: FileStorage, base_path: str, durable: bool) -> None:
        self.durable = durable
        self._storage = storage
        self._base_path = base_path
        self.family = _make_family(home, storage, base_path)
        self.path, self._lock, self.marks = _make_owned(self.family)

    def _folder(self, type: EventType, project_id: str) -> str:
        folder = f"{self.path}/{type}/{project_id}"
        os.makedirs(folder, exist_ok=True)
        return folder

    def new_segment(self, type: EventType, project_id: str, max_size: int) -> MappedSegment:
        """Create a segment's file; ``OSError`` where the disk refuses."""
        return MappedSegment(type, project_id, max_size, self._folder(type, project_id))

    def seal(self, segment: MappedSegment) -> None:
        """Cut the file to its lines and give it its final name; it is only read from here on."""
        if not segment.is_in_place() or segment.torn:
            self._write_anew(segment)
        os.utime(segment.fd)  # a broken disk refuses, and we still have the map
        segment.window = bytearray()  # unmapped first: cutting mapped pages interrupts every core
        os.ftruncate(segment.fd, segment.size)
        if self.durable:
            os.fsync(segment.fd)
        sealed = f"{os.path.dirname(segment.path)}/{segment.file_name}"
        os.rename(segment.path, sealed)
        segment.path = sealed
        if self.durable:
            fsync_directory(os.path.dirname(sealed))
        segment.close()

    def _write_anew(self, segment: MappedSegment) -> None:
        lines, _ = whole_lines(segment.read())
        lines = lines.removeprefix(self._already_stored(segment))
        folder = self._folder(segment.type, segment.project_id)
        path = f"{folder}/{os.path.basename(segment.path)}"
        replace_file(path, lines)
        before, segment.fd = segment.fd, os.open(path, os.O_RDWR | os.O_CLOEXEC)
        os.close(before)
        segment.path, segment.base, segment.position = path, 0, len(lines)
        segment.window = bytearray(lines)

    def _already_stored(self, segment: MappedSegment) -> bytes:
        """What an adopter that took us for dead has stored of a segment, under its name here."""
        name = os.path.basename(segment.path).removesuffix(OPEN_SUFFIX)
        pending = generate_file_path(segment.type, segment.project_id, self._base_path, name)
        for path in (pending, get_processed_file_path(pending)):
            with suppress(Exception):
                return self._storage.read(path)
        return b""

    def beat(self) -> None:
        """Say that the owner lives."""
        os.utime(f"{self.path}/{OWNER}")

    def close(self) -> bool:
        """Give the directory up, and remove it if nothing is left to send; whether that is so."""
        empty = False
        with suppress(OSError):
            Path(self.path, MARKS).unlink(missing_ok=True)
            empty = remove_if_empty(self.path)
        self.abandon()
        return empty

    def abandon(self) -> None:
        """Close the descriptor without unlocking: in a child that would free its parent's lock."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def send(segment: Segment, storage: FileStorage, path: str) -> None:
    """Store a segment at *path*, by renaming it if possible, and remove it from the spool."""
    put_file = getattr(storage, "put_file", None)
    if segment.size:  # else an adopter that took us for dead has stored all of it
        if put_file is not None and isinstance(segment, MappedSegment) and segment.fd < 0:
            put_file(segment.path, path)
        else:
            storage.write(path, segment.read())
    segment.discard()


def default_home(
    storage: FileStorage, base_path: str, spool_dir: str | os.PathLike[str] | None
) -> Path:
    """Return the spool folder of this user: in the store if that is a local disk."""
    user = str(os.getuid())
    if spool_dir is not None:
        return Path(os.path.abspath(os.path.expanduser(spool_dir))) / user
    if isinstance(storage, LocalStorage) and is_local_disk(storage.root):
        return (storage.local_path(base_path) if base_path else storage.root) / ".spool" / user
    state = Path(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"))
    existing = next(folder for folder in (state, *state.parents) if folder.exists())
    if state.is_absolute() and os.access(existing, os.W_OK):
        return state / "obswriter" / "spool" / user
    return Path(tempfile.gettempdir()) / f"obswriter-spool-{user}" / user


def is_local_disk(path: Path) -> bool:
    """Whether *path* lies on a file system known to be this machine's own."""
    try:
        mounts = Path("/proc/self/mounts").read_text()
    except OSError:
        return os.name == "posix"  # macOS has no such list
    kinds: dict[str, str] = {}
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        kinds[re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)] = kind
    real = Path(os.path.realpath(path))
    point = next((str(folder) for folder in (real, *real.parents) if str(folder) in kinds), "")
    return kinds.get(point) in _LOCAL_FILE_SYSTEMS


def boot_id() -> str:
    """Return what distinguishes this boot of this machine; empty where the system doesn't say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _make_family(home: Path, storage: FileStorage, base_path: str) -> str:
    """The folder of all spools with one destination, made if need be."""
    if fcntl is None:
        raise OSError(errno.ENOTSUP, "this system has no flock")
    _make_home(home, storage)
    facts = {
        "format": FORMAT_VERSION,
        "destination": destination_of(storage),
        "base_path": base_path,
    }
    text = json.dumps(facts, sort_keys=True)
    family = home / hashlib.sha256(text.encode()).hexdigest()[:16]
    family.mkdir(mode=0o700, exist_ok=True)
    if not (family / DESTINATION).exists():
        temporary = family / f"{NEW_PREFIX}{os.urandom(6).hex()}"
        temporary.write_text(text + "\n")
        temporary.replace(family / DESTINATION)
    return str(family)


def _make_home(home: Path, storage: FileStorage) -> None:
    if isinstance(storage, LocalStorage) and home.is_relative_to(storage.root):
        storage.make_folder(home.parent.parent)
    if home.parent.name == ".spool" and not home.parent.exists():
        with suppress(FileExistsError, PermissionError):  # another user's process was quicker
            home.parent.mkdir(parents=True)
            home.parent.chmod(0o1777)  # every user of the store has a spool of their own in it
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = home.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise StorageError(f"spool {str(home)!r} must be a directory of this user's own, mode 0700")


def _make_owned(family: str) -> tuple[str, int, StartMarks]:
    """Make a directory nobody else can take for dead: it is locked before it has its name."""
    name = os.urandom(8).hex()
    new, final = f"{family}/{NEW_PREFIX}{name}", f"{family}/{name}"
    os.mkdir(new, 0o700)
    lock = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        owner = {"boot": boot_id(), "host": os.uname().nodename, "pid": os.getpid()}
        Path(new, OWNER).write_text(json.dumps(owner) + "\n")
        marks = StartMarks(f"{new}/{MARKS}")
        os.rename(new, final)
    except BaseException:
        os.close(lock)
        shutil.rmtree(new, ignore_errors=True)
        raise
    return final, lock, marks


@contextmanager
def try_lock(path: str) -> Iterator[bool]:
    """Hold the lock of a spool directory; yields False where that is another process's."""
    fd, ours = -1, False
    try:
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            here, there = os.fstat(fd), os.lstat(path)  # adopted and gone meanwhile?
            ours = os.path.samestat(here, there) and os.getuid() in (here.st_uid, 0)
        yield ours
    finally:
        if fd >= 0:
            os.close(fd)


def remove_if_empty(path: str) -> bool:
    """Remove a spool directory that holds no segment; whether it is gone."""
    for folder, _, _ in os.walk(path, topdown=False):
        if folder != path:
            with suppress(OSError):
                os.rmdir(folder)
    with suppress(FileNotFoundError):  # somebody has deleted the spool
        if any(name != OWNER for name in os.listdir(path)):
            return False
        Path(path, OWNER).unlink(missing_ok=True)
        os.rmdir(path)
    return True
