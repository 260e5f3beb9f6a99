"""A wrong setting is a clear text from the system checks and in the log, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from django.apps import apps
from django.core import checks
from django.urls import path

import obswriter
from obswriter import process
from obswriter_django import ObservabilityMiddleware
from obswriter_django.conf import conf
from obswriter_testsupport.faults import stored_events

if TYPE_CHECKING:
    from pathlib import Path

OURS = "obswriter_django.ObservabilityMiddleware"


class Subclass(ObservabilityMiddleware):
    pass


def found() -> dict[str, str]:
    """Return each message's id, and its text with the remedy."""
    messages = checks.run_checks(tags=["obswriter"])
    return {str(m.id).removeprefix("obswriter."): f"{m.msg} {m.hint}" for m in messages}


def start() -> None:
    apps.get_app_config("obswriter_django").ready()


@pytest.fixture(autouse=True)
def no_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps.get_app_config("obswriter_django"), "conflict", "")


def test_right_settings_raise_no_message(settings: Any, tmp_path: Path) -> None:
    settings.OBSWRITER = {
        "FILE_STORAGE": tmp_path,
        "PROJECT_ID": "shop",
        "BATCH_SIZE": 10,
        "EXCLUDE": ["/healthz", "/static/*"],
    }
    assert found() == {}


def test_without_the_setting_there_is_nothing_to_say(settings: Any) -> None:
    del settings.OBSWRITER
    assert found() == {}


WRONG: list[tuple[str, Any, list[str]]] = [
    ("E001", ["FILE_STORAGE"], ["OBSWRITER must be a dict", "['FILE_STORAGE']", "PROJECT_ID"]),
    ("E001", None, ["OBSWRITER must be a dict", "None"]),
    ("E002", {"BACH_SIZE": 10}, ["'BACH_SIZE'", "10", "Did you mean 'BATCH_SIZE'?"]),
    ("E002", {"EXCLUDES": []}, ["'EXCLUDES'", "Did you mean 'EXCLUDE'?"]),
    ("E002", {"QQQ": 1}, ["'QQQ'", "FILE_STORAGE", "EXCLUDE"]),
    ("E002", {5: 1}, ["'5'"]),
    ("E003", {"BATCH_SIZE": "5"}, ["OBSWRITER['BATCH_SIZE']", "an integer of at least 1", "'5'"]),
    ("E003", {"PROJECT_ID": "../x"}, ["OBSWRITER['PROJECT_ID']", "'../x'", "1 to 128"]),
    ("E003", {"FILE_STORAGE": 7}, ["OBSWRITER['FILE_STORAGE']", "7", "a path, a URL"]),
    ("E003", {"DISABLED": "yes"}, ["OBSWRITER['DISABLED']", "True", "'yes'"]),
    ("E004", {"EXCLUDE": "/healthz"}, ["OBSWRITER['EXCLUDE']", "'/healthz'", "['/health']"]),
    ("E004", {"EXCLUDE": ["healthz"]}, ["OBSWRITER['EXCLUDE']", "'healthz'", "'/static/*'"]),
    ("E004", {"REQUEST_HEADERS": "x"}, ["OBSWRITER['REQUEST_HEADERS']", "'x'", "x-shop-*"]),
    ("E004", {"TRUSTED_PROXIES": ["lb"]}, ["OBSWRITER['TRUSTED_PROXIES']", "'lb'", "10.0.0.0/8"]),
    ("E004", {"TRUSTED_PROXIES": "10.0.0.0/8"}, ["OBSWRITER['TRUSTED_PROXIES']", "'10.0.0.0/8'"]),
    ("E004", {"ON_REQUEST": "no.such"}, ["OBSWRITER['ON_REQUEST']", "'no.such'", "imported"]),
    ("E004", {"ON_REQUEST": "hook"}, ["OBSWRITER['ON_REQUEST']", "'hook'"]),
    ("E003", {"DIR_MODE": 2775}, ["OBSWRITER['DIR_MODE']", "2775", "0o775"]),
    ("E003", {"FILE_MODE": 640}, ["OBSWRITER['FILE_MODE']", "640", "0o775"]),
    ("E004", {"DB": "yes"}, ["OBSWRITER['DB']", "True or False", "'yes'"]),
    ("E004", {"DB_SLOW_MS": 0.5}, ["OBSWRITER['DB_SLOW_MS']", "milliseconds", "0.5"]),
    ("E004", {"CELERY": "yes"}, ["OBSWRITER['CELERY']", "True, False or a dict", "'yes'"]),
    ("E004", {"CELERY": {"LINKS": True}}, ["OBSWRITER['CELERY']", "did you mean 'link'"]),
    ("E004", {"CELERY": {"LINK": 1}}, ["OBSWRITER['CELERY']", "link must be True or False; got 1"]),
    ("E006", {"FILE_STORAGE": "nosuch://x"}, ["file_storage", "'nosuch://x'", "pip install"]),
]


@pytest.mark.parametrize(("id", "value", "words"), WRONG)
def test_a_wrong_setting_is_named_with_its_value_and_the_remedy(
    id: str, value: Any, words: list[str], settings: Any
) -> None:
    settings.OBSWRITER = value
    messages = found()
    assert list(messages) == [id]
    for word in words:
        assert word in messages[id]


def test_every_wrong_key_is_reported_at_once(settings: Any) -> None:
    settings.OBSWRITER = {"BATCH_SIZE": 0, "BACH_SIZE": 1, "EXCLUDE": 3}
    assert sorted(found()) == ["E002", "E003", "E004"]


def test_without_celery_installed_its_key_says_what_to_install(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obswriter_celery", None)
    settings.OBSWRITER = {"CELERY": True}
    assert "pip install 'obswriter[celery]'" in found()["E004"]


@pytest.mark.parametrize("value", ["many", "0"])
def test_a_wrong_environment_variable_is_an_error(value: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("OBSWRITER_BATCH_SIZE", value)
    messages = found()
    assert list(messages) == ["E005"]
    assert "OBSWRITER_BATCH_SIZE" in messages["E005"]
    assert value in messages["E005"]


def test_missing_middleware_is_a_warning(settings: Any) -> None:
    settings.MIDDLEWARE = []
    messages = found()
    assert list(messages) == ["W001"]
    assert OURS in messages["W001"]


@pytest.mark.parametrize(
    "ours", [OURS, "obswriter_django.middleware.ObservabilityMiddleware", f"{__name__}.Subclass"]
)
def test_middleware_that_is_not_first_is_a_warning(ours: str, settings: Any) -> None:
    settings.MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware", ours]
    messages = found()
    assert list(messages) == ["W002"]
    assert "django.middleware.gzip.GZipMiddleware" in messages["W002"]


def test_middleware_that_comes_twice_is_a_warning(settings: Any) -> None:
    settings.MIDDLEWARE = [OURS, "nowhere.to.be.Found", OURS]
    assert list(found()) == ["W003"]


def test_a_directory_nobody_can_write_to_is_a_warning(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OBSWRITER = {"FILE_STORAGE": str(tmp_path / "below")}
    real = os.access  # which lets root write anywhere
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path and real(path, mode))
    messages = found()
    assert list(messages) == ["W004"]
    assert str(tmp_path / "below") in messages["W004"]


def test_a_directory_that_can_be_made_is_no_warning(settings: Any, tmp_path: Path) -> None:
    settings.OBSWRITER = {"FILE_STORAGE": str(tmp_path / "new" / "folder")}
    assert found() == {}
    assert not (tmp_path / "new").exists()


# -- ready() -------------------------------------------------------------------------------------


def test_the_app_configures_the_process_from_the_settings(
    settings: Any, tmp_path: Path, unconfigured: Any
) -> None:
    settings.OBSWRITER = {"FILE_STORAGE": tmp_path, "PROJECT_ID": "shop", "EXCLUDE": ["/x"]}
    start()
    assert unconfigured().project_id == "shop"
    assert unconfigured().config.file_storage == str(tmp_path)


@pytest.mark.parametrize("value", [True, {"LINK": True}])
def test_celery_is_observed_on_request(settings: Any, tmp_path: Path, value: Any) -> None:
    obswriter_celery = pytest.importorskip("obswriter_celery")
    settings.OBSWRITER = {"FILE_STORAGE": tmp_path, "CELERY": value}
    start()
    wanted = obswriter_celery.CeleryOptions(link=value is not True)
    assert obswriter_celery.options.chosen == wanted
    assert import_module("celery.signals").task_prerun.receivers
    obswriter_celery.uninstall()


def test_nothing_is_started_or_written_before_the_first_event(
    settings: Any, tmp_path: Path, unconfigured: Any
) -> None:
    import threading

    threads = threading.enumerate()
    settings.OBSWRITER = {"FILE_STORAGE": tmp_path}
    start()
    assert set(threading.enumerate()) <= {*threads}
    assert list(tmp_path.iterdir()) == []


def test_variables_go_before_settings(
    settings: Any, tmp_path: Path, unconfigured: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("OBSWRITER_PROJECT_ID", "from-variable")
    settings.OBSWRITER = {"FILE_STORAGE": tmp_path, "PROJECT_ID": "shop"}
    start()
    assert unconfigured().project_id == "from-variable"


@pytest.mark.parametrize(
    ("id", "value", "words"), [case for case in WRONG if case[0] not in ("E004", "E006")]
)
def test_a_wrong_setting_is_logged_and_nothing_is_recorded(
    id: str, value: Any, words: list[str], settings: Any, unconfigured: Any, caplog: Any
) -> None:
    settings.OBSWRITER = value
    start()
    assert unconfigured().disabled
    assert all(word in caplog.text for word in words)
    assert "records nothing" in caplog.text


def test_a_store_that_cannot_be_opened_is_logged_and_nothing_is_recorded(
    settings: Any, unconfigured: Any, caplog: Any
) -> None:
    settings.OBSWRITER = {"FILE_STORAGE": "nosuch://x"}
    start()
    assert unconfigured().disabled
    assert "nosuch://x" in caplog.text


def test_a_wrong_exclude_is_logged_and_everything_is_recorded(
    settings: Any, tmp_path: Path, unconfigured: Any, caplog: Any
) -> None:
    settings.OBSWRITER = {"FILE_STORAGE": tmp_path, "EXCLUDE": "/"}
    start()
    assert not unconfigured().disabled
    assert not conf.http.exclude.match("/")
    assert "OBSWRITER['EXCLUDE']" in caplog.text


def test_with_a_wrong_variable_requests_go_on(
    unconfigured: Any, monkeypatch: Any, caplog: Any, wsgi_site: Any
) -> None:
    from django.http import HttpResponse

    monkeypatch.setenv("OBSWRITER_BATCH_SIZE", "many")
    start()
    wsgi_site.has(path("", lambda request: HttpResponse("fine")))
    assert wsgi_site.get("/").body == b"fine"
    assert unconfigured().disabled
    assert "OBSWRITER_BATCH_SIZE" in caplog.text


def test_a_process_that_is_configured_otherwise_keeps_its_writer_and_says_so(
    settings: Any, tmp_path: Path, unconfigured: Any, caplog: Any
) -> None:
    first = obswriter.configure(file_storage=tmp_path, project_id="first")
    settings.OBSWRITER = {"FILE_STORAGE": tmp_path, "PROJECT_ID": "second"}
    start()
    assert unconfigured() is first
    assert "'first'" in caplog.text
    messages = found()
    assert list(messages) == ["W005"]
    for word in ("OBSWRITER is not used", "'first'", "'second'", "obswriter.configure()"):
        assert word in messages["W005"]


def test_wrong_settings_do_not_take_a_configured_writer_away(
    settings: Any, tmp_path: Path, unconfigured: Any
) -> None:
    first = obswriter.configure(file_storage=tmp_path, project_id="first")
    settings.OBSWRITER = {"BATCH_SIZE": 0}
    start()
    assert unconfigured() is first
    assert not first.disabled


def test_what_was_recorded_before_the_app_was_ready_is_kept(
    settings: Any, tmp_path: Path, unconfigured: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    obswriter.log("info", "early")
    settings.OBSWRITER = {"FILE_STORAGE": tmp_path / "store", "FLUSH_INTERVAL_MS": 0}
    start()
    process.flush()
    (file,) = (tmp_path / "store").glob("observability/log/*/*.jsonl")
    assert [event["message"] for event in obswriter.parse_jsonl(file.read_bytes())] == ["early"]


MIDDLEWARE_ALONE = """
import sys
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", LOGGING_CONFIG=None,
    MIDDLEWARE=["obswriter_django.ObservabilityMiddleware"],
    **eval(sys.argv[2]),
)
if "obswriter" in sys.argv[3:]:
    import obswriter
    obswriter.configure(file_storage=sys.argv[1], project_id="own")
if "logging" in sys.argv[3:]:
    import logging, obswriter_logging
    logging.getLogger().addHandler(obswriter_logging.ObservabilityHandler())
django.setup()
urlpatterns = [path("items/<int:id>", lambda request, id: HttpResponse("tea"))]
from django.test import Client
assert Client().get("/items/7").content == b"tea"
"""


def run_alone(
    storage: Path, settings: dict[str, Any] | None, *more: str
) -> subprocess.CompletedProcess[str]:
    ours = {"FILE_STORAGE": str(storage), "PROJECT_ID": "alone", **(settings or {})}
    given = {} if settings is None else {"OBSWRITER": ours}
    command = [sys.executable, "-c", MIDDLEWARE_ALONE, str(storage), repr(given), *more]
    return subprocess.run(command, capture_output=True, text=True, cwd=storage)


def test_the_middleware_alone_does_what_the_settings_ask_for(tmp_path: Path) -> None:
    done = run_alone(tmp_path, {})
    assert done.returncode == 0, done.stderr
    [span] = [span for span in stored_events(tmp_path, "span") if span["spanKind"] == "server"]
    assert (span["name"], span["projectId"]) == ("GET /items/<int:id>", "alone")


def test_the_middleware_alone_says_what_is_wrong_and_disturbs_no_request(tmp_path: Path) -> None:
    done = run_alone(tmp_path, {"BATCHSIZE": 1})
    assert done.returncode == 0, done.stderr
    assert "BATCHSIZE" in done.stderr
    assert "'BATCH_SIZE'" in done.stderr
    assert stored_events(tmp_path) == []


def test_what_is_wrong_is_said_aloud_where_obswriter_alone_hears_it(tmp_path: Path) -> None:
    done = run_alone(tmp_path, {"BATCHSIZE": 1}, "logging")
    assert done.returncode == 0, done.stderr
    assert "BATCHSIZE" in done.stderr
    assert "dev/null" not in done.stderr
    assert list(tmp_path.rglob("*.jsonl*")) == []


def test_the_middleware_alone_leaves_a_writer_that_the_code_configures_in_peace(
    tmp_path: Path,
) -> None:
    done = run_alone(tmp_path, None, "obswriter")
    assert (done.returncode, done.stderr) == (0, "")
    assert {span["projectId"] for span in stored_events(tmp_path, "span")} == {"own"}
