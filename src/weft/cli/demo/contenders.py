"""The contenders: each way of doing the demo's job, as a newcomer would write it.

All of them map the same function over the same paths in the same order, with the same number of workers, and
one task per file. Pinned by tests/cli/test_contenders.py.
"""

import concurrent.futures
import contextlib
import multiprocessing
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

from weft import Run, RuntimeConfig, executors

type ExecutorMaker = Callable[[int], AbstractContextManager[concurrent.futures.Executor]]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to run the job.

    Attributes:
        name: What it is called in the table.
        flavor: What `--flavor` calls it; "serial" is the baseline, which always runs.
        by: Who provides it: weft, the standard library for comparison, or a plain loop.
        summary: How it is made, in a few words.
        make_executor: Gives the executor for a number of workers; None for the plain loop.
    """

    name: str
    flavor: str
    by: Literal["weft", "stdlib", "loop"]
    summary: str
    make_executor: ExecutorMaker | None

    def map[Item, Result](
        self, function: Callable[[Item], Result], items: Iterable[Item], workers: int
    ) -> Iterator[Result]:
        """Calls the function on each item and yields the results in order; ends with no worker left."""
        if self.make_executor is None:
            yield from map(function, items)
            return
        with self.make_executor(workers) as executor:
            yield from executor.map(function, items)


def _weft_threads(workers: int) -> AbstractContextManager[concurrent.futures.Executor]:
    return executors.ThreadPoolExecutor(workers, thread_name_prefix="demo")


def _weft_interpreters(workers: int) -> AbstractContextManager[concurrent.futures.Executor]:
    return executors.InterpreterPoolExecutor(workers, thread_name_prefix="demo")


def _weft_processes(workers: int) -> AbstractContextManager[concurrent.futures.Executor]:
    return executors.ProcessPoolExecutor(workers)


def _weft_auto(workers: int) -> AbstractContextManager[concurrent.futures.Executor]:
    return Run(max_workers=workers, name="demo")


def _weft_auto_cpu_bound(workers: int) -> AbstractContextManager[concurrent.futures.Executor]:
    return Run(max_workers=workers, name="demo", config=RuntimeConfig(cpu_bound=True))


def _stdlib_threads(workers: int) -> AbstractContextManager[concurrent.futures.Executor]:
    return concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="demo")


def _stdlib_processes(workers: int) -> AbstractContextManager[concurrent.futures.Executor]:
    # "spawn", which is everywhere: the default differs by platform and version, and fork is not safe here.
    return concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


@contextlib.contextmanager
def _stdlib_interpreters(workers: int) -> Generator[concurrent.futures.Executor]:
    if sys.version_info < (3, 14):
        raise RuntimeError("interpreters need Python 3.14 or newer")
    with concurrent.futures.InterpreterPoolExecutor(workers, thread_name_prefix="demo") as executor:
        yield executor


CONTENDERS = (
    Contender("serial", "serial", "loop", "a plain loop, no executor", None),
    Contender("threads", "threads", "weft", "weft.executors.ThreadPoolExecutor", _weft_threads),
    Contender("interpreters", "interpreters", "weft", "weft.executors.InterpreterPoolExecutor", _weft_interpreters),
    Contender("processes", "processes", "weft", "weft.executors.ProcessPoolExecutor", _weft_processes),
    Contender("auto", "auto", "weft", "weft.Run()", _weft_auto),
    Contender("auto, cpu_bound", "auto", "weft", "weft.Run(), told that the tasks compute", _weft_auto_cpu_bound),
    Contender("stdlib threads", "threads", "stdlib", "concurrent.futures.ThreadPoolExecutor", _stdlib_threads),
    Contender(
        "stdlib interpreters",
        "interpreters",
        "stdlib",
        "concurrent.futures.InterpreterPoolExecutor",
        _stdlib_interpreters,
    ),
    Contender("stdlib processes", "processes", "stdlib", "concurrent.futures.ProcessPoolExecutor", _stdlib_processes),
)


def available_contenders(flavors: frozenset[str]) -> list[Contender]:
    """Those of the flavors asked for that this Python has, the baseline first."""
    here = flavors | {"serial"}
    if sys.version_info < (3, 14):
        here -= {"interpreters"}
    return [contender for contender in CONTENDERS if contender.flavor in here]


def contender_named(name: str) -> Contender:
    """Looks one up; a name crosses to another process, a function that makes executors does not."""
    return next(contender for contender in CONTENDERS if contender.name == name)
