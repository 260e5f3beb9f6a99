"""Ids are W3C's: lowercase hex, never all zero, and never a forked sibling's."""

from __future__ import annotations

import random
import re
import subprocess
import sys

import pytest

from obswriter import ids

FORKING = """
import os, sys
import obswriter.ids as ids
for _ in range(2):
    if os.fork() == 0:
        sys.stdout.write(ids.new_trace_id() + " " + ids.new_span_id() + "\\n")
        sys.stdout.flush()
        os._exit(0)
    os.wait()
sys.stdout.write(ids.new_trace_id() + " " + ids.new_span_id() + "\\n")
"""


def test_ids_have_the_lengths_of_w3c_trace_context() -> None:
    assert re.fullmatch("[0-9a-f]{32}", ids.new_trace_id())
    assert re.fullmatch("[0-9a-f]{16}", ids.new_span_id())


def test_an_id_is_never_all_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unlucky(random.Random):
        def getrandbits(self, k: int, /) -> int:
            return 0

    monkeypatch.setattr(ids, "_random", Unlucky())
    assert int(ids.new_trace_id(), 16)
    assert int(ids.new_span_id(), 16)


def test_a_program_that_seeds_random_numbers_does_not_repeat_ids() -> None:
    random.seed(1)
    first = ids.new_trace_id()
    random.seed(1)
    assert ids.new_trace_id() != first


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_workers_forked_before_any_writer_exists_make_ids_of_their_own() -> None:
    child = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, check=True
    )
    made = child.stdout.split()
    assert len(made) == 6
    assert len(set(made)) == 6, made


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells of such forks")
def test_children_that_c_code_forks_draw_ids_of_their_own() -> None:
    """As uWSGI's workers, which run none of Python's hooks."""
    code = """
import ctypes, os
from obswriter import ids
ids.new_span_id()
read, write = os.pipe()
for child in range(3):
    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        os.write(write, f"{ids.new_trace_id()} {ids.new_span_id()} ".encode())
        os._exit(0)
    os.waitpid(pid, 0)
os.write(write, f"{ids.new_trace_id()} {ids.new_span_id()}".encode())
print(os.read(read, 10_000).decode())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    drawn = done.stdout.split()
    assert len(set(drawn)) == 8
