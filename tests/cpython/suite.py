"""Runs tests of CPython's in a process of its own; the half of the child, for those that tell runs.py what came out.

Writes a JSON object to stdout: for each test, "ok", "skipped: …" or the traceback of its failure; and "environment",
which is "ok" unless a test has left a thread or a process behind.
"""

import gc
import io
import json
import re
import sys
import unittest
from collections.abc import Iterable
from types import ModuleType
from typing import Any


class Outcomes(unittest.TestResult):
    """One line of outcome for each test; a test with failing subtests has failed."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}

    @staticmethod
    def key(test: unittest.TestCase) -> str:
        """Class and name; without the way in which the stdlib starts processes, of which there are three."""
        return re.sub("^ProcessPool(Spawn|Forkserver|Fork)", "ProcessPool", ".".join(test.id().split(".")[-2:]))

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


def tests_of(module: ModuleType) -> list[unittest.TestCase]:
    """All tests of a module."""
    return _flatten(unittest.defaultTestLoader.loadTestsFromModule(module))


def _flatten(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    return [case for item in suite for case in (_flatten(item) if isinstance(item, unittest.TestSuite) else [item])]  # type: ignore[list-item]


def _collect_after_inner_runs() -> None:
    """A test that runs another, and then looks for what that has left, finds nothing that only waits for `gc`."""
    original = unittest.TextTestRunner.run

    def run(self: unittest.TextTestRunner, test: Any) -> Any:
        result = original(self, test)
        del test
        gc.collect()
        return result

    unittest.TextTestRunner.run = run  # type: ignore[method-assign]


def run(tests: Iterable[unittest.TestCase]) -> None:
    """Runs them and writes what came out. Nobody else should hold the tests, which hold pools and queues."""
    _collect_after_inner_runs()
    result = Outcomes()
    stdout, sys.stdout = sys.stdout, io.StringIO()
    try:
        unittest.TestSuite(tests).run(result)
    finally:
        sys.stdout = stdout
    from test import support

    result.outcomes["environment"] = "altered: see stderr" if support.environment_altered else "ok"
    json.dump(result.outcomes, sys.stdout)


# ---- what the tests of the pools need ----------------------------------------------------------------------


def adapt_scripts(module: ModuleType, first_line: str) -> None:
    """`assert_python_ok('-c', script)`, as test_shutdown has it, runs the script after a line of ours."""
    original = module.assert_python_ok

    def assert_python_ok(*args: str, **env: str) -> Any:
        *options, script = args
        assert options == ["-c"], options
        # In one exec, so that the script's own `if 1:` and its indentation are as they were.
        line = f"import sys; sys.path[:0] = {sys.path!r}; {first_line}\n"
        return original("-c", f"{line}exec(compile({script!r}, '<string>', 'exec'))", **env)

    module.assert_python_ok = assert_python_ok  # type: ignore[attr-defined]


def adapt_switching() -> None:
    """`test_hang_global_shutdown_lock` forks fifty times beside tasks that submit each other without end.

    The stdlib's pool lets go of the GIL for each; ours keeps it for a switch interval, so that the fork would wait.
    """
    sys.setswitchinterval(0.0005)


def start_template() -> None:
    """The thread for the template process is all pools': it is to be there before each test and after it."""
    from weft.executors._template import template

    template.acquire().start()
