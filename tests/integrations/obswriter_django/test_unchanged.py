"""With the middleware and everything it can record, a site answers as without: byte for byte.

The tutorial's polls, the admin and REST framework's browsable pages, in a process of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import obswriter_testsupport

SUPPORT = Path(obswriter_testsupport.__file__).parent.parent


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_the_tutorials_site_and_the_admin(server: str) -> None:
    pytest.importorskip("rest_framework")
    command = [sys.executable, "-W", "error", "-m", "obswriter_testsupport.polls.visit", server]
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    visit = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert visit.returncode == 0, visit.stderr
    told: dict[str, Any] = json.loads(visit.stdout)
    assert told["different"] == []
    assert {200, 204, 301, 302, 400, 404, 405, 500} <= set(told["statuses"].values())
    assert len(told["servers"]) == told["visits"]
    assert {"SELECT", "INSERT", "transaction", "template", "vote"} <= set(told["others"])
