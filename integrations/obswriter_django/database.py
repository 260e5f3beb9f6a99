"""Database queries and transactions as spans, on every connection; on request (``DB``).

https://opentelemetry.io/docs/specs/semconv/database/database-spans/
"""

import functools
import re
import sys
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import django
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

import obswriter
from obswriter import context
from obswriter.lenient import type_name

from .conf import SLOW, conf

_SYSTEMS: Final = {"oracle": "oracle.db", "microsoft": "microsoft.sql_server"}
_summary = re.compile(
    r"\s*(\w+)(?:.*?\b(?:FROM|INTO|TABLE|JOIN)\b|(?<=UPDATE))?[\s\"`\[]*(\w+)?",
    re.IGNORECASE | re.DOTALL,
).match
_ON_TABLES: Final = frozenset("SELECT INSERT UPDATE DELETE CREATE ALTER DROP TRUNCATE".split())
_OURS: Final = tuple(str(Path(file).parent) for file in (django.__file__, __file__))

_seen: ContextVar["Counter[str] | None"] = ContextVar("obswriter_django_queries", default=None)

Execute = Callable[..., Any]


def watch_connections() -> None:
    """Look at the connections there are, and at those that will be."""
    connection_created.connect(_connected, dispatch_uid="obswriter_django")
    for connection in connections.all(initialized_only=True):
        _connected(connection=connection)


def _connected(*, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
    wanted, wrappers = conf.wants("DB"), connection.execute_wrappers
    if wanted and _execute not in wrappers:
        wrappers.append(_execute)
    elif not wanted and _execute in wrappers:
        wrappers.remove(_execute)
    if wanted and "set_autocommit" not in vars(connection):
        connection.set_autocommit = _Transactions(connection)  # type: ignore[method-assign]
    elif not wanted:
        vars(connection).pop("set_autocommit", None)


def count_queries() -> None:
    """Begin to count the queries of a request: what it asks twice is marked."""
    _seen.set(Counter() if conf.wants("DB") else None)


def _execute(execute: Execute, sql: str, params: Any, many: bool, details: dict[str, Any]) -> Any:
    text = sql if isinstance(sql, str) else _compose(sql, details.get("cursor"))
    attributes = {**_server(details["connection"]), **_query(text, params, many)}
    with obswriter.span(_name(attributes), kind="client", attributes=attributes) as span:
        began = perf_counter()
        result = execute(sql, params, many, details)
        if (perf_counter() - began) * 1000 >= conf.wants(SLOW):
            span.set_attributes(_place())
        rows = getattr(details.get("cursor"), "rowcount", -1)
        if isinstance(rows, int) and rows >= 0:
            span.set_attribute("obswriter.db.rows", rows)
        return result


def _name(attributes: dict[str, Any]) -> str:
    target = attributes.get("db.collection.name", attributes.get("db.namespace", ""))
    return f"{attributes['db.operation.name']} {target}".rstrip()


def _compose(sql: Any, cursor: Any) -> str:
    """Return the text of psycopg's composed SQL, whose literals are parameters like others."""
    if isinstance(sql, bytes):
        return sql.decode(errors="replace")
    if type(sql).__name__ == "Composed":
        return "".join(_compose(part, cursor) for part in sql)
    try:
        return "%s" if type(sql).__name__ == "Literal" else str(sql.as_string(cursor.cursor))
    except Exception:  # what else a driver may take for a statement
        return type(sql).__name__


def _query(text: str, params: Any, many: bool) -> dict[str, Any]:
    operation, table = _summarize(text)
    found: dict[str, Any] = {"db.operation.name": operation, "db.query.text": text}
    if table:
        found["db.collection.name"] = table
    if many:
        found["db.operation.batch.size"] = len(params)
    elif params and conf.wants("DB_PARAMETERS"):
        named = params.items() if isinstance(params, dict) else enumerate(params)
        found.update((f"db.query.parameter.{name}", value) for name, value in named)
    seen = _seen.get()
    if seen is not None:
        seen[text] += 1
        if seen[text] > 1:
            found["obswriter.db.repeated"] = seen[text]
    return found


@functools.lru_cache(maxsize=1024)
def _summarize(sql: str) -> tuple[str, str]:
    """Return the operation and the first table of a statement."""
    match = _summary(sql)
    if match is None:
        return "QUERY", ""
    operation = match[1].upper()
    return operation, (match[2] or "") if operation in _ON_TABLES else ""


def _server(connection: BaseDatabaseWrapper) -> dict[str, Any]:
    settings = connection.settings_dict
    found = {
        "db.system.name": _SYSTEMS.get(connection.vendor, connection.vendor),
        "db.namespace": str(settings.get("NAME") or ""),
        "server.address": settings.get("HOST"),
        "server.port": int(port) if (port := str(settings.get("PORT"))).isdecimal() else None,
    }
    return {name: value for name, value in found.items() if value}


def _place() -> dict[str, Any]:
    """The line of the application that made a query: the nearest outside of Django and of us."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back  # type: ignore[assignment]
    if frame is None:
        return {}
    code = frame.f_code
    return {
        "code.file.path": code.co_filename,
        "code.line.number": frame.f_lineno,
        "code.function.name": code.co_qualname,
    }


class _Transactions:
    """A connection's ``set_autocommit``: a transaction is a span while autocommit is off.

    Only within a span: a test case's transaction, say, is none of a request's.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._span: obswriter.LiveSpan | None = None

    def __call__(self, autocommit: bool, *args: Any, **kwargs: Any) -> None:
        connection = self._connection
        if not autocommit and self._span is None and context.current() is not None:
            attributes = _server(connection)
            self._span = obswriter.span("transaction", attributes=attributes).__enter__()
        try:
            type(connection).set_autocommit(connection, autocommit, *args, **kwargs)
        finally:
            if connection.autocommit:
                self._end(sys.exc_info()[1])

    def _end(self, error: BaseException | None) -> None:
        span, self._span = self._span, None
        if span is not None:
            if error is not None:  # which rolls back; its event is the view's
                span.set_status("error")
                span.set_attribute("error.type", type_name(error))
            span.__exit__(None, None, None)
