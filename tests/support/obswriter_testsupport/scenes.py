"""A store, its spool, and real processes that record, die, and adopt from one another."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from obswriter import LocalStorage
from obswriter.adoption import Recovery, adopt
from obswriter.spool_directory import OWNER
from obswriter.storage import FileStorage
from obswriter_testsupport.driven_process import ControlledStorage, control_file
from obswriter_testsupport.driving import Driven, Nursery
from obswriter_testsupport.faults import stored_events


class Scene:
    """A store with its spool, and the processes that record into it."""

    def __init__(self, processes: Nursery, folder: Path, *, controlled: bool) -> None:
        self.root = folder / "store"
        self.root.mkdir(parents=True)
        self.controlled = controlled
        self.acknowledged: list[str] = []
        self.processes = processes
        self._spool_dir = folder / "spool"

    def owner(self, **options: Any) -> Driven:
        """Start a process that closes no file unasked, unless *options* say otherwise."""
        place = (
            {"controlled": str(self.root), "spool_dir": str(self._spool_dir)}
            if self.controlled
            else {"file_storage": str(self.root)}
        )
        calm = {"project_id": "p", "flush_interval_ms": 0, "retry_initial_ms": 1}
        process = self.processes.start()
        process.ask(f"configure {json.dumps({**calm, **place, **options})}")
        return process

    def leave_dead(self, *names: str, count: int = 20) -> None:
        """Leave two types' open files of each process, as killed ones do."""
        processes = [(name, self.owner()) for name in names]
        for name, process in processes:
            for type in ("log", "score"):
                process.ask(f"record {type} {name}-{type} 0 {count}")
        for _, process in processes:  # at once, so that hardly one adopts another
            os.kill(process.pid, signal.SIGKILL)
        for _, process in processes:
            self.kill(process)

    def kill(self, process: Driven) -> None:
        process.end_by(signal.SIGKILL)
        self.processes.forget(process)
        self.acknowledged += process.acknowledged

    def adopter(self) -> Driven:
        return self.processes.start()

    def adopt_and_die(self, step: int) -> bool:
        """Have an adopter killed at that step; false if it was done before."""
        adopter = self.adopter()
        adopter.tell(self.adopting(die_at=step))
        if adopter.survives():
            return False
        self.processes.forget(adopter)
        return True

    def adopting(self, **how: Any) -> str:
        """Return the command for an adopter."""
        place = {"family": str(self.family), "root": str(self.root), "controlled": self.controlled}
        return f"adopt {json.dumps({**place, **how})}"

    def adopt(self) -> Recovery:
        """Adopt as the next start does, in this process."""
        found = adopt(str(self.family), self.storage, "observability")
        assert found.errors == []
        return found

    @property
    def storage(self) -> FileStorage:
        return ControlledStorage(self.root) if self.controlled else LocalStorage(self.root)

    @property
    def family(self) -> Path:
        home = self._spool_dir if self.controlled else self.root / "observability" / ".spool"
        [family] = (home / str(os.getuid())).iterdir()
        return family

    @property
    def spools(self) -> list[Path]:
        return [path.parent for path in self.family.glob(f"*/{OWNER}")]

    def say(self, word: str) -> None:
        control_file(self.root).write_text(word)

    def stored(self) -> list[str]:
        return sorted(event["id"] for event in stored_events(self.root))

    def assert_exact(self, *living: Driven) -> None:
        """Everything acknowledged is stored, once."""
        acknowledged = [*self.acknowledged, *(id for each in living for id in each.acknowledged)]
        stored = Counter(self.stored())
        assert {id: n for id, n in stored.items() if n > 1} == {}, "stored twice"
        assert set(acknowledged) - set(stored) == set(), "lost"
        assert set(stored) - set(acknowledged) == set()
