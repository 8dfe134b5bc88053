"""Completions, cancellations and closing loops that meet: from barriers, again and again; most telling without a GIL."""

import asyncio
import random
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from tests.aio.libraries import CANCELLED, PATIENCE, Asyncio, Library
from tests.executors.race import SECONDS
from weft import aio
from weft.errors import Interrupted
from weft.executors import ThreadPoolExecutor

pytestmark = pytest.mark.deadline(180)


def in_threads(count: int, work: Any) -> list[Any]:
    """Runs work(number) in so many threads that begin together; what each returned or raised."""
    barrier = threading.Barrier(count)
    outcomes: list[Any] = [None] * count

    def thread(number: int) -> None:
        try:
            barrier.wait(PATIENCE)
            outcomes[number] = work(number)
        except BaseException as error:
            outcomes[number] = error

    threads = [threading.Thread(target=thread, args=[number]) for number in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(2 * PATIENCE)
    return outcomes


def test_cancel_against_completion(library: Library, rng: random.Random) -> None:
    """Whatever comes first: the await ends once, with a result or a cancellation, and the work is settled."""
    until = time.monotonic() + SECONDS

    async def main() -> int:
        rounds = 0
        while time.monotonic() < until or rounds < 20:
            futures: list[Future[Any]] = [pool.submit(time.sleep, rng.choice([0, 1e-5, 1e-4])) for _ in range(20)]

            async def wait(future: Any) -> str:
                await future
                return "done"

            async with library.children() as start:
                children = [start(lambda future=future: wait(future)) for future in futures]
                await library.turn()
                for child in rng.sample(children, 10):
                    child.cancel()
                outcomes = [await child.end() for child in children]
            for future, outcome in zip(futures, outcomes, strict=True):
                assert outcome in ("done", CANCELLED), outcome
                if outcome == "done":
                    assert future.done()
                    assert not future.cancelled()
                elif not future.cancelled():
                    assert isinstance(future.exception(PATIENCE), Interrupted | None)
            rounds += 1
        return rounds

    with ThreadPoolExecutor(2) as pool:
        print(library.run(main), "rounds")


def test_many_loops_await_the_same_futures(library: Library) -> None:
    with ThreadPoolExecutor(2) as pool:
        rounds: list[list[Future[int]]] = [[pool.submit(int, n) for n in range(50)] for _ in range(10)]

        def loop(_: int) -> int:
            async def main() -> int:
                total = 0
                for futures in rounds:
                    total += sum(await aio.await_all(futures))
                    async with library.children() as start:

                        async def wait(future: Any) -> int:
                            return await future

                        children = [start(lambda future=future: wait(future)) for future in futures]
                        total += sum([await child.end() for child in children])
                return total

            return library.run(main)

        assert in_threads(5, loop) == [2 * 10 * sum(range(50))] * 5


def test_some_loops_give_up_on_futures_that_others_await(library: Library, rng: random.Random) -> None:
    """As long as one awaits, the work is not stopped."""
    until = time.monotonic() + SECONDS
    with ThreadPoolExecutor(2) as pool:
        while time.monotonic() < until:
            gate = threading.Event()
            futures = [pool.submit(gate.wait, PATIENCE) for _ in range(2)] + [pool.submit(int, 5) for _ in range(10)]
            patient = threading.Event()

            def loop(number: int) -> Any:
                async def stay() -> Any:
                    async with library.children() as start:

                        async def let_go() -> None:
                            await library.settle()
                            patient.set()

                        start(let_go)
                        return await aio.await_all(futures)

                async def give_up() -> Any:
                    await asyncio_or_trio_wait(library, patient)
                    return await library.timed_out(rng.choice([0, 0.0001, 0.001]), aio.await_all(futures))

                if number == 0:
                    return library.run(stay)
                if number == 1:
                    patient.wait(PATIENCE)
                    time.sleep(0.002)  # not to wait for anything: some give up before, some after
                    gate.set()
                    return None
                return library.run(give_up)

            outcomes = in_threads(4, loop)
            assert outcomes[0] == (True, True, *[5] * 10)
            assert not [outcome for outcome in outcomes if isinstance(outcome, BaseException)]


async def asyncio_or_trio_wait(library: Library, event: threading.Event) -> None:
    while not event.is_set():
        await library.turn()


def test_loops_that_close_while_work_completes(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is raised on a worker and nothing crashes, whenever the loop goes."""
    until = time.monotonic() + SECONDS
    rounds = 0
    with ThreadPoolExecutor(2) as pool:
        while time.monotonic() < until or rounds < 20:
            loop = asyncio.new_event_loop()
            futures = [pool.submit(time.sleep, 1e-5) for _ in range(30)]

            async def wait(future: Any) -> None:
                await future

            async def begin(futures: Any = futures) -> Any:
                tasks = [asyncio.create_task(wait(future)) for future in futures]
                await asyncio.sleep(0)
                return tasks

            tasks = loop.run_until_complete(begin())
            loop.close()
            for future in futures:
                future.result(PATIENCE)
            for task in tasks:
                task._log_destroy_pending = False
            del tasks, task
            rounds += 1
        assert pool.submit(pow, 2, 3).result(PATIENCE) == 8
    assert {record.name for record in caplog.records} <= {"weft.aio"}
    print(rounds, "rounds")


def test_every_wait_ends(rng: random.Random) -> None:
    """A storm of awaits in many loops: not one wake-up is lost."""

    def loop(number: int) -> int:
        async def main() -> int:
            count = 0
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                count += len(await asyncio.gather(*(pool.submit(int) for _ in range(rng.randrange(1, 40)))))
                await pool.submit(int)
            return count

        return Asyncio().run(main)

    with ThreadPoolExecutor(2) as pool:
        counts = in_threads(4, loop)
    assert all(isinstance(count, int) for count in counts), counts
