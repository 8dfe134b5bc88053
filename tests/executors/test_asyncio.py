"""asyncio with every executor: `run_in_executor`, `wrap_future`, and as the default executor of a loop."""

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import Executor
from typing import Any

import pytest

from tests.executors import tasks
from tests.executors.conftest import Pools
from tests.executors.flavors import PATIENCE, Can, needs


def run[T](main: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE):
            return await main

    return asyncio.run(bounded())


def test_run_in_executor(pool: Executor):
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(pool, tasks.echo, 5) == 5
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(pool, tasks.inverse, 0)
        return await asyncio.gather(*(loop.run_in_executor(pool, tasks.echo, number) for number in range(1000)))

    assert run(main()) == list(range(1000))


def test_wrap_future(pool: Executor):
    async def main() -> None:
        assert await asyncio.wrap_future(pool.submit(tasks.echo, 5)) == 5
        done = pool.submit(tasks.echo, 6)
        done.result(PATIENCE)
        assert await asyncio.wrap_future(done) == 6
        assert await asyncio.wait_for(asyncio.wrap_future(pool.submit(tasks.echo, 7)), PATIENCE) == 7
        with pytest.raises(ZeroDivisionError):
            await asyncio.wrap_future(pool.submit(tasks.inverse, 0))

    run(main())


@needs(Can.OVERLAP)
def test_cancelling_goes_both_ways(pools: Pools, one: Executor):
    async def main() -> None:
        with pools.held(one):
            ours = one.submit(tasks.nothing)
            wrapped = asyncio.wrap_future(ours)
            await asyncio.sleep(0)
            wrapped.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wrapped
            while not ours.cancelled():  # asyncio passes it on in the next turn of the loop
                await asyncio.sleep(0)

            ours = one.submit(tasks.nothing)
            wrapped = asyncio.wrap_future(ours)
            ours.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wrapped

    run(main())


@needs(Can.OVERLAP)
def test_a_wait_that_times_out_cancels_what_has_not_begun(pools: Pools, one: Executor):
    async def main() -> None:
        with pools.held(one):
            ours = one.submit(tasks.nothing)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.wrap_future(ours), 0.05)
            while not ours.cancelled():
                await asyncio.sleep(0)

    run(main())


@needs(Can.BE_LOOP_DEFAULT)
def test_as_the_default_executor(pools: Pools):
    pool = pools(2, thread_name_prefix="loop")
    variable = contextvars.ContextVar("variable", default=0)

    async def main() -> list[Any]:
        asyncio.get_running_loop().set_default_executor(pool)
        variable.set(7)
        assert await asyncio.to_thread(variable.get) == 7
        assert (await asyncio.to_thread(threading.current_thread)).name.startswith("loop_")
        return await asyncio.gather(*(asyncio.to_thread(tasks.echo, number) for number in range(500)))

    assert run(main()) == list(range(500))
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(tasks.nothing)  # asyncio.run shuts the loop's default executor down


@needs(Can.OVERLAP)
def test_completions_after_the_loop_is_closed_hurt_nobody(pools: Pools, one: Executor):
    gate, (held,) = pools.hold(one)

    async def main() -> None:
        asyncio.wrap_future(held)  # whose callback posts to a loop that will be closed

    run(main())
    gate.set()
    assert held.result(PATIENCE) is True
    assert one.submit(tasks.echo, 5).result(PATIENCE) == 5


@needs(Can.OVERLAP)
def test_several_loops_in_several_threads(pools: Pools):
    pool = pools(3)
    results: list[int] = []

    def thread() -> None:
        async def main() -> int:
            loop = asyncio.get_running_loop()
            return sum(await asyncio.gather(*(loop.run_in_executor(pool, tasks.echo, n) for n in range(200))))

        results.append(asyncio.run(main()))

    threads = [threading.Thread(target=thread) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(PATIENCE)
    assert results == [sum(range(200))] * 4
