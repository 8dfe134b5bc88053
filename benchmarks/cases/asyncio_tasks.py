"""Tasks awaited under asyncio."""

from __future__ import annotations

from functools import partial
from time import perf_counter

from benchmarks.case import Case, Unit
from benchmarks.judge import Ratio
from benchmarks.peers import THREADS, WORKERS, MakePool
from benchmarks.workloads import empty


def gather_all(make: MakePool, count: int) -> float:
    """Tasks a second: `gather` of `run_in_executor` calls."""
    import asyncio  # not at the top: every child that takes a sample would pay for it

    async def main() -> float:
        loop = asyncio.get_running_loop()
        with make(WORKERS) as pool:
            await loop.run_in_executor(pool, empty)
            start = perf_counter()
            await asyncio.gather(*[loop.run_in_executor(pool, empty) for _ in range(count)])
            return count / (perf_counter() - start)

    return asyncio.run(main())


CASES = (
    Case(
        name="asyncio",
        work="20,000 tasks awaited under asyncio (gather of run_in_executor)",
        unit=Unit.TASKS,
        sides={label: partial(gather_all, make) for label, make in THREADS.items()},
        size=20_000,
        quick=4_000,
        judge=Ratio(7),
        note="both pools go through asyncio's own wrap_future, which is most of the time",
    ),
)
