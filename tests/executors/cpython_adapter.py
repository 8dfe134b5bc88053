"""Runs CPython's own tests of `concurrent.futures` against weft, in a process of its own: the adapter of test_cpython.py.

    python -m tests.executors.cpython_adapter threads test_wait

Before the test module is imported, the pool of that flavor in `concurrent.futures` is weft's. The scripts that the
tests start in further processes get the same by a first line. Of a module, the classes over other executors are left
out; of the three over processes, which differ in how the stdlib starts them, one is kept.

`test_future` tests `Future` by itself: makes one by hand, sets it by hand. Weft's cannot be made or set by hand, so
here it is driven: `Future()` submits a task that does what `set_result` and the like then ask for, and the state a test
wants is a state that a real task is brought into.

Writes a JSON object to stdout: for each test, "ok", "skipped: …" or the traceback of its failure; and "environment",
which is "ok" unless a test has left a thread or a process behind.
"""

import concurrent.futures
import concurrent.futures.thread
import gc
import importlib
import io
import json
import sys
import threading
import unittest
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING, RUNNING
from types import ModuleType
from typing import Any, ClassVar

PACKAGE = "test.test_concurrent_futures"
POOLS = {
    "threads": ("thread", "ThreadPoolExecutor", ("Process", "Interpreter")),
    "processes": ("process", "ProcessPoolExecutor", ("Thread", "Interpreter", "ProcessPoolFork")),
    "interpreters": ("interpreter", "InterpreterPoolExecutor", ("Thread", "Process")),
}
"""The stdlib's module, the class in it, and what classes of tests over other executors have in their names."""

ENDLESS = ("test_broken_process_pool_traceback",)
"""Tests that wait for what never comes, so that they cannot be run: see EXCEPTIONS in test_cpython.py."""

FIRST_LINE = (
    "import sys; sys.path[:0] = {path!r}; import concurrent.futures, weft.executors; "
    "concurrent.futures.{name} = weft.executors.{name}\n"
)


def adapt(flavor: str) -> None:
    import weft.executors
    from weft.executors._template import template

    home, name, _ = POOLS[flavor]
    pool = getattr(weft.executors, name)
    if flavor == "processes":  # its thread is all pools', so it is there before each test and after it
        template.acquire().start()
    setattr(concurrent.futures, name, pool)
    setattr(importlib.import_module(f"concurrent.futures.{home}"), name, pool)


# ---- the scripts of test_shutdown ------------------------------------------------------------------------


def adapt_scripts(module: ModuleType, flavor: str) -> None:
    """`assert_python_ok('-c', script)` runs the script with weft's pool."""
    original = module.assert_python_ok

    def assert_python_ok(*args: str, **env: str) -> Any:
        *options, script = args
        assert options == ["-c"], options
        # In one exec, so that the script's own `if 1:` and its indentation are as they were.
        return original(
            "-c",
            FIRST_LINE.format(path=sys.path, name=POOLS[flavor][1]) + f"exec(compile({script!r}, '<string>', 'exec'))",
            **env,
        )

    module.assert_python_ok = assert_python_ok  # type: ignore[attr-defined]


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


# ---- the chain of test_thread_pool -----------------------------------------------------------------------


def adapt_switching(_: ModuleType, __: str) -> None:
    """`test_hang_global_shutdown_lock` forks fifty times beside tasks that submit each other without end.

    The stdlib's pool lets go of the GIL for each; ours keeps it for a switch interval, so that the fork would wait.
    """
    sys.setswitchinterval(0.0005)


ADAPTERS = {"test_shutdown": adapt_scripts, "test_future": adapt_futures, "test_thread_pool": adapt_switching}


# ---- running them ----------------------------------------------------------------------------------------


class Outcomes(unittest.TestResult):
    """One line of outcome for each test; a test with failing subtests has failed."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}

    @staticmethod
    def key(test: unittest.TestCase) -> str:
        return ".".join(test.id().split(".")[-2:])

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.outcomes.setdefault(self.key(test), "ok")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.outcomes[self.key(test)] = f"skipped: {reason}"

    def _fail(self, test: Any, err: Any) -> None:
        self.outcomes[self.key(test)] = self._exc_info_to_string(err, test)  # type: ignore[attr-defined]

    addFailure = addError = _fail  # noqa: N815

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        # A failed test's traceback holds its pool, whose workers hold the pipe to multiprocessing's resource tracker;
        # the module's end waits for that.
        gc.collect()

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._fail(test, err)


def flatten(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    return [case for item in suite for case in (flatten(item) if isinstance(item, unittest.TestSuite) else [item])]  # type: ignore[list-item]


def main(flavor: str, name: str) -> None:
    adapt(flavor)
    module = importlib.import_module(f"{PACKAGE}.{name}")
    if name in ADAPTERS:
        ADAPTERS[name](module, flavor)
    cases = flatten(unittest.defaultTestLoader.loadTestsFromModule(module))
    others = POOLS[flavor][2]
    chosen = [
        case
        for case in cases
        if not any(other in type(case).__name__ for other in others) and not case.id().endswith(ENDLESS)
    ]
    result = Outcomes()
    stdout, sys.stdout = sys.stdout, io.StringIO()
    try:
        unittest.TestSuite(chosen).run(result)
    finally:
        sys.stdout = stdout
    from test import support

    result.outcomes["environment"] = "altered: see stderr" if support.environment_altered else "ok"
    json.dump(result.outcomes, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
