"""Tasks awaited under asyncio."""

from __future__ import annotations

from functools import partial
from time import perf_counter

from benchmarks.case import Case, Unit
from benchmarks.judge import Ratio
from benchmarks.peers import THREADS, WORKERS, MakePool
from benchmarks.workloads import empty


def awaited_all(make: MakePool, count: int) -> float:
    """Tasks a second: `gather` of futures that are awaited as they are."""
    import asyncio

    async def main() -> float:
        with make(WORKERS) as pool:
            await pool.submit(empty)
            start = perf_counter()
            await asyncio.gather(*[pool.submit(empty) for _ in range(count)])
            return count / (perf_counter() - start)

    return asyncio.run(main())


def together(make: MakePool, count: int) -> float:
    """Tasks a second: weft's own `await_all`."""
    import asyncio

    from weft.aio import await_all

    async def main() -> float:
        with make(WORKERS) as pool:
            await pool.submit(empty)
            start = perf_counter()
            await await_all([pool.submit(empty) for _ in range(count)])
            return count / (perf_counter() - start)

    return asyncio.run(main())


def completed_with_weft(make: MakePool, count: int) -> float:
    """Tasks a second: `async for` over weft's `as_completed`."""
    import asyncio

    from weft.aio import as_completed

    async def main() -> float:
        with make(WORKERS) as pool:
            await pool.submit(empty)
            start = perf_counter()
            async for _ in as_completed([pool.submit(empty) for _ in range(count)]):
                pass
            return count / (perf_counter() - start)

    return asyncio.run(main())


def completed_with_asyncio(make: MakePool, count: int) -> float:
    """Tasks a second: asyncio's `as_completed` of `run_in_executor` calls."""
    import asyncio

    async def main() -> float:
        loop = asyncio.get_running_loop()
        with make(WORKERS) as pool:
            await loop.run_in_executor(pool, empty)
            start = perf_counter()
            async for _ in asyncio.as_completed([loop.run_in_executor(pool, empty) for _ in range(count)]):
                pass
            return count / (perf_counter() - start)

    return asyncio.run(main())


def mapped_with_weft(make: MakePool, count: int, *, ordered: bool = True) -> float:
    """Items a second: weft's `aio.map`, with at most 64 under way."""
    import asyncio

    from weft import aio

    async def main() -> float:
        with make(WORKERS) as pool:
            await pool.submit(empty)
            start = perf_counter()
            async for _ in aio.map(abs, range(count), executor=pool, limit=64, ordered=ordered):
                pass
            return count / (perf_counter() - start)

    return asyncio.run(main())


def mapped_with_asyncio(make: MakePool, count: int) -> float:
    """Items a second: what one writes without it, a semaphore around `run_in_executor`; the input is read at once."""
    import asyncio

    async def main() -> float:
        loop = asyncio.get_running_loop()
        free = asyncio.Semaphore(64)

        async def one(item: int) -> int:
            async with free:
                return await loop.run_in_executor(pool, abs, item)

        with make(WORKERS) as pool:
            await loop.run_in_executor(pool, empty)
            start = perf_counter()
            await asyncio.gather(*[one(item) for item in range(count)])
            return count / (perf_counter() - start)

    return asyncio.run(main())


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


WEFT, STDLIB = THREADS.items()

CASES = (
    Case(
        name="asyncio",
        work="20,000 tasks awaited under asyncio: gather of futures, gather of run_in_executor",
        unit=Unit.TASKS,
        sides={WEFT[0]: partial(awaited_all, WEFT[1]), STDLIB[0]: partial(gather_all, STDLIB[1])},
        size=20_000,
        quick=4_000,
        judge=Ratio(7),
        note="gather makes a task of each future, which is most of weft's time; see await-all",
    ),
    Case(
        name="await-all",
        work="20,000 tasks awaited under asyncio: weft.aio.await_all, gather of run_in_executor",
        unit=Unit.TASKS,
        sides={WEFT[0]: partial(together, WEFT[1]), STDLIB[0]: partial(gather_all, STDLIB[1])},
        size=20_000,
        quick=4_000,
        judge=Ratio(7),
    ),
    Case(
        name="run-in-executor",
        work="20,000 tasks awaited under asyncio (gather of run_in_executor on both)",
        unit=Unit.TASKS,
        sides={label: partial(gather_all, make) for label, make in THREADS.items()},
        size=20_000,
        quick=4_000,
        note="both pools go through asyncio's own wrap_future, which is most of the time",
    ),
    Case(
        name="as-completed",
        work="20,000 tasks as they complete under asyncio: weft.aio.as_completed, asyncio's",
        unit=Unit.TASKS,
        sides={WEFT[0]: partial(completed_with_weft, WEFT[1]), STDLIB[0]: partial(completed_with_asyncio, STDLIB[1])},
        size=20_000,
        quick=4_000,
    ),
    Case(
        name="aio-map",
        work="20,000 items under asyncio, 64 under way: weft.aio.map, run_in_executor with a semaphore",
        unit=Unit.TASKS,
        sides={WEFT[0]: partial(mapped_with_weft, WEFT[1]), STDLIB[0]: partial(mapped_with_asyncio, STDLIB[1])},
        size=20_000,
        quick=4_000,
        note="weft's reads the input as results are taken; the peer's makes a task of each item at once",
    ),
)
