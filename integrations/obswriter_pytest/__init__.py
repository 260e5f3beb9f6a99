"""A fixture for the tests of applications, with pytest-django and without.

def test_a_checkout_is_recorded(client, obswriter_events):
    client.post("/checkout")
    assert obswriter_events.one("span", name="POST /checkout")["status"] == "unset"
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obswriter.testing import Captured


@pytest.fixture
def obswriter_events() -> "Iterator[Captured]":
    """What the process-wide writer records while the test runs, and nowhere else."""
    from obswriter.testing import capture  # pytest loads plugins in runs that need none

    with capture() as captured:
        yield captured
