"""The executors that the conformance suite runs against, and what each can do: the one place that tells them apart.

A test that takes the `flavor` fixture runs once for each executor of the table that can do what the test needs
(`@needs(Can.OVERLAP)`). So a missing ability is a test that is not there, never a skip and never an `if` in a test.
A new flavor is a row of `FLAVORS` and, where its workers share nothing with the caller, a gate that crosses over:
tests whose tasks are plain functions of `tasks.py` need no ability at all.

The stdlib's own pools are rows too: they keep the suite honest about what the stdlib really promises.
"""

import concurrent.futures
import enum
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor
from concurrent.futures.process import BrokenProcessPool
from concurrent.futures.thread import BrokenThreadPool
from dataclasses import dataclass

import pytest

from tests.executors.gates import CrossingGate, Gate
from weft.executors import InterpreterPoolExecutor, ProcessPoolExecutor, SerialExecutor, ThreadPoolExecutor

if sys.version_info >= (3, 14):
    from concurrent.futures.interpreter import BrokenInterpreterPool

PATIENCE = 30.0
"""Seconds after which a wait of a test has failed; never waited for where all is well."""


class Can(enum.Enum):
    """What an executor may be able to do beyond `submit`, `map` and `shutdown`."""

    OVERLAP = "a task runs while its submitter goes on"
    WORKERS = "takes max_workers, and runs as many tasks at a time"
    SHARE = "tasks see the submitter's own objects"
    NAME_THREADS = "workers are threads of this interpreter, named after thread_name_prefix"
    INITIALIZE = "takes initializer and initargs"
    BE_LOOP_DEFAULT = "asyncio takes it as the default executor of a loop"
    MAP_LAZILY = "map takes buffersize"
    MAP_UNORDERED = "map takes ordered"
    CANCEL_AT_ONCE = "a cancelled future is settled for wait() at once, not when a worker comes by"
    OWN_FUTURES = "its futures are weft.Future"
    TAKE_OPTIONS = "has options()"
    LIMIT_PENDING = "takes max_pending"
    CARRY_CONTEXT = "each task sees a copy of its submitter's context variables"
    INTERRUPT = "a running task can be interrupted"
    RAISE_FALSY = "an exception that is false as a condition is raised nevertheless"
    HELP = "a task that waits for a task of its own pool cannot deadlock"


@dataclass(frozen=True, slots=True)
class Flavor:
    """A row of the table."""

    name: str
    make: Callable[..., Executor]
    """Called with a number of workers and the keywords of the executor's class."""
    cls: type[Executor]
    stdlib: type[Executor]
    """The class of the standard library that invariant 1 asks for."""
    can: frozenset[Can]
    broken: type[BrokenExecutor] = BrokenThreadPool
    """What the standard library's class raises once an initializer has failed."""
    gate: Callable[[], Gate] = threading.Event
    ahead: bool = False
    """Whether a worker has tasks ahead of the one that it runs, as many as may wait at most: these wait no longer."""

    def __repr__(self) -> str:
        return self.name


THREADS_OF_THE_STDLIB = frozenset(
    {Can.OVERLAP, Can.WORKERS, Can.SHARE, Can.NAME_THREADS, Can.INITIALIZE, Can.BE_LOOP_DEFAULT}
    | ({Can.MAP_LAZILY, Can.RAISE_FALSY} if sys.version_info >= (3, 14) else set())
)

# All but what takes the submitter's own objects or threads: there the tests' tasks are functions of modules, their gates cross
# over, and what they count is in files. What only these executors promise is in test_remote.py.
OF_ANOTHER_WORLD = frozenset(Can) - {Can.SHARE, Can.NAME_THREADS, Can.BE_LOOP_DEFAULT, Can.HELP}

FLAVORS = (
    Flavor(
        name="threads",
        make=ThreadPoolExecutor,
        cls=ThreadPoolExecutor,
        stdlib=concurrent.futures.ThreadPoolExecutor,
        can=frozenset(Can),
    ),
    Flavor(
        name="serial",
        make=lambda max_workers=1: SerialExecutor(),
        cls=SerialExecutor,
        stdlib=concurrent.futures.Executor,
        can=frozenset(
            {
                Can.SHARE,
                Can.MAP_LAZILY,
                Can.MAP_UNORDERED,
                Can.CANCEL_AT_ONCE,
                Can.OWN_FUTURES,
                Can.TAKE_OPTIONS,
                Can.CARRY_CONTEXT,
                Can.RAISE_FALSY,
                Can.HELP,
            }
        ),
    ),
    *(
        [
            Flavor(
                name="interpreters",
                make=InterpreterPoolExecutor,
                cls=InterpreterPoolExecutor,
                stdlib=concurrent.futures.InterpreterPoolExecutor,
                can=OF_ANOTHER_WORLD,
                broken=BrokenInterpreterPool,
                gate=CrossingGate,
            )
        ]
        if sys.version_info >= (3, 14)
        else []
    ),
    Flavor(
        name="processes",
        make=ProcessPoolExecutor,
        cls=ProcessPoolExecutor,
        stdlib=concurrent.futures.ProcessPoolExecutor,
        can=OF_ANOTHER_WORLD,
        broken=BrokenProcessPool,
        gate=CrossingGate,
        ahead=True,
    ),
    Flavor(
        name="stdlib-threads",
        make=concurrent.futures.ThreadPoolExecutor,
        cls=concurrent.futures.ThreadPoolExecutor,
        stdlib=concurrent.futures.ThreadPoolExecutor,
        can=THREADS_OF_THE_STDLIB,
    ),
)


def needs(*abilities: Can) -> pytest.MarkDecorator:
    """Marks a test, class or module (`pytestmark`) with what its flavors have to be able to do."""
    return pytest.mark.needs(*abilities)


def able(*abilities: Can) -> list[Flavor]:
    """The flavors that can do all of this."""
    return [flavor for flavor in FLAVORS if flavor.can.issuperset(abilities)]
