"""Follows a streaming response to its last byte, or to its early end."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from django.http import StreamingHttpResponse

import obswriter


def follow(
    response: StreamingHttpResponse, span: obswriter.LiveSpan, closed: Callable[[], None]
) -> None:
    """Have *span* be the current one while chunks are made, and end after the last of them.

    It also ends when the response is closed before: the client went away. *closed* is called
    when the response is.
    """
    # A file is left alone: with its content replaced, the server could not use sendfile.
    sends_file = getattr(response, "file_to_stream", None) is not None
    if not sends_file:
        kind = _AsyncChunks if response.is_async else _SyncChunks
        response.streaming_content = kind(response.streaming_content, span)
    response.close = _closing(  # type: ignore[method-assign]
        response.close, span, None if sends_file else GeneratorExit(), closed
    )
    span.suspend()


def note_disconnect(span: obswriter.LiveSpan, error: BaseException | None) -> None:
    """Say that the client went away: Django cancels the request then, or a stream is closed."""
    if isinstance(error, GeneratorExit) or type(error).__name__ == "CancelledError":
        span.set_attribute("obswriter.client_disconnected", value=True)


def _closing(
    close: Callable[[], None],
    span: obswriter.LiveSpan,
    early: BaseException | None,
    closed: Callable[[], None],
) -> Callable[[], None]:
    """After the last chunk the span has ended already; closed before, it says so."""

    def close_within_span() -> None:
        span.resume()
        try:
            close()
        finally:
            note_disconnect(span, early)
            span.__exit__(None if early is None else type(early), early, None)
            closed()

    return close_within_span


class _Chunks:
    """The chunks of a response; its ``with`` block is the making of one."""

    def __init__(self, chunks: Any, span: obswriter.LiveSpan) -> None:
        self._chunks = chunks
        self._span = span

    def __enter__(self) -> None:
        self._span.resume()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._span.suspend()
        elif isinstance(error, StopIteration | StopAsyncIteration):
            self._span.__exit__(None, None, None)
        else:
            note_disconnect(self._span, error)
            self._span.__exit__(kind, error, traceback)


class _SyncChunks(_Chunks):
    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        with self:
            return next(self._chunks)


class _AsyncChunks(_Chunks):
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        with self:
            return await anext(self._chunks)
