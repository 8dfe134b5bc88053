"""`await future`: what it gives, where it runs, and what it costs the loop. Under asyncio and under trio."""

import asyncio
import contextvars
import os
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest

import weft
from tests.aio.conftest import Held
from tests.aio.libraries import PATIENCE, Asyncio, Library
from tests.executors.child import run_child
from tests.lateness import Late, crowding
from weft.executors import SerialExecutor, ThreadPoolExecutor

RESULTS = [5, None, False, (), (1, 2), ValueError("as a result"), StopIteration(3), [1]]


@pytest.mark.parametrize("done", [False, True], ids=["pending", "done"])
@pytest.mark.parametrize("result", RESULTS, ids=repr)
def test_the_result(library: Library, one: Held, result: Any, done: bool) -> None:
    async def main() -> Any:
        gate, _ = one.hold()
        future = one.submit(lambda: result)
        if done:
            gate.set()
            future.result(PATIENCE)
            return await future
        threading.Timer(0.01, gate.set).start()
        return await future

    assert library.run(main) is result


@pytest.mark.parametrize("done", [False, True], ids=["pending", "done"])
def test_the_failure(library: Library, one: Held, done: bool) -> None:
    error = ZeroDivisionError("weft")

    def fail() -> None:
        raise error

    async def main() -> None:
        gate, _ = one.hold()
        future = one.submit(fail)
        threading.Timer(0.01, gate.set).start()
        if done:
            future.exception(PATIENCE)
        with pytest.raises(ZeroDivisionError) as caught:
            await future
        assert caught.value is error

    library.run(main)


@pytest.mark.parametrize("moment", ["before", "while"])
def test_a_future_that_somebody_else_cancels(library: Library, one: Held, moment: str) -> None:
    async def main() -> None:
        one.hold()
        future = one.submit(print)
        if moment == "before":
            assert future.cancel()
        else:
            threading.Timer(0.01, future.cancel).start()
        with pytest.raises(library.cancelled_error):
            await future

    library.run(main)


def test_what_is_done_takes_no_turn_of_the_loop(library: Library, one: Held) -> None:
    async def main() -> None:
        future = one.submit(pow, 2, 10)
        future.result(PATIENCE)
        step = future.__await__()
        with pytest.raises(StopIteration) as stopped:
            next(step)
        assert stopped.value.value == 1024

    library.run(main)


def test_serial_futures(library: Library) -> None:
    async def main() -> int:
        return await SerialExecutor().submit(pow, 2, 3)

    assert library.run(main) == 8


def test_one_after_the_other(library: Library, two: Held) -> None:
    async def main() -> list[int]:
        return [await two.submit(pow, number, 2) for number in range(500)]

    assert library.run(main) == [number**2 for number in range(500)]


def test_by_several_tasks(library: Library, one: Held) -> None:
    async def main() -> list[Any]:
        gate, future = one.hold()

        async def wait() -> str:
            return await future

        async with library.children() as start:
            children = [start(wait) for _ in range(20)]
            await library.settle()
            gate.set()
            return [await child.end() for child in children]

    assert library.run(main) == ["held"] * 20


def test_by_several_loops(library: Library, one: Held) -> None:
    gate, future = one.hold()
    waiting = threading.Barrier(5)
    results: list[Any] = []

    def thread() -> None:
        async def main() -> Any:
            async def arrive() -> None:
                await library.settle()
                await weft.to_thread(waiting.wait, PATIENCE)

            async with library.children() as start:
                start(arrive)
                return await future

        results.append(library.run(main))

    threads = [threading.Thread(target=thread) for _ in range(4)]
    for each in threads:
        each.start()
    waiting.wait(PATIENCE)
    gate.set()
    for each in threads:
        each.join(PATIENCE)
    assert results == ["held"] * 4


def test_context_variables(library: Library, two: Held) -> None:
    variable = contextvars.ContextVar("variable", default=0)

    async def main() -> None:
        gate, future = two.hold()

        async def wait(number: int) -> tuple[int, int, int]:
            variable.set(number)
            seen = await two.submit(variable.get)
            await future
            between = variable.get()
            return seen, between, await two.submit(variable.get)

        async with library.children() as start:
            children = [start(lambda number=number: wait(number)) for number in range(1, 6)]
            await library.settle()
            gate.set()
            assert [await child.end() for child in children] == [(number,) * 3 for number in range(1, 6)]
        assert variable.get() == 0

    library.run(main)


@pytest.mark.invariant(5)
def test_a_loop_in_a_task_may_await_tasks_of_the_same_pool(library: Library) -> None:
    def nested(depth: int) -> int:
        async def main() -> int:
            return await pool.submit(nested, depth - 1) + 1

        return library.run(main) if depth else 0

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(nested, 5).result(PATIENCE) == 5


def test_the_loop_is_not_blocked(library: Library, two: Held) -> None:
    """A ticker of 1 ms beside tasks that block for 100 ms."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await library.sleep(0.001)
            ticks += 1

    async def main() -> None:
        async with library.children() as start:
            start(tick)
            await two.submit(threading.Event().wait, 0.1)

    library.run(main)
    if ticks < 30 / crowding():
        raise Late(f"{ticks} ticks of 1 ms in 100 ms")


def test_a_great_many_completions_leave_the_loop_its_turns(library: Library, one: Held) -> None:
    """Others have their turn between completions that arrive at the same time."""

    async def main() -> tuple[int, int]:
        gate, _ = one.hold()
        futures = [one.submit(int) for _ in range(5_000)]
        woken = turns = 0

        async def wait(future: Any) -> None:
            nonlocal woken
            await future
            woken += 1

        async with library.children() as start:
            children = [start(lambda future=future: wait(future)) for future in futures]
            await library.settle()
            gate.set()
            futures[-1].result(PATIENCE)
            while woken < len(futures):
                await library.turn()
                turns += 1
            for child in children:
                await child.end()
        return woken, turns

    woken, turns = library.run(main)
    assert woken == 5_000
    assert turns >= 5


# ---- where there is no loop, or another one -----------------------------------------------------------------


def test_without_a_loop(one: Held) -> None:
    _, future = one.hold()
    with pytest.raises(RuntimeError, match="neither asyncio nor trio runs"):
        next(iter(future.__await__()))


def test_without_a_loop_what_is_done_has_a_result() -> None:
    async def main() -> int:
        return await SerialExecutor().submit(pow, 2, 3)

    with pytest.raises(StopIteration) as stopped:
        main().send(None)
    assert stopped.value.value == 8


@pytest.mark.leaves_threads("trio keeps the thread that polls for a guest run, for ten seconds")
def test_trio_as_a_guest_of_asyncio(one: Held) -> None:
    """Both run in one thread, and each task is woken by its own library."""
    import trio

    async def in_trio() -> str:
        gate, future = one.hold()
        threading.Timer(0.01, gate.set).start()
        return await future

    async def main() -> tuple[str, str]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            in_trio,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            run_sync_soon_not_threadsafe=loop.call_soon,
            done_callback=ended.set_result,
        )
        from_trio = (await ended).unwrap()
        gate, future = one.hold()
        threading.Timer(0.01, gate.set).start()
        return from_trio, await future

    assert Asyncio().run(main) == ("held", "held")


def test_where_trio_is_not_to_be_imported(one: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trio", None)

    async def main() -> str:
        gate, future = one.hold()
        threading.Timer(0.01, gate.set).start()
        return await future

    assert Asyncio().run(main) == "held"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork")
def test_after_a_fork() -> None:
    run_child("""if 1:
        import asyncio, os, threading, warnings
        from weft.errors import PoolForked
        from weft.executors import ThreadPoolExecutor

        warnings.simplefilter("ignore", DeprecationWarning)
        gate = threading.Event()
        pool = ThreadPoolExecutor(1)
        future = pool.submit(gate.wait)

        async def wait():
            await future

        if (child := os.fork()) == 0:
            try:
                asyncio.run(wait())
            except PoolForked:
                os._exit(7)
            os._exit(8)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        gate.set()
        pool.shutdown()
        raise SystemExit(status)
    """).check_sound(7)


# ---- asyncio's own ways to await ------------------------------------------------------------------------------


def test_with_all_that_asyncio_awaits_with(two: Held) -> None:
    async def main() -> None:
        assert await asyncio.gather(*(two.submit(pow, n, 2) for n in range(100))) == [n**2 for n in range(100)]
        assert await asyncio.wait_for(two.submit(pow, 2, 3), PATIENCE) == 8
        assert await asyncio.shield(two.submit(pow, 2, 4)) == 16
        assert await asyncio.wrap_future(two.submit(pow, 2, 5)) == 32
        assert await asyncio.ensure_future(two.submit(pow, 2, 6)) == 64
        assert await asyncio.get_running_loop().run_in_executor(two.pool, pow, 2, 7) == 128
        assert sorted([await each for each in asyncio.as_completed([two.submit(abs, -1), two.submit(abs, -2)])]) == [
            1,
            2,
        ]
        with pytest.raises(ZeroDivisionError):
            await asyncio.gather(two.submit(divmod, 1, 0))

    Asyncio().run(main)


def python_task(loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> Any:
    return asyncio.tasks._PyTask(coro, loop=loop, **kwargs)  # type: ignore[attr-defined]


@pytest.mark.parametrize("factory", [None, asyncio.eager_task_factory, python_task], ids=["c", "eager", "python"])
def test_with_every_kind_of_task(one: Held, factory: Any) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(factory)

        async def wait(future: Any) -> Any:
            return await future

        gate, held = one.hold()
        queued = one.submit(print)
        first, second = asyncio.create_task(wait(held)), asyncio.create_task(wait(queued))
        await asyncio.sleep(0)
        second.cancel("not needed")
        with pytest.raises(asyncio.CancelledError) as caught:
            await second
        assert caught.value.args == ("not needed",)
        assert queued.cancelled()
        gate.set()
        assert await first == "held"
        assert await asyncio.create_task(wait(held)) == "held"

    Asyncio().run(main)


def test_on_uvloop(two: Held) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        assert await asyncio.gather(*(two.submit(pow, n, 2) for n in range(100))) == [n**2 for n in range(100)]
        spinning = two.spin()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(spinning, 0.01)
        assert isinstance(spinning.exception(PATIENCE), weft.errors.Interrupted)

    Asyncio(uvloop.new_event_loop).run(main)


def test_debug_mode(two: Held) -> None:
    async def main() -> int:
        asyncio.get_running_loop().set_debug(True)
        return await two.submit(pow, 2, 10)

    assert Asyncio().run(main) == 1024


def test_from_a_coroutine_that_is_driven_by_hand(one: Held) -> None:
    """`send`, `throw` and `close`, as whoever wraps an awaitable in a generator uses them."""
    import types

    @types.coroutine
    def through(awaitable: Any) -> Generator[Any, Any, Any]:
        step = awaitable.__await__()
        try:
            sent = yield step.send(None)
            while True:
                sent = yield step.send(sent)
        except StopIteration as stopped:
            return stopped.value

    async def main() -> None:
        gate, future = one.hold()
        threading.Timer(0.01, gate.set).start()
        assert await through(future) == "held"
        _, future = one.hold()
        step: Any = future.__await__()
        next(step)
        with pytest.raises(RuntimeError, match="await wasn't used with future"):
            next(step)
        with pytest.raises(KeyError):
            step.throw(KeyError(1))
        assert step.cancelled()
        assert not future.cancelled()  # the work goes on
        other: Any = future.__await__()
        next(other)
        other.close()
        other.close()
        assert not future.done()

    Asyncio().run(main)


def test_the_task_says_what_it_waits_for(one: Held) -> None:
    async def main() -> str:
        gate, future = one.hold()

        async def wait() -> None:
            await future

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        shown = repr(task)
        gate.set()
        await task
        return shown

    assert "<wait for <Future at" in Asyncio().run(main)


def test_callbacks_and_awaits_of_one_future(library: Library, one: Held) -> None:
    async def main() -> list[Any]:
        seen: list[Any] = []
        gate, future = one.hold()
        callback: Callable[[Any], None] = lambda done: seen.append(done.result())  # noqa: E731
        future.add_done_callback(callback)

        async def wait() -> None:
            seen.append(await future)

        async with library.children() as start:
            child = start(wait)
            await library.settle()
            gate.set()
            await child.end()
        return seen

    assert library.run(main) == ["held", "held"]
