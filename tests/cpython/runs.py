"""Runs tests of CPython's, those of the running interpreter, in child processes; the half of the parent: see suite.py."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Container, Hashable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TextIO

from tests.lateness import Late, crowding

ROOT = Path(__file__).parents[2]

SECONDS = 120
"""After which a run hangs. They take ten on an idle machine, and a test that is late is tried again."""


def is_there(module: str) -> bool:
    """Whether this interpreter has come with a module of the stdlib's tests."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def failures(results: Mapping[str, str]) -> dict[str, str]:
    """What of the results is neither a pass nor a skip."""
    failed = {test: why for test, why in results.items() if why != "ok" and not why.startswith("skipped: ")}
    if len(failed) > 1:
        failed.pop("environment", None)  # a test that fails leaves its pool behind
    return failed


class Run:
    """One child process, in a session of its own."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._files = [tempfile.TemporaryFile("w+", encoding="utf-8") for _ in range(2)]  # noqa: SIM115 - ended by end()
        stdout, stderr = self._files
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=stdout, stderr=stderr, start_new_session=True
        )

    def finish(self) -> tuple[int, str, str]:
        """Its status, and what it wrote. One that hangs is made to write the stacks of its threads."""
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)
        status = self._process.wait()
        stdout, stderr = map(self._read, self._files)
        return status, stdout, stderr

    @staticmethod
    def _read(file: TextIO) -> str:
        file.seek(0)
        return file.read()

    def end(self) -> None:
        """Ends it, and what it has started and not ended: a manager's process outlives one that is killed."""
        self._process.kill()
        self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for file in self._files:
            file.close()


class Runs[Key: Hashable]:
    """Child processes, all at a time, as the tests sleep a lot; one in which some fail is run once more, by itself.

    They write to files: what they leave holds no pipe open.
    """

    def __init__(self) -> None:
        self.starters: dict[Key, Callable[[], Run]] = {}
        self.runs: dict[Key, Run] = {}
        self.alone: set[Key] = set()
        self.seen: dict[Key, tuple[dict[str, str], str]] = {}

    def start(self, key: Key, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        """Starts this interpreter, with warnings as errors, on what calls suite.run."""
        command = [sys.executable, "-X", "faulthandler", "-W", "error", *arguments]
        self.starters[key] = partial(Run, command, {**os.environ, **(environment or {})})
        self.runs[key] = self.starters[key]()

    def end(self) -> None:
        for run in self.runs.values():
            run.end()

    def outcomes(self, key: Key) -> tuple[dict[str, str], str]:
        """Of each test; and what the process wrote to stderr."""
        if key not in self.seen:
            status, stdout, stderr = self.runs[key].finish()
            assert status == 0, f"{key}: status {status}\n{stdout}\n{stderr}"
            self.seen[key] = json.loads(stdout), stderr
        return self.seen[key]

    def again_alone(self, key: Key) -> None:
        """Runs them once more, when all others have ended."""
        for run in self.runs.values():
            run.finish()
        self.alone.add(key)
        del self.seen[key]
        self.runs[key].end()
        self.runs[key] = self.starters[key]()

    def check(self, key: Key, least: int, exceptions: Mapping[str, str]) -> None:
        """All tests of a run have passed but for the exceptions; and so many have been found.

        Some of the tests mean that to sleep for two seconds takes longer than to do something for one. So on a machine
        that is crowded, with the other runs or by others, they may be run again.
        """
        results, stderr = self.outcomes(key)
        failed = failures(results)
        if failed.keys() - exceptions.keys() and key not in self.alone:
            self.again_alone(key)
            results, stderr = self.outcomes(key)
            failed = failures(results)
        assert len(results) >= least
        if failed.keys() - exceptions.keys():
            told = "\n\n".join([*(f"{test}\n{why}" for test, why in failed.items()), stderr])
            if crowding() == 1:
                raise AssertionError(told)
            self.again_alone(key)
            raise Late(told)
        for test, why in results.items():
            if why != "ok":
                print(f"{test}: {exceptions.get(test, why)}")

    def passed(self, keys: Container[Key]) -> set[str]:
        """The tests that have passed in each of some runs that has them."""
        results: dict[str, set[str]] = {}
        for key in self.runs:
            if key in keys:
                for test, why in self.outcomes(key)[0].items():
                    results.setdefault(test, set()).add(why)
        return {test for test, whys in results.items() if whys == {"ok"}}
