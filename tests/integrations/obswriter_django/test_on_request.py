"""What the settings may ask for besides: headers, hooks, metrics, cache, templates, commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, ManagementUtility, call_command
from django.core.management.base import BaseCommand
from django.http import HttpResponse, StreamingHttpResponse
from django.template import Context, Engine, base
from django.urls import path

import obswriter

if TYPE_CHECKING:
    from pathlib import Path

    from obswriter.testing import Captured


def pay(request: Any, number: int) -> HttpResponse:
    return HttpResponse("paid", headers={"X-Shop-Till": "4"})


def stream(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([b"a", b"b"]))


def server(captured: Captured) -> dict[str, Any]:
    return captured.one("span", spanKind="server")["attributes"]


PAY = path("pay/<int:number>/", pay)


def test_headers_are_recorded_where_they_are_named(
    captured: Captured, site: Any, settings: Any
) -> None:
    settings.OBSWRITER = {"REQUEST_HEADERS": ["x-shop*"], "RESPONSE_HEADERS": ["X-Shop-Till"]}
    site.has(PAY)
    site.get("/pay/7/", headers={"X-Shop": "a", "X-Other": "b"})
    found = {name: value for name, value in server(captured).items() if ".header." in name}
    assert found == {
        "http.request.header.x-shop": ["a"],
        "http.response.header.x-shop-till": ["4"],
    }


def test_a_trusted_proxy_names_client_scheme_and_host(
    captured: Captured, site: Any, settings: Any
) -> None:
    settings.OBSWRITER = {"TRUSTED_PROXIES": ["127.0.0.0/8"]}
    site.has(PAY)
    site.get("/pay/7/", headers={"Forwarded": "for=198.51.100.7;proto=https;host=shop.example.com"})
    found = server(captured)
    assert (found["client.address"], found["url.scheme"]) == ("198.51.100.7", "https")
    assert (found["server.address"], found["server.port"]) == ("shop.example.com", 443)


def note_user(span: obswriter.LiveSpan, request: Any) -> None:
    span.set_attribute("shop.path", request.path)


def fail(*_: Any) -> None:
    raise LookupError("a bug of the user's")


def test_hooks_may_be_named_and_their_faults_harm_nobody(
    captured: Captured, site: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.OBSWRITER = {"ON_REQUEST": f"{__name__}.note_user", "ON_RESPONSE": fail}
    site.has(PAY)
    assert site.get("/pay/7/").status == 200
    assert server(captured)["shop.path"] == "/pay/7/"
    assert len([r for r in caplog.records if "hook" in r.getMessage()]) == 1


def test_the_trace_is_named_in_the_response(
    captured: Captured, wsgi_site: Any, settings: Any
) -> None:
    from django.test import Client

    settings.OBSWRITER = {"TRACERESPONSE": True}
    wsgi_site.has(PAY)
    response = Client().get("/pay/7/")
    span = captured.one("span", spanKind="server")
    assert response["traceresponse"] == f"00-{span['traceId']}-{span['id']}-03"


@pytest.mark.parametrize("url", ["/pay/7/", "/stream/"])
def test_requests_are_measured(captured: Captured, wsgi_site: Any, settings: Any, url: str) -> None:
    settings.OBSWRITER = {"METRICS": True}
    wsgi_site.has(PAY, path("stream/", stream))
    wsgi_site.get(url)
    duration = captured.one("metric", name="http.server.request.duration")
    assert duration["attributes"]["http.route"] == ("/pay/<int:number>/" if "7" in url else url)
    assert duration["attributes"]["http.response.status_code"] == 200
    active = captured.events("metric", name="http.server.active_requests")
    assert [event["value"] for event in active] == [1, 0]


def test_the_cache_says_hit_or_miss_and_which_kind_of_key(captured: Captured, cache: Any) -> None:
    with obswriter.span("request") as request:
        assert cache.get("order:17") is None
        cache.set("order:17", "paid")
        assert cache.get("order:17") == "paid"
        assert cache.get_many(["order:17", "order:18"]) == {"order:17": "paid"}
        cache.incr("hits") if cache.add("hits", 1) else None
    found = captured.events("span", parentSpanId=request.id)
    assert [span["name"] for span in found] == [
        "cache get", "cache set", "cache get", "cache get_many", "cache add", "cache incr"
    ]  # fmt: skip
    assert [span["attributes"].get("obswriter.cache.hit") for span in found[:3]] == [
        False, None, True
    ]  # fmt: skip
    assert found[0]["attributes"]["obswriter.cache.key"] == "order:##"
    assert found[3]["attributes"]["obswriter.cache.key"] == ["order:##", "order:##"]
    assert found[3]["attributes"]["obswriter.cache.hits"] == 1


def test_outside_of_spans_the_cache_is_left_alone(captured: Captured, cache: Any) -> None:
    cache.set("order:17", "paid")
    assert captured.events("span") == []


def test_what_is_not_asked_for_any_more_is_as_it_was(
    captured: Captured, cache: Any, settings: Any
) -> None:
    settings.OBSWRITER = {}
    with obswriter.span("request"):
        cache.get("order:17")
    assert [span["name"] for span in captured.events("span")] == ["request"]
    assert not hasattr(type(cache).get, "_obswriter_original")


def test_templates_are_spans_each_in_the_one_that_includes_it(
    captured: Captured, settings: Any
) -> None:
    settings.OBSWRITER = {"TEMPLATES": True}
    loaders = [
        (
            "django.template.loaders.locmem.Loader",
            {"page.html": "<{% include 'item.html' %}>", "item.html": "{{ name }}"},
        )
    ]
    page = Engine(loaders=loaders).get_template("page.html")
    assert page.render(Context({"name": "tea"})) == "<tea>"
    with obswriter.span("request"):
        assert page.render(Context({"name": "tea"})) == "<tea>"
    outer = captured.one("span", name="template page.html")
    inner = captured.one("span", name="template item.html")
    assert inner["parentSpanId"] == outer["id"]
    assert outer["attributes"]["obswriter.template.name"] == "page.html"


@pytest.mark.skipif(not hasattr(base, "PartialTemplate"), reason="since Django 6.0")
def test_a_part_of_a_template_is_a_span_too(captured: Captured, settings: Any) -> None:
    settings.OBSWRITER = {"TEMPLATES": True}
    page = {"page.html": "{% partialdef row %}<{{ name }}>{% endpartialdef %}"}
    engine = Engine(loaders=[("django.template.loaders.locmem.Loader", page)])
    with obswriter.span("request"):
        row = engine.get_template("page.html#row")
        assert row.render(Context({"name": "tea"})) == "<tea>"
    names = [span["name"] for span in captured.events("span")]
    assert names == ["template row", "request"]


class Command(BaseCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        obswriter.log("info", "working")
        if options.get("verbosity") == 0:
            raise CommandError("nothing to do")


def test_a_management_command_is_a_trace(captured: Captured) -> None:
    call_command(Command())
    span = captured.one("span")
    assert span["name"] == f"manage.py {__name__.rpartition('.')[2]}"
    assert captured.one("trace")["name"] == span["name"]
    assert captured.one("log")["spanId"] == span["id"]


def test_a_command_that_fails_is_an_error(captured: Captured) -> None:
    with pytest.raises(CommandError):
        call_command(Command(), verbosity=0)
    assert captured.one("span")["status"] == "error"


def test_commands_are_left_alone_where_that_is_asked_for(captured: Captured, settings: Any) -> None:
    settings.OBSWRITER = {"COMMANDS": False}
    call_command(Command())
    assert captured.events("span") == []


def test_the_command_line_looks_where_the_settings_say(
    settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    for key in ("FILE_STORAGE", "PROJECT_ID", "BASE_PATH", "SPOOL_DIR"):
        monkeypatch.delenv(f"OBSWRITER_{key}", raising=False)
        monkeypatch.setenv(f"OBSWRITER_{key}", "")
    writer = obswriter.ObservabilityWriter(file_storage=tmp_path, project_id="shop")
    writer.record_log({"level": "info", "message": "x"})
    writer.shutdown()
    settings.OBSWRITER = {"FILE_STORAGE": tmp_path, "PROJECT_ID": "shop"}
    with pytest.raises(SystemExit) as ended:
        ManagementUtility(["manage.py", "obswriter", "ls", "--json"]).execute()
    assert ended.value.code == 0
    [line] = capsys.readouterr().out.splitlines()
    assert (json.loads(line)["projectId"], json.loads(line)["files"]) == ("shop", 1)


def test_a_storage_no_command_line_can_open_is_said(
    settings: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    settings.OBSWRITER = {"FILE_STORAGE": obswriter.LocalStorage("x")}
    monkeypatch.setenv("OBSWRITER_FILE_STORAGE", "")
    with pytest.raises(SystemExit) as ended:
        ManagementUtility(["manage.py", "obswriter", "ls"]).execute()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "OBSWRITER['FILE_STORAGE'] is LocalStorage(" in said
    assert "set OBSWRITER_FILE_STORAGE to a path or a URL" in said
