"""`auto` beside every flavor that somebody could have named, on jobs of which each suits another one.

A side runs a whole scope, from entering to leaving, so what `auto` takes to find out is in its time. What the jobs are:
benchmarks/jobs.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from importlib.util import find_spec
from time import perf_counter

import weft
from benchmarks import jobs
from benchmarks.case import Case, Unit
from benchmarks.judge import AsGoodAsBest
from weft.config import Flavor

type Job = Callable[[Executor, int], object]


def in_scope(flavor: Flavor, job: Job, count: int) -> float:
    """Seconds for a job in a scope of its own."""
    jobs.prepare()
    start = perf_counter()
    with weft.Run(flavor=flavor) as executor:
        job(executor, count)
    return perf_counter() - start


def _case(name: str, work: str, job: Job, size: int, quick: int, *, numpy: bool = False) -> Case:
    flavors: list[Flavor] = ["auto", "threads", "processes"]
    if sys.version_info >= (3, 14) and not numpy:  # which interpreters refuse
        flavors.insert(2, "interpreters")
    return Case(
        name=f"auto-{name}",
        work=work,
        unit=Unit.TIME,
        sides={flavor: partial(in_scope, flavor, job) for flavor in flavors},
        size=size,
        quick=quick,
        judge=AsGoodAsBest(0.95),
    )


CASES = (
    _case("source", "the demo's job: source files read and measured", jobs.measure_sources, 1_200, 60),
    _case("http", "requests to an HTTP server with 20 ms latency", jobs.fetch_all, 1_000, 30),
    _case("tiny", "x + 1", jobs.increment_all, 1_000_000, 20_000),
    *(
        [
            _case("arrays", "arrays of 8 MB sorted", jobs.sort_arrays, 60, 4, numpy=True),
            _case("mixture", "all of these at once", jobs.mixture, 400, 10, numpy=True),
        ]
        if find_spec("numpy")
        else []
    ),
)
