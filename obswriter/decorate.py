"""Runs decorated functions of every kind within a span of their own per call."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, cast

from .spans import F, LiveSpan

Begin = Callable[[], LiveSpan]


def decorate(function: F, begin: Begin) -> F:
    """Wrap *function* in one of its own kind; *begin* makes the span of one call."""
    if isinstance(function, classmethod):
        return cast("F", classmethod(decorate(function.__func__, begin)))
    inner = getattr(function, "__func__", function)  # of a staticmethod, say
    kinds = inner, vars(type(inner)).get("__call__")  # an object may be called, too
    wrap = next((wrap for is_one, wrap in _KINDS if any(map(is_one, kinds))), _plain)
    return cast("F", functools.wraps(function)(wrap(function, begin)))


def _is_coroutine_function(function: Any) -> bool:
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)  # types.coroutine's
    return inspect.iscoroutinefunction(function) or bool(flags & inspect.CO_ITERABLE_COROUTINE)


def _plain(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with begin():
            return function(*args, **kwargs)

    return wrapper


def _coroutine(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with begin():
            return await function(*args, **kwargs)

    return wrapper


# A generator's span is the current one only while its own body runs: between the steps the
# code around it goes on, maybe in another context.


def _generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        with begin() as span:
            step, value = generator.send, None
            while True:
                try:
                    item = step(value)
                except StopIteration as stop:
                    return stop.value
                span.suspend()
                try:
                    step, value = generator.send, (yield item)
                except BaseException as error:
                    step, value = generator.throw, error
                span.resume()

    return wrapper


def _async_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        with begin() as span:
            step, value = generator.asend, None
            while True:
                try:
                    item = await step(value)
                except StopAsyncIteration:
                    return
                span.suspend()
                try:
                    step, value = generator.asend, (yield item)
                except BaseException as error:
                    step, value = generator.athrow, error
                span.resume()

    return wrapper


# In this order: a generator that types.coroutine() has marked is a coroutine function.
_KINDS: tuple[tuple[Callable[[Any], bool], Callable[..., Any]], ...] = (
    (inspect.isasyncgenfunction, _async_generator),
    (_is_coroutine_function, _coroutine),
    (inspect.isgeneratorfunction, _generator),
)
