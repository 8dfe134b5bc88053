"""Runs tests of CPython's, those of the running interpreter, in child processes; the half of the parent: see suite.py."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Container, Hashable, Mapping
from pathlib import Path

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


class Runs[Key: Hashable]:
    """Child processes, all at a time, as the tests sleep a lot."""

    def __init__(self) -> None:
        self.starters: dict[Key, Callable[[], subprocess.Popen[str]]] = {}
        self.processes: dict[Key, subprocess.Popen[str]] = {}
        self.seen: dict[Key, tuple[dict[str, str], str]] = {}

    def start(self, key: Key, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        """Starts this interpreter, with warnings as errors, on what calls suite.run."""

        def start() -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-W", "error", *arguments],
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

        self.starters[key] = start
        self.processes[key] = start()

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.communicate()

    def outcomes(self, key: Key) -> tuple[dict[str, str], str]:
        """Of each test; and what the process wrote to stderr."""
        if key not in self.seen:
            process = self.processes[key]
            try:
                stdout, stderr = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGABRT)  # has it write the stacks of its threads
                process.wait()
                os.killpg(process.pid, signal.SIGKILL)  # what it has started holds the pipes
                stdout, stderr = process.communicate()
                raise AssertionError(f"{key} hangs\n{stdout}\n{stderr}") from None
            assert process.returncode == 0, stderr
            self.seen[key] = json.loads(stdout), stderr
        return self.seen[key]

    def check(self, key: Key, least: int, exceptions: Mapping[str, str]) -> None:
        """All tests of a run have passed but for the exceptions; and so many have been found.

        Some of the tests mean that to sleep for two seconds takes longer than to do something for one. So on a machine
        that is crowded they may be run again.
        """
        results, stderr = self.outcomes(key)
        failed = {test: why for test, why in results.items() if why != "ok" and not why.startswith("skipped: ")}
        if len(failed) > 1:
            failed.pop("environment", None)  # a test that fails leaves its pool behind
        assert len(results) >= least
        told = "\n\n".join([*(f"{test}\n{why}" for test, why in failed.items()), stderr])
        if failed.keys() - exceptions.keys():
            if crowding() == 1:
                raise AssertionError(told)
            del self.seen[key]
            self.processes[key] = self.starters[key]()
            raise Late(told)
        for test, why in results.items():
            if why != "ok":
                print(f"{test}: {exceptions.get(test, why)}")

    def passed(self, keys: Container[Key]) -> set[str]:
        """The tests that have passed in each of some runs that has them."""
        results: dict[str, set[str]] = {}
        for key in self.processes:
            if key in keys:
                for test, why in self.outcomes(key)[0].items():
                    results.setdefault(test, set()).add(why)
        return {test for test, whys in results.items() if whys == {"ok"}}
