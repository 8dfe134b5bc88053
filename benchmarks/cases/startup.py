"""What it costs to have weft at hand: imports, each in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from statistics import median

from benchmarks.case import Case, Unit
from benchmarks.child import ROOT
from benchmarks.judge import Limit, NoTarget

_PROGRAM = "from time import perf_counter; start = perf_counter(); {}; print(perf_counter() - start)"


def import_time(statement: str, count: int) -> float:
    """Seconds that a statement takes in a fresh interpreter; the median over `count` of them."""
    command = [sys.executable, "-c", _PROGRAM.format(statement)]
    runs = (subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True) for _ in range(count))
    return median(float(run.stdout) for run in runs)


_FIRST = "from {} import ThreadPoolExecutor; pool = ThreadPoolExecutor(1); pool.submit(int).result(); pool.shutdown()"


CASES = (
    Case(
        name="import",
        work="import weft (peer: import concurrent.futures)",
        unit=Unit.TIME,
        sides={
            "weft": partial(import_time, "import weft"),
            "stdlib": partial(import_time, "import concurrent.futures"),
        },
        size=5,
        quick=1,
        judge=Limit(20e-3, "20 ms"),
    ),
    Case(
        name="import-pool",
        work="import of the ThreadPoolExecutor",
        unit=Unit.TIME,
        sides={
            "weft": partial(import_time, "from weft.executors import ThreadPoolExecutor"),
            "stdlib": partial(import_time, "from concurrent.futures import ThreadPoolExecutor"),
        },
        size=5,
        quick=1,
        judge=NoTarget(),
    ),
    Case(
        name="cold-start",
        work="from import to the first result, and out",
        unit=Unit.TIME,
        sides={
            "weft": partial(import_time, _FIRST.format("weft.executors")),
            "stdlib": partial(import_time, _FIRST.format("concurrent.futures")),
        },
        size=5,
        quick=1,
        judge=NoTarget(),
    ),
)
