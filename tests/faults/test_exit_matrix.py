"""However a process ends, what it acknowledged is kept, and nothing twice.

The same rows as a table: ``python tests/faults/exit_matrix.py``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from obswriter_testsupport.exit_rows import every_row
from obswriter_testsupport.exits import Row, judge
from obswriter_testsupport.probes import SERVERS
from obswriter_testsupport.servers import missing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.mark.parametrize("row", every_row(), ids=lambda row: row.id)
def test_what_was_acknowledged_is_kept(row: Row, tmp_path: Path) -> None:
    if lacking := row.lacks():
        skip = missing if set(lacking) <= set(SERVERS) else pytest.skip
        skip(f"not here: {', '.join(lacking)}")
    verdict = judge(row, tmp_path)
    assert verdict.good, str(verdict)
