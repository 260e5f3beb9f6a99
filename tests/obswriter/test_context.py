"""The current span goes along with calls, tasks and copied contexts, and nowhere else."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import obswriter
from obswriter import SpanContext, context
from obswriter.testing import Captured

HERE = SpanContext("a" * 32, "b" * 16)


def current() -> object:
    """Ask the module: the first span replaces its function."""
    return context.current()


def in_new_context(function: Any, *args: Any) -> Any:
    return contextvars.Context().run(function, *args)


def test_without_a_span_nothing_is_current() -> None:
    assert in_new_context(current) is None


def test_what_is_attached_is_current_until_the_one_before_is_again() -> None:
    def check() -> None:
        context.attach(HERE)
        assert context.current() is HERE
        context.attach(None)
        assert context.current() is None

    in_new_context(check)


def test_asking_loads_nothing_and_the_first_span_does() -> None:
    code = """
import sys
from obswriter import context
assert context.current() is None
assert "contextvars_extras" not in sys.modules and "asyncio" not in sys.modules
context.attach(None)
assert context.current() is None
assert "contextvars_extras" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_first_spans_of_several_threads_do_not_lose_each_other() -> None:
    code = """
import threading
from obswriter import SpanContext, context

lost, start = [], threading.Barrier(8)

def begin(number):
    own = SpanContext(f"{number:032x}", "b" * 16)
    start.wait()
    context.attach(own)
    start.wait()
    if context.current() is not own:
        lost.append(number)

threads = [threading.Thread(target=begin, args=(number,)) for number in range(1, 9)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not lost, lost
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_new_thread_starts_without_a_span(captured: Captured) -> None:
    seen: list[object] = []
    with obswriter.span("here"):
        thread = threading.Thread(
            target=lambda: seen.append(context.current()),
            **({"context": contextvars.Context()} if sys.version_info >= (3, 14) else {}),
        )
        thread.start()
        thread.join()
    assert seen == [None]


def test_a_copied_context_takes_the_span_to_another_thread(captured: Captured) -> None:
    with obswriter.span("here") as here, ThreadPoolExecutor(1) as pool:
        copied = contextvars.copy_context()
        assert pool.submit(copied.run, current).result() is here
        assert pool.submit(current).result() is None


def test_what_a_task_attaches_stays_within_it(captured: Captured) -> None:
    async def task(name: str, go: asyncio.Event) -> str:
        with obswriter.span(name) as own:
            await go.wait()
            assert context.current() is own
            return own.trace_id

    async def main() -> list[str]:
        go = asyncio.Event()
        with obswriter.span("main") as outer:
            tasks = [asyncio.create_task(task(str(number), go)) for number in range(3)]
            await asyncio.sleep(0)
            assert context.current() is outer
            go.set()
            found = await asyncio.gather(*tasks)
            assert found == [outer.trace_id] * 3
            return found

    asyncio.run(main())
    assert len(captured.events("span", parentSpanId=captured.one("span", name="main")["id"])) == 3


def test_to_thread_takes_the_span_along(captured: Captured) -> None:
    async def main() -> None:
        with obswriter.span("main") as outer:
            assert await asyncio.to_thread(current) is outer

    asyncio.run(main())


def test_another_librarys_variables_stay_as_they_are(captured: Captured) -> None:
    theirs: contextvars.ContextVar[str] = contextvars.ContextVar("theirs", default="unset")
    token = theirs.set("set")
    with obswriter.span("s"):
        assert theirs.get() == "set"
        theirs.set("changed within")
    assert theirs.get() == "changed within"
    theirs.reset(token)
