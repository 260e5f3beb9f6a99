"""What obswriter costs beside its peers: `python tests/benchmarks/run.py [NAME ...] [--check]`.

Each row is a ratio of CPU time (user and system, all threads) between two sides that take turns
in one run, because the microseconds of one machine say nothing on another.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from tempfile import TemporaryDirectory

from measuring import (
    SkippedError,
    cpu_of_python,
    cpu_of_server,
    medians,
    run_child,
    seconds_beyond,
    take_turns,
)
from server import rounds_of


@dataclass(frozen=True)
class Scale:
    """How thorough a run is, and where its files go."""

    scratch: str
    quick: bool

    def count(self, count: int) -> int:
        return max(count // 500, 20) if self.quick else count

    def repetitions(self, repetitions: int) -> int:
        return 1 if self.quick else repetitions


@dataclass(frozen=True)
class Row:
    """A line of the table; without a bound it only reports."""

    what: str
    ours: str = ""
    baseline: str = ""
    value: float | None = None
    at_most: float | None = None
    unit: str = "×"
    skipped: str = ""

    @property
    def missed(self) -> bool:
        return self.value is not None and self.at_most is not None and self.value > self.at_most

    def cells(self) -> list[str]:
        if self.value is None:
            return [self.what, self.ours, self.baseline, f"skipped: {self.skipped}", "", ""]
        target = "" if self.at_most is None else f"≤ {_number(self.at_most)} {self.unit}"
        verdict = "" if self.at_most is None else ("**missed**" if self.missed else "met")
        value = f"{_number(self.value)} {self.unit}"
        return [self.what, self.ours, self.baseline, value, target, verdict]


Benchmark = Callable[[Scale], Row]


def compare(
    what: str,
    ours: str,
    baseline: str,
    *,
    bare: str | None = None,
    count: int = 20_000,
    at_most: float | None = None,
) -> Benchmark:
    """Compare what two workloads cost a piece, each beyond *bare*."""

    def measure(scale: Scale) -> Row:
        names = [ours, baseline] + ([bare] if bare else [])
        pieces = scale.count(count)
        sides = [partial(run_child, "cpu", name, pieces, scale.scratch) for name in names]
        turns = take_turns(sides, scale.repetitions(7))
        labels = [
            f"{name}: {_microseconds(seconds / pieces)}"
            for name, seconds in zip(names, medians(turns), strict=True)
        ]
        over = "; ".join(labels[1:])
        return Row(what, labels[0], over, _ratio(turns), at_most)

    return measure


def compare_imports(what: str, code: str, at_most: float | None = None) -> Benchmark:
    """Compare what running *code* costs beyond a bare interpreter with importing a peer."""

    def measure(scale: Scale) -> Row:
        codes = (code, "import opentelemetry.sdk.trace", "pass")
        sides = [partial(cpu_of_python, code, scale.scratch) for code in codes]
        take_turns(sides, 1)  # the bytecode is compiled, the files are in the page cache
        turns = take_turns(sides, scale.repetitions(15))
        pairs = zip(codes, medians(turns), strict=True)
        ours, peer, bare = (f"`{code}`: {seconds * 1e3:.0f} ms" for code, seconds in pairs)
        return Row(what, ours, f"{peer}; {bare}", _ratio(turns), at_most)

    return measure


def cost_per_event(scale: Scale) -> Row:
    """Compare the dearest with the cheapest of three counts: nothing may grow with a count."""
    counts = [scale.count(10**power) for power in (4, 5, 6)]
    sides = [partial(run_child, "cpu", "ready span", count, scale.scratch) for count in counts]
    turns = take_turns(sides, scale.repetitions(3))
    costs = [seconds / count for seconds, count in zip(medians(turns), counts, strict=True)]
    each = ", ".join(f"{n:,}: {_microseconds(c)}" for n, c in zip(counts, costs, strict=True))
    return Row(
        "an event of 10⁴, 10⁵, 10⁶", each, "the cheapest of them", max(costs) / min(costs), 1.2
    )


def memory(what: str, workload: str, pieces: int = 10**6) -> Benchmark:
    """Measure what resident memory grows by between 10⁴ pieces of work and so many."""

    def measure(scale: Scale) -> Row:
        if sys.platform != "linux":
            return Row(what, workload, skipped="resident memory is read from /proc")
        mebibytes = run_child("memory", workload, scale.count(pieces), scale.scratch)
        return Row(what, workload, "after 10⁴ of them", mebibytes, 32, "MiB")

    return measure


def overrun(scale: Scale) -> Row:
    """Measure by how much a wait outlasts its timeout, at worst, on a store that hangs for ever."""
    tries = 2 if scale.quick else 20
    worst = {
        what: max(seconds_beyond(what, 0.5, scale.scratch) for _ in range(tries)) * 1000
        for what in ("flush", "shutdown", "exit")
    }
    each = ", ".join(f"{what}: {late:.0f} ms" for what, late in worst.items())
    what = f"a wait of 500 ms, the store hanging, worst of {tries}"
    return Row(what, each, "its timeout", max(worst.values()), 100, "ms")


def server_cpu(scale: Scale) -> Row:
    """Compare a real uvicorn's CPU time for requests that compute for 2 ms, with and without us."""
    count, rounds = scale.count(2_000), rounds_of(0.002)
    sides = [partial(cpu_of_server, on, rounds, count, scale.scratch) for on in (True, False)]
    turns = take_turns(sides, scale.repetitions(7))
    ours, bare = (f"{_microseconds(seconds / count)}" for seconds in medians(turns))
    return Row(
        "uvicorn, a request that computes for 2 ms", ours, f"bare: {bare}", _ratio(turns), 1.04
    )


OPENTELEMETRY = "opentelemetry child spans"
BENCHMARKS: dict[str, Benchmark] = {
    "ready-span": compare(
        "record a ready `Span`", "ready span", "floor", count=50_000, at_most=3.5
    ),
    "span": compare("`with span()`", "child spans", OPENTELEMETRY, at_most=1 / 12),
    "span-unhurried": compare(
        "`with span()`, no queue on their side", "child spans", f"{OPENTELEMETRY}, unhurried"
    ),
    "root-span": compare("`with span()`, roots", "root spans", "opentelemetry root spans"),
    "start-mark": compare(
        "evidence of death, a local root's", "start marks", "child spans", at_most=0.2
    ),
    "import": compare_imports("import", "import obswriter", 0.5),
    "first-use": compare_imports("import and first use", "import obswriter; obswriter.span"),
    "growth": cost_per_event,
    "memory": memory("memory over 10⁶ events", "ready span"),
    "memory-store-down": memory("the same, store down", "ready span, store down"),
    "overrun": overrun,
    "log": compare("a log call", "log call", "stdlib log call"),
    "log-added": compare(
        "what a log call has added", "log call", "stdlib log call", bare="bare log call",
        at_most=0.5,
    ),
    "log-structlog": compare("a log call", "log call", "structlog log call"),
    "log-structlog-place": compare(
        "a log call", "log call", "structlog log call, with its place", at_most=1
    ),
    "request": compare("a request", "request", "bare request", count=5_000),
    "request-added": compare(
        "what a request has added", "request", "opentelemetry request", bare="bare request",
        count=5_000, at_most=1 / 10,
    ),
    "request-added-starlette": compare(
        "what a request has added", "request", "starlette's opentelemetry request",
        bare="bare request", count=5_000, at_most=1 / 8,
    ),
    "django-added": compare(
        "what a Django request has added", "Django request", "opentelemetry Django request",
        bare="bare Django request", count=5_000, at_most=1 / 6,
    ),
    "async-django-added": compare(
        "what an async Django request has added", "async Django request",
        "opentelemetry async Django request", bare="bare async Django request", count=1_000,
        at_most=1 / 6,
    ),
    "server": server_cpu,
    "task-published": compare(
        "what a published task has added", "published task", "opentelemetry published task",
        bare="bare published task", count=5_000, at_most=0.2,
    ),
    "task-run": compare(
        "what a run task has added", "run task", "opentelemetry run task", bare="bare run task",
        count=5_000, at_most=0.2,
    ),
    "task-published-sentry": compare(
        "what a published task has added", "published task", "sentry published task",
        bare="bare published task", count=5_000, at_most=0.2,
    ),
    "task-run-sentry": compare(
        "what a run task has added", "run task", "sentry run task", bare="bare run task",
        count=5_000, at_most=0.2,
    ),
    "memory-tasks": memory("memory over 10⁵ tasks", "run task", 10**5),
}  # fmt: skip


def _ratio(turns: list[list[float]]) -> float:
    """The median over the repetitions, since both sides of one saw the same machine."""
    return median((ours - sum(bare)) / (base - sum(bare)) for ours, base, *bare in turns)


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.2f} µs" if seconds < 1e-5 else f"{seconds * 1e6:.0f} µs"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def run(names: list[str], quick: bool) -> list[Row]:
    """Measure the benchmarks named."""
    rows = []
    with TemporaryDirectory(prefix="obswriter-bench-") as scratch:
        for name in names:
            print(f"{name} …", end=" ", file=sys.stderr, flush=True)
            try:
                row = BENCHMARKS[name](Scale(scratch, quick))
            except SkippedError as reason:
                row = Row(name, skipped=str(reason))
            print(*filter(None, row.cells()[1:4]), sep=" | ", file=sys.stderr)
            rows.append(row)
    return rows


def table(rows: list[Row]) -> str:
    """Lay the rows out as markdown."""
    head = ["what", "obswriter", "baseline", "ratio", "target", ""]
    lines = [head, ["---"] * len(head), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    how.add_argument("--quick", action="store_true", help="only see that everything still runs")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    rows = run(options.names or list(BENCHMARKS), options.quick)
    if options.json:
        print(json.dumps([{**asdict(row), "missed": row.missed} for row in rows], indent=2))
    else:
        print(f"Python {platform.python_version()}, CPU time; quick: {options.quick}\n")
        print(table(rows))
    return 1 if options.check and any(row.missed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
