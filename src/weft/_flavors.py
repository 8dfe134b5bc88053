"""From the name of a flavor to an executor, and back.

The one place that knows which class stands for which flavor, so that a flavor gets workers of weft's own by
changing a line here. Classes are imported when asked for: a program that only uses threads never loads
multiprocessing.

"processes" and "interpreters" are the standard library's pools for now, sized by the CPUs that are ours to
use. Process workers are started by forkserver where there is one, on every version: fork, which is still
the default of 3.13 on Linux, copies locks that other threads hold and can wedge the child for good.
Pinned by tests/test_run.py.
"""

import sys
from concurrent.futures import Executor
from typing import Any, cast

from weft._capabilities import usable_cpus
from weft.errors import FlavorUnavailable


def make_executor(flavor: str, max_workers: int | None, name: str | None) -> tuple[Executor, str]:
    """Makes an executor.

    Args:
        flavor: "threads", "serial", "processes" or "interpreters".
        max_workers: How many workers at most. None: by the CPUs that are ours to use.
        name: The beginning of the names of worker threads.

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
        return _stdlib_processes(max_workers), "the standard library's process pool"
    if flavor == "interpreters":
        return _stdlib_interpreters(max_workers, name), "the standard library's interpreter pool"
    raise FlavorUnavailable(flavor=flavor)


def _stdlib_processes(max_workers: int | None) -> Executor:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    if max_workers is None:
        # The wait of Windows for several handles takes no more than 61 of them.
        max_workers = min(61, usable_cpus()) if sys.platform == "win32" else usable_cpus()
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    return ProcessPoolExecutor(max_workers, mp_context=multiprocessing.get_context(method))


def _stdlib_interpreters(max_workers: int | None, name: str | None) -> Executor:
    import concurrent.futures

    pool: Any = getattr(concurrent.futures, "InterpreterPoolExecutor", None)
    if pool is None:
        raise FlavorUnavailable(flavor="interpreters", needs="Python 3.14 or newer")
    return cast("Executor", pool(max_workers or min(32, usable_cpus() + 4), thread_name_prefix=name or ""))


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
