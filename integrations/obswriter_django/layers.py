"""Spans of middleware and of signals' receivers, on request (``MIDDLEWARE``, ``SIGNALS``).

Django has no hook around either: what it looks up when it builds the middleware's chain, and when
it sends a signal, is replaced by what returns the same in spans, and put back.
"""

import functools
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.handlers import base
from django.dispatch import Signal

import obswriter
from obswriter import context

from .conf import conf
from .exchange import exchange_of
from .spans import replace

_OURS = "obswriter_django"


def watch_layers() -> None:
    """Do as the settings say; of middleware, from the next time that Django builds the chain."""
    replace(base, "convert_exception_to_response", conf.wants("MIDDLEWARE"), _converting)
    replace(Signal, "_live_receivers", conf.wants("SIGNALS"), _receiving)


def _converting(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap each middleware, and the view's call within them, whose span ends there."""

    @functools.wraps(convert)
    def observed(get_response: Any) -> Any:
        if isinstance(getattr(get_response, "__self__", None), base.BaseHandler):
            return convert(_ending_view(get_response))
        module, name = _names(get_response)
        if module.startswith(_OURS):
            return convert(get_response)
        return convert(_within_span(get_response, f"middleware {name}", f"{module}.{name}"))

    return observed


def _ending_view(get_response: Any) -> Any:
    def end(request: Any) -> None:
        exchange = exchange_of(request)
        if exchange is not None:
            exchange.end_view()

    def called(request: Any) -> Any:
        response = get_response(request)
        end(request)
        return response

    async def awaited(request: Any) -> Any:
        response = await get_response(request)
        end(request)
        return response

    return awaited if iscoroutinefunction(get_response) else called


def _receiving(live_receivers: Any) -> Any:
    @functools.wraps(live_receivers)
    def observed(self: Signal, sender: Any) -> Any:
        found = live_receivers(self, sender)
        if context.current() is None:
            return found
        return tuple([_received(receiver) for receiver in kind] for kind in found)

    return observed


def _received(receiver: Any) -> Any:
    module, name = _names(receiver)
    if module.startswith(_OURS):
        return receiver
    return _within_span(receiver, f"signal {name}", f"{module}.{name}")


def _within_span(function: Any, name: str, full_name: str) -> Any:
    """Return *function* in a span, where there is one around it; of its own kind."""
    attributes = {"code.function.name": full_name}

    def called(*args: Any, **kwargs: Any) -> Any:
        if context.current() is None:
            return function(*args, **kwargs)
        with obswriter.span(name, attributes=attributes):
            return function(*args, **kwargs)

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        if context.current() is None:
            return await function(*args, **kwargs)
        with obswriter.span(name, attributes=attributes):
            return await function(*args, **kwargs)

    wrapper: Any = awaited if iscoroutinefunction(function) else called
    return functools.update_wrapper(wrapper, function, assigned=("__qualname__",), updated=())


def _names(function: Any) -> tuple[str, str]:
    """Return the module and the name of what is called; a closure is named after its maker."""
    while isinstance(function, functools.partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return str(named.__module__), str(named.__qualname__).partition(".<locals>")[0]
