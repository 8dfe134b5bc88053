"""How the tests start each engine, and which executor they have on it."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
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


@contextmanager
def ray() -> Generator[Any]:
    pytest.importorskip("ray", reason="needs ray")
    from tests.engines.loopback import only_loopback
    from weft.executors import RayExecutor

    only_loopback()  # Ray listens on all addresses
    os.environ |= {
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    with RayExecutor() as executor:
        yield executor


def another_ray(executor: Any) -> Any:
    from weft.executors import RayExecutor

    return RayExecutor(executor.address)


MAKERS: dict[str, Any] = {"dask": dask, "ray": ray}
"""What starts an engine."""

ANOTHER: dict[str, Any] = {"dask": another_dask, "ray": another_ray}
"""What makes another executor on an engine that runs."""

NAMED = os.environ.get("WEFT_ENGINES", "")

ENGINES = [*MAKERS] if NAMED == "all" else NAMED.split()
"""Those that were asked for; empty: those that are quick."""

long = pytest.mark.skipif(not NAMED, reason="make test-engines has it")
"""For tests that take several seconds."""

QUICK = ("dask",)
"""Those that start in a few seconds."""


def of_engine(name: str) -> pytest.MarkDecorator:
    """For tests of one engine: each is run by itself, as what one does to a process is no help to others."""
    return pytest.mark.skipif(name not in (ENGINES or QUICK), reason=f"WEFT_ENGINES does not name {name}")
