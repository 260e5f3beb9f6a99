"""The README's examples run as they stand, and every option it should name is there."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from obswriter.config import OPTIONS
from obswriter.testing import Captured, capture

README = Path(__file__).parent.parent / "README.md"
_EXAMPLE = re.compile(r"<!-- example: (\w+) -->\n```python\n(.*?)```", re.DOTALL)
EXAMPLES = dict(_EXAMPLE.findall(README.read_text()))


def run(name: str, tmp_path: Path) -> dict[str, Any]:
    """Run an example, storing elsewhere than it says."""
    code = EXAMPLES[name].replace("/var/lib/shop", str(tmp_path))
    namespace: dict[str, Any] = {"__name__": f"readme_{name}"}
    exec(compile(code, f"README.md ({name})", "exec"), namespace)
    return namespace


@pytest.fixture
def own_writer() -> Any:
    """The examples configure the process-wide writer themselves."""
    import obswriter
    from obswriter import process

    before = process.exchange(None)
    yield
    obswriter.shutdown()
    process.exchange(before)


def test_every_python_example_is_tested() -> None:
    names = "fastapi django celery logging clients direct redaction"
    assert set(EXAMPLES) == set(names.split())
    assert README.read_text().count("```python") == len(EXAMPLES)
    assert all(f"def test_the_{name}_example" in Path(__file__).read_text() for name in EXAMPLES)


def test_the_frameworks_need_less_than_ten_lines() -> None:
    for name in ("fastapi", "django", "celery", "logging", "clients"):
        assert len([line for line in EXAMPLES[name].splitlines() if line.strip()]) < 10


def test_the_fastapi_example_traces_a_request(own_writer: None, tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    from starlette.testclient import TestClient

    app = run("fastapi", tmp_path)["app"]

    @app.get("/items/{item_id}")
    def item(item_id: int) -> int:
        return item_id

    with TestClient(app) as client:
        assert client.get("/items/7").status_code == 200
    [file] = (tmp_path / "observability" / "trace" / "shop").glob("*.jsonl")
    assert '"name":"GET /items/{item_id}"' in file.read_text()


def test_the_django_example_is_a_setting_the_checks_accept(tmp_path: Path) -> None:
    pytest.importorskip("django")
    from obswriter import ObservabilityWriterConfig

    settings = run("django", tmp_path)
    options = {k: v for k, v in settings["OBSWRITER"].items() if k != "EXCLUDE"}
    assert ObservabilityWriterConfig.resolve({}, options).project_id == "shop"
    assert settings["MIDDLEWARE"] == ["obswriter_django.ObservabilityMiddleware"]
    import obswriter_django

    assert obswriter_django.ObservabilityMiddleware


def test_the_celery_example_records_a_task(own_writer: None, tmp_path: Path) -> None:
    pytest.importorskip("celery")
    import obswriter
    import obswriter_celery

    app = run("celery", tmp_path)["app"]
    try:

        @app.task(name="shop.add")
        def add(a: int, b: int) -> int:
            return a + b

        assert add.apply((1, 2)).get() == 3
    finally:
        obswriter_celery.uninstall()
    obswriter.flush()
    [file] = (tmp_path / "observability" / "span" / "shop").glob("*.jsonl")
    assert "shop.add" in file.read_text()


def test_the_logging_example_records_what_it_logs(tmp_path: Path) -> None:
    with capture() as captured:
        before = logging.getLogger().handlers[:], logging.getLogger().level
        try:
            run("logging", tmp_path)
        finally:
            logging.getLogger().handlers[:], level = before
            logging.getLogger().setLevel(level)
        event = captured.one("log", message="stock is low")
    assert event["level"] == "warn"
    assert event["attributes"]["sku"] == "A-17"


def test_the_clients_example_sends_the_trace_along(own_writer: None, tmp_path: Path) -> None:
    httpx = pytest.importorskip("httpx")
    import obswriter
    import obswriter_client
    from obswriter_testsupport.http_server import answering

    try:
        run("clients", tmp_path)
        with answering() as server:
            httpx.get(server.url, trust_env=False)
    finally:
        obswriter_client.observe_httpx()()
    obswriter.flush()
    [file] = (tmp_path / "observability" / "span" / "shop").glob("*.jsonl")
    assert f'"id":"{server.asked[0].parent}"' in file.read_text()


def test_the_direct_example_records_each_type(captured: Captured, tmp_path: Path) -> None:
    run("direct", tmp_path)
    trace = captured.one("trace")
    assert (trace["input"], trace["output"]) == ({"cart": 7}, "paid")
    assert captured.one("span", name="charge")["traceId"] == trace["id"]
    assert captured.one("log")["traceId"] == trace["id"]
    assert captured.one("metric")["value"] == 12.5
    assert captured.one("score")["traceId"] == trace["id"]


def test_the_redaction_example_takes_out_what_it_names(own_writer: None, tmp_path: Path) -> None:
    obswriter = run("redaction", tmp_path)["obswriter"]
    obswriter.log("info", "m", attributes={"user.email": "a@example.com", "user.id": 7})
    obswriter.flush()
    [file] = tmp_path.glob("observability/log/*/*.jsonl")
    assert '"attributes":{"user.email":null,"user.id":7}' in file.read_text()


def test_the_table_of_options_has_each_with_its_default() -> None:
    text = README.read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", text, re.MULTILINE))
    assert set(OPTIONS) <= set(rows)
    for name, option in OPTIONS.items():
        if isinstance(option.default, str | int):
            assert rows[name] == f"`{option.default}`", name


def test_the_sql_of_the_readme_runs_in_duckdb(captured: Captured, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    run("direct", tmp_path)
    captured.events()
    [sql] = re.findall(r"```sql\n(.*?)```", README.read_text(), re.DOTALL)
    rows = duckdb.sql(sql.replace("observability/", f"{captured.root}/observability/")).fetchall()
    assert {row[0] for row in rows} == {"checkout", "charge"}
