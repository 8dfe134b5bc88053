"""Every test that takes `run` does so under asyncio and under trio, and one that takes `spawn` by a method of each kind.

What is kept warm stays warm from test to test, or each would wait a second for the first actor. Interpreters under trio,
which take the longest, are left to test_spawn.py unless `WEFT_ACTORS=full` asks for all methods with all tests.
After each test there is no child process, and no descriptor more than before.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anyio
import pytest

from weft.actors._spawn import METHODS, _homes, lacks, process

HERE = [method for method in METHODS if lacks(method) is None]
FULL = os.environ.get("WEFT_ACTORS") == "full"
KINDS = HERE if FULL else [method for method in ("thread", "process", "interpreter") if method in HERE]
"""One of each kind."""

PATIENCE = 20.0
"""Seconds after which nothing comes any more."""

type Run = Callable[..., Any]


@pytest.fixture(params=["asyncio", "trio"])
def library(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=KINDS)
def spawn(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def run(library: str) -> Run:
    """Runs an async function to its end, which has to come."""

    def run[T](main: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T:
        async def bounded() -> T:
            with anyio.fail_after(PATIENCE):
                return await main(*args, **kwargs)

        return anyio.run(bounded, backend=library)

    return run


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def children() -> set[int]:
    """The processes that this one started and has not reaped, but for multiprocessing's helpers."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            found = {int(pid) for pid in file.read().split()}
    except OSError:
        return set()
    return {pid for pid in found if not _is_helper(pid)}


def _is_helper(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return "resource_tracker" in (line := file.read()) or "forkserver" in line
    except OSError:
        return False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def is_slow(item: pytest.Item) -> bool:
        params = getattr(getattr(item, "callspec", None), "params", {})
        kinds = {params.get("spawn"), params.get("method")}
        return params.get("library") == "trio" and any(str(kind).startswith("interpreter") for kind in kinds)

    def is_of_spawn(item: pytest.Item) -> bool:
        return item.nodeid.rpartition("::")[2].startswith("test_each_method")

    if not FULL:
        items[:] = [item for item in items if not is_slow(item) or is_of_spawn(item)]


@pytest.fixture(scope="package", autouse=True)
def warm() -> Iterator[None]:
    """What `weft.reset` would end after each test is kept until the last of these."""
    forget = _homes.forget, process.forget
    with pytest.MonkeyPatch.context() as patch:
        for module in (_homes, process):
            patch.setattr(module, "forget", lambda: None)
        for library in ("asyncio", "trio"):
            process.expect(library)
        yield
    for each in forget:
        each()


@pytest.fixture(autouse=True)
def nothing_is_left(warm: None, no_thread_is_left: None) -> Iterator[None]:
    gc.collect()
    before, young = descriptors(), children()
    yield
    gc.collect()
    end = time.monotonic() + 3
    while (left := children() - young) and time.monotonic() < end:
        time.sleep(0.005)  # nothing tells when a child of another's is reaped
    assert not left, f"processes left: {left}"
    helpers = 4  # multiprocessing's resource tracker and fork server, once in a process
    while descriptors() > before + helpers and time.monotonic() < end:
        time.sleep(0.005)
    assert descriptors() <= before + helpers, f"{descriptors() - before} descriptors more than before"
