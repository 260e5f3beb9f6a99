"""A process's spool over its life: made on first use, shown to be alive, given up at the end; and
the spools of dead processes, which are adopted meanwhile."""

import os
import time
from collections.abc import Callable
from contextlib import suppress

from .adoption import adopt, adopt_in_child
from .config import ObservabilityWriterConfig
from .spool import Spool, default_home
from .storage import FileStorage

ADOPTION_SECONDS = 5.0
HEARTBEAT_SECONDS = 60.0


class Upkeep:
    """Holds the spool, if there can be one, and whose directories were taken over."""

    def __init__(
        self, config: ObservabilityWriterConfig, storage: FileStorage, warn: Callable[[str], None]
    ) -> None:
        self.recovered = 0
        self.current: Spool | None = None
        self.taken_over: list[str] = []
        self._left: Spool | None = None
        self._config = config
        self._storage = storage
        self._warn = warn
        self._due_at = 0.0

    def spool(self) -> Spool:
        """Return this process's spool, made on first use and when somebody has deleted it.

        ``OSError`` where there can be none.
        """
        before = self.current
        if before is not None and os.path.isdir(before.path):
            return before
        config = self._config
        home = default_home(self._storage, config.base_path, config.spool_dir)
        spool = Spool(home, self._storage, config.base_path, config.durability == "disk")
        if self.current is not before:  # somebody who interrupted us has made one
            spool.close()
            return self.spool()
        self.current = spool
        if before is not None:
            before.abandon()
        return spool

    def look_after(self) -> float:
        """Show that we live, adopt from those who don't; seconds until that is due again."""
        if self.current is None:
            return HEARTBEAT_SECONDS
        config, now = self._config, time.monotonic()
        interval = config.flush_interval_ms / 1000
        if now >= self._due_at:
            with suppress(FileNotFoundError):
                self.current.beat()
            found = adopt(self.current.family, self._storage, config.base_path, self.taken_over)
            for path in self.taken_over.copy():
                if not os.path.isdir(path):
                    self.taken_over.remove(path)
            self.recovered += found.events
            for error in found.errors:
                self._warn(f"a dead process's events wait in the spool: {error}")
            self._due_at = now + min(HEARTBEAT_SECONDS, max(ADOPTION_SECONDS, interval))
        return self._due_at - now if interval else HEARTBEAT_SECONDS

    def take_over(self, predecessor: "Upkeep") -> None:
        """Adopt also what a writer that gave way left in its spool."""
        if predecessor._left is not None:
            self.taken_over.append(predecessor._left.path)
            self._due_at = 0.0
            with suppress(OSError):
                self.spool()

    def close(self) -> None:
        """Give the spool up; what is left in it is for whoever comes next."""
        spool, self.current = self.current, None
        if spool is not None and not spool.close():
            self._left = spool

    def send_by_child(self, timeout: float) -> None:
        """Have a process of its own store what is left; it goes on when *timeout* is over."""
        where = self._config.file_storage
        if self._left is not None and isinstance(where, str):
            adopt_in_child(self._left.family, where, self._config.base_path, timeout)

    def abandon(self) -> None:
        """In a forked child: let go of the parent's."""
        if self.current is not None:
            self.current.abandon()
