"""Spans of the cache and of templates, on request (``CACHE``, ``TEMPLATES``), and of commands.

Django has no signal for any of them. Where they are wanted, the methods that do the work are
replaced by ones that do the same in a span; where they are no longer, the old ones come back.
"""

import functools
from collections.abc import Callable
from typing import Any, Final

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.management.base import BaseCommand
from django.template import base as template

import obswriter
from obswriter import LiveSpan, context

from .conf import conf

_OPERATIONS: Final = (
    "get", "set", "add", "delete", "touch", "incr", "get_many", "set_many", "delete_many", "clear",
)  # fmt: skip

# Since Django 6.0 a template has parts that can be rendered alone.
_TEMPLATES: Final = (template.Template, *filter(None, [getattr(template, "PartialTemplate", None)]))

_NOT_TRACED: Final = frozenset(
    "check dbshell obswriter runserver runserver_plus shell shell_plus test testserver".split()
)
"""Commands that only look, or that serve until somebody ends them: that has its own traces."""


def watch_spans() -> None:
    """Do as the settings say."""
    for backend in {type(cache) for cache in caches.all(initialized_only=False)}:
        for name in _OPERATIONS:
            replace(backend, name, conf.wants("CACHE"), _cached)
    for kind in _TEMPLATES:
        replace(kind, "_render", conf.wants("TEMPLATES"), _rendered)
    replace(BaseCommand, "execute", conf.wants("COMMANDS"), _commanded)


def replace(kind: Any, name: str, wanted: bool, wrapping: Callable[[Any], Any]) -> None:
    """Wrap a method of a class, or a function of a module, or put its own back."""
    method = getattr(kind, name)
    original = getattr(method, "_obswriter_original", None)
    if wanted and original is None:
        wrapper = wrapping(method)
        wrapper._obswriter_original = method
        setattr(kind, name, wrapper)
    elif not wanted and original is not None and name in vars(kind):
        setattr(kind, name, original)


def _cached(method: Any) -> Any:
    name = method.__name__

    @functools.wraps(method)
    def observed(self: BaseCache, *args: Any, **kwargs: Any) -> Any:
        parent = context.current()
        if parent is None or getattr(parent, "_name", "").startswith("cache "):  # within another
            return method(self, *args, **kwargs)
        keys = kwargs.get("key", kwargs.get("keys", args[0] if args else None))
        attributes = {"obswriter.cache.operation": name, "obswriter.cache.key": _shape(keys)}
        with obswriter.span(f"cache {name}", kind="client", attributes=attributes) as span:
            if name == "get":
                return _got(method, self, args, kwargs, span)
            found = method(self, *args, **kwargs)
            if name == "get_many":
                span.set_attribute("obswriter.cache.hits", len(found))
            return found

    return observed


def _got(
    method: Any, cache: BaseCache, args: tuple[Any, ...], kwargs: dict[str, Any], span: LiveSpan
) -> Any:
    """Get a value; where a default is given, it may be cached as well: only a stand-in is not."""
    default = missing = None
    if len(args) > 1:
        default, missing = args[1], _Missing()
        args = args[0], missing, *args[2:]
    elif "default" in kwargs:
        default, missing = kwargs["default"], _Missing()
        kwargs = {**kwargs, "default": missing}
    found = method(cache, *args, **kwargs)
    span.set_attribute("obswriter.cache.hit", found is not missing)
    return default if found is missing else found


class _Missing:
    """What no cache has."""


def _shape(keys: Any) -> Any:
    """Return keys with their digits replaced: what kind of key it is, and not whose."""
    if isinstance(keys, str):
        return "".join("#" if sign.isdecimal() else sign for sign in keys)
    return [_shape(str(key)) for key in keys] if isinstance(keys, list | tuple | dict | set) else ""


def _rendered(method: Any) -> Any:
    @functools.wraps(method)
    def observed(self: Any, *args: Any, **kwargs: Any) -> Any:
        if context.current() is None:
            return method(self, *args, **kwargs)
        name = self.name or "<unnamed>"
        attributes = {"obswriter.template.name": name}
        with obswriter.span(f"template {name}", attributes=attributes):
            return method(self, *args, **kwargs)

    return observed


def _commanded(method: Any) -> Any:
    @functools.wraps(method)
    def observed(self: BaseCommand, *args: Any, **kwargs: Any) -> Any:
        name = type(self).__module__.rpartition(".")[2]
        if name in _NOT_TRACED:
            return method(self, *args, **kwargs)
        attributes = {"code.function.name": f"{type(self).__module__}.Command.handle"}
        with obswriter.span(f"manage.py {name}", attributes=attributes):
            return method(self, *args, **kwargs)

    return observed
