"""The fixture for users' own tests, as pytest finds it: by the installed plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import obswriter

if TYPE_CHECKING:
    from obswriter.testing import Captured


def test_a_test_has_the_events_it_caused(obswriter_events: Captured) -> None:
    with obswriter.span("checkout"):
        pass
    assert obswriter_events.one("span", name="checkout")["status"] == "unset"


def test_and_none_of_the_tests_before(obswriter_events: Captured) -> None:
    assert obswriter_events.events() == []
