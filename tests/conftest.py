"""What every test gets: a deadline, a check that it leaves no thread behind, and a seed that can be repeated.

A deadline (60 s; `@pytest.mark.deadline(seconds)` for another) covers a test with its fixtures. It is kept by
`faulthandler`'s watchdog, a C thread that needs no Python: native code that holds the GIL for ever cannot stop it.
What it does is final: it writes every thread's stack to the file that the run's first lines name, and ends the
process with status 1. A run with a hang in it has no result that could be trusted.

Threads are counted before and after each test, those of Python and, on Linux, those that native code made and named.
One that a test has started has five seconds to end after the test; `@pytest.mark.leaves_threads(reason)` opts out.

A test that is only late (tests/lateness.py) is tried again, twice.

On the free-threaded 3.13 an `Event.wait` may overlook that its event was set, `Thread.start()`'s too: threads started
and joined in a loop, without weft, stop after some ten thousand on a busy machine. There it looks again now and then.

Every random choice of a run comes from one seed, printed first; `WEFT_TEST_SEED` repeats it.
Pinned by tests/test_conftest.py.
"""

import faulthandler
import functools
import gc
import os
import random
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import TextIO

import hypothesis
import pytest

from tests.lateness import ATTEMPTS, Late

DEADLINE = 60.0
"""Seconds that a test may take where its mark says nothing else."""

GRACE = 5.0
"""Seconds that a thread started by a test may take to end after it."""

hypothesis.settings.register_profile("weft", deadline=None, print_blob=True, max_examples=50)
hypothesis.settings.register_profile("thorough", parent=hypothesis.settings.get_profile("weft"), max_examples=2_000)
hypothesis.settings.load_profile(os.environ.get("WEFT_HYPOTHESIS", "weft"))

SEED = int(os.environ.get("WEFT_TEST_SEED") or random.SystemRandom().randrange(1 << 32))

hangs = pytest.StashKey[TextIO]()

if sys.version_info < (3, 14) and not sys._is_gil_enabled():
    wait_for_notice = threading.Event.wait

    @functools.wraps(wait_for_notice)
    def wait(self: threading.Event, timeout: float | None = None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = 0.5 if end is None else min(0.5, max(0.0, end - time.monotonic()))
            if wait_for_notice(self, left):
                return True
            if end is not None and time.monotonic() >= end:
                return False

    threading.Event.wait = wait  # type: ignore[method-assign]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(SEED)
    folder = Path(os.environ.get("WEFT_HANGS") or config.rootpath / "build" / "hangs")
    folder.mkdir(parents=True, exist_ok=True)
    config.stash[hangs] = (folder / f"{os.getpid()}.txt").open("w")


def pytest_unconfigure(config: pytest.Config) -> None:
    with config.stash[hangs] as file:
        Path(file.name).unlink(missing_ok=True)


@hypothesis.settings(max_examples=1, database=None)
@hypothesis.given(hypothesis.strategies.none())
def first_example(_: None) -> None:
    """With it hypothesis makes the generator of a run, and asks the collector who refers to it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Clients of engines leave threads in the process, and other tests count those.
    items.sort(key=lambda item: item.path.parent.name == "engines")


def pytest_collection_finish() -> None:
    # Thousands of tests are not looked through again by each collection of a run.
    first_example()
    gc.collect()
    gc.freeze()
    if not sys._is_gil_enabled():
        gc.set_threshold(20_000)  # free threads have one generation: what is frozen is walked past each time


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [
        f"seed: {SEED} (WEFT_TEST_SEED={SEED} repeats it)",
        f"a test that hangs ends the run, and its stacks are in {config.stash[hangs].name}",
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    mark = item.get_closest_marker("deadline")
    seconds = float(mark.args[0]) if mark else DEADLINE
    file = item.config.stash[hangs]
    file.write(f"{item.nodeid} (deadline {seconds:g} s)\n")  # is also what a crash leaves behind
    file.flush()
    faulthandler.dump_traceback_later(seconds, exit=True, file=file)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
        file.seek(0)
        file.truncate()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Calls the test as pytest does, and again if it is late."""
    wanted = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    rng = wanted.get("rng")
    drawn = rng and rng.getstate()
    for _ in range(ATTEMPTS - 1):
        try:
            pyfuncitem.obj(**wanted)
        except Late as late:
            print(f"late, tried again: {late}")
            if rng:
                rng.setstate(drawn)  # the very same again, not something easier
        else:
            return True
    return None  # the last attempt is pytest's own


def thread_ids() -> set[int]:
    """Of all threads of this process, by kernel id; one that was started a moment ago may not have its name yet."""
    try:
        return {int(thread) for thread in os.listdir("/proc/self/task")}
    except OSError:
        return set()


def native_threads() -> dict[int, str]:
    """Threads of this process that native code has given a name of their own, by kernel id; empty but on Linux.

    One that still bears the process's name belongs to an extension module that is none of ours (OpenBLAS starts
    such on import), or is one of Python's, which `threading.enumerate` has.
    """
    names: dict[int, str] = {}
    try:
        ids = os.listdir("/proc/self/task")
        process = Path(f"/proc/self/task/{os.getpid()}/comm").read_text()
    except OSError:
        return names
    for thread in ids:
        try:
            name = Path(f"/proc/self/task/{thread}/comm").read_text()
        except OSError:  # ended meanwhile
            continue
        if name != process:
            names[int(thread)] = name.strip()
    return names


@pytest.fixture(autouse=True)
def no_thread_is_left(request: pytest.FixtureRequest) -> Generator[None]:
    """Invariant 3 for every test: what it started has ended soon after it, and process-wide state is as new."""
    python_before, native_before = set(threading.enumerate()), thread_ids()
    yield
    weft = sys.modules.get("weft")
    if weft is not None:
        weft.reset()
    if request.node.get_closest_marker("leaves_threads"):
        return

    def left() -> list[str]:
        python = [repr(thread) for thread in threading.enumerate() if thread not in python_before]
        native = [f"{name} ({id_})" for id_, name in native_threads().items() if id_ not in native_before]
        return python + native

    if not left():
        return
    gc.collect()  # a pool dropped in a cycle ends when that is collected
    end = time.monotonic() + GRACE
    while (threads := left()) and time.monotonic() < end:
        time.sleep(0.005)  # nothing tells when a native thread is gone
    assert not threads, f"threads left {GRACE:g} s after the test: {', '.join(threads)}"


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of this test's own, the same ones for the same seed of the run."""
    print(f"WEFT_TEST_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.nodeid}")
