"""Puts a method that observes in the place of the one that sends a request, and takes it away."""

import functools
from collections.abc import Callable
from typing import Any, Final

from .exchange import Exchange, begin
from .options import ClientOptions
from .wire import Wire

Undo = Callable[[], None]

_NOTHING: Final = object()


class Observation:
    """A method of a class, or of one object, that is observed until ``undo()``.

    Where it is observed already, this takes the other's place: nothing nests. What others put
    around the method meanwhile stays, and calls it unobserved after ``undo()``.
    """

    def __init__(
        self, owner: Any, name: str, wire: Wire, options: ClientOptions, *, awaited: bool = False
    ) -> None:
        earlier = getattr(vars(owner).get(name), "obswriter_observation", None)
        if isinstance(earlier, Observation):
            earlier.undo()
        self._owner = owner
        self._name = name
        self._wire = wire
        self._options = options
        self._position = wire.position + isinstance(owner, type)
        self._active = True
        self._before = vars(owner).get(name, _NOTHING)
        wrap: Any = _wrap_coroutine if awaited else _wrap
        self._observed = wrap(getattr(owner, name), self)
        self._observed.obswriter_observation = self
        setattr(owner, name, self._observed)

    def undo(self) -> None:
        """Observe no more; again, it does nothing."""
        self._active = False
        if vars(self._owner).get(self._name) is not self._observed:
            return
        if self._before is _NOTHING:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._before)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exchange | None:
        """Begin the span of a call; ``None`` where there is nothing to observe."""
        if not self._active:
            return None
        request = kwargs.get(self._wire.parameter)
        if request is None and len(args) > self._position:
            request = args[self._position]
        return None if request is None else begin(self._wire, self._options, request)


def _wrap(send: Callable[..., Any], observation: Observation) -> Callable[..., Any]:
    @functools.wraps(send)
    def observed(*args: Any, **kwargs: Any) -> Any:
        exchange = observation.begin(args, kwargs)
        if exchange is None:
            return send(*args, **kwargs)
        try:
            response = send(*args, **kwargs)
        except BaseException as error:
            exchange.end(error)
            raise
        exchange.answered(response)
        return response

    return observed


def _wrap_coroutine(send: Callable[..., Any], observation: Observation) -> Callable[..., Any]:
    @functools.wraps(send)
    async def observed(*args: Any, **kwargs: Any) -> Any:
        exchange = observation.begin(args, kwargs)
        if exchange is None:
            return await send(*args, **kwargs)
        try:
            response = await send(*args, **kwargs)
        except BaseException as error:
            exchange.end(error)
            raise
        exchange.answered(response)
        return response

    return observed


def undo_all(observations: list[Observation]) -> Undo:
    """Return what ends them."""

    def undo() -> None:
        for observation in observations:
            observation.undo()

    return undo
