"""Runs each test that takes `library` under asyncio and under trio; and a pool for them, whose workers can be held."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.aio.libraries import PATIENCE, Asyncio, Library, Trio
from weft import Future
from weft.executors import ThreadPoolExecutor


@pytest.fixture(params=[Asyncio, Trio], ids=["asyncio", "trio"])
def library(request: pytest.FixtureRequest) -> Library:
    return request.param()


@dataclass
class Held:
    """A pool, and gates that keep its workers busy until they are opened, at the end of the test at the latest."""

    pool: ThreadPoolExecutor
    gates: list[threading.Event] = field(default_factory=list)

    def submit[T](self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        return self.pool.submit(fn, *args, **kwargs)

    def hold(self) -> tuple[threading.Event, Future[str]]:
        """Keeps one worker busy from now on; the gate that lets it go, and the future of what it does: "held"."""
        gate, begun = threading.Event(), threading.Event()
        self.gates.append(gate)

        def wait() -> str:
            begun.set()
            assert gate.wait(PATIENCE)
            return "held"

        future = self.pool.submit(wait)
        assert begun.wait(PATIENCE)
        return gate, future

    def spin(self) -> Future[None]:
        """Keeps one worker busy with Python code, which can be interrupted at any moment."""
        begun = threading.Event()
        stopped = threading.Event()
        self.gates.append(stopped)

        def task() -> None:
            begun.set()
            while not stopped.is_set():
                pass

        future = self.pool.submit(task)
        assert begun.wait(PATIENCE)
        return future

    def close(self) -> None:
        for gate in self.gates:
            gate.set()
        self.pool.shutdown(wait=True, cancel_futures=True)


@pytest.fixture
def one() -> Iterator[Held]:
    """A pool of one worker."""
    held = Held(ThreadPoolExecutor(1))
    yield held
    held.close()


@pytest.fixture
def two() -> Iterator[Held]:
    """A pool of two workers."""
    held = Held(ThreadPoolExecutor(2))
    yield held
    held.close()
