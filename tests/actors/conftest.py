"""Every test that takes `run` does so under asyncio and under trio, and one that takes `spawn` by a method of each kind.

The methods are those of weft's pytest plugin: `--spawn-backend` says others, `all` for all with all tests. Without it,
interpreters under trio, which take the longest, are left to test_spawn.py.
What is kept warm stays warm from test to test, or each would wait a second for the first actor; it is there before the
first, and so does not count in what a test leaves behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from weft.actors._spawn import METHODS, _homes, lacks, process
from weft.debug import ResourceDelta
from weft.testing import resource_delta_fixture
from weft.testing._plugin import chosen_methods

HERE = [method for method in METHODS if lacks(method) is None]

PATIENCE = 20.0
"""Seconds after which nothing comes any more."""

type Run = Callable[..., Any]

LIBRARIES = ("asyncio", "trio")


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def spawn(spawn_backend: str) -> str:
    return spawn_backend


@pytest.fixture
def run(library: str) -> Run:
    """Runs an async function to its end, which has to come."""

    def run[T](main: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T:
        async def bounded() -> T:
            with anyio.fail_after(PATIENCE):
                return await main(*args, **kwargs)

        return anyio.run(bounded, backend=library)

    return run


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "methods(*names): the spawn methods of a test that takes `method`; all if none")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "method" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("methods")
        wanted = set(mark.args if mark else METHODS) & set(chosen_methods(metafunc.config) or METHODS)
        metafunc.parametrize("method", [method for method in HERE if method in wanted])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def is_slow(item: pytest.Item) -> bool:
        params = getattr(getattr(item, "callspec", None), "params", {})
        kinds = {params.get("spawn_backend"), params.get("method")}
        return params.get("library") == "trio" and any(str(kind).startswith("interpreter") for kind in kinds)

    def is_of_spawn(item: pytest.Item) -> bool:
        return item.nodeid.rpartition("::")[2].startswith("test_each_method")

    if chosen_methods(config) is None:
        items[:] = [item for item in items if not is_slow(item) or is_of_spawn(item)]


class Warmth:
    """What `weft.reset` would end after each test is kept from the first of these tests to the last.

    A fixture of package scope would be one of the session's here, and keep it for tests of other things too.
    """

    def __init__(self) -> None:
        self._patch: pytest.MonkeyPatch | None = None
        self._forget: list[Callable[[], None]] = []

    def begin(self) -> None:
        if self._patch is not None:
            return
        self._patch = pytest.MonkeyPatch()
        for module in (_homes, process):
            self._forget.append(module.forget)
            self._patch.setattr(module, "forget", lambda: None)
        for library in LIBRARIES:
            process.expect(library)
            if "interpreter" in HERE:
                _homes.expect(library, own_gil=True)
        wait_for_spares()

    def end(self) -> None:
        if self._patch is not None:
            self._patch.undo()
            for forget in self._forget:
                forget()
            self.__init__()


warmth = Warmth()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    warmth.begin()  # before any fixture counts


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Iterator[None]:
    yield
    if nextitem is None or not nextitem.path.is_relative_to(Path(__file__).parent):
        warmth.end()


def wait_for_spares() -> None:
    end = time.monotonic() + PATIENCE
    while not all(spares._ready or not spares._wanted for spares in _homes._spares.values()):
        assert time.monotonic() < end
        time.sleep(0.005)  # nothing tells when one is ready


def check(delta: ResourceDelta) -> None:
    """Fails if something has grown; interpreters that are kept warm may have been in the making when the test began."""
    more = delta.growth
    if len(delta.after.interpreters or ()) <= sum(spares._wanted for spares in _homes._spares.values()):
        more.pop("interpreters", None)
    if set(delta.added("threads").values()) == {"weft-spares"}:
        more.pop("threads", None)
    assert not more, str(delta)


count = resource_delta_fixture(writer=check)


@pytest.fixture(autouse=True)
def nothing_is_left(no_thread_is_left: None, count: None) -> None:
    """In this order: threads are waited for after the count."""
