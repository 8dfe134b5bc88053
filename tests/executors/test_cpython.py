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

MODULES = ("test_thread_pool", "test_wait", "test_as_completed", "test_shutdown", "test_init", "test_future")

EXCEPTIONS = {
    "FutureTests.test_cancel": "asks for the state CANCELLED of the two that the stdlib tells apart",
    "FutureTests.test_exception_with_success": "writes _state and _exception; ours belong to the runtime",
}

LEAST = {
    "test_thread_pool": 15,
    "test_wait": 9,
    "test_as_completed": 5,
    "test_shutdown": 12,
    "test_init": 2,
    "test_future": 20,
}
"""How many tests must have been found, so that an adapter that finds none is noticed."""

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
def runs() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """All modules at a time: they sleep a lot."""
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.executors.cpython_adapter", name],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in MODULES
    }
    yield processes
    for process in processes.values():
        process.kill()
        process.communicate()


seen: dict[str, tuple[dict[str, str], str]] = {}


def outcomes(runs: dict[str, subprocess.Popen[str]], name: str) -> tuple[dict[str, str], str]:
    """Of each test; and what the process wrote to stderr."""
    if name not in seen:
        stdout, stderr = runs[name].communicate(timeout=200)
        assert runs[name].returncode == 0, stderr
        seen[name] = json.loads(stdout), stderr
    return seen[name]


@pytest.mark.parametrize("name", MODULES)
def test_all_pass(runs: dict[str, subprocess.Popen[str]], name: str):
    results, stderr = outcomes(runs, name)
    failed = {test: why for test, why in results.items() if why != "ok" and not why.startswith("skipped: ")}
    assert len(results) >= LEAST[name]
    told = "\n\n".join([*(f"{test}\n{why}" for test, why in failed.items()), stderr])
    assert not failed.keys() - EXCEPTIONS.keys(), told
    for test, why in results.items():
        if why != "ok":
            print(f"{test}: {EXCEPTIONS.get(test, why)}")


def test_no_exception_is_there_for_nothing(runs: dict[str, subprocess.Popen[str]]):
    results: dict[str, str] = {}
    for name in MODULES:
        results |= outcomes(runs, name)[0]
    assert [test for test in EXCEPTIONS if results.get(test) == "ok"] == []
