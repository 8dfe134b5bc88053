"""`weft.compat.asyncio` in use: what asyncio runs in threads, it runs in a pool of weft's that ends with the loop."""

import asyncio as stdlib
import concurrent.futures
import contextvars
import threading

import pytest

import weft
from weft.compat import asyncio

ThreadPoolExecutor = weft.executors.ThreadPoolExecutor


def pool_of(loop: stdlib.AbstractEventLoop) -> object:
    return loop._default_executor  # type: ignore[attr-defined]


async def pool_of_this_loop() -> object:
    await stdlib.get_running_loop().run_in_executor(None, int)
    return pool_of(stdlib.get_running_loop())


def is_closed(pool: object) -> bool:
    assert type(pool) is ThreadPoolExecutor
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(int)
    return True


def test_run() -> None:
    assert is_closed(asyncio.run(pool_of_this_loop()))
    assert is_closed(asyncio.run(pool_of_this_loop(), debug=True))
    assert is_closed(asyncio.run(pool_of_this_loop(), loop_factory=stdlib.SelectorEventLoop))


def test_run_within_a_loop_is_refused() -> None:
    async def main() -> None:
        inner = pool_of_this_loop()
        with pytest.raises(RuntimeError, match=r"asyncio.run\(\) cannot be called from a running event loop"):
            asyncio.run(inner)
        runner = asyncio.Runner()
        with pytest.raises(RuntimeError, match=r"Runner.run\(\) cannot be called from a running event loop"):
            runner.run(inner)
        inner.close()

    asyncio.run(main())


def test_runner() -> None:
    with asyncio.Runner() as runner:
        assert isinstance(runner, stdlib.Runner)
        pool = runner.run(pool_of_this_loop())
        assert runner.run(pool_of_this_loop()) is pool is pool_of(runner.get_loop())
    assert is_closed(pool)
    with pytest.raises(RuntimeError, match="Runner is closed"):
        runner.get_loop()


def test_a_runner_without_with() -> None:
    runner = asyncio.Runner()
    pool = runner.run(pool_of_this_loop())
    runner.close()
    assert is_closed(pool)


def test_new_event_loop() -> None:
    loop = asyncio.new_event_loop()
    pool = pool_of(loop)
    assert loop.run_until_complete(loop.run_in_executor(None, pow, 2, 10)) == 1024
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert is_closed(pool)


def test_a_loop_that_is_closed_closes_its_pool() -> None:
    loop = asyncio.new_event_loop()
    pool = pool_of(loop)
    loop.close()
    assert is_closed(pool)


def test_to_thread() -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    def work(*args: int, **kwargs: int) -> tuple[object, ...]:
        return threading.current_thread().name.rpartition("_")[0], variable.get(), args, kwargs

    async def main() -> object:
        variable.set("set")
        return await asyncio.to_thread(work, 1, b=2)

    assert asyncio.run(main()) == ("asyncio", "set", (1,), {"b": 2})


def test_to_thread_on_a_loop_of_others() -> None:
    async def main() -> object:
        await asyncio.to_thread(int)
        return pool_of(stdlib.get_running_loop())

    assert is_closed(stdlib.run(main()))


def test_an_executor_that_the_program_sets_stays() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="own") as own:
            before = pool_of(loop)
            loop.set_default_executor(own)
            assert (await asyncio.to_thread(threading.current_thread)).name == "own_0"
            assert pool_of(loop) is own
            loop.set_default_executor(before)

    asyncio.run(main())

    class Own(stdlib.SelectorEventLoop):
        def __init__(self) -> None:
            super().__init__()
            self.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))

    with asyncio.Runner(loop_factory=Own) as runner:
        assert type(pool_of(runner.get_loop())) is concurrent.futures.ThreadPoolExecutor


def test_a_loop_that_takes_no_executor() -> None:
    class None_(stdlib.SelectorEventLoop):
        def set_default_executor(self, executor: object) -> None:
            raise NotImplementedError

    async def main() -> int:
        return await asyncio.to_thread(pow, 2, 3)

    assert asyncio.run(main(), loop_factory=None_) == 8


def test_cancelling_means_what_it_means_in_asyncio() -> None:
    """A call that runs goes on, and its end is waited for when the loop ends."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(30)
        ended.set()

    async def main() -> None:
        task = asyncio.create_task(asyncio.to_thread(work))
        while not begun.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not ended.is_set()
        go_on.set()

    asyncio.run(main())
    assert ended.is_set()


def test_a_future_of_the_module_is_asyncios() -> None:
    async def main() -> list[int]:
        with concurrent.futures.ThreadPoolExecutor(1) as theirs, ThreadPoolExecutor(1) as ours:
            return await asyncio.gather(*(asyncio.wrap_future(pool.submit(pow, 2, 3)) for pool in (theirs, ours)))

    assert asyncio.run(main()) == [8, 8]
    assert asyncio.Future is stdlib.Future
