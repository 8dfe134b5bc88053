"""The thread pools that are compared."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable

from weft.executors import ThreadPoolExecutor

type MakePool = Callable[[int], concurrent.futures.Executor]

THREADS: dict[str, MakePool] = {"weft": ThreadPoolExecutor, "stdlib": concurrent.futures.ThreadPoolExecutor}
"""By label: makes a thread pool of so many workers."""

WORKERS = 2
