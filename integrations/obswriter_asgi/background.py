"""Background tasks of Starlette and FastAPI as spans of their own."""

import functools
import sys
from typing import Any

import obswriter
from obswriter import context, process
from obswriter.lenient import type_name

from .attributes import name_endpoint
from .observed import leave

_observed: set[type] = set()


def observe_background_tasks() -> None:
    """Have each ``BackgroundTask`` run in a span, if Starlette is there; once for the process.

    There is no signal to listen to: the method that runs a task is replaced by one that does the
    same in a span. Outside of observed requests it does nothing more.
    """
    module = sys.modules.get("starlette.background")
    if module is None or module.BackgroundTask in _observed:
        return
    _observed.add(module.BackgroundTask)
    run = module.BackgroundTask.__call__

    @functools.wraps(run)
    async def observed(self: Any) -> None:
        if context.current() is None or process.current_writer().disabled:
            await run(self)
            return
        name, function = name_endpoint(self.func)
        span = obswriter.span(name, attributes={"code.function.name": function}).__enter__()
        try:
            await run(self)
        except BaseException as error:
            if isinstance(error, Exception):  # its event is the server span's
                span.set_status("error")
                span.set_attribute("error.type", type_name(error))
            leave(span, None if isinstance(error, Exception) else error)
            raise
        leave(span, None)

    module.BackgroundTask.__call__ = observed
