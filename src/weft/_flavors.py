"""From the name of a flavor to an executor, and back.

The one place that knows which class stands for which flavor, so that a flavor gets workers of weft's own by
changing a line here. Classes are imported when asked for: a program that only uses threads loads none of the others.
Pinned by tests/test_run.py.
"""

import sys
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from weft._capabilities import capabilities
from weft.errors import FlavorUnavailable

if TYPE_CHECKING:
    from weft.executors._router import Move


def make_adaptive(
    max_workers: int | None,
    name: str | None,
    tell: Callable[["Move"], object],
    *,
    inner_threads: int | None = None,
    told: bool = False,
) -> Executor:
    """Makes threads that move what waits for the GIL to where this Python can run it in parallel.

    Args:
        max_workers: How many workers at most. None: by the CPUs that are ours to use.
        name: The beginning of the names of worker threads.
        tell: Told what is measured, and what is moved.
        inner_threads: How many threads libraries may use in each worker that shares nothing with us. None: any.
        told: The tasks are said to compute: each function goes where it can before its first call, unmeasured.
    """
    from weft.executors._adaptive import AdaptiveExecutor

    if told and max_workers is None:  # no more than can compute at a time
        max_workers = capabilities().cpu_count
    flavors = ("interpreters", "processes") if capabilities().interpreters else ("processes",)
    return AdaptiveExecutor(max_workers, name or "", flavors=flavors, tell=tell, inner_threads=inner_threads, told=told)


def make_executor(
    flavor: str, max_workers: int | None, name: str | None, *, inner_threads: int | None = None
) -> tuple[Executor, str]:
    """Makes an executor.

    Args:
        flavor: "threads", "serial", "processes" or "interpreters".
        max_workers: How many workers at most. None: by the CPUs that are ours to use.
        name: The beginning of the names of worker threads.
        inner_threads: How many threads libraries may use in each worker that shares nothing with us. None: any.

    Returns:
        The executor, and a remark for the decision's reason, often empty.

    Raises:
        FlavorUnavailable: This Python cannot have such workers.
    """
    if flavor == "threads":
        from weft.executors import ThreadPoolExecutor

        return ThreadPoolExecutor(max_workers, thread_name_prefix=name or ""), ""
    if flavor == "serial":
        from weft.executors import SerialExecutor

        return SerialExecutor(), ""
    if flavor == "processes":
        from weft.executors import ProcessPoolExecutor

        return ProcessPoolExecutor(max_workers, inner_threads=inner_threads), ""
    if flavor == "interpreters":
        from weft.executors import InterpreterPoolExecutor

        return InterpreterPoolExecutor(max_workers, name or "", inner_threads=inner_threads), ""
    raise FlavorUnavailable(flavor=flavor)


def flavor_of(executor: Executor) -> str:
    """The flavor of an executor: "other" where it is of no class that we know."""
    for module, name, flavor in (
        # The interpreter pool goes before the thread pool, of which it is a subclass.
        ("concurrent.futures.interpreter", "InterpreterPoolExecutor", "interpreters"),
        ("concurrent.futures.thread", "ThreadPoolExecutor", "threads"),
        ("concurrent.futures.process", "ProcessPoolExecutor", "processes"),
        ("weft.executors", "SerialExecutor", "serial"),
    ):
        # An object of a class exists only if the class's module has been imported.
        if module in sys.modules and isinstance(executor, getattr(sys.modules[module], name, ())):
            return flavor
    return "other"
