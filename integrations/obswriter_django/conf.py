"""The ``OBSWRITER`` setting, read when asked, so that ``override_settings`` works."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from django.conf import settings
from django.utils.module_loading import import_string

from obswriter import ConfigurationError
from obswriter.vocabulary import nearest
from obswriter_http import HttpOptions

WEB_KEYS: Final = (
    "EXCLUDE", "REQUEST_HEADERS", "RESPONSE_HEADERS", "TRUSTED_PROXIES", "ON_REQUEST",
    "ON_RESPONSE", "METRICS", "TRACERESPONSE", "USER_ID",
)  # fmt: skip
"""What the middleware understands beside the writer's options."""

HOOKS: Final = ("ON_REQUEST", "ON_RESPONSE")

SWITCHES: Final = (
    "DB", "DB_PARAMETERS", "CACHE", "TEMPLATES", "MIDDLEWARE", "SIGNALS", "COMMANDS",
)  # fmt: skip
"""What is recorded on request: spans of queries, with parameters, of the cache, of templates, of
middleware and of signals' receivers.
``COMMANDS``: management commands as traces, which is on by default."""

SLOW: Final = "DB_SLOW_MS"
"""Milliseconds after which a query says which line of the application made it."""

CELERY: Final = "CELERY"
"""Record Celery's tasks: True, or a dict of ``CeleryOptions`` by their names in capitals."""

OWN_KEYS: Final = (*WEB_KEYS, *SWITCHES, SLOW, CELERY)
DEFAULTS: Final = {**dict.fromkeys((*SWITCHES, CELERY), False), "COMMANDS": True, SLOW: 500}


class Settings:
    """Django's settings, as far as they are about obswriter."""

    def __init__(self) -> None:
        self._read: object = self  # which setting the rest was made of
        self._own: dict[str, Any] = {}
        self._http = HttpOptions.check()

    @property
    def OBSWRITER(self) -> Any:  # noqa: N802 (the setting's name)
        """Return what the settings say, right or wrong; the checks judge it."""
        return getattr(settings, "OBSWRITER", {})

    @property
    def given(self) -> dict[str, Any]:
        """Return what the settings say, by names in capitals."""
        given = self.OBSWRITER
        named = given.items() if isinstance(given, Mapping) else ()
        return {str(key).upper(): value for key, value in named}

    @property
    def options(self) -> dict[str, Any]:
        """Return the writer's options by their names in capitals."""
        return {key: value for key, value in self.given.items() if key not in OWN_KEYS}

    @property
    def http(self) -> HttpOptions:
        """Return the middleware's options; a wrong one is left out, and the checks say so."""
        self._reread()
        return self._http

    def wants(self, key: str) -> Any:
        """Return one of the switches, ``DB_SLOW_MS`` or ``CELERY``."""
        self._reread()
        return self._own[key]

    def _reread(self) -> None:
        if self._read is self.OBSWRITER:
            return
        self._read = self.OBSWRITER
        given = self.given
        right = {key: given[key] for key in WEB_KEYS if key in given and not web_fault(key, given)}
        self._http = HttpOptions.check(**{key.lower(): loaded(key, right[key]) for key in right})
        known = {key: given[key] for key in DEFAULTS if key in given}
        good = {key: value for key, value in known.items() if not switch_fault(key, value)}
        self._own = {**DEFAULTS, **good}


def loaded(key: str, value: Any) -> Any:
    """Return a hook that a dotted path names: settings are written before it can be imported."""
    return import_string(value) if key in HOOKS and isinstance(value, str) else value


def web_fault(key: str, given: Mapping[str, Any]) -> str:
    """Return what is wrong with one of the middleware's options, or an empty text."""
    try:
        value = loaded(key, given[key])
        HttpOptions.check(lambda _: f"OBSWRITER[{key!r}]", **{key.lower(): value})
    except ImportError as error:
        return f"OBSWRITER[{key!r}] names {given[key]!r}, which cannot be imported: {error}"
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def switch_fault(key: str, value: object) -> str:
    """Return what is wrong with one of ``DEFAULTS``' keys, or an empty text."""
    if key == CELERY:
        return _celery_fault(value)
    if key == SLOW:
        good, wanted = type(value) is int and value >= 0, "milliseconds, 0 or more"
    else:
        good, wanted = isinstance(value, bool), "True or False"
    return "" if good else f"OBSWRITER[{key!r}] must be {wanted}; got {value!r}"


def _celery_fault(value: object) -> str:
    if not isinstance(value, bool | Mapping):
        return f"OBSWRITER['CELERY'] must be True, False or a dict; got {value!r}"
    try:
        if value:
            celery_options(value)
    except ConfigurationError as error:
        return f"OBSWRITER['CELERY']: {error}"
    except ImportError as error:
        return f"OBSWRITER['CELERY']: {error}; pip install 'obswriter[celery]'"
    return ""


def celery_options(value: bool | Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``CELERY`` asks for by the options' names; an error names a wrong one."""
    from obswriter_celery import CeleryOptions

    given = {} if isinstance(value, bool) else {key.lower(): value[key] for key in value}
    known = [field.name for field in fields(CeleryOptions)]
    for name in given:
        if name not in known:
            raise ConfigurationError(f"unknown key {name.upper()!r}{nearest(name, known)}")
    CeleryOptions(**given)
    return given


conf = Settings()
