"""Workers that share no objects with the caller: interpreters and processes, beside the stdlib's pools and loky."""

from __future__ import annotations

import sys
from functools import partial
from time import perf_counter

from benchmarks.case import Case, Unit
from benchmarks.cases.cpu import in_pool, serially
from benchmarks.cases.tasks import first_result, submit_all, there_and_back
from benchmarks.judge import Judge, Limit, NoTarget, Ratio
from benchmarks.peers import WORKERS, MakePool, of_flavor
from benchmarks.workloads import echo

_ARRAYS = {"1 KB": 2**10, "1 MB": 2**20, "64 MiB": 2**26}


def array_there_and_back(make: MakePool, size: int, count: int) -> float:
    """Seconds for an array of so many bytes to a worker and back."""
    import numpy as np

    array = np.zeros(size // 8)
    with make(WORKERS) as pool:
        for _ in range(2):
            pool.submit(echo, array).result()
        start = perf_counter()
        for _ in range(count):
            pool.submit(echo, array).result()
        return (perf_counter() - start) / count


def _cpu(make: MakePool, count: int) -> float:
    return in_pool(make(WORKERS), count)


def _cases(flavor: str, submit: Judge, trip: Judge, first: Judge) -> list[Case]:
    weft, *peers = of_flavor(flavor).items()
    found: list[Case] = []
    for number, peer in enumerate(peers):
        sides = dict([weft, peer])
        suffix = "" if number == 0 else f"-{peer[0]}"
        judges = (submit, trip, first) if number == 0 else (NoTarget(),) * 3
        found += [
            Case(
                name=f"{flavor}-submit{suffix}",
                work=f"{flavor}: submit all, then result all, of empty tasks",
                unit=Unit.TASKS,
                sides={label: partial(submit_all, make, WORKERS) for label, make in sides.items()},
                size=20_000,
                quick=2_000,
                judge=judges[0],
            ),
            Case(
                name=f"{flavor}-trip{suffix}",
                work=f"{flavor}: one empty task there and back",
                unit=Unit.TIME,
                sides={label: partial(there_and_back, make) for label, make in sides.items()},
                size=2_000,
                quick=300,
                judge=judges[1],
            ),
            Case(
                name=f"{flavor}-first{suffix}",
                work=f"{flavor}: first result of a fresh pool",
                unit=Unit.TIME,
                sides={label: partial(first_result, make) for label, make in sides.items()},
                size=5,
                quick=2,
                judge=judges[2],
            ),
            Case(
                name=f"{flavor}-cpu{suffix}",
                work=f"{flavor}: CPU-bound Python, 2 workers",
                unit=Unit.TIME,
                sides={label: partial(_cpu, make) for label, make in sides.items()},
                size=200,
                quick=40,
            ),
        ]
    found.append(
        Case(
            name=f"{flavor}-serial",
            work=f"{flavor}: CPU-bound Python, 2 workers",
            unit=Unit.TIME,
            sides={"weft": lambda count: in_pool(weft[1](WORKERS), count), "serial": serially},
            size=200,
            quick=40,
            judge=Ratio(1.9),
        )
    )
    return found


def _array_cases() -> list[Case]:
    weft, *peers = of_flavor("processes").items()
    return [
        Case(
            name=f"processes-array-{text.replace(' ', '')}" + ("" if number == 0 else f"-{peer[0]}"),
            work=f"processes: an array of {text} there and back",
            unit=Unit.TIME,
            sides={label: partial(array_there_and_back, make, size) for label, make in dict([weft, peer]).items()},
            size=10 if size == 2**26 else 200,
            quick=3,
            judge=Ratio(5) if size == 2**26 and number == 0 else NoTarget(),
        )
        for text, size in _ARRAYS.items()
        for number, peer in enumerate(peers)
    ]


CASES = (
    *(_cases("interpreters", Ratio(20), Ratio(6), Limit(40e-3, "40 ms")) if sys.version_info >= (3, 14) else ()),
    *_cases("processes", Ratio(10), Ratio(5), Limit(60e-3, "60 ms")),
    *_array_cases(),
)
