"""System checks: is what the settings say about obswriter right, and will it work?

E001 OBSWRITER is no dict · E002 unknown key · E003 wrong value · E004 wrong option of the
middleware or of spans · E005 wrong environment variable · E006 the storage cannot be opened ·
W001 middleware missing · W002 not first · W003 twice · W004 storage not writable ·
W005 the settings are not used
"""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from obswriter import ConfigurationError, LocalStorage, ObservabilityWriterConfig
from obswriter.config import OPTIONS, from_environment
from obswriter.storage import open_storage

from .conf import DEFAULTS, OWN_KEYS, WEB_KEYS, conf, switch_fault, web_fault
from .middleware import ObservabilityMiddleware

KEYS = [*(name.upper() for name in OPTIONS), *OWN_KEYS]
OWN_FAULT = "obswriter.E004"
PATH = "obswriter_django.ObservabilityMiddleware"

Apps = Sequence[AppConfig] | None


def check_settings(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Judge what the settings and the environment say."""
    if not isinstance(conf.OBSWRITER, Mapping):
        hint = 'Write OBSWRITER = {"FILE_STORAGE": ..., "PROJECT_ID": ...}.'
        text = f"OBSWRITER must be a dict; got {conf.OBSWRITER!r}."
        return [Error(text, hint=hint, id="obswriter.E001")]
    return [*_check_options(), *_check_own(), *_check_environment()]


def check_storage(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Judge whether files can be stored; a remote store is not asked."""
    if check_settings():
        return []
    try:
        where = from_environment().get("file_storage", conf.options.get("FILE_STORAGE", os.curdir))
        storage = open_storage(where)
    except ConfigurationError as error:
        return [Error(f"{error}.", id="obswriter.E006")]
    if not isinstance(storage, LocalStorage) or _is_writable(storage.root):
        return []
    text = f"OBSWRITER['FILE_STORAGE']: nothing can be written to the directory '{storage.root}'."
    hint = "Name a directory that this user may write to, or change its owner or mode."
    return [checks.Warning(text, hint=hint, id="obswriter.W004")]


def check_middleware(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Judge where the middleware stands."""
    places = [place for place, path in enumerate(settings.MIDDLEWARE) if _is_ours(path)]
    first = f'Put "{PATH}" first in MIDDLEWARE'
    if not places:
        text = "MIDDLEWARE has no ObservabilityMiddleware: requests are not recorded."
        return [checks.Warning(text, hint=f"{first}.", id="obswriter.W001")]
    found: list[CheckMessage] = []
    if places[0] > 0:
        before = ", ".join(settings.MIDDLEWARE[: places[0]])
        text = f"MIDDLEWARE has ObservabilityMiddleware after {before}, which it cannot measure."
        hint = f"{first}; if it is meant, add 'obswriter.W002' to SILENCED_SYSTEM_CHECKS."
        found.append(checks.Warning(text, hint=hint, id="obswriter.W002"))
    if len(places) > 1:
        text = f"MIDDLEWARE has ObservabilityMiddleware {len(places)} times; only the first counts."
        found.append(checks.Warning(text, hint="Remove the others.", id="obswriter.W003"))
    return found


def check_use(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Say so if the process writes with other options than the settings'."""
    conflict = getattr(apps.get_app_config("obswriter_django"), "conflict", "")
    if not conflict:
        return []
    hint = "Remove OBSWRITER from the settings, or the call of obswriter.configure()."
    text = f"OBSWRITER is not used: {conflict}."
    return [checks.Warning(text, hint=hint, id="obswriter.W005")]


def _check_options() -> Iterator[CheckMessage]:
    for key, value in conf.options.items():
        name = key.lower()
        if name not in OPTIONS:
            similar = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.5)
            hint = f"Did you mean {similar[0]!r}?" if similar else f"Known are {', '.join(KEYS)}."
            text = f"OBSWRITER has the unknown key {key!r} (value {value!r})."
            yield Error(text, hint=hint, id="obswriter.E002")
        elif fault := _fault(name, value):
            hint = "Correct or remove this key of OBSWRITER."
            yield Error(f"OBSWRITER[{key!r}]: {fault}.", hint=hint, id="obswriter.E003")


def _check_own() -> Iterator[CheckMessage]:
    given = conf.given
    faults = [web_fault(key, given) for key in WEB_KEYS if key in given]
    faults += [switch_fault(key, given[key]) for key in DEFAULTS if key in given]
    for fault in filter(None, faults):
        hint = "Correct or remove this key of OBSWRITER; until then it is left out."
        yield Error(f"{fault}.", hint=hint, id=OWN_FAULT)


def _check_environment() -> Iterator[CheckMessage]:
    try:
        named = from_environment().items()
        faults = [f"OBSWRITER_{n.upper()}: {f}" for n, v in named if (f := _fault(n, v))]
    except ConfigurationError as error:
        faults = [str(error)]
    for fault in faults:
        hint = "Correct or unset the environment variable."
        yield Error(f"{fault}.", hint=hint, id="obswriter.E005")


def _fault(name: str, value: object) -> str:
    """What the writer has against one option's value, the others being right."""
    options: dict[str, Any] = {"file_storage": os.curdir, "project_id": "default", name: value}
    try:
        ObservabilityWriterConfig(**options)
    except ConfigurationError as error:
        return str(error)
    return ""


def _is_ours(path: str) -> bool:
    try:
        kind = import_string(path)
    except ImportError:
        return False
    return isinstance(kind, type) and issubclass(kind, ObservabilityMiddleware)


def _is_writable(directory: Path) -> bool:
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)
