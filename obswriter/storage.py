"""Where files end up: the ``FileStorage`` protocol, and a local directory.

A file appears whole under its final name or not at all. Paths are relative, with ``/``, and
stay inside the store.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from .exceptions import ConfigurationError, StorageError
from .file_naming import is_inside
from .redaction import without_credentials


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A stored file. ``size`` is in bytes; ``last_modified`` is aware, where the store tells."""

    path: str
    size: int
    last_modified: datetime | None


@runtime_checkable
class FileStorage(Protocol):
    """What the writer needs of a store; all calls block until done.

    ``write`` publishes whole files only and may replace one of the same name. ``read`` raises
    ``FileNotFoundError``; ``delete`` of what is not there is no error. ``list`` gives every file
    below a folder, sorted by path. A store may also have ``put_file(local_path, path)``, which
    is then used to send what lies on the disk without reading it into memory, and
    ``destination``, a text without credentials by which a later process knows the same store.
    """

    def write(self, path: str, data: bytes) -> None: ...
    def read(self, path: str) -> bytes: ...
    def list(self, prefix: str = "") -> list[FileInfo]: ...
    def delete(self, path: str) -> None: ...
    def move(self, source: str, destination: str) -> None: ...
    def exists(self, path: str) -> bool: ...


def checked_path(path: str) -> str:
    """Return *path* if it stays inside the store; ``StorageError`` if not."""
    if is_inside(path):
        return path
    raise StorageError(f"a path in the store must be relative, without '..' or '\\'; got {path!r}")


class LocalStorage:
    """A directory of this machine. *durable*: renames and new folders are synced, too."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        dir_mode: int | None = None,
        file_mode: int | None = None,
        durable: bool = False,
    ) -> None:
        self.root = Path(os.path.abspath(os.path.expanduser(root)))
        self._dir_mode = dir_mode
        self._file_mode = file_mode
        self.durable = durable
        self.destination = self.root.as_uri()

    def __repr__(self) -> str:
        return f"LocalStorage({str(self.root)!r})"

    def local_path(self, path: str) -> Path:
        """Return where *path* lies on the disk; ``StorageError`` if a link leads elsewhere."""
        full = self.root / checked_path(path)
        root, real = os.path.realpath(self.root), os.path.realpath(full)
        if os.path.commonpath((real, root)) != root:
            raise StorageError(f"{path!r} leads out of the store {root!r} to {real!r}")
        return full

    def _target(self, path: str) -> Path:
        target = self.local_path(path)
        self.make_folder(target.parent)
        return target

    def make_folder(self, folder: Path) -> None:
        """Make a folder of the store, and those above it, with their permissions."""
        if not folder.is_dir():
            self.make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            _set_mode(folder, self._dir_mode)  # mkdir()'s own mode is cut by the umask
            self._sync(folder.parent)

    def _sync(self, folder: Path) -> None:
        if self.durable:
            fsync_directory(folder)

    def write(self, path: str, data: bytes) -> None:
        """Write a temporary file beside the target, then rename it."""
        target = self._target(path)
        replace_file(target, data, self._file_mode)
        self._sync(target.parent)

    def put_file(self, local_path: str, path: str) -> None:
        """Move a file of this machine into the store; where it can only be copied, it stays."""
        target = self._target(path)
        if target.exists():
            raise FileExistsError(f"{path!r} is in the store already")
        try:
            _set_mode(local_path, self._file_mode)
            os.rename(local_path, target)
            self._sync(target.parent)
        except OSError:  # most likely another file system's
            self.write(path, Path(local_path).read_bytes())

    def read(self, path: str) -> bytes:
        return self.local_path(path).read_bytes()

    def list(self, prefix: str = "") -> list[FileInfo]:
        top = self.local_path(prefix) if prefix else self.root
        found = []
        for folder, folders, names in os.walk(top, onerror=_raise_unless_gone):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for full in (Path(folder, name) for name in names if not name.startswith(".")):
                with suppress(OSError):  # moved or deleted meanwhile, or a link that leads out
                    path = full.relative_to(self.root).as_posix()
                    status = (self.local_path(path) if full.is_symlink() else full).stat()
                    modified = datetime.fromtimestamp(status.st_mtime, UTC)
                    found.append(FileInfo(path, status.st_size, modified))
        return sorted(found, key=lambda info: info.path)

    def delete(self, path: str) -> None:
        self.local_path(path).unlink(missing_ok=True)

    def move(self, source: str, destination: str) -> None:
        os.replace(self.local_path(source), self._target(destination))

    def exists(self, path: str) -> bool:
        return self.local_path(path).is_file()


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _set_mode(path: str | Path, mode: int | None) -> None:
    if mode is not None:
        os.chmod(path, mode)


def replace_file(path: str | Path, data: bytes, mode: int | None = None, sync: bool = True) -> None:
    """Write a file that is seen whole or not at all; what *path* named before, is replaced."""
    folder, name = os.path.split(path)
    temporary = Path(folder, f".{name}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("xb") as file:  # the builtin is gone while the interpreter ends
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        _set_mode(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def fsync_directory(path: str | Path) -> None:
    """Make renames within *path* survive a power loss."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


_lacks_slashes = re.compile(r"(?i:s3a?|gs|gcs|az|abfss?|memory|file|https?):(?!//|:)").match
_is_url = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)").match


def open_storage(
    where: str | os.PathLike[str] | FileStorage,
    dir_mode: int | None = None,
    file_mode: int | None = None,
    durable: bool = False,
) -> FileStorage:
    """Return the store behind a path, a URL or a ready ``FileStorage``.

    A local path or ``file://`` never loads fsspec; ``ConfigurationError`` for a URL that nobody
    knows.
    """
    if isinstance(where, str) and where.startswith(("file:/", "local:/")):
        from urllib.parse import unquote, urlsplit

        parts = urlsplit(where)
        if parts.netloc not in ("", "localhost") or not parts.path:
            remedy = "needs a third slash: file:///a/folder"
            raise ConfigurationError(f"file_storage: {without_credentials(where)!r} {remedy}")
        where = unquote(parts.path)
    elif isinstance(where, str) and _is_url(where):
        from .fsspec_storage import FsspecStorage

        return FsspecStorage.from_url(where)
    if isinstance(where, LocalStorage):
        where.durable |= durable
    if not isinstance(where, str | os.PathLike):
        return where
    store = LocalStorage(where, dir_mode, file_mode, durable)
    if _lacks_slashes(str(where)):
        raise ConfigurationError(f"file_storage: {where!r} needs two slashes, as in s3://bucket")
    if file := next(filter(os.path.isfile, (store.root, *store.root.parents)), None):
        raise ConfigurationError(f"file_storage must be a folder; {str(file)!r} is a file")
    return store


def destination_of(storage: FileStorage) -> str:
    """Return the text that identifies *storage* to later processes."""
    known = getattr(storage, "destination", None)
    kind = type(storage)
    return known if isinstance(known, str) else f"{kind.__module__}.{kind.__qualname__}"


_storing = ContextVar("obswriter_storing", default=False)


@contextmanager
def storing() -> Iterator[None]:
    """Mark this context as busy storing: what storage libraries log meanwhile is no event."""
    token = _storing.set(True)
    try:
        yield
    finally:
        _storing.reset(token)


def is_storing() -> bool:
    """Whether files are being stored here; so too what fsspec's own thread does on our behalf."""
    return _storing.get()  # fsspec hands its thread coroutines, which take the context along
