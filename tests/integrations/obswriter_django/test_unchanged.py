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


def test_the_tutorials_site_and_the_admin() -> None:
    pytest.importorskip("rest_framework")
    command = [sys.executable, "-W", "error", "-m", "obswriter_testsupport.polls.visit"]
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    visit = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert visit.returncode == 0, visit.stderr
    told: dict[str, Any] = json.loads(visit.stdout)
    for server in ("wsgi", "asgi"):
        site = told[server]
        assert site["different"] == [], server
        assert {200, 204, 301, 302, 400, 404, 405, 500} <= set(site["statuses"].values())
        assert len(site["servers"]) == site["visits"]
        assert {"SELECT", "INSERT", "transaction", "template", "vote"} <= set(site["others"])
