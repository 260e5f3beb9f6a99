"""Root's command stores what other users' processes left, with no more rights than it takes.

In a spool they are its owner's, who may put a link in place of a folder at any moment. In a local
store they are those of whoever owns the folder that a file goes to: root's own would lock them out.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from obswriter.adoption import Recovery, adopt
from obswriter.storage import FileStorage, LocalStorage

ROOT = 0


@contextmanager
def rights_of(user: int) -> Iterator[None]:
    """Do as *user* may, if we are root, and go back to who we were: all of the process does."""
    if os.getuid() != ROOT:
        yield
        return
    before = os.geteuid()
    _become(user)
    try:
        yield
    finally:
        _become(before)


def _become(user: int) -> None:
    os.seteuid(ROOT)  # who is not root may become nobody else
    os.seteuid(user)


def owner_of(family: str) -> int:
    """Return the user whose processes' spools a folder holds."""
    return os.lstat(os.path.dirname(family)).st_uid


def adopt_as_owner(family: str, storage: FileStorage, base_path: str) -> Recovery:
    """``adopt()`` as the spool's owner."""
    with rights_of(owner_of(family)):
        return adopt(family, _as_root(storage), base_path)


def _as_root(storage: FileStorage) -> Any:
    return _RootsStorage(storage) if os.getuid() == ROOT else storage


class _RootsStorage:
    """What adopting needs of a store, with root's rights, whoever we are meanwhile."""

    def __init__(self, storage: FileStorage) -> None:
        self._storage = storage

    def exists(self, path: str) -> bool:
        with rights_of(ROOT):
            return self._storage.exists(path)

    def read(self, path: str) -> bytes:
        with rights_of(ROOT):
            return self._storage.read(path)

    def write(self, path: str, data: bytes) -> None:
        with rights_of(ROOT):
            writer = self._writer(path)
        with rights_of(writer):
            self._storage.write(path, data)

    def _writer(self, path: str) -> int:
        if not isinstance(self._storage, LocalStorage):
            return ROOT
        above = self._storage.local_path(path).parents
        return next(folder for folder in above if folder.exists()).stat().st_uid
