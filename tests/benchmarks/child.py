"""Does the work of one side, in a process of its own: `python child.py WHAT NAME COUNT FOLDER`.

WHAT is ``cpu`` or ``memory``. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

import calls
import logs
import spans
import tasks
import views
from workload import Workload

WARM_UP = 5_000
MEMORY_STEP = 10_000
"""Work after which memory should have its final size, and how often it is looked at from there."""


def measure_cpu(workload: Workload, count: int) -> float:
    """Return the CPU seconds of *count* pieces of work and of having them stored."""
    workload.work(min(WARM_UP, count))
    workload.flush()
    stored = workload.stored or (lambda: 0)
    before = stored()
    began = _cpu_seconds()
    workload.work(count)
    workload.flush()
    seconds = _cpu_seconds() - began
    there, expected = stored() - before, count * workload.per_piece
    if workload.stored and there != expected:
        raise SystemExit(f"{there} events are in the files, not {expected}")
    return seconds


def measure_memory(workload: Workload, count: int) -> float:
    """Return by how many MiB resident memory was ever above what it was after the first step."""
    workload.work(MEMORY_STEP)
    first = most = _resident_bytes()
    for _ in range(MEMORY_STEP, count, MEMORY_STEP):
        workload.work(MEMORY_STEP)
        most = max(most, _resident_bytes())
    return (most - first) / 1024 / 1024


def _cpu_seconds() -> float:
    """What all threads of this process have used, in the kernel too."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _resident_bytes() -> int:
    """Touched pages of mapped files count."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(what: str, name: str, count: str, folder: str) -> None:
    try:
        modules = spans, calls, views, logs, tasks
        known = {name: w for module in modules for name, w in module.WORKLOADS.items()}
        workload = known[name](folder)
    except ImportError as error:
        print(json.dumps({"skipped": str(error)}))
        return
    measure = measure_cpu if what == "cpu" else measure_memory
    print(json.dumps({"value": measure(workload, int(count))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
