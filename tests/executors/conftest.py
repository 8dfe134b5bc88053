"""Runs each test that takes `flavor` on the executors that can do what it needs (see flavors.py), and closes its pools.

`--weft-flavor`, of weft's pytest plugin, leaves those of one flavor.
"""

import itertools
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import native_threads
from tests.executors import tasks
from tests.executors.child import wait_until
from tests.executors.flavors import PATIENCE, Can, Flavor, able
from tests.executors.gates import Gate


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*abilities): what an executor has to be able to do for this test")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "flavor" in metafunc.fixturenames:
        abilities = [ability for mark in metafunc.definition.iter_markers("needs") for ability in mark.args]
        wanted = metafunc.config.getoption("weft_flavor")
        metafunc.parametrize(
            "flavor",
            [flavor for flavor in able(*abilities) if wanted in (None, flavor.name)],
            ids=repr,
            scope="module",  # see shared_pool
        )


@dataclass
class Pools:
    """Makes executors of one flavor, and knows how to keep their workers busy."""

    flavor: Flavor
    made: list[Executor] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)

    def __call__(self, workers: int = 2, **keywords: Any) -> Any:
        pool = self.flavor.make(workers, **keywords)
        self.made.append(pool)
        return pool

    def gate(self) -> Gate:
        """A gate that is opened at the end of the test at the latest, so that a failed test leaves nothing behind."""
        gate = self.flavor.gate()
        self.gates.append(gate)
        return gate

    def hold(self, pool: Executor, workers: int = 1) -> tuple[Gate, list[Future[bool]]]:
        """Keeps so many workers busy, from now on, until the gate is opened."""
        gate = self.gate()
        begun = [self.gate() for _ in range(workers)]
        futures = [pool.submit(tasks.begin_and_wait, mark, gate) for mark in begun]
        assert all(mark.wait(PATIENCE) for mark in begun), f"{workers} tasks do not run at a time"
        return gate, futures

    @contextmanager
    def held(self, pool: Executor, workers: int = 1) -> Iterator[Gate]:
        """For the block (or until the gate is opened in it), so many workers are busy."""
        gate, futures = self.hold(pool, workers)
        try:
            yield gate
        finally:
            gate.set()
        assert [future.result(PATIENCE) for future in futures] == [True] * workers

    def close(self) -> None:
        for gate in self.gates:
            gate.set()
        for pool in self.made:
            pool.shutdown(wait=True, cancel_futures=True)


def shared_pool(workers: int) -> Any:
    """A fixture for a module whose tests leave a pool as it was: one for all of them, its workers there from the start.

    To make workers in interpreters and processes, and to end them, takes longer than most tests do.
    """

    @pytest.fixture(scope="module")
    def shared(flavor: Flavor) -> Iterator[Any]:
        pools = Pools(flavor)
        pool = pools(workers)
        if Can.WORKERS in flavor.can:
            with pools.held(pool, workers):
                pass
        if Can.TAKE_OPTIONS in flavor.can:  # with the threads that serve all pools
            timed = pool.options(timeout=PATIENCE)
            timed.submit(tasks.nothing).result(PATIENCE)
            list(timed.map(tasks.echo, range(10)))
            if sys.platform == "linux":
                wait_until(lambda: "weft-timer" in native_threads().values(), "the timer has its name")
        yield pool
        pools.close()

    return shared


@pytest.fixture
def pools(flavor: Flavor) -> Iterator[Pools]:
    """Executors of the flavor, made to measure; closed after the test."""
    pools = Pools(flavor)
    yield pools
    pools.close()


@pytest.fixture
def pool(pools: Pools) -> Any:
    """An executor of the flavor, with two workers where it has workers."""
    return pools(2)


@pytest.fixture
def one(pools: Pools) -> Any:
    """An executor of the flavor, with one worker where it has workers."""
    return pools(1)


@pytest.fixture
def new_path(tmp_path: Path) -> Callable[[], str]:
    """Names of files that are not there yet; each call another, so that a test can be tried again."""
    numbers = itertools.count()
    return lambda: str(tmp_path / str(next(numbers)))


def noted(path: str) -> list[str]:
    """The lines that `set_up_tasks.note` wrote, if any."""
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
