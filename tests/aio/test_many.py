"""`await_all`, `await_any`, `as_completed`: futures of every make, failures, timeouts. Under asyncio and under trio."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest

from tests.aio.conftest import Held
from tests.aio.libraries import CANCELLED, PATIENCE, Asyncio, Library
from weft import aio
from weft.errors import Interrupted


@pytest.fixture
def stdlib() -> Iterator[concurrent.futures.ThreadPoolExecutor]:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        yield pool


def fail(error: BaseException) -> None:
    raise error


# ---- await_all ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["one by one", "list", "iterator"])
def test_all(library: Library, two: Held, how: str) -> None:
    async def main() -> None:
        futures = [two.submit(pow, number, 2) for number in range(1_000)]
        given: tuple[Any, ...] = (
            tuple(futures) if how == "one by one" else (futures if how == "list" else iter(futures),)
        )
        assert await aio.await_all(*given) == tuple(number**2 for number in range(1_000))

    library.run(main)


def test_all_of_none(library: Library) -> None:
    async def main() -> None:
        assert await aio.await_all() == ()
        assert await aio.await_all([]) == ()

    library.run(main)


def test_all_of_what_is_done_takes_no_turn(library: Library, two: Held) -> None:
    async def main() -> Any:
        futures = [two.submit(pow, 2, 3) for _ in range(3)]
        concurrent.futures.wait(futures)
        coroutine = aio.await_all(futures)
        with pytest.raises(StopIteration) as stopped:
            coroutine.send(None)
        return stopped.value.value

    assert library.run(main) == (8, 8, 8)


def test_all_of_different_makes(library: Library, two: Held, stdlib: concurrent.futures.Executor) -> None:
    async def main() -> None:
        gate, held = two.hold()
        threading.Timer(0.01, gate.set).start()
        twice = two.submit(pow, 2, 2)
        assert await aio.await_all(held, stdlib.submit(pow, 2, 3), twice, twice) == ("held", 8, 4, 4)

    library.run(main)


def test_all_with_asyncio_futures(two: Held) -> None:
    async def main() -> None:
        async def later() -> str:
            await asyncio.sleep(0.01)
            return "task"

        bare: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, bare.set_result, "bare")
        task = asyncio.create_task(later())
        assert await aio.await_all(two.submit(pow, 2, 2), bare, task) == (4, "bare", "task")

    Asyncio().run(main)


@pytest.mark.parametrize("make", ["weft", "stdlib"])
def test_the_first_failure_is_raised_at_once(
    library: Library, two: Held, stdlib: concurrent.futures.Executor, make: str
) -> None:
    async def main() -> None:
        gate, held = two.hold()
        error = ValueError("first")
        submit = two.submit if make == "weft" else stdlib.submit
        with pytest.raises(ValueError) as caught:
            await aio.await_all(held, submit(fail, error), submit(fail, error))
        assert caught.value is error
        assert not held.done()  # the others go on
        gate.set()
        assert await held == "held"

    library.run(main)


def test_a_cancelled_one_is_a_failure(library: Library, one: Held, stdlib: concurrent.futures.Executor) -> None:
    async def main() -> None:
        one.hold()
        ours, theirs = one.submit(print), concurrent.futures.Future[Any]()
        ours.cancel()
        theirs.cancel()
        for cancelled in (ours, theirs):
            with pytest.raises(library.cancelled_error):
                await aio.await_all(stdlib.submit(pow, 2, 3), cancelled)

    library.run(main)


def test_a_failure_gives_up_its_part_in_the_others(library: Library, one: Held) -> None:
    """It awaits them no longer, so that the next one to be cancelled is the last to await them."""

    async def main() -> None:
        one.hold()
        queued = one.submit(print)
        failed: concurrent.futures.Future[Any] = concurrent.futures.Future()
        failed.set_exception(ValueError())
        with pytest.raises(ValueError):
            await aio.await_all(queued, failed)
        assert await library.timed_out(0.001, queued)
        assert queued.cancelled()

    library.run(main)


def test_a_stdlib_future_is_cancelled_with_its_await(library: Library) -> None:
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()

    async def main() -> None:
        assert await library.timed_out(0.001, aio.await_all(future))

    library.run(main)
    assert future.cancelled()


# ---- await_any ----------------------------------------------------------------------------------------------------------


def test_any(library: Library, two: Held, stdlib: concurrent.futures.Executor) -> None:
    async def main() -> None:
        gate, held = two.hold()
        futures = [held, stdlib.submit(pow, 2, 3)]
        index, same = await aio.await_any(futures)
        assert index == 1
        assert same == futures
        assert same[1] is futures[1]
        assert not held.done()
        gate.set()
        assert await aio.await_any(held) == (0, [held])

    library.run(main)


def test_any_failure_counts(library: Library, two: Held) -> None:
    async def main() -> None:
        _, held = two.hold()
        index, futures = await aio.await_any(held, two.submit(fail, ValueError()))
        assert index == 1
        with pytest.raises(ValueError):
            await aio.wrap_future(futures[index])

    library.run(main)


def test_any_cancelled(library: Library, one: Held) -> None:
    async def main() -> None:
        running, queued = one.spin(), one.submit(print)
        assert await library.timed_out(0.001, aio.await_any(running, queued))
        assert queued.cancelled()
        assert isinstance(running.exception(PATIENCE), Interrupted)

    library.run(main)


def test_any_of_none(library: Library) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="of no futures would wait for ever"):
            await aio.await_any()

    library.run(main)


# ---- as_completed ---------------------------------------------------------------------------------------------------------


def test_as_completed(library: Library, two: Held, stdlib: concurrent.futures.Executor) -> None:
    async def main() -> None:
        gate, held = two.hold()
        quick = [two.submit(pow, 2, n) for n in range(5)] + [stdlib.submit(pow, 2, 5)]
        seen: list[Any] = []
        async for future in aio.as_completed([held, *quick, held]):
            assert future.done()
            seen.append(future)
            if len(seen) == 6:
                assert set(seen) == set(quick)
                gate.set()
        assert seen[6:] == [held]

    library.run(main)


def test_as_completed_of_none(library: Library) -> None:
    async def main() -> None:
        assert [future async for future in aio.as_completed([])] == []

    library.run(main)


def test_as_completed_times_out_and_lets_them_go_on(library: Library, one: Held) -> None:
    async def main() -> None:
        gate, held = one.hold()
        done: concurrent.futures.Future[int] = concurrent.futures.Future()
        done.set_result(1)
        seen: list[Any] = []
        with pytest.raises(TimeoutError, match=r"1 \(of 2\) futures unfinished"):
            async for future in aio.as_completed([held, done], timeout=0.01):
                seen.append(future)
        assert seen == [done]
        assert not held.done()
        gate.set()
        assert await held == "held"

    library.run(main)


def test_leaving_as_completed_lets_the_rest_go_on(library: Library, one: Held) -> None:
    async def main() -> None:
        gate, held = one.hold()
        queued = one.submit(pow, 2, 3)
        done: concurrent.futures.Future[int] = concurrent.futures.Future()
        done.set_result(1)
        async with aclosing(aio.as_completed([held, queued, done])) as completed:
            async for _ in completed:
                break
        gate.set()
        assert await held == "held"
        assert await queued == 8

    library.run(main)


def test_cancelling_as_completed_stops_the_rest(library: Library, one: Held) -> None:
    async def main() -> None:
        running, queued = one.spin(), one.submit(print)

        async def read() -> None:
            async for _ in aio.as_completed([running, queued]):
                pytest.fail("nothing is done")

        async with library.children() as start:
            child = start(read)
            await library.settle()
            child.cancel()
            assert await child.end() == CANCELLED
        assert queued.cancelled()
        assert isinstance(running.exception(PATIENCE), Interrupted)

    library.run(main)


# ---- what is no future ----------------------------------------------------------------------------------------------------


def test_what_is_no_future_is_named(library: Library, one: Held) -> None:
    async def main() -> None:
        future = one.submit(pow, 2, 3)
        with pytest.raises(TypeError, match=r"await_all\(\): futures\[1\] must be a future, not 5"):
            await aio.await_all(future, 5)
        with pytest.raises(TypeError, match=r"await_any\(\): futures must be futures or one iterable of them, not 5"):
            await aio.await_any(5)
        with pytest.raises(TypeError, match=r"as_completed\(\): futures\[0\] must be a future, not 'x'"):
            aio.as_completed(["x"])

    library.run(main)
