"""Queries and transactions as spans, where DB is asked for: on SQLite, for real."""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING, Any

import pytest
from django.db import DatabaseError, connections, transaction
from django.http import HttpResponse
from django.urls import path

import obswriter
from obswriter_django import database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obswriter.testing import Captured


@pytest.fixture
def connection(settings: Any, tmp_path: Path) -> Iterator[Any]:
    """A connection as Django makes them; one to a database in memory would never be closed."""
    from django.db.utils import ConnectionHandler

    handler = ConnectionHandler(
        {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "shop.sqlite3"}}
    )
    connection = handler["default"]
    connections["default"] = connection
    settings.OBSWRITER = {"DB": True}
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE shop_item (id integer, name text)")
    yield connection
    connection.close()
    del connections["default"]


def ask(connection: Any, sql: str, params: Any = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def test_a_query_is_a_span_without_its_parameters(captured: Captured, connection: Any) -> None:
    with obswriter.span("request") as request:
        ask(connection, "INSERT INTO shop_item VALUES (%s, %s)", [7, "tea"])
        assert ask(connection, 'SELECT "name" FROM "shop_item" WHERE id = %s', [7]) == [("tea",)]
    insert = captured.one("span", name="INSERT shop_item")
    select = captured.one("span", name="SELECT shop_item")
    assert select["parentSpanId"] == request.id
    assert (select["spanKind"], select["status"]) == ("client", "unset")
    assert select["attributes"] == {
        "db.system.name": "sqlite",
        "db.namespace": connection.settings_dict["NAME"].__fspath__(),
        "db.operation.name": "SELECT",
        "db.collection.name": "shop_item",
        "db.query.text": 'SELECT "name" FROM "shop_item" WHERE id = %s',
    }
    assert insert["attributes"]["obswriter.db.rows"] == 1


def test_parameters_are_recorded_on_request(
    captured: Captured, connection: Any, settings: Any
) -> None:
    settings.OBSWRITER = {"DB": True, "DB_PARAMETERS": True}
    ask(connection, "SELECT id FROM shop_item WHERE id = %s AND name = %s", [7, "tea"])
    attributes = captured.one("span", name="SELECT shop_item")["attributes"]
    assert attributes["db.query.parameter.0"] == 7
    assert attributes["db.query.parameter.1"] == "tea"


def test_many_at_once_are_one_span(captured: Captured, connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO shop_item VALUES (%s, 'x')", [[1], [2], [3]])
    span = captured.one("span", name="INSERT shop_item")
    assert span["attributes"]["db.operation.batch.size"] == 3
    assert span["attributes"]["obswriter.db.rows"] == 3


def test_a_query_that_fails_is_an_error(captured: Captured, connection: Any) -> None:
    with pytest.raises(DatabaseError):
        ask(connection, "SELECT * FROM nowhere")
    span = captured.one("span", name="SELECT nowhere")
    assert span["status"] == "error"
    assert span["attributes"]["error.type"] == "django.db.utils.OperationalError"


def test_a_slow_query_says_who_made_it(captured: Captured, connection: Any, settings: Any) -> None:
    settings.OBSWRITER = {"DB": True, "DB_SLOW_MS": 0}
    ask(connection, "SELECT id FROM shop_item")
    attributes = captured.one("span", name="SELECT shop_item")["attributes"]
    assert attributes["code.file.path"] == __file__
    assert attributes["code.function.name"] == "ask"
    assert "cursor.execute" in linecache.getline(__file__, attributes["code.line.number"])


def test_a_transaction_is_a_span_around_its_queries(captured: Captured, connection: Any) -> None:
    with obswriter.span("request") as request, transaction.atomic():
        ask(connection, "INSERT INTO shop_item VALUES (1, 'x')")
    span = captured.one("span", name="transaction")
    assert (span["parentSpanId"], span["status"]) == (request.id, "unset")
    insert = captured.one("span", name="INSERT shop_item")
    assert insert["parentSpanId"] == span["id"]
    assert insert["endTime"] <= span["endTime"]


def test_a_transaction_that_is_rolled_back_is_an_error(captured: Captured, connection: Any) -> None:
    with (
        pytest.raises(LookupError),
        obswriter.span("request"),
        transaction.atomic(),
    ):
        raise LookupError
    span = captured.one("span", name="transaction")
    assert (span["status"], span.get("events")) == ("error", None)
    assert span["attributes"]["error.type"] == "LookupError"


def test_outside_of_any_span_a_transaction_is_none(captured: Captured, connection: Any) -> None:
    with transaction.atomic():
        pass
    assert captured.events("span", name="transaction") == []


def test_what_a_request_asks_twice_is_marked(
    captured: Captured, connection: Any, wsgi_site: Any
) -> None:
    def items(request: Any) -> HttpResponse:
        for number in (1, 2, 3):
            ask(connection, "SELECT name FROM shop_item WHERE id = %s", [number])
        return HttpResponse("ok")

    wsgi_site.has(path("items/", items))
    for _ in range(2):
        assert wsgi_site.get("/items/").status == 200
    spans = captured.events("span", name="SELECT shop_item")
    repeated = [span["attributes"].get("obswriter.db.repeated") for span in spans]
    assert repeated == [None, 2, 3, None, 2, 3]


def test_nothing_is_recorded_unless_it_is_asked_for(
    captured: Captured, connection: Any, settings: Any
) -> None:
    settings.OBSWRITER = {}
    ask(connection, "SELECT id FROM shop_item")
    assert captured.events("span", name="SELECT shop_item") == []


@pytest.mark.parametrize(
    ("sql", "operation", "table"),
    [
        ('SELECT "a"."id" FROM "shop_item" "a"', "SELECT", "shop_item"),
        ("  select a,\n b from t where x in (select y from z)", "SELECT", "t"),
        ("UPDATE `shop_item` SET a = 1", "UPDATE", "shop_item"),
        ("DELETE FROM [shop_item]", "DELETE", "shop_item"),
        ('CREATE TABLE "x" (a)', "CREATE", "x"),
        ('SAVEPOINT "s1_x2"', "SAVEPOINT", ""),
        ("BEGIN", "BEGIN", ""),
        ("", "QUERY", ""),
    ],
)
def test_a_statement_has_a_short_name(sql: str, operation: str, table: str) -> None:
    assert database._summarize(sql) == (operation, table)
