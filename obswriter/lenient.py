"""Takes what application code gives, whatever it is, and makes of it what an event can hold."""

from collections.abc import Mapping
from typing import Any, TypeVar

from .interruption import pass_on_interruption, tolerated
from .repair import repair

W = TypeVar("W", bound=str)


def as_text(value: object) -> str:
    """Return a text as it is, and of anything else a readable form."""
    return value if type(value) is str else str(repair(value))


def as_word(value: object, known: tuple[W, ...], default: W) -> W:
    """Return *value* if it is a *known* word, else *default*."""
    text: Any = as_text(value)
    return text if text in known else default


def as_attributes(attributes: object) -> dict[str, Any]:
    """Copy a mapping, which may change later; what is none is kept under a name."""
    if type(attributes) is dict:
        return attributes.copy()
    if attributes is None:
        return {}
    with tolerated():
        if isinstance(attributes, Mapping):
            return dict(attributes)
    return {"value": attributes}


def type_name(error: BaseException) -> str:
    """Return an exception's type as ``error.type`` and ``exception.type`` have it."""
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def exception_attributes(error: BaseException) -> dict[str, Any]:
    """Return OpenTelemetry's ``exception.*`` attributes; safe with any exception."""
    import traceback

    try:
        told = traceback.TracebackException.from_exception(error, compact=True)
        message, stack = str(told), "".join(told.format())
    except Exception as failure:
        pass_on_interruption(failure)
        message, stack = as_text(error), "<no stack trace: it could not be formatted>"
    return {
        "exception.type": type_name(error),
        "exception.message": message,
        "exception.stacktrace": stack,
    }
