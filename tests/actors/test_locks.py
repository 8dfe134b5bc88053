"""What an interrupt hits at the worst moment: the locks that the interrupted thread has, or is about to have."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import anyio
import pytest

from tests.actors import functions
from tests.actors.conftest import PATIENCE, Run
from tests.executors.child import times
from weft import _core
from weft._locks import let_go
from weft.actors import open_nursery
from weft.actors._loops import here
from weft.actors._spawn._child_handle import ThreadChild
from weft.actors._worker import Worker
from weft.errors import Interrupted


@pytest.fixture(autouse=True)
def threads_take_turns() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_what_a_thread_has_taken_several_times_it_lets_go_of_at_once() -> None:
    lock = threading.RLock()
    let_go(lock)
    for _ in range(3):
        lock.acquire()
    let_go(lock)
    free: list[bool] = []
    other = threading.Thread(target=lambda: free.append(lock.acquire(blocking=False)))
    other.start()
    other.join()
    assert free == [True]


@pytest.mark.deadline(300)  # three threads spin, and others have the CPUs too
def test_a_thread_that_is_interrupted_as_it_ends_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # An interrupt that hits a destructor is told there; pytest's own hook takes the next one for an error of its own.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)

    def spin() -> None:
        began.set()
        while True:
            pass

    def interrupt(thread: int) -> None:
        _core.raise_in_thread(thread, Interrupted)

    for _ in range(times(1000, 10)):
        began = threading.Event()
        child = ThreadChild("a", spin, interrupt, daemon=True, interrupt_blocks=False)
        ended = threading.Event()
        child.on_end(ended.set)
        assert began.wait(PATIENCE)

        def keep_on(child: ThreadChild = child) -> None:
            while child.end() is None:
                child.interrupt()

        others = [threading.Thread(target=keep_on, daemon=True) for _ in range(2)]
        for other in others:
            other.start()
        assert ended.wait(PATIENCE)
        for other in others:
            other.join(PATIENCE)
            assert not other.is_alive()
        child.close()


def test_each_call_that_is_taken_back_as_it_begins_or_returns_is_reported_once(run: Run) -> None:
    count = times(5000, 100)
    reported: list[int] = []

    def spin_a_little(turns: int) -> None:
        for _ in range(turns):
            pass

    async def main() -> None:
        worker = Worker(here(), lambda number, good, outcome: reported.append(number), "calls")
        for number in range(count):
            worker.put(number, spin_a_little, {"turns": number % 7 * 20})
            for _ in range(3):
                worker.take_back(number)
            while len(reported) <= number:
                worker.take_back(number)
                await anyio.sleep(0)
        await worker.end()

    run(main)
    assert reported == list(range(count))


def test_what_goes_undisturbed_is_done_in_full(run: Run) -> None:
    """Such as half a frame that a full socket has taken: the interrupt comes when the rest is kept."""
    begun: list[int] = []
    ended: list[int] = []
    reported: list[object] = []

    def step(number: int) -> None:
        begun.append(number)
        for _ in range(20):
            pass
        ended.append(number)

    async def main() -> None:
        worker = Worker(here(), lambda number, good, outcome: reported.append(outcome), "calls")

        def speak(number: int) -> None:
            while True:
                worker.undisturbed(step, number)

        for number in range(times(500, 50)):
            worker.put(number, speak, {"number": number})
            while not begun or begun[-1] != number:
                await anyio.sleep(0)
            worker.take_back(number)
            while len(reported) <= number:
                await anyio.sleep(0)
        await worker.end()

    run(main)
    assert {type(outcome) for outcome in reported} == {Interrupted}
    assert begun == ended


@pytest.mark.methods("interpreter", "process")
def test_an_actor_of_an_actor_that_spins_is_stopped_too(run: Run, method: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=method, grace=5.0, hard_kill=10.0) as nursery:
            portal = await nursery.start_actor("outer", enable_modules=[functions.__name__])
            async with portal.open_context(functions.hold_one_that_spins):
                nursery.cancel()
        assert nursery.abandoned == 0

    run(main)
