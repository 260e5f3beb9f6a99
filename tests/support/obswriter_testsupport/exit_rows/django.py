"""Django: the development server that reloads, and management commands."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

from obswriter_testsupport import faults
from obswriter_testsupport.exits import Row
from obswriter_testsupport.faults import Outcome
from obswriter_testsupport.processes import free_port
from obswriter_testsupport.visiting import PYTHON, WORK, End, Site, end_under_load, reload

SETTINGS = """
import sys
from django.conf import settings
from django.core.management import execute_from_command_line

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=True,
    INSTALLED_APPS=["obswriter_django", *APPS],
    MIDDLEWARE=["obswriter_django.ObservabilityMiddleware"],
    OBSWRITER={"PROJECT_ID": "site"},
    ROOT_URLCONF="__main__",
    SECRET_KEY="only for tests",
)
urlpatterns = []
"""

SITE = (
    WORK
    + "APPS = []"
    + SETTINGS
    + """
from django.http import HttpResponse
from django.urls import path

def work(request):
    for _ in range(5):
        record()
        time.sleep(0.002)
    return HttpResponse("ok")

urlpatterns = [path("", work)]

from django.utils import autoreload
autoreload.StatReloader.SLEEP_TIME = 0.2  # and not a whole second between two looks
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""
)

COMMAND = """
from django.core.management import BaseCommand
from __main__ import ack, doze, record

class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("ending")

    def handle(self, ending, **options):
        for number in range(500):
            record(f"event {number}")
        if ending == "raise":
            raise ValueError("not caught")
        if ending == "wait":
            ack("READY")
            while True:
                doze()
"""

MANAGE = """
sys.path.insert(0, FOLDER)
APPS = ["shop"]
"""


def run_server(end: End, status: int, at_once: bool, folder: Path) -> Outcome:
    port = free_port()
    command = [PYTHON, str(folder / "app.py"), "runserver", f"127.0.0.1:{port}"]
    return end_under_load(folder, SITE, command, port, end, status=status, at_once=at_once)


def reload_and_end_server(running: Site) -> None:
    """End the process that serves; the one that reloads it ends with it."""
    os.kill(reload(running), signal.SIGTERM)


def reload_and_end_all(running: Site) -> None:
    """End the process that reloads, which kills the one that serves."""
    reload(running)
    running.process.terminate()


def run_command(ending: str, status: int, folder: Path) -> Outcome:
    commands = folder / "shop" / "management" / "commands"
    commands.mkdir(parents=True)
    (folder / "shop" / "__init__.py").touch()
    (commands / "work.py").write_text(COMMAND)
    script = f"FOLDER = {str(folder)!r}" + MANAGE + SETTINGS
    script += f"execute_from_command_line(['manage.py', 'work', {ending!r}])"
    outcome = faults.run(script, folder, lambda process: process.terminate())
    assert outcome.status == status, outcome.stderr
    return outcome


def _server(name: str, end: End, *, at_once: bool) -> Row:
    return Row("Django", name, partial(run_server, end, 0, at_once), at_once, ("django",))


def _command(name: str, ending: str, status: int) -> Row:
    run = partial(run_command, ending, status)
    return Row("Django", f"management command, {name}", run, True, ("django",))


ROWS = [
    # Its requests run in threads that nobody waits for, and record until the very end.
    _server("runserver reload", reload_and_end_server, at_once=False),
    _server("runserver reload, SIGTERM to both", reload_and_end_all, at_once=False),
    _command("normal end", "return", 0),
    _command("exception", "raise", 1),
    _command("SIGTERM", "wait", -signal.SIGTERM),
]
