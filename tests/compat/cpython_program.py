"""A program of CPython's own tests, which test_cpython.py has `python -m weft.compat` run, in either mode.

    python -m weft.compat -m tests.compat.cpython_program test.test_concurrent_futures.test_wait
    python -m weft.compat -m tests.compat.cpython_program test.test_asyncio.test_threads test.test_asyncio.test_events:executor

What comes after the colon must be in the name of a test or of its class. The scripts that test_shutdown starts in
further processes get weft's names by a first line. Of the pools of processes, which differ in how the stdlib starts
them, the one that starts fastest is kept; tests/executors/cpython_adapter.py keeps another.
"""

import importlib
import sys
import unittest

from tests.cpython import suite
from tests.cpython.exceptions import ENDLESS
from weft.compat._mode import is_managed

FIRST_LINE = "from weft.compat._patching import install; install()"
LEFT_OUT = ("ProcessPoolSpawn", "ProcessPoolForkserver")

BY_CHANCE = ("test_blocking", "test_blocking_with_limited_workers")
"""Tests of interpreters that take minutes with the stdlib's pool, if they are unlucky."""


def chosen(argument: str) -> list[unittest.TestCase]:
    name, _, word = argument.partition(":")
    module = importlib.import_module(name)
    if name.endswith("test_shutdown"):
        suite.adapt_scripts(module, FIRST_LINE)
    not_these = ENDLESS if is_managed() else BY_CHANCE
    return [
        test
        for test in suite.tests_of(module)
        if word in test.id()
        and not any(kind in type(test).__name__ for kind in LEFT_OUT)
        and not test.id().endswith(not_these)
    ]


if __name__ == "__main__":
    if is_managed():
        suite.adapt_switching()
        if any("concurrent_futures" in argument for argument in sys.argv[1:]):
            suite.start_template()
    suite.run(test for argument in sys.argv[1:] for test in chosen(argument))
