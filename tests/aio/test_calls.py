"""`to_thread`, `run_in_executor`, `wrap_future`. Under asyncio and under trio."""

import asyncio
import concurrent.futures
import contextvars
import sys
import threading
from typing import Any

import pytest

import weft
from tests.aio.conftest import Held
from tests.aio.libraries import CANCELLED, PATIENCE, Asyncio, Library
from tests.executors import remote_tasks
from weft import aio
from weft.errors import FlavorUnavailable, Interrupted, PayloadError


def test_to_thread(library: Library) -> None:
    variable = contextvars.ContextVar("variable", default=0)

    async def main() -> None:
        assert await aio.to_thread(pow, 2, exp=10) == 1024
        variable.set(7)
        assert await weft.to_thread(variable.get) == 7
        assert await aio.to_thread(threading.get_ident) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await aio.to_thread(divmod, 1, 0)
        with pytest.raises(TypeError):
            await aio.to_thread(5)

    library.run(main)
    assert weft.to_thread is aio.to_thread


@pytest.mark.parametrize(
    "to_worker", [weft.to_process] + ([weft.to_interpreter] if sys.version_info >= (3, 14) else [])
)
def test_to_workers_elsewhere(library: Library, to_worker: Any) -> None:
    async def main() -> None:
        assert await to_worker(pow, 2, exp=10) == 1024
        assert await to_worker(remote_tasks.where) != remote_tasks.where()
        with pytest.raises(ZeroDivisionError):
            await to_worker(divmod, 1, 0)
        with pytest.raises(PayloadError):
            await to_worker(repr, threading.Lock())

    library.run(main)
    weft.shutdown()
    library.run(main)  # it has made another
    weft.reset()


def test_to_interpreter_before_3_14(library: Library) -> None:
    if sys.version_info < (3, 14):
        with pytest.raises(FlavorUnavailable, match=r"3\.14"):
            library.run(lambda: weft.to_interpreter(abs, -1))


def test_to_thread_is_interrupted(library: Library) -> None:
    stopped: list[type[BaseException]] = []
    begun, ended = threading.Event(), threading.Event()

    def spin() -> None:  # of its own: in 3.13 the jump back of a loop is not covered by the `try` that it is in
        begun.set()
        while not ended.is_set():
            pass

    def task() -> None:
        try:
            spin()
        except BaseException as error:
            stopped.append(type(error))
        ended.set()

    async def main() -> None:
        async with library.children() as start:
            child = start(lambda: aio.to_thread(task))
            while not begun.is_set():
                await library.turn()
            child.cancel()
            assert await child.end() == CANCELLED

    library.run(main)
    if not ended.wait(PATIENCE):
        ended.set()
    assert stopped == [Interrupted]


@pytest.mark.parametrize("make", [weft.executors.ThreadPoolExecutor, concurrent.futures.ThreadPoolExecutor])
def test_run_in_executor(library: Library, make: Any) -> None:
    async def main() -> None:
        with make(2) as pool:
            assert await aio.run_in_executor(pool, pow, 2, 10) == 1024
            with pytest.raises(ZeroDivisionError):
                await aio.run_in_executor(pool, divmod, 1, 0)
        with pytest.raises(RuntimeError, match="after shutdown"):
            await aio.run_in_executor(pool, pow, 2, 10)
        assert await aio.run_in_executor(None, pow, 2, 3) == 8

    library.run(main)


def test_run_in_executor_as_a_task_of_asyncios() -> None:
    async def main() -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(aio.run_in_executor(None, pow, 2, n)) for n in range(5)]
        return [task.result() for task in tasks]

    assert Asyncio().run(main) == [1, 2, 4, 8, 16]


def test_wrap_future(library: Library, one: Held) -> None:
    async def main() -> None:
        ours = one.submit(pow, 2, 3)
        assert aio.wrap_future(ours) is ours
        theirs: concurrent.futures.Future[int] = concurrent.futures.Future()
        wrapped = aio.wrap_future(theirs)
        assert "awaitable <Future" in repr(wrapped)
        threading.Timer(0.01, theirs.set_result, [5]).start()
        assert await wrapped == 5
        assert await wrapped == 5  # again: it is done
        with pytest.raises(TypeError, match="future must be a concurrent"):
            aio.wrap_future(5)

    library.run(main)


def test_wrap_future_fails_and_is_cancelled(library: Library) -> None:
    async def main() -> None:
        failing: concurrent.futures.Future[int] = concurrent.futures.Future()
        threading.Timer(0.01, failing.set_exception, [KeyError(1)]).start()
        with pytest.raises(KeyError):
            await aio.wrap_future(failing)
        cancelled: concurrent.futures.Future[int] = concurrent.futures.Future()
        threading.Timer(0.01, cancelled.cancel).start()
        with pytest.raises(library.cancelled_error):
            await aio.wrap_future(cancelled)
        pending: concurrent.futures.Future[int] = concurrent.futures.Future()
        assert await library.timed_out(0.001, aio.wrap_future(pending))
        assert pending.cancelled()
        running: concurrent.futures.Future[int] = concurrent.futures.Future()
        running.set_running_or_notify_cancel()
        assert await library.timed_out(0.001, aio.wrap_future(running))
        running.set_result(5)  # the standard library's cannot be interrupted
        assert await aio.wrap_future(running) == 5

    library.run(main)


def test_wrap_future_leaves_asyncios_own_alone() -> None:
    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        assert aio.wrap_future(future) is future

    Asyncio().run(main)


def test_outside_of_a_loop() -> None:
    with pytest.raises(RuntimeError, match="neither asyncio nor trio runs"):
        aio.wrap_future(concurrent.futures.Future()).__await__().send(None)
