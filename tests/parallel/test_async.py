"""The awaited twins: one for each algorithm, same results and errors, and cancelling stops the work."""

import asyncio
import inspect
import operator
import threading
from typing import Any

import pytest

import weft.parallel
from tests.executors.child import wait_until
from weft.aio import _algorithms as aio
from weft.execution import dynamic_chunk_size, par, seq, task
from weft.executors import ThreadPoolExecutor


def test_each_algorithm_has_a_twin_with_its_signature() -> None:
    assert sorted(aio.__all__) == sorted(weft.parallel.__all__)
    for name in aio.__all__:
        twin, algorithm = getattr(aio, name), getattr(weft.parallel, name)
        assert inspect.iscoroutinefunction(twin)
        ours, theirs = inspect.signature(twin).parameters, inspect.signature(algorithm).parameters
        assert list(ours) == list(theirs)
        assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]
        assert [p.kind for p in ours.values()] == [p.kind for p in theirs.values()]


def test_all_of_them(two: ThreadPoolExecutor) -> None:
    async def main(policy: Any) -> None:
        items, dst = [3, 1, 2], [0, 0, 0]
        seen: list[int] = []
        assert await aio.for_loop(policy, 0, 3, seen.append) is None
        assert await aio.for_each(policy, iter(items), seen.append) is None
        assert sorted(seen) == [0, 1, 1, 2, 2, 3]
        await aio.transform(policy, items, dst, operator.mul, other=2)
        assert dst == [6, 2, 4]
        assert await aio.reduce(policy, items, init=1, op=operator.mul) == 6
        found = await aio.transform_reduce(
            policy, items, init=0, reduce_op=operator.add, transform_op=operator.mul, other=dst
        )
        assert found == 28
        assert await aio.count(policy, items, 2) == 1
        assert await aio.count_if(policy, items, lambda x: x > 1) == 2
        assert await aio.find(policy, items, 2) == 2
        assert await aio.find_if(policy, items, lambda x: x < 3) == 1
        assert await aio.all_of(policy, items, bool)
        assert await aio.any_of(policy, items, lambda x: x == 3)
        assert await aio.none_of(policy, items, lambda x: x == 4)
        await aio.copy(policy, items, dst)
        await aio.sort(policy, dst, reverse=True)
        assert dst == [3, 2, 1]
        await aio.stable_sort(policy, dst, key=abs)
        assert dst == [1, 2, 3]
        await aio.inclusive_scan(policy, items, dst, op=max, init=2)
        assert dst == [3, 3, 3]
        await aio.exclusive_scan(policy, items, dst, init=10)
        assert dst == [10, 13, 14]
        await aio.fill(policy, dst, 7)
        await aio.fill_n(policy, dst, 1, 8)
        assert dst == [8, 7, 7]
        await aio.iota(policy, dst, 4, 2)
        assert dst == [4, 6, 8]
        assert await aio.copy_if(policy, items, dst, lambda x: x < 3) == 2
        assert dst == [1, 2, 8]

    for policy in (seq, par, par(task), par.with_(dynamic_chunk_size(1))):
        asyncio.run(main(policy.on(two)))
        asyncio.run(main(policy))


def test_the_loop_goes_on_and_does_none_of_the_work(two: ThreadPoolExecutor) -> None:
    async def main() -> None:
        workers: set[int] = set()
        gate = threading.Event()

        def body(_: int) -> None:
            workers.add(threading.get_ident())
            assert gate.wait(30)

        work = asyncio.ensure_future(aio.for_loop(par.on(two), 0, 10, body))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not work.done()
        gate.set()
        await work
        assert threading.get_ident() not in workers

    asyncio.run(main())


def test_errors_come_through(two: ThreadPoolExecutor) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await aio.for_each(par.on(two), [1, 0], lambda x: 1 / x)
        with pytest.raises(TypeError, match="fn must be callable, not 3"):
            await aio.for_each(par, [1], 3)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="first argument must be a policy"):
            await aio.reduce([1, 2], par)  # type: ignore[arg-type]

    asyncio.run(main())


@pytest.mark.parametrize("policy", [seq, par, par.with_(dynamic_chunk_size(1))], ids=repr)
def test_cancelling_stops_what_runs(policy: Any, two: ThreadPoolExecutor) -> None:
    async def main() -> None:
        begun = threading.Event()

        def body(_: int) -> None:
            begun.set()
            while True:
                pass

        work = asyncio.ensure_future(aio.for_loop(policy.on(two), 0, 100, body))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(main())
    wait_until(lambda: not two._running(), "nothing runs any more")
    assert two.submit(pow, 2, 3).result(30) == 8


def test_cancelling_what_has_not_begun(two: ThreadPoolExecutor) -> None:
    seen: list[int] = []

    async def main() -> None:
        gate = threading.Event()
        held = [two.submit(gate.wait, 30) for _ in range(2)]
        while not all(future.running() for future in held):
            await asyncio.sleep(0.001)
        work = asyncio.ensure_future(aio.for_loop(par.on(two), 0, 100, seen.append))
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        gate.set()

    asyncio.run(main())
    two.shutdown()
    assert seen == []


def test_a_timeout_around_it(two: ThreadPoolExecutor) -> None:
    async def main() -> None:
        async with asyncio.timeout(0.02):
            await aio.find(par.on(two), iter(int, 1), 1)  # there is none among all the zeros

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    wait_until(lambda: not two._running(), "nothing runs any more")
