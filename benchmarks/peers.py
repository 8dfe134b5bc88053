"""The pools that are compared."""

from __future__ import annotations

import concurrent.futures
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from weft.executors import InterpreterPoolExecutor, ProcessPoolExecutor, ThreadPoolExecutor

type MakePool = Callable[[int], concurrent.futures.Executor]

THREADS: dict[str, MakePool] = {"weft": ThreadPoolExecutor, "stdlib": concurrent.futures.ThreadPoolExecutor}
"""By label: makes a thread pool of so many workers."""

WORKERS = 2


def of_flavor(flavor: str) -> dict[str, MakePool]:
    """By label: makes a pool of workers that share no objects; weft's first."""
    if flavor == "interpreters":
        stdlib: Any = concurrent.futures
        return {"weft": InterpreterPoolExecutor, "stdlib": lambda workers: stdlib.InterpreterPoolExecutor(workers)}
    pools: dict[str, MakePool] = {"weft": ProcessPoolExecutor, "stdlib": concurrent.futures.ProcessPoolExecutor}
    if importlib.util.find_spec("loky") is not None:
        pools["loky"] = _loky
    return pools


def _loky(workers: int) -> concurrent.futures.Executor:
    loky: Any = importlib.import_module("loky")  # not there for the type checker
    return loky.ProcessPoolExecutor(workers)
