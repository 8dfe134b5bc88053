"""CPython's own tests of `concurrent.futures`, those of the running interpreter, against weft's pool: all pass.

They run in processes of their own, through cpython_adapter.py. But for `test_future`, which only the adapter can run,
they do so under WEFT_CHAOS=full: tests/compat runs the same for pools that go by the stdlib's names. What they cannot
hold against us is in `EXCEPTIONS` with the reason; such a test must really fail, or not exist in this version, so that
no line of the table is there for nothing.
"""

import sys
from collections.abc import Iterator

import pytest

from tests.cpython.exceptions import POOLS
from tests.cpython.runs import Runs, is_there
from tests.executors.child import FULL

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

PACKAGE = "test.test_concurrent_futures"
RUNS = [
    (flavor, name)
    for flavor, names in LEAST.items()
    for name in names
    if is_there(f"{PACKAGE}.{name}")
    and (flavor != "interpreters" or sys.version_info >= (3, 14))
    and (FULL or name == "test_future")
]

EXCEPTIONS = POOLS | {
    "FutureTests.test_cancel": "asks for the state CANCELLED of the two that the stdlib tells apart",
    "FutureTests.test_exception_with_success": "writes _state and _exception; ours belong to the runtime",
}

pytestmark = [
    pytest.mark.deadline(300),
    pytest.mark.skipif(
        not is_there(PACKAGE),
        reason="this interpreter has come without the stdlib's tests (package `test.test_concurrent_futures`)",
    ),
]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs[tuple[str, str]]]:
    runs: Runs[tuple[str, str]] = Runs()
    for flavor, name in RUNS:
        runs.start((flavor, name), "-m", "tests.executors.cpython_adapter", flavor, name)
    yield runs
    runs.end()


@pytest.mark.parametrize(("workers", "name"), RUNS)
def test_all_pass(runs: Runs[tuple[str, str]], workers: str, name: str):
    runs.check((workers, name), LEAST[workers][name], EXCEPTIONS)


def test_no_exception_is_there_for_nothing(runs: Runs[tuple[str, str]]):
    passed = runs.passed(RUNS)
    assert [test for test in EXCEPTIONS if test in passed] == []
