"""The table of features says what is so: each tick of ours names a test that exists."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent
DOCUMENTS = sorted((TESTS.parent / "docs").glob("features-*.md"))
YES, PARTLY, NO = "✓", "(✓)", "–"


class Row(NamedTuple):
    feature: str
    ours: str
    others: list[str]
    remarks: str


def rows() -> list[Row]:
    found = []
    for document in DOCUMENTS:
        for line in document.read_text(encoding="utf-8").splitlines():
            if line.startswith("| ") and not line.startswith("| feature "):
                feature, ours, *others, remarks = [c.strip() for c in line.strip("|").split("|")]
                found.append(Row(feature, ours, others, remarks))
    return found


@functools.cache
def names_in(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def test_there_is_a_table() -> None:
    assert len(rows()) > 50


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.feature)
def test_a_row_is_whole(row: Row) -> None:
    assert row.ours in (YES, PARTLY, NO)
    assert len(row.others) == 4
    assert set(row.others) <= {YES, PARTLY, NO, ""}


@pytest.mark.parametrize("row", [r for r in rows() if r.ours != NO], ids=lambda row: row.feature)
def test_a_tick_names_tests_that_exist(row: Row) -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row.remarks)
    assert named, "no test is named"
    assert [f"{file}::{test}" for file, test in named if test not in names_in(file)] == []


@pytest.mark.parametrize("row", [r for r in rows() if r.ours == NO], ids=lambda row: row.feature)
def test_what_others_have_and_we_have_not_has_a_reason(row: Row) -> None:
    assert re.fullmatch(r"because .{20,}\.", row.remarks)
