"""Executors: `concurrent.futures.Executor`s over workers of one flavor, or of a cluster that is there already.

Each flavor's is an instance of the stdlib class of its name, and hands out `weft.Future`s. The modules behind the names
are imported when a name is first used.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # `typing` would cost a template process (_template/) more than all the rest of this
if TYPE_CHECKING:
    from weft._payloads.seeds import task_seed
    from weft.executors._joblib import register_joblib
    from weft.executors.daft import DaftExecutor
    from weft.executors.dask import DaskExecutor
    from weft.executors.interpreters import InterpreterPoolExecutor
    from weft.executors.modal import ModalExecutor
    from weft.executors.processes import ProcessPoolExecutor
    from weft.executors.ray import RayExecutor
    from weft.executors.serial import SerialExecutor
    from weft.executors.spark import SparkExecutor
    from weft.executors.threads import ThreadPoolExecutor

__all__ = [
    "DaftExecutor",
    "DaskExecutor",
    "InterpreterPoolExecutor",
    "ModalExecutor",
    "ProcessPoolExecutor",
    "RayExecutor",
    "SerialExecutor",
    "SparkExecutor",
    "ThreadPoolExecutor",
    "register_joblib",
    "task_seed",
]

_HOMES = {
    "DaftExecutor": "weft.executors.daft",
    "DaskExecutor": "weft.executors.dask",
    "InterpreterPoolExecutor": "weft.executors.interpreters",
    "ProcessPoolExecutor": "weft.executors.processes",
    "ModalExecutor": "weft.executors.modal",
    "RayExecutor": "weft.executors.ray",
    "SerialExecutor": "weft.executors.serial",
    "SparkExecutor": "weft.executors.spark",
    "ThreadPoolExecutor": "weft.executors.threads",
    "register_joblib": "weft.executors._joblib",
    "task_seed": "weft._payloads.seeds",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
