"""Every test that takes `run` does so under asyncio and under trio, and one that takes `spawn` by a method of each kind.

The methods are those of weft's pytest plugin: `--spawn-backend` says others, `all` for all with all tests. Without it,
interpreters under trio, which take the longest, are left to test_spawn.py. A run without WEFT_CHAOS=full (`make chaos`)
is short: under trio there are threads, and processes are tried where there are no interpreters.
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

from tests.executors.child import FULL
from weft.actors._spawn import METHODS, _homes, lacks, process
from weft.debug import ResourceDelta
from weft.testing import resource_delta_fixture
from weft.testing._plugin import chosen_methods

HERE = [method for method in METHODS if lacks(method) is None]

PATIENCE = 50.0
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


async def until(condition: Callable[[], object]) -> None:
    """For what reports no event: looks again and again, for as long as `run` has patience."""
    while not condition():
        await anyio.sleep(0.002)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No actor is taken for stuck because it was slow to say that it ends: it is interrupted when its grace is over."""
    monkeypatch.setattr("weft.actors._life._TAKEN_WITHIN", PATIENCE)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "methods(*names): the spawn methods of a test that takes `method`; all if none")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "method" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("methods")
        wanted = set(mark.args if mark else METHODS) & set(chosen_methods(metafunc.config) or METHODS)
        metafunc.parametrize("method", [method for method in HERE if method in wanted])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def params_of(item: pytest.Item) -> dict[str, object]:
        return getattr(getattr(item, "callspec", None), "params", {})

    def kinds_of(item: pytest.Item) -> set[object]:
        return {value for name, value in params_of(item).items() if name in ("spawn_backend", "method")}

    def is_slow(item: pytest.Item) -> bool:
        """Where this one takes long, and others say nearly as much."""
        fast = {"thread", "process", "mp_spawn", "mp_forkserver"} if FULL else {"thread"}
        return params_of(item).get("library") == "trio" and not kinds_of(item) <= fast

    def is_left_to_others(item: pytest.Item) -> bool:
        """In a short run, where there are interpreters: processes are left to those Pythons that have none."""
        if FULL or "interpreter" not in HERE or item.path.stem == "test_ending":
            return False
        left = {"process", "interpreter"} if item.path.stem in ("test_streams", "test_strategies") else {"process"}
        return params_of(item).get("spawn_backend") in left

    def is_of_spawn(item: pytest.Item) -> bool:
        kept = {"interpreter", "process", "thread"}
        is_wanted = FULL or params_of(item).get("library") == "asyncio" or kinds_of(item) <= kept
        return is_wanted and item.nodeid.rpartition("::")[2].startswith("test_each_method")

    if chosen_methods(config) is None:
        items[:] = [item for item in items if is_of_spawn(item) or not (is_slow(item) or is_left_to_others(item))]


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
