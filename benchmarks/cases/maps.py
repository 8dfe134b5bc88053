"""`map` through a thread pool: against the stdlib's, and against a list comprehension that calls the function."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from time import perf_counter

from benchmarks.case import Case, Unit
from benchmarks.judge import Ratio
from benchmarks.peers import THREADS, WORKERS, MakePool
from benchmarks.workloads import increment, ten_microseconds
from weft.executors import ThreadPoolExecutor


def map_all(make: MakePool, count: int) -> float:
    """Items a second through `map`, each result taken and dropped."""
    with make(WORKERS) as pool:
        pool.submit(increment, 0).result()
        start = perf_counter()
        for _ in pool.map(increment, range(count)):
            pass
        return count / (perf_counter() - start)


def map_by_default(function: Callable[[int], int], count: int) -> float:
    """Items a second into a list, by a pool made with default arguments."""
    items = list(range(count))
    pool: Executor
    with ThreadPoolExecutor() as pool:
        pool.submit(function, 0).result()
        start = perf_counter()
        results = list(pool.map(function, items))
        seconds = perf_counter() - start
    assert len(results) == count
    return count / seconds


def serially(function: Callable[[int], int], count: int) -> float:
    """Items a second by a list comprehension."""
    items = list(range(count))
    start = perf_counter()
    results = [function(x) for x in items]
    seconds = perf_counter() - start
    assert len(results) == count
    return count / seconds


def _against_serial(name: str, words: str, function: Callable[[int], int], size: int, note: str = "") -> Case:
    return Case(
        name=name,
        work=f"map by default arguments, {words}",
        unit=Unit.TASKS,
        sides={"weft": partial(map_by_default, function), "serial": partial(serially, function)},
        size=size,
        quick=size // 10,
        judge=Ratio(0.95),
        note=note,
    )


CASES = (
    Case(
        name="map",
        work="map of a trivial function over 10⁶ items",
        unit=Unit.TASKS,
        sides={label: partial(map_all, make) for label, make in THREADS.items()},
        size=1_000_000,
        quick=100_000,
        judge=Ratio(40),
        note="with --quick, 10⁵ items",
    ),
    _against_serial("map-trivial", "x + 1", increment, 1_000_000),
    _against_serial("map-10us", "10 µs of Python", ten_microseconds, 50_000),
)
