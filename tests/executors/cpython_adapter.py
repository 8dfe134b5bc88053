"""Runs CPython's own tests of `concurrent.futures` against weft, in a process of its own: the adapter of test_cpython.py.

    python -m tests.executors.cpython_adapter threads test_wait

Before the test module is imported, the pool of that flavor in `concurrent.futures` is weft's. The scripts that the
tests start in further processes get the same by a first line. Of a module, the classes over other executors are left
out; of the three over processes, which differ in how the stdlib starts them, one is kept.

`test_future` tests `Future` by itself: makes one by hand, sets it by hand. Weft's cannot be made or set by hand, so
here it is driven: `Future()` submits a task that does what `set_result` and the like then ask for, and the state a test
wants is a state that a real task is brought into.
"""

import concurrent.futures
import concurrent.futures.thread
import importlib
import sys
import threading
import unittest
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING, RUNNING
from types import ModuleType
from typing import Any, ClassVar

from tests.cpython import suite
from tests.cpython.exceptions import ENDLESS

PACKAGE = "test.test_concurrent_futures"
POOLS = {
    "threads": ("thread", "ThreadPoolExecutor", ("Process", "Interpreter")),
    "processes": ("process", "ProcessPoolExecutor", ("Thread", "Interpreter", "ProcessPoolFork")),
    "interpreters": ("interpreter", "InterpreterPoolExecutor", ("Thread", "Process")),
}
"""The stdlib's module, the class in it, and what classes of tests over other executors have in their names."""

FIRST_LINE = "import concurrent.futures, weft.executors; concurrent.futures.{name} = weft.executors.{name}"


def adapt(flavor: str) -> None:
    import weft.executors

    home, name, _ = POOLS[flavor]
    pool = getattr(weft.executors, name)
    if flavor == "processes":
        suite.start_template()
    setattr(concurrent.futures, name, pool)
    setattr(importlib.import_module(f"concurrent.futures.{home}"), name, pool)


def adapt_scripts(module: ModuleType, flavor: str) -> None:
    suite.adapt_scripts(module, FIRST_LINE.format(name=POOLS[flavor][1]))


# ---- the futures of test_future --------------------------------------------------------------------------


class Driver:
    """One worker that runs one task, which does what it is told."""

    all: ClassVar[list["Driver"]] = []

    def __init__(self) -> None:
        from weft.executors import ThreadPoolExecutor

        self.pool = ThreadPoolExecutor(1)
        self.held = threading.Event()
        self.go = threading.Event()
        self.outcome: tuple[bool, Any] = (True, None)
        Driver.all.append(self)

    def future(self, state: str, exception: BaseException | None, result: Any) -> Any:
        begun = threading.Event()
        blocker = self.pool.submit(self.held.wait)

        def task() -> Any:
            begun.set()
            self.go.wait()
            good, value = self.outcome
            if good:
                return value
            raise value

        future = self.pool.submit(task)
        future.set_result = lambda value: self.settle(future, True, value)
        future.set_exception = lambda error: self.settle(future, False, error)
        if state in (CANCELLED, CANCELLED_AND_NOTIFIED):
            assert future.cancel()
        if state == PENDING:
            return future
        self.held.set()
        blocker.result(30)
        if state == RUNNING:
            assert begun.wait(30)
        if state == FINISHED:
            future.set_result(result) if exception is None else future.set_exception(exception)
        return future

    def settle(self, future: Any, good: bool, value: Any) -> None:
        if future.done():
            raise concurrent.futures.InvalidStateError(f"{future._state}: {future!r}")
        self.outcome = (good, value)
        self.let_go()
        self.pool.submit(int).result(30)  # the only worker: the task and its callbacks are done

    def let_go(self) -> None:
        self.held.set()
        self.go.set()

    @classmethod
    def end_all(cls) -> None:
        for driver in cls.all:
            driver.let_go()
            driver.pool.shutdown()
        cls.all.clear()


def create_future(state: str = PENDING, exception: BaseException | None = None, result: Any = None) -> Any:
    return Driver().future(state, exception, result)


def adapt_futures(module: ModuleType, _: str) -> None:
    from test import support

    support.SHORT_TIMEOUT = 8.0  # which test_exception_with_success waits out
    module.create_future = create_future  # type: ignore[attr-defined]
    module.Future = create_future  # type: ignore[attr-defined]
    module.PENDING_FUTURE = create_future(state=PENDING)  # type: ignore[attr-defined]
    module.RUNNING_FUTURE = create_future(state=RUNNING)  # type: ignore[attr-defined]
    module.CANCELLED_FUTURE = create_future(state=CANCELLED)  # type: ignore[attr-defined]
    module.CANCELLED_AND_NOTIFIED_FUTURE = create_future(state=CANCELLED_AND_NOTIFIED)  # type: ignore[attr-defined]
    module.EXCEPTION_FUTURE = create_future(state=FINISHED, exception=OSError())  # type: ignore[attr-defined]
    module.SUCCESSFUL_FUTURE = create_future(state=FINISHED, result=42)  # type: ignore[attr-defined]
    shared, Driver.all = Driver.all, []

    class FutureTests(module.FutureTests):  # type: ignore[name-defined,misc]
        def tearDown(self) -> None:
            Driver.end_all()
            super().tearDown()

    module.FutureTests = FutureTests  # type: ignore[attr-defined]
    FutureTests.__qualname__ = "FutureTests"
    unittest.addModuleCleanup(lambda: (Driver.all.extend(shared), Driver.end_all()))


def adapt_switching(_: ModuleType, __: str) -> None:
    suite.adapt_switching()


ADAPTERS = {"test_shutdown": adapt_scripts, "test_future": adapt_futures, "test_thread_pool": adapt_switching}


# ---- running them ----------------------------------------------------------------------------------------


def main(flavor: str, name: str) -> None:
    adapt(flavor)
    module = importlib.import_module(f"{PACKAGE}.{name}")
    if name in ADAPTERS:
        ADAPTERS[name](module, flavor)
    others = POOLS[flavor][2]
    suite.run(
        case
        for case in suite.tests_of(module)
        if not any(other in type(case).__name__ for other in others) and not case.id().endswith(ENDLESS)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
