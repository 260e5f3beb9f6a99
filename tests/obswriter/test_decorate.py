"""Decorated functions of every kind behave as before, each call within a span of its own."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import types
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import pytest

import obswriter
from obswriter import context
from obswriter.testing import Captured


def drain(generator: AsyncIterator[Any]) -> list[Any]:
    async def collect() -> list[Any]:
        return [item async for item in generator]

    return asyncio.run(collect())


# --- functions of every kind ----------------------------------------------------------------


def test_a_call_is_a_span_named_after_the_function(captured: Captured) -> None:
    @obswriter.observe
    def add(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    assert (add(1), add(1, b=2)) == (2, 3)
    assert [span["name"] for span in captured.events("span")] == [add.__qualname__] * 2
    assert (add.__name__, add.__doc__, str(inspect.signature(add))) == (
        "add", "Add.", "(a: 'int', b: 'int' = 1) -> 'int'",
    )  # fmt: skip


def test_arguments_and_results_are_not_captured_unasked(captured: Captured) -> None:
    @obswriter.observe
    def login(password: str) -> str:
        return f"token for {password}"

    login("hunter2")
    assert "hunter2" not in str(captured.events())


def test_a_span_and_a_trace_decorate_with_what_they_were_given(captured: Captured) -> None:
    @obswriter.span("s", kind="client", attributes={"a": 1})
    def call() -> None: ...

    @obswriter.trace("t", input=1, metadata={"m": 1})
    def work() -> None: ...

    call()
    work()
    span = captured.one("span", name="s")
    assert (span["spanKind"], span["attributes"]) == ("client", {"a": 1})
    trace = captured.one("trace", name="t")
    assert (trace["input"], trace["metadata"]) == (1, {"m": 1})


def test_a_remote_parent_given_to_a_decorator_counts_for_every_call(captured: Captured) -> None:
    caller = obswriter.SpanContext("a" * 32, "b" * 16)

    @obswriter.span("s", parent=caller)
    def serve() -> None: ...

    serve()
    serve()
    assert [span["traceId"] for span in captured.events("span")] == [caller.trace_id] * 2


def test_each_call_has_a_span_of_its_own(captured: Captured) -> None:
    @obswriter.observe
    def down(n: int) -> int:
        current: Any = context.current()
        current.set_attribute("n", n)
        return down(n - 1) if n else 0

    down(2)
    spans = {span["attributes"]["n"]: span for span in captured.events("span")}
    assert spans[1]["parentSpanId"] == spans[2]["id"]
    assert spans[0]["parentSpanId"] == spans[1]["id"]
    assert "parentSpanId" not in spans[2]


def test_an_exception_of_a_function_is_noted(captured: Captured) -> None:
    @obswriter.observe
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert captured.one("span")["status"] == "error"


def test_methods_of_every_kind_can_be_observed(captured: Captured) -> None:
    class Shop:
        @obswriter.observe
        def method(self) -> Any:
            return self

        @classmethod
        @obswriter.observe
        def of_class(cls) -> Any:
            return cls

        @staticmethod
        @obswriter.observe
        def static() -> str:
            return "static"

        @property
        @obswriter.observe
        def attribute(self) -> str:
            return "attribute"

    shop = Shop()
    assert shop.method() is shop
    assert shop.of_class() is Shop
    assert (shop.static(), shop.attribute) == ("static", "attribute")
    assert len(captured.events("span")) == 4


@pytest.mark.parametrize("bare", [obswriter.span, obswriter.trace])
def test_a_decorator_without_parentheses_does_what_was_meant(
    captured: Captured, bare: Callable[[Any], Any]
) -> None:
    @bare
    def double(number: int) -> int:
        return number * 2

    class Order:
        @bare
        async def pay(self, amount: int) -> int:
            return amount

    assert double(21) == 42
    assert asyncio.run(Order().pay(7)) == 7
    names = [span["name"].rpartition("<locals>.")[2] for span in captured.events("span")]
    assert names == ["double", "Order.pay"]


def test_a_class_method_may_be_decorated_from_outside(captured: Captured) -> None:
    class Order:
        @obswriter.span("make")
        @classmethod
        def make(cls) -> str:
            return cls.__name__

    assert (Order.make(), Order().make()) == ("Order", "Order")
    assert [span["name"] for span in captured.events("span")] == ["make", "make"]


def test_callables_without_a_name_can_be_observed(captured: Captured) -> None:
    """Named after what it calls; its arguments are nobody's business."""
    assert obswriter.observe(functools.partial(int, "7"))() == 7
    assert captured.one("span")["name"] == "int"


class Fetcher:
    async def __call__(self) -> str:
        await asyncio.sleep(0)
        raise LookupError("not there")

    @staticmethod
    async def fetch() -> str:
        await asyncio.sleep(0)
        raise LookupError("not there")


@types.coroutine
def fetch_as_a_generator() -> Generator[None, None, str]:
    yield
    raise LookupError("not there")


@pytest.mark.parametrize(
    "function", [Fetcher(), vars(Fetcher)["fetch"], fetch_as_a_generator], ids=type
)
def test_whatever_is_awaited_is_a_span_until_its_end(captured: Captured, function: Any) -> None:
    with pytest.raises(LookupError):
        asyncio.run(_awaited(obswriter.span("fetch")(function)))
    assert captured.one("span", name="fetch")["status"] == "error"


async def _awaited(function: Callable[[], Awaitable[str]]) -> None:
    await function()


def test_a_coroutine_function_is_a_span_while_it_is_awaited(captured: Captured) -> None:
    @obswriter.observe
    async def fetch(value: int) -> int:
        outer = context.current()
        await asyncio.sleep(0)
        assert context.current() is outer
        return value

    async def main() -> list[int]:
        coroutine = fetch(0)
        assert context.current() is None
        assert await coroutine == 0
        return await asyncio.gather(fetch(1), fetch(2))

    assert asyncio.run(main()) == [1, 2]
    assert len(captured.events("span")) == 3
    assert len(captured.events("trace")) == 3


def test_a_cancelled_coroutine_is_cancelled_and_says_so(captured: Captured) -> None:
    @obswriter.observe
    async def forever(begun: asyncio.Event) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def main() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(forever(begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    span = captured.one("span")
    assert span["status"] == "unset"
    assert span["attributes"]["obswriter.ended_by"].endswith("CancelledError")


@pytest.mark.parametrize(
    "test",
    [
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.isfunction,
    ],
    ids=lambda test: test.__name__,
)
def test_a_function_stays_of_its_kind(test: Callable[[Any], bool]) -> None:
    def plain() -> None: ...
    async def coroutine() -> None: ...
    def generator() -> Iterator[None]:
        yield

    async def async_generator() -> AsyncIterator[None]:
        yield

    for function in (plain, coroutine, generator, async_generator):
        assert test(obswriter.observe(function)) is test(function)


# --- generators -----------------------------------------------------------------------------


def test_a_generator_is_one_span_from_its_first_step_to_its_last(captured: Captured) -> None:
    @obswriter.observe
    def count() -> Generator[int, None, str]:
        yield 1
        yield 2
        return "done"

    def outer() -> Iterator[int]:
        assert (yield from count()) == "done"

    generator = outer()
    assert captured.events() == []
    assert list(generator) == [1, 2]
    assert captured.one("span")["status"] == "unset"


def test_a_generators_span_is_current_in_its_body_only(captured: Captured) -> None:
    inside: list[object] = []

    @obswriter.observe
    def count() -> Iterator[int]:
        for number in range(3):
            inside.append(context.current())
            yield number

    with obswriter.span("around") as around:
        for _ in count():
            assert context.current() is around
        assert context.current() is around
    span = captured.one("span", name=count.__qualname__)
    assert [getattr(current, "id", None) for current in inside] == [span["id"]] * 3
    assert span["parentSpanId"] == around.id


def test_a_span_open_across_a_yield_is_current_again_after_it(captured: Captured) -> None:
    @obswriter.observe
    def steps() -> Iterator[None]:
        with obswriter.span("child") as child:
            yield
            assert context.current() is child
            with obswriter.span("grandchild"):
                yield
            yield
            assert context.current() is child

    for _ in steps():
        assert context.current() is None
    child = captured.one("span", name="child")
    assert captured.one("span", name="grandchild")["parentSpanId"] == child["id"]


def test_what_is_sent_and_thrown_reaches_the_body(captured: Captured) -> None:
    @obswriter.observe
    def echo() -> Generator[Any, Any, None]:
        received = None
        while True:
            try:
                received = yield received
            except KeyError as error:
                received = f"caught {error.args[0]}"

    generator = echo()
    assert next(generator) is None
    assert generator.send("a") == "a"
    assert generator.throw(KeyError("k")) == "caught k"
    assert generator.send("b") == "b"
    with pytest.raises(ValueError, match="no"):
        generator.throw(ValueError("no"))
    span = captured.one("span")
    assert span["status"] == "error"
    assert span["attributes"]["error.type"] == "ValueError"


def test_a_generator_left_early_is_closed_and_recorded(captured: Captured) -> None:
    cleaned: list[object] = []

    @obswriter.observe
    def count() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            cleaned.append(context.current())

    generator = count()
    for _ in generator:
        break
    generator.close()  # type: ignore[attr-defined]
    span = captured.one("span")
    assert [getattr(current, "id", None) for current in cleaned] == [span["id"]]
    assert span["status"] == "unset"
    assert span["attributes"] == {"obswriter.ended_by": "GeneratorExit"}
    assert context.current() is None


def test_a_generator_that_is_forgotten_is_recorded_when_it_is_collected(captured: Captured) -> None:
    @obswriter.observe
    def count() -> Iterator[int]:
        yield 1

    with obswriter.span("around") as around:
        next(count())
        gc.collect()
        assert context.current() is around
    assert captured.one("span", name=count.__qualname__)


def test_a_generator_that_never_began_is_no_span(captured: Captured) -> None:
    @obswriter.observe
    def count() -> Iterator[int]:
        yield 1

    count().close()  # type: ignore[attr-defined]
    assert captured.events() == []


def test_a_generator_may_go_on_in_another_context(captured: Captured) -> None:
    @obswriter.observe
    def steps() -> Iterator[None]:
        yield
        with obswriter.span("second step"):
            yield

    with obswriter.span("first") as first:
        generator = steps()
        next(generator)
    with obswriter.span("second") as second:
        list(generator)
        assert context.current() is second
    own = captured.one("span", name=steps.__qualname__)
    assert own["parentSpanId"] == first.id
    assert captured.one("span", name="second step")["parentSpanId"] == own["id"]


def test_a_generator_works_as_a_context_manager(captured: Captured) -> None:
    from contextlib import contextmanager

    @contextmanager
    @obswriter.observe
    def transaction() -> Iterator[str]:
        try:
            yield "begun"
        except KeyError:
            obswriter.log("info", "rolled back")

    with transaction() as state:
        assert state == "begun"
        raise KeyError
    assert captured.one("log")["spanId"] == captured.one("span")["id"]


# --- async generators -----------------------------------------------------------------------


def test_an_async_generator_is_one_span_and_current_in_its_body_only(captured: Captured) -> None:
    @obswriter.observe
    async def count() -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0)
            obswriter.log("info", str(number))
            yield number

    async def main() -> list[int]:
        found = []
        with obswriter.span("around") as around:
            async for number in count():
                assert context.current() is around
                found.append(number)
        return found

    assert asyncio.run(main()) == [0, 1, 2]
    span = captured.one("span", name=count.__qualname__)
    assert [log["spanId"] for log in captured.events("log")] == [span["id"]] * 3
    assert span["parentSpanId"] == captured.one("span", name="around")["id"]


def test_what_is_sent_and_thrown_reaches_an_async_body(captured: Captured) -> None:
    @obswriter.observe
    async def echo() -> AsyncGenerator[Any, Any]:
        received = None
        while True:
            try:
                received = yield received
            except KeyError as error:
                received = f"caught {error.args[0]}"

    async def main() -> None:
        generator = echo()
        assert await anext(generator) is None
        assert await generator.asend("a") == "a"
        assert await generator.athrow(KeyError("k")) == "caught k"
        with pytest.raises(ValueError, match="no"):
            await generator.athrow(ValueError("no"))

    asyncio.run(main())
    assert captured.one("span")["status"] == "error"


def test_an_async_generator_left_early_is_closed_and_recorded(captured: Captured) -> None:
    cleaned: list[bool] = []

    @obswriter.observe
    async def count() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            cleaned.append(context.current() is not None)

    async def main() -> None:
        generator = count()
        async for _ in generator:
            break
        await generator.aclose()
        assert context.current() is None

    asyncio.run(main())
    assert cleaned == [True]
    assert captured.one("span")["attributes"] == {"obswriter.ended_by": "GeneratorExit"}


def test_an_async_generator_stepped_by_several_tasks_disturbs_none(captured: Captured) -> None:
    @obswriter.observe
    async def count() -> AsyncGenerator[int, None]:
        for number in range(4):
            yield number

    async def step(generator: AsyncGenerator[int, None]) -> int:
        with obswriter.span("task") as own:
            number = await anext(generator)
            assert context.current() is own
            return number

    async def main() -> list[int]:
        generator = count()
        found = [await asyncio.create_task(step(generator)) for _ in range(4)]
        await generator.aclose()
        return found

    assert asyncio.run(main()) == [0, 1, 2, 3]
    first = captured.events("span", name="task")[0]
    assert captured.one("span", name=count.__qualname__)["parentSpanId"] == first["id"]


def test_a_failing_async_generator_is_noted(captured: Captured) -> None:
    @obswriter.observe
    async def fail() -> AsyncIterator[int]:
        yield 1
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        drain(fail())
    assert captured.one("span")["status"] == "error"
