"""Single tasks through a thread pool: throughput, and the way there and back."""

from __future__ import annotations

from functools import partial
from statistics import median
from time import perf_counter

from benchmarks.case import Case, Unit
from benchmarks.judge import Limit, Ratio
from benchmarks.peers import THREADS, WORKERS, MakePool
from benchmarks.workloads import empty


def submit_all(make: MakePool, workers: int, count: int) -> float:
    """Tasks a second: submit all of them, then take all results."""
    with make(workers) as pool:
        for future in [pool.submit(empty) for _ in range(workers)]:
            future.result()
        start = perf_counter()
        futures = [pool.submit(empty) for _ in range(count)]
        for future in futures:
            future.result()
        return count / (perf_counter() - start)


def there_and_back(make: MakePool, count: int) -> float:
    """Seconds for one task, each submitted when the result of the last is there."""
    with make(WORKERS) as pool:
        pool.submit(empty).result()
        start = perf_counter()
        for _ in range(count):
            pool.submit(empty).result()
        return (perf_counter() - start) / count


def first_result(make: MakePool, count: int) -> float:
    """Seconds from making a pool to its first result; the median over `count` pools."""
    times: list[float] = []
    for _ in range(count):
        start = perf_counter()
        pool = make(WORKERS)
        pool.submit(empty).result()
        times.append(perf_counter() - start)
        pool.shutdown()
    return median(times)


CASES = (
    Case(
        name="submit",
        work="submit all, then result all, of empty tasks",
        unit=Unit.TASKS,
        sides={label: partial(submit_all, make, WORKERS) for label, make in THREADS.items()},
        size=100_000,
        quick=20_000,
        judge=Ratio(12),
    ),
    Case(
        name="trip",
        work="one empty task there and back",
        unit=Unit.TIME,
        sides={label: partial(there_and_back, make) for label, make in THREADS.items()},
        size=5_000,
        quick=1_000,
        judge=Ratio(6),
    ),
    Case(
        name="first",
        work="first result of a fresh pool",
        unit=Unit.TIME,
        sides={label: partial(first_result, make) for label, make in THREADS.items()},
        size=100,
        quick=20,
        judge=Limit(1e-3, "1 ms"),
    ),
)
