"""Real processes that record, flush, fork, end and recover in any order, on one store or another.

Whatever happens: what was acknowledged is stored, or can be recovered, or is counted as dropped;
and nothing is stored twice.
"""

from __future__ import annotations

import contextlib
import json
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from obswriter import LocalStorage
from obswriter.adoption import Recovery, adopt
from obswriter.storage import FileStorage
from obswriter_testsupport.driving import Driven, Nursery
from obswriter_testsupport.ledger import Ledger
from obswriter_testsupport.wait import wait_until

AT_ONCE = 4

types = st.sampled_from(["log", "score"])
numbers = st.integers(0, AT_ONCE - 1)
options = st.fixed_dictionaries(
    {
        "batch_size": st.sampled_from([1, 5, 1000]),
        "max_file_size": st.sampled_from([300, 5000, 1_000_000]),
        "flush_interval_ms": st.sampled_from([0, 50, 60_000]),
        "durability": st.sampled_from(["process", "disk"]),
    }
)
bounds = st.fixed_dictionaries(
    {
        "max_spool_bytes": st.sampled_from([1, 2000, 6000]),
        "spool_full": st.sampled_from(["drop_oldest", "drop_newest"]),
    }
)


class AnyOrder(RuleBasedStateMachine):
    """A store, a spool, a few processes; and what they have acknowledged."""

    nursery: ClassVar[Nursery]

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="obswriter-any-order-")
        self.root = Path(self.folder.name, "store")
        self.word = "accept"
        self.living: list[Driven] = []
        self.ledger = Ledger(self.files(), self.spool())
        self.bounded: set[int] = set()
        self.begun: Counter[str] = Counter()  # events each name was told to record
        self.names: dict[int, str] = {}
        self.nursery.history.clear()

    # -- what differs between the stores -----------------------------------------------------

    def place(self) -> dict[str, Any]:
        """The options that say where the store and the spool are."""
        raise NotImplementedError

    def storage(self) -> FileStorage:
        raise NotImplementedError

    def spool(self) -> Path:
        """The folder of all users' spools."""
        raise NotImplementedError

    def files(self) -> LocalStorage:
        """The folder that holds the stored files, whatever the store says."""
        return LocalStorage(self.root)

    def say(self, word: str) -> None:
        """Have the store behave otherwise from now on."""
        raise NotImplementedError

    # -- rules -------------------------------------------------------------------------------

    @initialize(options=options)
    def begin(self, options: dict[str, Any]) -> None:
        self.start(options, None)

    @precondition(lambda self: len(self.living) < AT_ONCE)
    @rule(options=options, bounds=st.none() | bounds)
    def start(self, options: dict[str, Any], bounds: dict[str, Any] | None) -> None:
        process = self.nursery.start()
        self._welcome(process)
        self._configure(process, options, bounds)

    @precondition(lambda self: 0 < len(self.living) < AT_ONCE)
    @rule(number=numbers)
    def fork(self, number: int) -> None:
        parent = self._one(number)
        child = self.nursery.fork(parent)
        if parent.pid in self.bounded:
            self.bounded.add(child.pid)
        self._welcome(child)

    @precondition(lambda self: self.living)
    @rule(number=numbers, options=options, bounds=st.none() | bounds)
    def configure(
        self, number: int, options: dict[str, Any], bounds: dict[str, Any] | None
    ) -> None:
        process = self._one(number)
        if not self._is_unsure(process):
            self._configure(process, options, bounds)

    @precondition(lambda self: self.living)
    @rule(number=numbers, type=types, count=st.integers(1, 40))
    def record(self, number: int, type: str, count: int) -> None:
        process = self._one(number)
        self._check(process.ask(self._recording(process, type, count)))

    @precondition(lambda self: self.living)
    @rule(number=numbers)
    def flush(self, number: int) -> None:
        process = self._one(number)
        if self._is_unsure(process):
            return
        answer = process.ask(f"flush {0.05 if self.word == 'hang' else 20}")
        self._check(answer)
        if self.word == "accept" and process.pid not in self.bounded:  # those may drop a file
            with self._telling():
                assert answer["errors"] == [], answer["errors"]

    @precondition(lambda self: self.living)
    @rule(number=numbers)
    def close(self, number: int) -> None:
        process = self._one(number)
        if not self._is_unsure(process):
            self._check(process.ask(f"close {0.05 if self.word == 'hang' else 20}"))

    @precondition(lambda self: self.living)
    @rule(number=numbers)
    def kill(self, number: int) -> None:
        process = self._one(number)
        process.end_by(signal.SIGKILL)
        self._bury(process)

    @precondition(lambda self: self.living)
    @rule(number=numbers, type=types, after=st.integers(0, 60))
    def kill_while_it_records(self, number: int, type: str, after: int) -> None:
        process = self._one(number)
        if process.pid in self.bounded:  # what it dropped last nobody would know
            return
        process.tell(self._recording(process, type, 400))
        for _ in range(after):
            if process.hear() is not None:  # closed: it records nothing
                break
        process.end_by(signal.SIGKILL)
        self._bury(process)

    @precondition(lambda self: self.living)
    @rule(number=numbers, way=st.sampled_from(["exit 0", "die 0", "SIGTERM"]))
    def end(self, number: int, way: str) -> None:
        process = self._one(number)
        if process.pid in self.bounded:
            return
        if way == "SIGTERM":
            process.end_by(signal.SIGTERM)
        else:
            process.tell(way)
            process.see_end()
        self._bury(process)

    @rule()
    def accept(self) -> None:
        self._say("accept")

    @precondition(lambda self: self.word != "hang")
    @rule()
    def recover(self) -> None:
        self._adopt()

    @rule(share=st.integers(1, 3))
    def ingest(self, share: int) -> None:
        self.nursery.history.append(f"ingest {share}")
        self.ledger.ingest(share)

    # -- how -----------------------------------------------------------------------------------

    def _one(self, number: int) -> Driven:
        return self.living[number % len(self.living)]

    def _welcome(self, process: Driven) -> None:
        self.names[process.pid] = f"p{len(self.ledger.processes)}"
        self.living.append(process)
        self.ledger.processes.append(process)

    def _bury(self, process: Driven) -> None:
        self.living.remove(process)
        self.bounded.discard(process.pid)
        self.nursery.forget(process)

    def _configure(
        self, process: Driven, options: dict[str, Any], bounds: dict[str, Any] | None
    ) -> None:
        chosen = {**options, **self.place(), "project_id": "p", "shutdown_timeout_ms": 100}
        chosen |= {"retry_initial_ms": 10, "retry_max_ms": 50}
        self.bounded.discard(process.pid)
        if bounds is not None:
            # It drops only while a command is carried out, so that its answers count everything.
            chosen |= {**bounds, "flush_interval_ms": 0, "shutdown_timeout_ms": 20_000}
            self.bounded.add(process.pid)
        self._check(process.ask(f"configure {json.dumps(chosen)}"))

    def _recording(self, process: Driven, type: str, count: int) -> str:
        name = self.names[process.pid]
        first = self.begun[name]
        self.begun[name] += count
        return f"record {type} {name} {first} {count}"

    def _is_unsure(self, process: Driven) -> bool:
        """Whether it might drop something after it has answered."""
        return self.word == "hang" and process.pid in self.bounded

    def _check(self, answer: dict[str, Any]) -> None:
        with self._telling():
            assert answer["balanced"], answer

    def _say(self, word: str) -> None:
        self.nursery.history.append(f"the store: {word}")
        self.word = word
        self.say(word)

    def _adopt(self) -> Recovery:
        self.nursery.history.append("recover")
        total = Recovery()
        for family in self.spool().glob("*/*"):
            found = adopt(str(family), self.storage(), "observability")
            total.errors += found.errors
            total.events += found.events
            total.files += found.files
            total.directories += found.directories
            total.quarantined += found.quarantined
        return total

    # -- what must hold ------------------------------------------------------------------------

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Say what came before: a race need not happen again when the history is repeated."""
        try:
            yield
        except AssertionError as error:
            error.add_note("\n".join(["what came before:", *self.nursery.history]))
            raise

    @invariant()
    def nothing_is_lost_and_nothing_is_twice(self) -> None:
        def is_complete() -> bool:  # not always at once: files are moved while we look
            return len(self.ledger.missing()) <= self.ledger.dropped()

        with self._telling():
            wait_until(is_complete, 3, message=lambda: f"missing: {self.ledger.missing()}")
            assert self.ledger.twice() == {}, self.ledger.twice()

    def teardown(self) -> None:
        try:
            for process in list(self.living):
                self.kill(self.living.index(process))
            self._say("accept")
            with self._telling():
                self._settle_up()
        finally:
            self.nursery.kill_all()
            self.folder.cleanup()

    def _settle_up(self) -> None:
        first, second = self._adopt(), self._adopt()
        assert first.errors == [], first.errors
        assert first.quarantined == 0, first
        assert second == Recovery(), second
        self.ledger.assert_settled()
