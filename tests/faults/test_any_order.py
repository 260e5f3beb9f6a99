"""Whatever happens, and in any order: what was acknowledged is stored, or can be recovered, or is
counted as dropped; and nothing is stored twice.

``TEST_OBSWRITER_EXAMPLES`` sets how many histories are tried; the default suits every run.
"""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from obswriter import LocalStorage, ObservabilityWriter
from obswriter.cli import main as command_line
from obswriter.storage import FileStorage
from obswriter_testsupport.any_order import AnyOrder
from obswriter_testsupport.driven_process import ControlledStorage, control_file
from obswriter_testsupport.driving import nursery

EXAMPLES = int(os.environ.get("TEST_OBSWRITER_EXAMPLES", "15"))
STEPS = 25


class OnALocalDisk(AnyOrder):
    """The spool lies in the store. While there is a file in a folder's place, it refuses."""

    def __init__(self) -> None:
        super().__init__()
        (self.root / "observability").mkdir(parents=True)
        for type in ("log", "score"):
            (self.root / "kept" / type).mkdir(parents=True)
        (self.root / "kept" / "refuse").touch()
        self.say("accept")

    def place(self) -> dict[str, Any]:
        return {"file_storage": str(self.root)}

    def storage(self) -> FileStorage:
        return LocalStorage(self.root)

    def spool(self) -> Path:
        return self.root / "observability" / ".spool"

    def say(self, word: str) -> None:
        for type in ("log", "score"):  # replaced in one step: a link
            link = self.root / "observability" / f".{type}"
            link.symlink_to(Path("..", "kept", "refuse" if word == "refuse" else type))
            link.replace(link.with_name(type))

    def files(self) -> LocalStorage:
        return LocalStorage(self.root / "kept")

    @rule()
    def refuse(self) -> None:
        self._say("refuse")

    @rule()
    def recover_by_command(self) -> None:
        self.nursery.history.append("obswriter recover")
        said = io.TextIOWrapper(io.BytesIO())
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = command_line(["recover", "--json", "--storage", str(self.root)])
        said.seek(0)
        assert status == 0 or self.word == "refuse", said.read()


class OnAnotherStore(AnyOrder):
    """The spool lies elsewhere; the store refuses, hangs, or stores and says it did not."""

    def place(self) -> dict[str, Any]:
        return {"controlled": str(self.root), "spool_dir": str(self.spool())}

    def storage(self) -> FileStorage:
        return ControlledStorage(self.root)

    def spool(self) -> Path:
        return self.root.with_name("spool")

    def say(self, word: str) -> None:
        new = self.root.with_name("new")
        new.write_text(word)
        new.replace(control_file(self.root))

    @rule(word=st.sampled_from(["refuse", "hang", "commit and fail"]))
    def fail(self, word: str) -> None:
        self._say(word)


@pytest.mark.parametrize("machine", [OnALocalDisk, OnAnotherStore])
def test_in_any_order_nothing_acknowledged_is_lost_and_nothing_is_stored_twice(
    machine: type[AnyOrder],
) -> None:
    with nursery() as found:
        machine.nursery = found
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                # Not shrunk: a race would be lost on the way, and the note tells the history.
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_a_flush_does_not_say_of_what_was_dropped_that_it_waits(tmp_path: Path) -> None:
    writer = ObservabilityWriter(
        file_storage=tmp_path, project_id="p", flush_interval_ms=0, max_spool_bytes=1
    )
    writer.record_log({"level": "info", "message": "longer than the bound"})
    [failed] = writer.flush(20).errors
    writer.shutdown()
    assert writer.get_stats().dropped["log"] == {"spool_full": 1}
    assert "waits" not in str(failed.error)
    assert not isinstance(failed.error, TimeoutError)
