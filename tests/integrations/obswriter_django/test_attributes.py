"""Names say which route and which view, in few different words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import include, path, re_path
from django.views import View

from obswriter_django.attributes import request_attributes, template_of, view_names
from obswriter_http import TrustedProxies

if TYPE_CHECKING:
    from obswriter.testing import Captured

NOBODY = TrustedProxies("TRUSTED_PROXIES", ())


def view(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
    return HttpResponse()


@pytest.mark.parametrize(
    ("route", "template"),
    [
        ("", ""),
        ("items/<int:pk>/", "items/<int:pk>/"),
        ("odd(1)/<slug>.json", "odd(1)/<slug>.json"),
        (r"^items/(?P<pk>[0-9]+)/$", "items/<pk>/"),
        (r"^(?P<year>[0-9]{4})/(?P<slug>[\w-]+)/\Z", "<year>/<slug>/"),
        (r"^files/(?P<path>(a|b(c)?)/.*)$", "files/<path>"),
        (r"^page/([0-9]+)/$", "page/<var>/"),
        (r"^(?P<odd>[)(]+)/$", "<odd>/"),
        (r"^data\.json$", "data.json"),
        (r"^items\.(?P<format>[a-z0-9]+)/?$", "items.<format>/"),
        (r"api/^items/(?P<pk>\d+)$", "api/items/<pk>"),
        (r"^unbalanced(?P<a>x$", "unbalanced<a>"),
    ],
)
def test_a_regular_expression_reads_like_a_route(route: str, template: str) -> None:
    assert template_of(route) == template


@pytest.mark.parametrize(
    ("pattern", "url", "route"),
    [
        (path("", view), "/", "/"),
        (re_path(r"^a/(?P<pk>\d+)/$", view), "/a/1/", "/a/<pk>/"),
        (path("api/", include([path("<slug:s>/", view)])), "/api/x/", "/api/<slug:s>/"),
        (re_path(r"^v1/", include([re_path(r"^b/$", view)])), "/v1/b/", "/v1/b/"),
    ],
    ids=["root", "regular expression", "include", "include of regular expressions"],
)
def test_the_route_is_the_whole_way_from_the_root(
    pattern: Any, url: str, route: str, site: Any, captured: Captured
) -> None:
    site.has(pattern)
    assert site.get(url).status == 200
    server = captured.one("span", spanKind="server")
    assert server["name"] == f"GET {route}"
    assert server["attributes"]["http.route"] == route


def test_the_route_begins_where_the_site_is_mounted(wsgi_site: Any, captured: Captured) -> None:
    wsgi_site.has(path("items/", view))
    environ = RequestFactory()._base_environ(SCRIPT_NAME="/shop", PATH_INFO="/items/")
    assert WSGIHandler()(environ, lambda status, headers: None).status_code == 200
    attributes = captured.one("span", spanKind="server")["attributes"]
    assert attributes["http.route"] == attributes["url.path"] == "/shop/items/"


class Items(View):
    def get(self, request: Any) -> HttpResponse:
        return HttpResponse()


class ItemSet:
    """What a REST framework's viewset looks like from outside."""

    def list(self, request: Any) -> HttpResponse:
        return HttpResponse()


def as_viewset(request: Any) -> HttpResponse:
    return HttpResponse()


as_viewset.cls = ItemSet  # type: ignore[attr-defined]
as_viewset.actions = {"get": "list"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("function", "method", "name"),
    [
        (view, "GET", "view"),
        (Items.as_view(), "GET", "Items.get"),
        (Items.as_view(), "HEAD", "Items.get"),
        (Items.as_view(), "DELETE", "Items.http_method_not_allowed"),
        (as_viewset, "GET", "ItemSet.list"),
        (as_viewset, "HEAD", "ItemSet.list"),
    ],
)
def test_a_view_is_called_after_what_answers(function: Any, method: str, name: str) -> None:
    assert view_names(function, method) == (name, f"{__name__}.{name}")


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        ("shop.example", "shop.example", 80),
        ("shop.example:8000", "shop.example", 8000),
        ("[::1]:8000", "::1", 8000),
        ("bad host", None, 80),
    ],
)
def test_the_server_is_called_as_the_client_called_it(
    host: str, address: str | None, port: int, rf: Any
) -> None:
    attributes = request_attributes(rf.get("/", headers={"host": host}), NOBODY)
    assert attributes.get("server.address") == address
    assert attributes["server.port"] == port


def test_a_host_that_is_not_allowed_is_a_request_like_others(
    site: Any, captured: Captured, settings: Any
) -> None:
    """open-telemetry/opentelemetry-python-contrib#3651: Avoid Django's "ALLOWED_HOSTS" check."""
    settings.ALLOWED_HOSTS = ["other.example"]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.common.CommonMiddleware"]
    site.has(path("", view))
    assert site.get("/").status == 400
    assert captured.one("span")["attributes"]["http.response.status_code"] == 400


def test_a_request_that_says_nothing_is_described_by_what_there_is() -> None:
    request = HttpRequest()
    request.method = "GET"
    assert request_attributes(request, NOBODY) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "server.port": 80,
    }
