"""Pools that take part with as many threads as a test wants, on a machine with however few CPUs."""

from collections.abc import Callable, Iterator

import pytest

from weft.executors import ThreadPoolExecutor, threads

type MakePool = Callable[[int], ThreadPoolExecutor]


@pytest.fixture
def make_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePool]:
    """`make_pool(workers)`: regions on that pool have so many parts. All are shut down after the test."""
    monkeypatch.setattr(threads, "usable_cpus", lambda: 64)
    made: list[ThreadPoolExecutor] = []

    def make(workers: int) -> ThreadPoolExecutor:
        made.append(ThreadPoolExecutor(workers))
        return made[-1]

    yield make
    for pool in made:
        pool.shutdown()


@pytest.fixture(params=[None, 3], ids=["caller", "pool"])
def executor(request: pytest.FixtureRequest, make_pool: MakePool) -> ThreadPoolExecutor | None:
    """Each test that takes it runs in the caller alone, and on a pool."""
    return make_pool(request.param) if request.param else None
