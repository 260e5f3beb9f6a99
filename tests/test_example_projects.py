"""The example projects run as their READMEs say, and all that they did is on disk."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from obswriter_testsupport.faults import stored_events

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PROJECTS = ROOT / "example_projects"
NAMES = ["django_shop", "fastapi_app"]
LEFTOVERS = shutil.ignore_patterns(".venv", "observability", "var", "__pycache__")
SECONDS = 100

posix = pytest.mark.skipif(sys.platform == "win32", reason="sockets and signals as on POSIX")


def command_of(name: str) -> list[str]:
    """Return the parts of the README's one command: the environment, what is installed, the run."""
    text = (PROJECTS / name / "README.md").read_text(encoding="utf-8")
    [command] = re.findall(r"<!-- run -->\n```sh\n(.+)\n```", text)
    return str(command).split(" && ")


@dataclass
class Run:
    """What a project printed and stored."""

    output: str
    events: list[dict[str, Any]]

    @property
    def spans(self) -> dict[str, dict[str, Any]]:
        return {event["id"]: event for event in self.of_type("span")}

    @property
    def servers(self) -> list[dict[str, Any]]:
        return [span for span in self.of_type("span") if span["spanKind"] == "server"]

    @property
    def requests(self) -> int:
        """How many requests the run says were answered."""
        [number] = re.findall(r"^(\d+) requests were answered", self.output, re.MULTILINE)
        return int(number)

    def of_type(self, type: str, **fields: Any) -> list[dict[str, Any]]:
        found = [event for event in self.events if event["type"] == type]
        return [event for event in found if all(event.get(k) == fields[k] for k in fields)]

    def one(self, type: str, **fields: Any) -> dict[str, Any]:
        [event] = self.of_type(type, **fields)
        return event

    def way_to(self, event: dict[str, Any]) -> list[str]:
        """Return the names of the spans an event is in, outermost first, all of one trace."""
        names = []
        span_id = event.get("spanId") or event["id"]
        while span_id in self.spans:
            span = self.spans[span_id]
            assert span["traceId"] == event["traceId"]
            names.insert(0, span["name"])
            span_id = span.get("parentSpanId", "")
        return names

    def errors_in(self, trace_id: str) -> Counter[str]:
        """Count the types of the exceptions that a trace's spans have as events."""
        return Counter(
            event["attributes"]["exception.type"]
            for span in self.of_type("span", traceId=trace_id)
            for event in span.get("events", [])
            if event["name"] == "exception"
        )


def run_project(name: str, tmp_path: Path, **variables: str) -> Run:
    """Run a copy of the project by the last part of its command, in this environment."""
    folder = tmp_path / name
    shutil.copytree(PROJECTS / name, folder, ignore=LEFTOVERS)
    python, *arguments = shlex.split(command_of(name)[-1])
    assert python == ".venv/bin/python"
    # The frameworks are other people's code: their warnings are none of ours.
    unwanted = {"PYTHONDEVMODE", "PYTHONWARNINGS", "DATABASE_URL", "CELERY_BROKER_URL"}
    environ = {key: value for key, value in os.environ.items() if key not in unwanted}
    with (tmp_path / "output").open("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env={**environ, "PYTHONUTF8": "1", **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            status = None
            os.killpg(process.pid, signal.SIGKILL)  # the project's own processes and no others
            process.wait()
        output.seek(0)
        said = output.read()
    assert status == 0, said
    assert no_bytes_wait_in(folder), said
    return Run(said, stored_events(folder))


def no_bytes_wait_in(folder: Path) -> bool:
    """Whether nothing recorded is left for the next start to store."""
    waiting = folder.glob("observability/.spool/**/*.jsonl*")
    return not any(path.read_bytes().strip(b"\0") for path in waiting)


def check_every_request(run: Run, names: dict[str, int]) -> None:
    """Each request is one server span, in a trace of its own that the client had begun."""
    assert Counter(span["name"] for span in run.servers) == names
    assert len(run.servers) == run.requests
    assert len({span["traceId"] for span in run.servers}) == run.requests
    callers = {span["parentSpanId"] for span in run.servers}
    assert len(callers) == run.requests
    assert not callers & set(run.spans)
    below = [s for s in run.spans.values() if not s["name"].startswith("manage.py ")]
    assert [s for s in below if s["parentSpanId"] not in {*run.spans, *callers}] == []


def test_each_project_is_tested() -> None:
    folders = [path.name for path in PROJECTS.iterdir() if (path / "README.md").is_file()]
    assert sorted(folders) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_command_installs_this_checkout_and_the_projects_requirements(name: str) -> None:
    environment, installation, run = command_of(name)
    assert environment == "python3 -m venv .venv"
    pip, verb, quiet, checkout, option, requirements = shlex.split(installation)
    assert (pip, verb, quiet, option) == (".venv/bin/pip", "install", "-q", "-r")
    path, extras = re.fullmatch(r"(.+)\[(.+)\]", checkout).groups()  # type: ignore[union-attr]
    assert (PROJECTS / name / path).resolve() == ROOT
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert (PROJECTS / name / requirements).is_file()
    assert (PROJECTS / name / shlex.split(run)[1]).is_file()


# --- FastAPI ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fastapi_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    for needed in ("fastapi", "uvicorn"):
        pytest.importorskip(needed)
    return run_project("fastapi_app", tmp_path_factory.mktemp("fastapi"))


@posix
class TestFastAPIApp:
    def test_each_request_is_a_trace_named_after_its_route(self, fastapi_run: Run) -> None:
        names = {
            "GET /items": 1,
            "POST /scores": 1,
            "GET /items/{item_id}": 3,
            "GET /items/{item_id}/supplier": 1,
            "POST /items/{item_id}/forecast": 1,
            "GET /export": 1,
        }
        check_every_request(fastapi_run, names)
        traces = Counter(trace["name"] for trace in fastapi_run.of_type("trace"))
        assert traces == names

    def test_the_background_computation_belongs_to_its_request(self, fastapi_run: Run) -> None:
        way = ["POST /items/{item_id}/forecast", "order_forecast", "forecast"]
        for name in ("load sales", "fit trend"):
            assert fastapi_run.way_to(fastapi_run.one("span", name=name)) == [*way, name]
        assert fastapi_run.way_to(fastapi_run.one("metric")) == way
        assert fastapi_run.way_to(
            fastapi_run.one("log", message="next week 49 of green tea will be sold")
        ) == way  # fmt: skip

    def test_the_failing_route_has_the_error_with_its_exception(self, fastapi_run: Run) -> None:
        server = fastapi_run.one("span", name="GET /items/{item_id}/supplier")
        trace = fastapi_run.one("trace", id=server["traceId"])
        assert (server["status"], trace["status"]) == ("error", "error")
        assert server["attributes"]["http.response.status_code"] == 500
        assert fastapi_run.errors_in(server["traceId"])["ConnectionError"] >= 1
        failed = [span["traceId"] for span in fastapi_run.servers if span["status"] == "error"]
        assert failed == [server["traceId"]]

    def test_logs_are_in_the_spans_they_were_made_in(self, fastapi_run: Run) -> None:
        ways = {
            "item 1 is asked for": ["GET /items/{item_id}", "read_item"],
            "item 2 is asked for": ["GET /items/{item_id}", "read_item"],
            "asking the supplier of black tea": ["GET /items/{item_id}/supplier", "ask_supplier"],
            "exported 3 items": ["GET /export", "export_items"],
        }
        for message, way in ways.items():
            assert fastapi_run.way_to(fastapi_run.one("log", message=message)) == way

    def test_the_clients_score_is_of_the_search_it_names(self, fastapi_run: Run) -> None:
        search = fastapi_run.one("span", name="search")
        score = fastapi_run.one("score")
        assert score["traceId"] == search["traceId"]
        assert (score["name"], score["value"]) == ("search.relevance", 0.5)

    def test_the_run_shows_files_and_traces(self, fastapi_run: Run) -> None:
        for words in ("$ obswriter ls", "stock    score", "└─ forecast", "exception  Connection"):
            assert words in fastapi_run.output


# --- Django -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def needs_django() -> None:
    for needed in ("django", "celery", "gunicorn"):
        pytest.importorskip(needed)


@pytest.fixture
def database_url(needs_django: None, postgres_url: str) -> Iterator[str]:
    """A database of the test's own."""
    psycopg = pytest.importorskip("psycopg")
    name = f"obswriter_test_{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def redis_queue(needs_django: None, redis_url: str) -> Iterator[str]:
    """The name of a queue of the test's own."""
    redis = pytest.importorskip("redis")
    name = f"obswriter-test-{uuid4().hex}"
    yield name
    with redis.Redis.from_url(redis_url) as client:
        client.delete(name, f"_kombu.binding.{name}")


def check_shop(run: Run) -> None:
    """One trace across web and worker for each order; the refused one's is an error."""
    polls = run.requests - 7
    assert polls >= 2
    check_every_request(
        run,
        {
            "GET /products/": 1,
            "GET /products/<slug:slug>/": 2,
            "GET /stock/": 1,
            "POST /checkout/": 3,
            "GET /orders/<int:pk>/": polls,
        },
    )
    for number, what in ((1, "2 Green tea"), (2, "2 Coffee")):
        check_order(run, number, what)
    check_refusal(run)
    stock = run.one("span", name="count")
    assert run.way_to(stock) == ["GET /stock/", "count_stock", "count"]
    listed = run.one("log", message="listed 3 products")
    assert run.way_to(listed) == ["GET /products/", "list_products"]


def check_order(run: Run, number: int, what: str) -> None:
    taken = run.one("log", message=f"took order {number}")
    shipped = run.one("log", message=f"shipped order {number}: {what}")
    web = ["POST /checkout/", "check_out"]
    task = [*web, "publish store.tasks.ship_order", "run store.tasks.ship_order"]
    trace_id = taken["traceId"]
    assert shipped["traceId"] == trace_id
    assert run.way_to(taken) == web
    assert run.way_to(shipped) == task
    assert run.way_to(run.one("metric", traceId=trace_id)) == web
    for name, way in (("print label", task), ("reserve", web)):
        assert run.way_to(run.one("span", name=name, traceId=trace_id)) == [*way, name]
    assert len(run.of_type("span", traceId=trace_id)) == len({*web, *task}) + 2
    assert taken["attributes"]["process.pid"] != shipped["attributes"]["process.pid"]
    names = sorted(trace["name"] for trace in run.of_type("trace", id=trace_id))
    assert names == ["POST /checkout/", "run store.tasks.ship_order"]


def check_refusal(run: Run) -> None:
    [server] = [span for span in run.servers if span["status"] == "error"]
    trace_id = server["traceId"]
    assert server["name"] == "POST /checkout/"
    assert server["attributes"]["http.response.status_code"] == 500
    assert server["attributes"]["error.type"] == "django.db.utils.IntegrityError"
    assert run.one("trace", id=trace_id)["status"] == "error"
    assert run.errors_in(trace_id)["django.db.utils.IntegrityError"] >= 1
    assert run.of_type("span", traceId=trace_id, spanKind="producer") == []
    assert run.way_to(run.one("log", traceId=trace_id, level="error")) == ["POST /checkout/"]


@posix
@pytest.mark.usefixtures("needs_django")
class TestDjangoShop:
    def test_each_order_is_one_trace_from_the_request_to_the_workers_log(
        self, tmp_path: Path
    ) -> None:
        run = run_project("django_shop", tmp_path)
        check_shop(run)
        assert "ended with status 0 and 0" in run.output
        shown = ("$ obswriter ls", "└─ run store.tasks.ship_order", "exception  django.db.utils.")
        for words in shown:
            assert words in run.output

    def test_the_same_on_postgresql(self, tmp_path: Path, database_url: str) -> None:
        run = run_project("django_shop", tmp_path, DATABASE_URL=database_url)
        check_shop(run)
        assert not (tmp_path / "django_shop" / "var" / "db.sqlite3").exists()
        assert "violates check constraint" in run.output

    def test_the_same_through_redis(self, tmp_path: Path, redis_url: str, redis_queue: str) -> None:
        variables = {"CELERY_BROKER_URL": redis_url, "SHOP_QUEUE": redis_queue}
        run = run_project("django_shop", tmp_path, **variables)
        check_shop(run)
        assert not (tmp_path / "django_shop" / "var" / "messages").exists()
        assert "transport:   redis://" in run.output
