"""The benchmarks run: what they measure is looked at only when somebody asks for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "benchmarks" / "run.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(RUN), *arguments], capture_output=True, text=True)


def quick(*names: str) -> list[dict[str, object]]:
    done = run("--quick", "--json", *names)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


@pytest.mark.skipif(sys.platform == "win32", reason="CPU time is read with the resource module")
def test_every_benchmark_measures_something_or_says_what_it_lacks() -> None:
    rows = quick()
    assert len(rows) > 5
    for row in rows:
        assert row["skipped"] or row["value"] is not None, row


@pytest.mark.skipif(sys.platform == "win32", reason="CPU time is read with the resource module")
def test_obswriters_own_benchmarks_need_nothing_else() -> None:
    rows = quick("ready-span", "growth")
    assert [row["skipped"] for row in rows] == ["", ""]


def test_an_unknown_benchmark_is_refused_with_the_names_there_are() -> None:
    done = run("sparn")
    assert done.returncode == 2
    assert "sparn" in done.stderr
    assert "ready-span" in done.stderr
