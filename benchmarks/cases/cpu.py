"""Pure-Python work that keeps a core busy, on two workers: what free threading is for, and a GIL does not allow."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from concurrent.futures import Executor
from time import perf_counter

from benchmarks.case import Case, Unit
from benchmarks.judge import NoTarget, Ratio
from benchmarks.peers import THREADS, WORKERS
from benchmarks.workloads import crunch


def _seconds(results: Iterable[int], start: float) -> float:
    for _ in results:
        pass
    return perf_counter() - start


def in_pool(pool: Executor, count: int) -> float:
    """Seconds for `count` tasks of 5 ms, in a pool that is closed afterwards."""
    with pool:
        pool.submit(crunch, 0).result()
        return _seconds(pool.map(crunch, range(count)), perf_counter())


def serially(count: int) -> float:
    """Seconds for the same tasks without a pool."""
    return _seconds(map(crunch, range(count)), perf_counter())


CASES = (
    Case(
        name="cpu",
        work="CPU-bound Python, 2 workers",
        unit=Unit.TIME,
        sides={"weft": lambda count: in_pool(THREADS["weft"](WORKERS), count), "serial": serially},
        size=200,
        quick=40,
        judge=NoTarget("1× (GIL)") if sys._is_gil_enabled() else Ratio(1.9),
    ),
    Case(
        name="cpu-stdlib",
        work="CPU-bound Python, 2 workers",
        unit=Unit.TIME,
        sides={
            "weft": lambda count: in_pool(THREADS["weft"](WORKERS), count),
            "stdlib": lambda count: in_pool(THREADS["stdlib"](WORKERS), count),
        },
        size=200,
        quick=40,
        judge=NoTarget(),
    ),
)
