"""Visits the site with the middleware and without it; prints what is not the same, as JSON.

python -m obswriter_testsupport.polls.visit
"""

from __future__ import annotations

import json
import logging
import random
import warnings
from importlib.util import find_spec
from typing import Any
from unittest import mock

import django
from django.conf import settings

OURS = "obswriter_django.ObservabilityMiddleware"
USUAL = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
CONTRIB = "admin auth contenttypes sessions messages staticfiles"
EVERYTHING = {
    "DB": True, "DB_PARAMETERS": True, "DB_SLOW_MS": 0, "CACHE": True, "TEMPLATES": True,
    "MIDDLEWARE": True, "SIGNALS": True, "METRICS": True, "USER_ID": True,
    "REQUEST_HEADERS": ["*"], "RESPONSE_HEADERS": ["*"], "TRUSTED_PROXIES": ["127.0.0.1"],
}  # fmt: skip
FORM = """<form action="{% url 'polls:vote' question.id %}" method="post">
{% csrf_token %}{{ error }}
{% for choice in question.choice_set.all %}{% include "choice.html" %}{% endfor %}</form>"""
PAGES = {
    "index.html": "{% for q in questions %}<li>{{ q }}</li>{% empty %}No polls.{% endfor %}",
    "detail.html": FORM,
    "choice.html": "<input type=radio name=choice value={{ choice.id }}> {{ choice }}",
    "results.html": "{{ question }}{% for vote in votes %}<li>{{ vote }}</li>{% endfor %}",
}
LOADER = ("django.template.loaders.locmem.Loader", PAGES)
APPS = ["django.template.loaders.app_directories.Loader"]


def set_up() -> None:
    rest = ["rest_framework"] if find_spec("rest_framework") else []
    settings.configure(
        ALLOWED_HOSTS=["testserver"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "obswriter_django",
            *(f"django.contrib.{name}" for name in CONTRIB.split()),
            *rest,
            "obswriter_testsupport.polls",
        ],
        LOGGING_CONFIG=None,
        MIDDLEWARE=USUAL,
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        REST_FRAMEWORK={"DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"]},
        ROOT_URLCONF="obswriter_testsupport.polls.urls",
        SECRET_KEY="only for tests",
        STATIC_URL="static/",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [LOADER, *APPS],
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ],
                },
            }
        ],
        USE_TZ=True,
    )
    django.setup()
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)


QUESTION = {
    "text": "What's new?", "published_0": "2026-01-23", "published_1": "12:00:00",
    "choice_set-TOTAL_FORMS": "1", "choice_set-INITIAL_FORMS": "0", "choice_set-0-text": "Tea",
    "choice_set-0-votes": "0",
}  # fmt: skip
VISITS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/polls/", {}),
    ("GET", "/admin/", {}),
    ("GET", "/admin/login/?next=/admin/", {}),
    ("POST", "/admin/login/?next=/admin/", {"data": {"username": "anna", "password": "no"}}),
    ("POST", "/admin/login/?next=/admin/", {"data": {"username": "anna", "password": "tea"}}),
    ("GET", "/admin/", {}),
    ("GET", "/admin/polls/question/add/", {}),
    ("POST", "/admin/polls/question/add/", {"data": {"text": ""}}),
    ("POST", "/admin/polls/question/add/", {"data": QUESTION}),
    ("GET", "/admin/polls/question/?q=new&published__year=2026", {}),
    ("GET", "/admin/polls/question/1/change/", {}),
    ("GET", "/admin/polls/question/99/change/", {}),
    ("GET", "/admin/jsi18n/", {}),
    ("GET", "/polls/", {}),
    ("GET", "/polls/1/", {}),
    ("HEAD", "/polls/1/", {}),
    ("GET", "/polls/1", {}),
    ("GET", "/polls/99/", {}),
    ("POST", "/polls/1/vote/", {"data": {}}),
    ("POST", "/polls/1/vote/", {"data": {"choice": "1"}}),
    ("GET", "/polls/1/results/", {"headers": {"accept-language": "de"}}),
    ("GET", "/polls/export/", {}),
    ("GET", "/polls/source/", {}),
    ("GET", "/polls/fails/", {}),
    ("BREW", "/polls/", {}),
    ("GET", "/nowhere/", {}),
    ("GET", "/polls/", {"headers": {"host": "elsewhere.test"}}),
    ("GET", "/api/", {"headers": {"accept": "text/html"}}),
    ("GET", "/api/questions/", {}),
    ("GET", "/api/questions/1/", {"headers": {"accept": "text/html", "accept-encoding": "gzip"}}),
    ("POST", "/api/questions/", {"data": {"text": ""}}),
    ("DELETE", "/api/questions/1/", {}),
    ("POST", "/admin/logout/", {"data": {}}),
]


def prepared(options: dict[str, Any]) -> dict[str, Any]:
    from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

    if "data" not in options:
        return options
    data = encode_multipart(BOUNDARY, options["data"])
    return {**options, "data": data, "content_type": MULTIPART_CONTENT}


def ask(client: Any, method: str, path: str, options: dict[str, Any]) -> tuple[Any, bytes]:
    response = client.generic(method, path, **options)
    body = b"".join(response) if response.streaming else response.content
    response.close()
    return response, body


async def ask_async(
    client: Any, method: str, path: str, options: dict[str, Any]
) -> tuple[Any, bytes]:
    response = await client.generic(method, path, **options)
    body = b"".join([part async for part in response]) if response.streaming else response.content
    return response, body


def visit(server: str) -> list[Any]:
    """Return what one visitor gets, the chance taken out of it."""
    from asgiref.sync import async_to_sync
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import AsyncClient, Client

    call_command("flush", interactive=False, verbosity=0)
    User.objects.create_superuser("anna", password="tea")
    client: Any = (AsyncClient if server == "asgi" else Client)(raise_request_exception=False)
    asking: Any = async_to_sync(ask_async) if server == "asgi" else ask
    chance, found = random.Random(7), []
    with (
        mock.patch("secrets.choice", chance.choice),
        mock.patch("secrets.randbelow", chance.randrange),
        mock.patch("time.time", return_value=1769169600.0),  # what responses expire after
    ):
        for method, path, options in VISITS:
            response, body = asking(client, method, path, prepared(options))
            cookies = [cookie.OutputString() for cookie in response.cookies.values()]
            headers = [list(pair) for pair in response.items()]
            text = body.decode("latin-1")
            found.append([f"{method} {path}", response.status_code, headers, cookies, text])
    return found


def compare(server: str) -> dict[str, Any]:
    """Return the statuses, what differs, and the names of the spans."""
    from django.test import override_settings

    from obswriter.testing import capture

    plain = visit(server)
    with (
        capture() as captured,
        override_settings(MIDDLEWARE=[OURS, *USUAL], OBSWRITER=EVERYTHING),
    ):
        observed = visit(server)
        spans = captured.events("span")
    return {
        "statuses": {asked: status for asked, status, *_ in plain},
        "visits": len(plain),
        "different": [pair for pair in zip(plain, observed, strict=True) if pair[0] != pair[1]],
        "servers": [span["name"] for span in spans if span["spanKind"] == "server"],
        "others": sorted({span["name"].split()[0] for span in spans}),
    }


def main() -> None:
    set_up()
    logging.disable()
    # Django's own, where a file is served by an asynchronous server.
    warnings.filterwarnings("ignore", "StreamingHttpResponse must consume synchronous")
    print(json.dumps({server: compare(server) for server in ("wsgi", "asgi")}))


if __name__ == "__main__":
    main()
