"""How cost grows with the number of tasks, and with the number of workers.

What depends on the number of workers is measured in a process for each number: none has threads of another beside it.
"""

from __future__ import annotations

import sys
from functools import partial
from time import perf_counter

from benchmarks.case import Case, Unit
from benchmarks.cases.tasks import submit_all
from benchmarks.judge import Flat, NoTarget
from benchmarks.peers import THREADS, WORKERS
from benchmarks.workloads import empty, ten_microseconds

_LEAST = 20_000


def task_cost(exponent: int, most: int) -> float:
    """Seconds for one of 10^exponent tasks (`most` at most): submit all, result all; small numbers again and again."""
    count = min(10**exponent, most)
    repeats = max(1, min(_LEAST, most) // count)
    seconds = 0.0
    with THREADS["weft"](WORKERS) as pool:
        for future in [pool.submit(empty) for _ in range(WORKERS)]:
            future.result()
        for _ in range(repeats):
            start = perf_counter()
            futures = [pool.submit(empty) for _ in range(count)]
            for future in futures:
                future.result()
            seconds += perf_counter() - start
            del future, futures
    return seconds / (repeats * count)


def transformed_by(workers: int, count: int) -> float:
    """Elements a second of a parallel algorithm over Python code."""
    from weft.execution import par
    from weft.parallel import transform

    numbers = list(range(count))
    with THREADS["weft"](workers) as pool:
        transform(par.on(pool), numbers[:100], numbers[:100], ten_microseconds)
        start = perf_counter()
        transform(par.on(pool), numbers, numbers, ten_microseconds)
        return count / (perf_counter() - start)


CASES = (
    Case(
        name="size",
        work="cost of a task, by tasks",
        unit=Unit.TIME,
        sides={
            label: partial(task_cost, exponent)
            for label, exponent in (("10²", 2), ("10³", 3), ("10⁴", 4), ("10⁵", 5), ("10⁶", 6))
        },
        size=1_000_000,
        quick=100_000,
        judge=Flat(1.25),
        series=True,
    ),
    Case(
        name="workers",
        work="empty tasks, by workers",
        unit=Unit.TASKS,
        sides={str(workers): partial(submit_all, THREADS["weft"], workers) for workers in (1, 2, 4, 8)},
        size=100_000,
        quick=20_000,
        judge=NoTarget() if sys._is_gil_enabled() else Flat(1.1),
        in_child=True,
        series=True,
    ),
    Case(
        name="transform-workers",
        work="transform by 10 µs of Python, by workers",
        unit=Unit.TASKS,
        sides={str(workers): partial(transformed_by, workers) for workers in (1, 2, 4)},
        size=100_000,
        quick=10_000,
        judge=NoTarget() if sys._is_gil_enabled() else Flat(1.1),
        in_child=True,
        series=True,
    ),
)
