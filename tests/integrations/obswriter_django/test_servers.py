"""On real servers: every request that was answered is on disk after SIGTERM."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from obswriter_testsupport.faults import stored_events
from obswriter_testsupport.processes import free_port, serving
from obswriter_testsupport.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS = 40

SITE = """
import os, sys
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=True,
    INSTALLED_APPS=["obswriter_django"],
    MIDDLEWARE=["obswriter_django.ObservabilityMiddleware"],
    OBSWRITER={"FILE_STORAGE": STORE, "PROJECT_ID": "site", "FLUSH_INTERVAL_MS": 60_000},
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
)

def item(request, pk):
    return HttpResponse(f"{pk} {os.getpid()}")

async def item_async(request, pk):
    return HttpResponse(f"{pk} {os.getpid()}")

def stream(request, pk):
    return StreamingHttpResponse(iter([f"{pk} ", f"{os.getpid()}"]))

async def stream_async(request, pk):
    async def chunks():
        yield f"{pk} "
        yield f"{os.getpid()}"
    return StreamingHttpResponse(chunks())

def version(request):
    return HttpResponse(VERSION)

urlpatterns = [
    path("item/<int:pk>/", item),
    path("item_async/<int:pk>/", item_async),
    path("stream/<int:pk>/", stream),
    path("stream_async/<int:pk>/", stream_async),
    path("version/", version),
]
"""
MANAGE = """
if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
WSGI = """
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""
ASGI = """
from django.core.asgi import get_asgi_application
application = get_asgi_application()
"""


def write_site(folder: Path, ending: str, name: str = "tiny_site.py", **values: Any) -> Path:
    store = folder / "store"
    values = {"STORE": str(store), "VERSION": "1", **values}
    header = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    (folder / name).write_text(header + SITE + ending)
    return store


def environment(folder: Path) -> dict[str, str]:
    """Servers are other people's code: their warnings are none of ours."""
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    unwanted = {"PYTHONDEVMODE", "PYTHONWARNINGS"}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}


def ask(port: int, path: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=20) as response:
        return str(response.read().decode())


def gunicorn(port: int, *options: str) -> list[str]:
    pytest.importorskip("gunicorn")
    address = ["--bind", f"127.0.0.1:{port}", "--workers", "2", "--graceful-timeout", "20"]
    return [sys.executable, "-m", "gunicorn", "tiny_site:application", *address, *options]


def uvicorn(port: int, *options: str) -> list[str]:
    pytest.importorskip("uvicorn")
    address = ["--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "uvicorn", "tiny_site:application", *address, *options]


def uvicorn_worker() -> str:
    known = ("uvicorn_worker", "uvicorn.workers")
    for module in known:
        with contextlib.suppress(ImportError):
            if importlib.util.find_spec(module) is not None:
                return f"{module}.UvicornWorker"
    pytest.skip("there is no worker class of uvicorn's for gunicorn")


# The last number: what SIGTERM makes of the exit status, with and without obswriter.
SERVERS: dict[str, Any] = {
    "gunicorn sync": (WSGI, gunicorn, ["--worker-class", "sync"], 0),
    "gunicorn gthread": (WSGI, gunicorn, ["--worker-class", "gthread", "--threads", "2"], 0),
    "gunicorn preload": (WSGI, gunicorn, ["--preload"], 0),
    "gunicorn uvicorn worker": (ASGI, gunicorn, ["--worker-class", "UVICORN"], 0),
    "gunicorn uvicorn worker preload": (
        ASGI,
        gunicorn,
        ["--worker-class", "UVICORN", "--preload"],
        0,
    ),
    "uvicorn": (ASGI, uvicorn, [], -signal.SIGTERM),
    "uvicorn workers": (ASGI, uvicorn, ["--workers", "2"], 0),
}


@pytest.mark.parametrize(("ending", "command", "options", "status"), SERVERS.values(), ids=SERVERS)
def test_every_answered_request_is_on_disk_after_sigterm(
    ending: str, command: Any, options: list[str], status: int, tmp_path: Path
) -> None:
    options = [uvicorn_worker() if option == "UVICORN" else option for option in options]
    store = write_site(tmp_path, ending)
    port = free_port()
    kinds = ["item", "item_async", "stream_async" if ending is ASGI else "stream"]
    asked = Counter(kinds[number % len(kinds)] for number in range(REQUESTS))
    with serving(command(port, *options), port, env=environment(tmp_path), timeout=60) as process:
        for number in range(REQUESTS):
            assert ask(port, f"/{kinds[number % len(kinds)]}/{number}/").split()[0] == str(number)
        process.terminate()
        assert process.wait(60) == status

    spans = stored_events(store, "span")
    servers = [span for span in spans if span["spanKind"] == "server"]
    assert Counter(span["name"] for span in servers) == {
        f"GET /{kind}/<int:pk>/": count for kind, count in asked.items()
    }
    assert Counter(span["name"] for span in spans if span["spanKind"] == "internal") == asked
    assert {trace["id"] for trace in stored_events(store, "trace")} == {
        span["traceId"] for span in servers
    }
    assert len({span["traceId"] for span in servers}) == REQUESTS
    assert not [span for span in servers if "obswriter.ended_by" in span["attributes"]]


@pytest.mark.parametrize("ending", [WSGI, ASGI], ids=["gunicorn", "uvicorn"])
def test_a_wrong_setting_is_said_at_the_start_and_the_site_runs(
    ending: str, tmp_path: Path
) -> None:
    store = write_site(tmp_path, "settings.OBSWRITER['BATCH_SIZE'] = '5'\n" + ending)
    port = free_port()
    command = gunicorn(port) if ending is WSGI else uvicorn(port)
    output = tmp_path / "stderr"
    program = [sys.executable, "-c", REDIRECT, str(output), *command]
    with serving(program, port, env=environment(tmp_path), timeout=60):
        assert ask(port, "/item/1/").startswith("1 ")
    said = output.read_text()
    assert "OBSWRITER['BATCH_SIZE']: batch_size must be an integer of at least 1 " in said
    assert "records nothing" in said
    assert not store.exists()


REDIRECT = """
import os, sys
os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), 2)
os.execv(sys.argv[2], sys.argv[2:])
"""


def manage(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "tiny_site.py"), *arguments]
    env = {**environment(folder), "PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def test_manage_py_check_finds_no_fault_and_leaves_nothing(tmp_path: Path) -> None:
    store = write_site(tmp_path, MANAGE)
    done = manage(tmp_path, "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no issues" in done.stdout
    assert not store.exists()


def test_manage_py_check_reports_a_wrong_setting_without_a_traceback(tmp_path: Path) -> None:
    write_site(tmp_path, "settings.OBSWRITER['BACH_SIZE'] = 5\n" + MANAGE)
    done = manage(tmp_path, "check")
    assert done.returncode == 1
    assert "(obswriter.E002) OBSWRITER has the unknown key 'BACH_SIZE'" in done.stderr
    assert "HINT: Did you mean 'BATCH_SIZE'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_management_commands_events_are_stored_when_it_ends(tmp_path: Path) -> None:
    code = "import obswriter; obswriter.log('info', 'from a command')"
    store = write_site(tmp_path, MANAGE)
    done = manage(tmp_path, "shell", "--no-imports", "--command", code)
    assert done.returncode == 0, done.stderr
    assert [log["message"] for log in stored_events(store, "log")] == ["from a command"]


def test_runserver_keeps_what_was_recorded_before_a_reload(tmp_path: Path) -> None:
    store = write_site(tmp_path, MANAGE)
    port = free_port()
    program = [sys.executable, str(tmp_path / "tiny_site.py"), "runserver", f"127.0.0.1:{port}"]
    with serving(program, port, env=environment(tmp_path), timeout=60):
        for number in range(REQUESTS):
            ask(port, f"/item/{number}/")
        write_site(tmp_path, MANAGE, VERSION="2")

        def reloaded() -> bool:
            with contextlib.suppress(OSError):
                return ask(port, "/version/") == "2"
            return False

        wait_until(reloaded, 60)
        names = Counter(span["name"] for span in stored_events(store, "span"))
        assert names["GET /item/<int:pk>/"] == names["item"] == REQUESTS
