"""Parallel algorithms at three sizes: against plain Python, and the stdlib's thread pool with pieces cut by hand.

Over Python callables, what is measured on a build with a GIL is what it costs to be ready for one without. Over
buffers no Python runs on weft's side; the peers are the builtins over the same `array`. Making the input, and the
pool, is not timed; the pool has run a task before.
"""

from __future__ import annotations

import functools
import operator
import random
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor as StdlibPool
from functools import partial
from itertools import accumulate
from time import perf_counter
from typing import Any

from benchmarks.case import Case, Unit
from benchmarks.judge import NoTarget, Ratio
from benchmarks.peers import WORKERS
from benchmarks.workloads import increment, ten_microseconds
from weft.execution import par
from weft.executors import ThreadPoolExecutor
from weft.parallel import find, inclusive_scan, reduce, sort, transform

SIZES = (10**3, 10**5, 10**7)

type Make = Callable[[int], Any]
"""Makes the input of so many elements."""


def timed(make: Make, count: int, work: Callable[[Any], object]) -> float:
    """Elements a second; small inputs several times, each time a new one."""
    inputs = [make(count) for _ in range(max(1, 100_000 // count))]
    start = perf_counter()
    for data in inputs:
        work(data)
    return count * len(inputs) / (perf_counter() - start)


def on_weft(make: Make, algorithm: Callable[[Any, Any], object], count: int) -> float:
    """By an algorithm of weft, on a pool of its own."""
    with ThreadPoolExecutor(WORKERS) as pool:
        pool.submit(increment, 0).result()
        return timed(make, count, partial(algorithm, par.on(pool)))


def in_python(make: Make, work: Callable[[Any], object], count: int) -> float:
    """By a loop or a builtin."""
    return timed(make, count, work)


def on_stdlib(make: Make, work: Callable[[Any], object], join: Callable[[list[Any]], object], count: int) -> float:
    """By the stdlib's pool: a piece for each worker, and their results joined."""
    cut = -(-count // WORKERS)
    with StdlibPool(WORKERS) as pool:
        pool.submit(increment, 0).result()

        def all_of_it(data: Any) -> object:
            pieces = [data[at : at + cut] for at in range(0, count, cut)]
            return join(list(pool.map(work, pieces)))

        return timed(make, count, all_of_it)


def numbers(count: int) -> list[int]:
    return list(range(count))


def shuffled(count: int) -> list[float]:
    rng = random.Random(count)
    return [rng.random() for _ in range(count)]


def doubles(count: int) -> array[float]:
    return array("d", shuffled(count))


def called(function: Callable[[int], int], data: list[int]) -> list[int]:
    return [function(x) for x in data]


def transformed(function: Callable[[int], int], policy: Any, data: list[int]) -> None:
    transform(policy, data, data, function)


def merged(pieces: list[Any]) -> list[Any]:
    return sorted(piece for part in pieces for piece in part)


def scanned(data: Any) -> array[float]:
    return array("d", accumulate(data))


def _cases(
    name: str,
    words: str,
    make: Make,
    algorithm: Callable[[Any, Any], object],
    plain: Callable[[Any], object],
    join: Callable[[list[Any]], object] | None,
    judge: Any = None,
    scale: float = 1,
) -> tuple[Case, ...]:
    cases: list[Case] = []
    for size in SIZES:
        sides = {"weft": partial(on_weft, make, algorithm), "python": partial(in_python, make, plain)}
        if join is not None:
            sides["stdlib"] = partial(on_stdlib, make, plain, join)
        count = max(1, round(size * scale))
        cases.append(
            Case(
                name=f"{name}-1e{len(str(size)) - 1}",
                work=f"{words}, {count:,} elements",
                unit=Unit.TASKS,
                sides=sides,
                size=count,
                quick=min(count, 100_000),
                judge=judge or NoTarget(),
            )
        )
    return tuple(cases)


CASES = (
    *_cases(
        "transform", "transform by x + 1", numbers, partial(transformed, increment), partial(called, increment), len
    ),
    *_cases(
        "transform-10us",
        "transform by 10 µs of Python",
        numbers,
        partial(transformed, ten_microseconds),
        partial(called, ten_microseconds),
        len,
        scale=0.02,
    ),
    *_cases("reduce", "reduce of a list", numbers, reduce, partial(functools.reduce, operator.add), sum),
    *_cases(
        "find",
        "find the last in a list",
        numbers,
        lambda policy, data: find(policy, data, data[-1]),
        lambda data: data.index(data[-1]),
        None,
    ),
    *_cases("sort", "sort of a list of floats", shuffled, sort, sorted, merged, scale=0.1),
    *_cases("buffer-reduce", "reduce of an array of doubles", doubles, reduce, sum, sum, Ratio(1)),
    *_cases("buffer-sort", "sort of an array of doubles", doubles, sort, sorted, None, Ratio(1), scale=0.1),
    *_cases(
        "buffer-scan",
        "inclusive scan of an array of doubles",
        doubles,
        lambda policy, data: inclusive_scan(policy, data, data),
        scanned,
        None,
        Ratio(1),
    ),
)
