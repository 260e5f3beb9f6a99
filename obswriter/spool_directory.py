"""Directories of segments: where they lie, and whose they are.

    {home}/{destination}/{process}/{type}/{project}/{name}.jsonl.open    being written
    {home}/{destination}/{process}/{type}/{project}/{name}.jsonl         sealed, to be sent
    {home}/{destination}/destination.json                                for which store
    {home}/{destination}/{process}/owner.json                            boot, host, heartbeat
    {home}/{destination}/{process}/started                               what is going on

The owner holds a ``flock`` on its directory. It decides only within one boot; a directory of
another boot or host is adopted when its heartbeat is old (``adoption.py``).
"""

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .exceptions import StorageError
from .marks import StartMarks
from .storage import FileStorage, LocalStorage, destination_of, replace_file

if os.name == "posix":  # on Windows segments stay in memory
    import fcntl

_locks: set[int] = set()  # descriptors that hold one, or are about to

FORMAT_VERSION = 1
OWNER = "owner.json"
MARKS = "started"
DESTINATION = "destination.json"
NEW_PREFIX = ".new-"
IN_TEMPORARY = "obswriter-spool-"

_LOCAL_FILE_SYSTEMS = frozenset(
    "apfs bcachefs btrfs exfat ext2 ext3 ext4 f2fs hfs jfs nilfs2 overlay ramfs reiserfs rootfs "
    "tmpfs ubifs ufs vfat xfs zfs".split()
)


def default_home(
    storage: FileStorage | None, base_path: str, spool_dir: str | os.PathLike[str] | None
) -> Path:
    """Return the spool folder of this user: in the store if that is a local disk."""
    user = str(os.getuid())
    if spool_dir is not None:
        return Path(os.path.abspath(os.path.expanduser(spool_dir))) / user
    if isinstance(storage, LocalStorage) and is_local_disk(storage.root):
        return (storage.local_path(base_path) if base_path else storage.root) / ".spool" / user
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    home = Path(state, "obswriter", "spool", user)
    existing = next(folder for folder in (home, *home.parents) if os.path.exists(folder))
    if home.is_absolute() and os.access(existing, os.W_OK):
        return home
    # Not tempfile's: it takes a lock, which a forked child might find held.
    return Path(os.environ.get("TMPDIR") or "/tmp", IN_TEMPORARY + user, user)  # noqa: S108


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
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def make_family(home: Path, storage: FileStorage, base_path: str) -> str:
    """The folder of all spools with one destination, made if need be."""
    _make_home(home, storage)
    store = destination_of(storage)
    facts = {"format": FORMAT_VERSION, "destination": store, "base_path": base_path}
    text = json.dumps(facts, sort_keys=True)
    family = home / hashlib.sha256(text.encode()).hexdigest()[:16]
    family.mkdir(mode=0o700, exist_ok=True)
    known, told = family / DESTINATION, f"{text}\n".encode()
    if not known.exists() or known.read_bytes() != told:  # a power loss has emptied it, say
        replace_file(known, told, sync=False)
    return str(family)


def _make_home(home: Path, storage: FileStorage) -> None:
    if isinstance(storage, LocalStorage) and home.is_relative_to(storage.root):
        storage.make_folder(home.parent.parent)
    if home.parent.name == ".spool" and not home.parent.exists():
        with suppress(FileExistsError, PermissionError):  # another user's process was quicker
            home.parent.mkdir(parents=True)
            # Every user of the store has a spool of their own in it, and files of its group.
            home.parent.chmod(0o1777 | home.parent.stat().st_mode & stat.S_ISGID)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    status, own = home.lstat(), (os.getuid(),)
    refused = not stat.S_ISDIR(status.st_mode) or status.st_uid not in own or status.st_mode & 0o022
    if home.parent.name.startswith(IN_TEMPORARY):  # where anybody may have been quicker
        refused = refused or home.parent.lstat().st_uid not in (0, *own)
    if refused:
        raise StorageError(f"spool {str(home)!r} must be a directory of this user's own, mode 0700")


def make_owned(family: str) -> tuple[str, int, StartMarks]:
    """Make a directory nobody else can take for dead: it is locked before it has its name."""
    name = os.urandom(8).hex()
    new, final = f"{family}/{NEW_PREFIX}{name}", f"{family}/{name}"
    os.mkdir(new, 0o700)
    lock = -1
    try:
        lock = _open_to_lock(new)
        fcntl.flock(lock, fcntl.LOCK_EX)
        owner = {"boot": boot_id(), "host": os.uname().nodename, "pid": os.getpid()}
        Path(new, OWNER).write_text(json.dumps(owner) + "\n")
        marks = StartMarks(f"{new}/{MARKS}")
        os.rename(new, final)
    except BaseException:
        unlock(lock)
        shutil.rmtree(new, ignore_errors=True)
        raise
    return final, lock, marks


def _open_to_lock(path: str) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    _locks.add(fd)
    return fd


def unlock(fd: int) -> None:
    """Give a lock up, if it is one, and this process's own."""
    with suppress(KeyError, OSError):  # a daemon has closed all descriptors
        _locks.remove(fd)
        fcntl.flock(fd, fcntl.LOCK_UN)  # also for a child that was forked before it was noted
        os.close(fd)


def forget_locks() -> None:
    """In a forked child: close them without unlocking, which would free the parent's."""
    for fd in _locks:
        os.closerange(fd, fd + 1)  # which minds no descriptor that is closed already
    _locks.clear()


@contextmanager
def try_lock(path: str) -> Iterator[bool]:
    """Hold the lock of a spool directory; yields False where it is another process's or user's."""
    fd, ours = -1, False
    try:
        with suppress(OSError):
            fd = _open_to_lock(path)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            here, there = os.fstat(fd), os.lstat(path)  # adopted and gone meanwhile?
            ours = os.geteuid() == here.st_uid and os.path.samestat(here, there)
        yield ours
    finally:
        unlock(fd)


def remove_if_empty(path: str) -> bool:
    """Remove a spool directory that holds no segment; whether it is gone."""
    for folder, _, _ in os.walk(path, topdown=False):
        with suppress(OSError):
            os.rmdir(folder)
    with suppress(FileNotFoundError):  # somebody has deleted the spool
        if any(name != OWNER for name in os.listdir(path)):
            return False
        Path(path, OWNER).unlink(missing_ok=True)
        os.rmdir(path)
    return True


def give_up(path: str, lock: int) -> bool:
    """Remove a directory if nothing is left to send, and unlock it; whether it is gone."""
    try:
        Path(path, MARKS).unlink(missing_ok=True)
        return remove_if_empty(path)
    except OSError:
        return False
    finally:
        unlock(lock)
