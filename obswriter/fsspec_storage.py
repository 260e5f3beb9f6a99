"""Object stores, and every other file system that fsspec knows, as a ``FileStorage``."""

import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .exceptions import ConfigurationError
from .redaction import redact_url, without_credentials
from .storage import FileInfo, LocalStorage, checked_path

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# File systems in which a write becomes visible as a whole, when it is closed.
_ATOMIC = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory"}


class FsspecStorage:
    """Any fsspec file system, from *root* (a bucket, a folder) downwards."""

    def __init__(self, fs: "AbstractFileSystem", root: str = "") -> None:
        while fs.protocol == "dir":  # a folder of another file system
            fs, root = fs.fs, f"{fs.path}/{root}"
        self._fs = fs
        self._pid = os.getpid()
        self._protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
        self.root = str(fs._strip_protocol(root)).rstrip("/")
        self._prefix = f"{self.root}/" if root or self.root else ""

    @classmethod
    def from_url(cls, url: str, **options: Any) -> "FsspecStorage":
        """Open ``s3://bucket/prefix``, ``gs://…``, ``memory://…`` or any URL fsspec knows."""
        from fsspec.core import url_to_fs

        if re.search(r"(s3a?|gs|gcs)://[^/]*@", url):
            remedy = "must hold no credentials: set AWS_… or GOOGLE_… variables"
            raise ConfigurationError(f"file_storage: {without_credentials(url)!r} {remedy}")
        try:
            fs, root = url_to_fs(url, **options)
        except (ImportError, ValueError) as error:
            shown = without_credentials(url)
            why = type(error).__name__ if "@" in url else error  # it may quote the password
            raise ConfigurationError(
                f"file_storage: {shown!r} cannot be opened ({why}); pass a path, or "
                f"a URL whose file system is installed (pip install 'obswriter[s3]' or '[gcs]')"
            ) from None
        return cls(fs, root)

    @property
    def fs(self) -> "AbstractFileSystem":
        """The file system; a forked child opens its own, for fsspec's thread is not there."""
        if self._pid != os.getpid():
            before = self._fs
            self._fs = type(before)(*before.storage_args, **before.storage_options)
            self._pid = os.getpid()  # last: making it may fail, and is done again then
        return self._fs

    @property
    def destination(self) -> str:
        """The store's identity: its URL, and its server where the URL does not name it."""
        options = self._fs.storage_options
        options = {**(options.get("client_kwargs") or {}), **options}
        servers = [options.get(name) for name in ("endpoint_url", "host", "account_name")]
        if "s3" in self._protocols:
            servers += map(os.environ.get, ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
        server = next((f"@{_without_user(str(name))}" for name in servers if name), "")
        return _without_user(str(self._fs.unstrip_protocol(self.root))) + server

    def __repr__(self) -> str:
        return f"FsspecStorage({self.destination!r})"

    def _full(self, path: str) -> str:
        if "file" in self._protocols:
            LocalStorage(self.root).local_path(path)  # no link may lead out of it
        return self._prefix + checked_path(path)

    def write(self, path: str, data: bytes) -> None:
        """Send the bytes in one go, never through a file object that publishes half on an error."""
        full, fs = self._full(path), self.fs
        if not _ATOMIC.isdisjoint(self._protocols):
            fs.pipe_file(full, data)
            return
        folder, slash, name = full.rpartition("/")
        temporary = f"{folder}{slash}.{name}.{os.urandom(4).hex()}.tmp"
        fs.makedirs(folder, exist_ok=True)
        try:
            fs.pipe_file(temporary, data)
            fs.mv(temporary, full)
        except BaseException:
            with suppress(Exception):
                fs.rm_file(temporary)
            raise

    def read(self, path: str) -> bytes:
        return bytes(self.fs.cat_file(self._full(path)))

    def list(self, prefix: str = "") -> list[FileInfo]:
        top = self._full(prefix) if prefix else self.root
        self.fs.invalidate_cache()
        try:
            found = self.fs.find(top, detail=True)
        except FileNotFoundError:
            return []
        files = []
        for full, details in found.items():
            below = full.removeprefix(top).removeprefix("/")
            if below and not f"/{below}".count("/."):
                path = f"{prefix}/{below}" if prefix else below
                files.append(FileInfo(path, int(details.get("size") or 0), _modified(details)))
        return sorted(files, key=lambda info: info.path)

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm_file(self._full(path))

    def move(self, source: str, destination: str) -> None:
        data = self.read(source)
        if destination != source:
            self.write(destination, data)
            self.delete(source)

    def exists(self, path: str) -> bool:
        self.fs.invalidate_cache()
        try:  # not fs.exists(): some file systems answer False where they could not look
            return bool(self.fs.info(self._full(path))["type"] == "file")
        except FileNotFoundError:
            return False


def _without_user(url: str) -> str:
    """Leave out ``user:password@``, and secret parameters."""
    return redact_url(re.sub(r"(^|//+)[^/]*@", r"\1", url))


def _modified(details: dict[str, Any]) -> datetime | None:
    names = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")
    value = next((details[name] for name in names if details.get(name)), None)
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return value.replace(tzinfo=value.tzinfo or UTC) if isinstance(value, datetime) else None
