"""Real engines on this machine's loopback: each is started once, when a test first asks for it, and ended
after the last of these tests.

`make test` has the quick ones. ``WEFT_ENGINES`` names another one, and has its long tests run too: `make test-engines`
does so for each, in a process of its own, as Ray's has no other network than its loopback. One whose package is not there
is skipped.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.engines.dask_cluster import DaskCluster
from tests.engines.makers import ANOTHER, ENGINES, MAKERS, QUICK


class Engines:
    """The executor of each engine that was asked for."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._made: dict[str, Any] = {}

    def executor(self, engine: str) -> Any:
        if engine not in self._made:
            self._made[engine] = self._open.enter_context(MAKERS[engine]())
        return self._made[engine]

    def close(self) -> None:
        self._open.close()


@pytest.fixture(scope="package")  # tests of other folders count threads and descriptors
def engines() -> Iterator[Engines]:
    engines = Engines()
    yield engines
    engines.close()


@pytest.fixture(params=ENGINES or QUICK)
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def executor(engines: Engines, engine: str) -> Any:
    """An executor that tests share: it stays open."""
    return engines.executor(engine)


@pytest.fixture
def own(executor: Any, engine: str) -> Iterator[Any]:
    """Another executor on the same engine, for tests that shut it down."""
    own = ANOTHER[engine](executor)
    yield own
    own.shutdown(cancel_futures=True)


@pytest.fixture(scope="package")
def dask_cluster(engines: Engines) -> DaskCluster:
    """The cluster that all tests share. Who kills workers of it adds others."""
    return engines.executor("dask").cluster_of_tests
