"""Executors of every kind, kept for a module's tests: the same pipelines run on each."""

import concurrent.futures
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.aio.libraries import Asyncio, Library, Trio
from tests.pipelines.redis_server import RedisServer
from weft import RuntimeConfig
from weft.executors import InterpreterPoolExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from weft.pipelines import AsyncExecutor, CompositeExecutor, SequentialExecutor


class Composite(CompositeExecutor):
    """With two pools of its own."""

    def __init__(self) -> None:
        super().__init__(map_executor=ThreadPoolExecutor(2), node_executor=ThreadPoolExecutor(2))

    def shutdown(self) -> None:
        self.map_executor.shutdown()
        self.node_executor.shutdown()


MAKERS: dict[str, Any] = {
    "sequential": SequentialExecutor,
    "threads": lambda: ThreadPoolExecutor(3),
    "stdlib-threads": lambda: concurrent.futures.ThreadPoolExecutor(3),
    "processes": lambda: ProcessPoolExecutor(2),
    "stdlib-processes": lambda: concurrent.futures.ProcessPoolExecutor(2, **SPAWNED),
    "async": lambda: AsyncExecutor(2),
    "composite": Composite,
}
if sys.version_info >= (3, 14):
    MAKERS["interpreters"] = lambda: InterpreterPoolExecutor(2)


def _spawned() -> dict[str, Any]:
    import multiprocessing

    return {"mp_context": multiprocessing.get_context("spawn")}


SPAWNED = _spawned()


class Places:
    """One executor of each kind, made when it is first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def config(self, kind: str, **fields: Any) -> RuntimeConfig:
        if kind not in self._made:
            self._made[kind] = MAKERS[kind]()
        return RuntimeConfig(executor=self._made[kind], **fields)

    def close(self) -> None:
        for executor in self._made.values():
            executor.shutdown()


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    places = Places()
    yield places
    places.close()


@pytest.fixture(params=MAKERS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[Asyncio, Trio], ids=["asyncio", "trio"])
def library(request: pytest.FixtureRequest) -> Library:
    return request.param()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real server, for as long as the tests run."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.end()
