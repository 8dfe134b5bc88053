"""How the tests start each engine, and which executor they have on it."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.engines.dask_cluster import DaskCluster


@contextmanager
def dask() -> Generator[Any]:
    pytest.importorskip("distributed", reason="needs distributed")
    from weft.executors import DaskExecutor

    cluster = DaskCluster()
    try:
        with DaskExecutor(cluster.address) as executor:
            yield executor
    finally:
        cluster.end()


def another_dask(executor: Any) -> Any:
    from weft.executors import DaskExecutor

    return DaskExecutor(executor.address)


MAKERS: dict[str, Any] = {"dask": dask}
"""What starts an engine."""

ANOTHER: dict[str, Any] = {"dask": another_dask}
"""What makes another executor on an engine that runs."""

NAMED = os.environ.get("WEFT_ENGINES", "")

ENGINES = [*MAKERS] if NAMED == "all" else NAMED.split()
"""Those that were asked for; empty: those that are quick."""

long = pytest.mark.skipif(not NAMED, reason="make test-engines has it")
"""For tests that take several seconds."""

QUICK = ("dask",)
"""Those that start in a few seconds."""
