"""Where a command looks: the store, the folder in it, and what is on its way there."""

import json
import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from obswriter.config import from_environment
from obswriter.process import resolve_config
from obswriter.segment import read_plain
from obswriter.spool_directory import DESTINATION, FORMAT_VERSION, default_home
from obswriter.storage import FileStorage, LocalStorage, destination_of, open_storage

from .arguments import EVERY_PROJECT, UsageError


@dataclass(frozen=True)
class Place:
    """A store as the writers started here would use it. ``project`` is ``None`` for every one.

    ``url`` is what opens it: an absolute path or a URL.
    """

    storage: FileStorage
    url: str
    base_path: str
    project: str | None
    spool_dir: str | os.PathLike[str] | None

    def __str__(self) -> str:
        return f"{destination_of(self.storage)}/{self.base_path}".rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether the store is a directory of this machine."""
        return isinstance(self.storage, LocalStorage)

    def spool_homes(self, *, readable: bool = True) -> list[Path]:
        """Return each user's spool folder that this one may read, or those that it may not.

        They bear their owners' numbers, and lie where this place's would, or another store's.
        """
        if not hasattr(os, "getuid"):  # Windows: nothing is kept in files
            return []
        own = default_home(self.storage, self.base_path, self.spool_dir)
        found: set[Path] = set()
        for parent in {own.parent, default_home(None, "", self.spool_dir).parent}:
            with suppress(OSError):
                found.update(home for home in parent.iterdir() if _is_home(home))
        return sorted(home for home in found if os.access(home, os.R_OK | os.X_OK) == readable)

    def spools(self) -> Iterator[tuple[str, dict[str, object], bool]]:
        """Yield each destination's folder with its facts, and whether that is this place."""
        destination = destination_of(self.storage)
        for home in self.spool_homes():
            for family, facts in destinations(str(home)):
                here = [facts.get(name) for name in ("destination", "base_path", "format")]
                yield family, facts, here == [destination, self.base_path, FORMAT_VERSION]

    def own_spools(self) -> list[str]:
        """Return the folders of what is on its way to this place."""
        return [family for family, _, ours in self.spools() if ours]


def destinations(home: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each destination's folder below *home* with what ``destination.json`` says."""
    for family in sorted(Path(home).glob("*/")):
        with suppress(OSError, ValueError):
            facts = json.loads(read_plain(family / DESTINATION))
            if isinstance(facts, dict):
                yield str(family), facts


def _is_home(home: Path) -> bool:
    with suppress(OSError):
        return home.name == str(home.lstat().st_uid) and not home.is_symlink()
    return False


def find_place(arguments: Namespace, *, must_exist: bool = True) -> Place:
    """Open the store that the arguments, or else the environment, name."""
    given = {"file_storage": arguments.storage, "base_path": arguments.base_path}
    config = resolve_config({name: text for name, text in given.items() if text is not None})
    project = arguments.project or from_environment().get("project_id")
    durable = config.durability == "disk"
    storage = open_storage(config.file_storage, config.dir_mode, config.file_mode, durable)
    place = Place(
        storage=storage,
        url=str(storage.root if isinstance(storage, LocalStorage) else config.file_storage),
        base_path=config.base_path,
        project=None if project == EVERY_PROJECT else project,
        spool_dir=config.spool_dir,
    )
    if must_exist:
        check_readable(place)
    return place


def check_readable(place: Place) -> None:
    """Refuse a local store that this user can't look into, or that is a folder within one."""
    if not isinstance(place.storage, LocalStorage):
        return
    root = str(place.storage.root)
    if not os.path.isdir(root):
        raise UsageError(f"there is no directory {root!r}: pass another --storage")
    if not os.access(root, os.R_OK | os.X_OK):
        raise UsageError(f"this user may not read {root!r}: run as its owner, or change its mode")
    store = root.removesuffix(f"/{place.base_path}")
    if store != root and not Path(root, place.base_path).exists():
        raise UsageError(f"{root!r} is the base path's folder in a store: pass --storage {store}")
