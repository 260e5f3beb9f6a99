"""A writer that carries many projects leaves the application its descriptors."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest

from obswriter_testsupport.faults import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")


def test_with_a_thousand_projects_descriptors_are_left_for_the_application(tmp_path: Path) -> None:
    script = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))
obswriter.configure()
def record_for(project, text):
    obswriter.get_writer().record_log(Log(level="info", message=text, project_id=project))
    ack(text)
for number in range(2000):
    record_for(f"p{number % 1000}", f"event {number}")
assert len(os.listdir("/proc/self/fd")) < 256
opened = [open(os.devnull) for _ in range(100)]
os.kill(os.getpid(), signal.SIGKILL)
"""
    outcome = run(script, tmp_path)
    assert outcome.status == -signal.SIGKILL, outcome.stderr
    assert len(outcome.acknowledged) == 2000
    outcome.recover()
    assert outcome.missing() == set()
    assert outcome.duplicated() == []
