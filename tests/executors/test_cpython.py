"""CPython's own tests of `concurrent.futures`, those of the running interpreter, against weft's pool: all pass.

They run in processes of their own, through cpython_adapter.py. What they cannot hold against us, because they look at
how the stdlib is made and not at what it promises, is in `EXCEPTIONS` with the reason; such a test must really fail, or
not exist in this version, so that no line of the table is there for nothing.
"""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LEAST = {
    "threads": {
        "test_thread_pool": 15,
        "test_wait": 9,
        "test_as_completed": 5,
        "test_shutdown": 12,
        "test_init": 2,
        "test_future": 20,
    },
    "processes": {
        "test_process_pool": 20,
        "test_wait": 7,
        "test_as_completed": 5,
        "test_shutdown": 10,
        "test_init": 2,
        "test_deadlock": 8,
    },
    "interpreters": {"test_interpreter_pool": 25, "test_as_completed": 5, "test_init": 2},
}
"""The modules with tests of each flavor, and how many must have been found: an adapter that finds none is noticed."""

RUNS = [(flavor, name) for flavor, names in LEAST.items() for name in names]

HEALS = "a process that dies fails the task that it ran, and another takes its place; the stdlib's pool is broken then"
MANAGER = "asks for the thread, the queue or the function by which the stdlib's pool is made"
AT_SUBMIT = "what cannot be pickled is refused when it is submitted, where the stdlib fails the future"
NAMED = (
    "what cannot be rebuilt is a PayloadError of that task; the stdlib calls the pool broken, whose workers are well"
)
LOGGED = "asks the worker's log for what the initializer raised; with ours the caller logs it"
BY_VALUE = "expects that closures, local classes and their instances are refused; ours cross by value"
IN_ORDER = "asks for the private class of the exception that shows the worker's traceback"

EXCEPTIONS = {
    "FutureTests.test_cancel": "asks for the state CANCELLED of the two that the stdlib tells apart",
    "FutureTests.test_exception_with_success": "writes _state and _exception; ours belong to the runtime",
    # processes
    "ProcessPoolSpawnProcessPoolExecutorTest.test_killed_child": HEALS,
    "ProcessPoolSpawnProcessPoolExecutorTest.test_broken_process_pool_traceback": HEALS,
    "ProcessPoolSpawnProcessPoolExecutorTest.test_failed_worker_replacement_breaks_pool": MANAGER,
    "ProcessPoolSpawnProcessPoolExecutorTest.test_force_shutdown_during_max_tasks_worker_exit": MANAGER,
    "ProcessPoolSpawnProcessPoolExecutorTest.test_gc_during_max_tasks_worker_exit_gh152967": MANAGER,
    "ProcessPoolSpawnProcessPoolExecutorTest.test_shutdown_no_wait_max_tasks_gh119592": MANAGER,
    "ProcessPoolSpawnProcessPoolExecutorTest.test_python_finalization_error": MANAGER,
    "ProcessPoolSpawnProcessPoolExecutorTest.test_saturation": AT_SUBMIT,
    "ProcessPoolSpawnProcessPoolExecutorTest.test_traceback": IN_ORDER,
    "ProcessPoolSpawnProcessPoolShutdownTest.test_del_shutdown": MANAGER,
    "ProcessPoolSpawnProcessPoolShutdownTest.test_processes_terminate": AT_SUBMIT,
    "ProcessPoolSpawnProcessPoolShutdownTest.test_shutdown_gh_132969_case_1": MANAGER,
    "ProcessPoolSpawnProcessPoolShutdownTest.test_shutdown_gh_132969_case_2": MANAGER,
    "ProcessPoolSpawnProcessPoolShutdownTest.test_shutdown_no_wait": MANAGER,
    "ProcessPoolSpawnFailingInitializerTest.test_initializer": LOGGED,
    "ProcessPoolSpawnExecutorDeadlockTest.test_error_at_task_pickle": AT_SUBMIT,
    "ProcessPoolSpawnExecutorDeadlockTest.test_error_at_task_unpickle": NAMED,
    "ProcessPoolSpawnExecutorDeadlockTest.test_error_during_result_unpickle_in_result_handler": NAMED,
    "ProcessPoolSpawnExecutorDeadlockTest.test_exit_at_task_unpickle": NAMED,
    "ProcessPoolSpawnExecutorDeadlockTest.test_exit_during_result_pickle_on_worker": NAMED,
    "ProcessPoolSpawnExecutorDeadlockTest.test_exit_during_result_unpickle_in_result_handler": NAMED,
    "ProcessPoolSpawnExecutorDeadlockTest.test_shutdown_deadlock_pickle": MANAGER,
    # interpreters
    "InterpreterPoolExecutorTest.test_init_closure": BY_VALUE,
    "InterpreterPoolExecutorTest.test_init_instance_method": BY_VALUE,
    "InterpreterPoolExecutorTest.test_submit_closure": BY_VALUE,
    "InterpreterPoolExecutorTest.test_submit_instance_method": BY_VALUE,
    "InterpreterPoolExecutorTest.test_submit_local_instance": BY_VALUE,
    "InterpreterPoolExecutorTest.test_init_exception_in_func": IN_ORDER,
    "InterpreterPoolExecutorTest.test_submit_exception_in_func": IN_ORDER,
    "InterpreterPoolExecutorTest.test_pickle_errors_propagate": AT_SUBMIT,
}

ROOT = Path(__file__).parents[2]


def has_the_tests() -> bool:
    try:
        return importlib.util.find_spec("test.test_concurrent_futures") is not None
    except ModuleNotFoundError:
        return False


pytestmark = [
    pytest.mark.deadline(300),
    pytest.mark.skipif(
        not has_the_tests(),
        reason="this interpreter has come without the stdlib's tests (package `test.test_concurrent_futures`)",
    ),
]


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[tuple[str, str], subprocess.Popen[str]]]:
    """All modules at a time: they sleep a lot."""
    processes = {
        (flavor, name): subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.executors.cpython_adapter", flavor, name],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for flavor, name in RUNS
        if is_there(flavor, name)
    }
    yield processes
    for process in processes.values():
        process.kill()
        process.communicate()


def is_there(flavor: str, name: str) -> bool:
    if not has_the_tests() or (flavor == "interpreters" and sys.version_info < (3, 14)):
        return False
    return importlib.util.find_spec(f"test.test_concurrent_futures.{name}") is not None


seen: dict[tuple[str, str], tuple[dict[str, str], str]] = {}


def outcomes(runs: dict[tuple[str, str], subprocess.Popen[str]], run: tuple[str, str]) -> tuple[dict[str, str], str]:
    """Of each test; and what the process wrote to stderr."""
    if run not in seen:
        stdout, stderr = runs[run].communicate(timeout=250)
        assert runs[run].returncode == 0, stderr
        seen[run] = json.loads(stdout), stderr
    return seen[run]


@pytest.mark.parametrize(("workers", "name"), [run for run in RUNS if is_there(*run)])
def test_all_pass(runs: dict[tuple[str, str], subprocess.Popen[str]], workers: str, name: str):
    results, stderr = outcomes(runs, (workers, name))
    failed = {test: why for test, why in results.items() if why != "ok" and not why.startswith("skipped: ")}
    if len(failed) > 1:
        failed.pop("environment", None)  # a test that fails leaves its pool behind
    assert len(results) >= LEAST[workers][name]
    told = "\n\n".join([*(f"{test}\n{why}" for test, why in failed.items()), stderr])
    assert not failed.keys() - EXCEPTIONS.keys(), told
    for test, why in results.items():
        if why != "ok":
            print(f"{test}: {EXCEPTIONS.get(test, why)}")


def test_no_exception_is_there_for_nothing(runs: dict[tuple[str, str], subprocess.Popen[str]]):
    results: dict[str, set[str]] = {}
    for run in runs:
        for test, why in outcomes(runs, run)[0].items():
            results.setdefault(test, set()).add(why)
    assert [test for test in EXCEPTIONS if results.get(test) == {"ok"}] == []
