"""Memory: of a finished future, and of a `map` whose input never ends up in memory."""

from __future__ import annotations

import os
import sys
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from benchmarks.case import Case, Unit
from benchmarks.judge import Flat, Limit
from benchmarks.peers import THREADS, WORKERS, MakePool
from benchmarks.workloads import empty, increment
from weft.executors import ThreadPoolExecutor

_AT_A_TIME = 500


def resident() -> int:
    """Bytes of this process that lie in memory.

    Raises:
        NotImplementedError: this system does not say.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError as error:
        raise NotImplementedError("the memory of a process is measured on Linux only") from error
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """The most bytes of this process that have lain in memory at a time; as `resident`."""
    resident()
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def finished_future(make: MakePool, count: int) -> float:
    """Bytes that one finished future adds to the process, its place in a list left out.

    They are submitted a few at a time, so that what a waiting task needs is used again and again and does not count.
    """
    with make(WORKERS) as pool:
        kept: list[Future[None]] = []

        def keep(more: int) -> None:
            for _ in range(more // _AT_A_TIME):
                some = [pool.submit(empty) for _ in range(_AT_A_TIME)]
                for future in some:
                    future.result()
                kept.extend(some)

        keep(max(_AT_A_TIME, count // 10))
        before, had = resident(), len(kept)
        keep(max(_AT_A_TIME, count))
        return (resident() - before) / (len(kept) - had) - 8


def lazy_map(exponent: int, most: int) -> float:
    """Peak bytes of the process after a `map` over 10^exponent items (`most` at most), 10,000 of them ahead."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(increment, range(min(10**exponent, most)), buffersize=10_000):
            pass
        return peak()


_CASES = (
    Case(
        name="memory",
        work="memory of a finished future",
        unit=Unit.SIZE,
        sides={label: partial(finished_future, make) for label, make in THREADS.items()},
        size=200_000,
        quick=50_000,
        judge=Limit(250, "250 B"),
        in_child=True,
    ),
    Case(
        name="lazy",
        work="peak memory of a lazy map, by items",
        unit=Unit.SIZE,
        sides={
            label: partial(lazy_map, exponent) for label, exponent in (("10⁴", 4), ("10⁵", 5), ("10⁶", 6), ("10⁷", 7))
        },
        size=10_000_000,
        quick=100_000,
        judge=Flat(1.1),
        in_child=True,
        series=True,
        note="buffersize=10,000; of the whole process, interpreter included",
    ),
)
CASES = _CASES if sys.platform == "linux" else ()
