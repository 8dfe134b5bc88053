"""How the tests start each engine, and which executor they have on it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
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
            executor.cluster_of_tests = cluster
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


@contextmanager
def spark() -> Generator[Any]:
    sql = pytest.importorskip("pyspark.sql", reason="needs pyspark")
    if shutil.which("java") is None:
        pytest.skip("needs Java 17")
    from weft.executors import SparkExecutor

    os.environ |= {
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.python.unix.domain.socket.enabled", "true").getOrCreate()
    java = session.sparkContext._gateway.proc
    try:
        session.sparkContext.setLogLevel("OFF")
        with SparkExecutor(session) as executor:
            yield executor
    finally:
        session.stop()
        java.stdin.close()  # at which Spark's process ends
        java.wait(30)


def another_spark(executor: Any) -> Any:
    from weft.executors import SparkExecutor

    return SparkExecutor(executor._session)


@contextmanager
def daft() -> Generator[Any]:
    pytest.importorskip("daft", reason="needs daft")
    from weft.executors import DaftExecutor

    with DaftExecutor(2) as executor:
        yield executor


def another_daft(executor: Any) -> Any:
    from weft.executors import DaftExecutor

    return DaftExecutor(2)


@contextmanager
def modal() -> Generator[Any]:
    """Modal's own client, and a server of ours behind it: see modal_server.py."""
    client = pytest.importorskip("modal", reason="needs modal")
    from weft.executors import ModalExecutor

    with tempfile.TemporaryDirectory() as folder:
        socket = str(Path(folder, "modal"))
        command = [sys.executable, "-m", "tests.engines.modal_server", socket]
        with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout is not None
                assert server.stdout.readline() == b"up\n"
                os.environ |= {
                    "MODAL_SERVER_URL": f"unix://{socket}",
                    "MODAL_TOKEN_ID": "ak-tests",
                    "MODAL_TOKEN_SECRET": "as-tests",
                }
                with ModalExecutor(client.App("tests"), image=client.Image.debian_slim(), max_containers=2) as executor:
                    yield executor
            finally:
                server.kill()


def another_modal(executor: Any) -> Any:
    from weft.executors import ModalExecutor

    client = import_module("modal")
    return ModalExecutor(client.App("another"), image=client.Image.debian_slim(), max_containers=2)


MAKERS: dict[str, Any] = {"dask": dask, "daft": daft, "modal": modal, "ray": ray, "spark": spark}
"""What starts an engine."""

ANOTHER: dict[str, Any] = {
    "dask": another_dask,
    "daft": another_daft,
    "modal": another_modal,
    "ray": another_ray,
    "spark": another_spark,
}
"""What makes another executor on an engine that runs."""

NAMED = os.environ.get("WEFT_ENGINES", "")

ENGINES = NAMED.split()
"""Those that were asked for; empty: those that are quick."""

long = pytest.mark.skipif(not NAMED, reason="make test-engines has it")
"""For tests that take several seconds."""

QUICK = ("dask", "daft")
"""Those that start in a few seconds."""


def of_engine(name: str) -> pytest.MarkDecorator:
    """For tests of one engine: each is run by itself, as what one does to a process is no help to others."""
    return pytest.mark.skipif(name not in (ENGINES or QUICK), reason=f"WEFT_ENGINES does not name {name}")
