"""`SparkExecutor`: calls, maps and pipelines on Apache Spark, by way of PySpark (extra ``spark``; Java 17 or newer).

Calls go into jobs together (`_jobs`), as the elements of an RDD whose partitions are worked on by `mapPartitions`; as
many jobs run at a time as the cluster has cores. A job whose calls have all been cancelled is cancelled. Workers need
weft, and the modules of what is sent by name.
Pinned by tests/engines/test_spark.py.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from weft._payloads import far
from weft.errors import InvalidSetting
from weft.executors._cluster import PATIENCE, imported, unreachable
from weft.executors._jobs import Job, JobExecutor

__all__ = ["SparkExecutor"]


class SparkExecutor(JobExecutor):
    """Runs calls as elements of Spark jobs.

    Args:
        session_or_master: A ``pyspark.sql.SparkSession``, which is left running; or a master's address, such as
            ``"spark://10.0.0.1:7077"`` or ``"local[4]"``, for a session that ends with this executor.

    Raises:
        InvalidSetting: Nobody listens there, the session has ended, or it is one of Spark Connect, which has no RDDs.
        MissingDependency: The package pyspark is not installed.

    Example:
        >>> from weft.executors import SparkExecutor
        >>> with SparkExecutor("local[2]") as executor:  # doctest: +SKIP
        ...     executor.submit(divmod, 7, 2).result()
        (3, 1)
    """

    _engine = "Spark"
    # A job takes fifty milliseconds, whatever is in it.
    chunk_nanoseconds = _chunk_nanoseconds = 500_000_000

    def __init__(self, session_or_master: Any) -> None:
        super().__init__()
        sql = imported("pyspark.sql", "spark")
        self._is_ours = False
        if isinstance(session_or_master, str) and session_or_master:
            active = sql.SparkSession.getActiveSession()
            self._session: Any = _session(sql, session_or_master)
            self._is_ours = active is None
        else:
            self._session = session_or_master
        self._context = _checked_context(sql, self._session, session_or_master)
        self.address = str(self._context.master)
        self._parallelism = max(1, self._context.defaultParallelism)
        self._thread = imported("pyspark", "spark").InheritableThread

    def __repr__(self) -> str:
        return f"<SparkExecutor {self.address!r}>"

    @property
    def max_workers(self) -> int:
        """How many calls Spark runs at a time, by its default parallelism."""
        return self._parallelism

    # ---- for the base -------------------------------------------------------------------------------------------

    def _put(self, data: bytes) -> Any:
        return self._context.broadcast(data)

    def _close(self) -> None:
        if self._is_ours:
            self._session.stop()

    # ---- jobs -----------------------------------------------------------------------------------------------------

    def _make_thread(self, target: Callable[[], None], name: str) -> threading.Thread:
        # Each thread has one of Java's of its own; this kind lets go of it at its end.
        return self._thread(target=target, name=name, daemon=True, session=self._session)

    def _cancel_job(self, job: Job) -> None:
        self._context.cancelJobGroup(job.name)

    def _outcomes(self, job: Job) -> list[bytes]:
        blobs = {id(one): one for call in job.calls for one in call.blobs if not isinstance(one, bytes)}
        rows = [
            (call.payload, tuple(one if isinstance(one, bytes) else id(one) for one in call.blobs))
            for call in job.calls
        ]
        # Without interrupts of Java's threads: one that meets a thread which talks to its Python worker may leave both
        # stuck. Spark ends the worker of a cancelled task two seconds later.
        self._context.setJobGroup(job.name, f"weft: {job.calls[0].future.name}", interruptOnCancel=False)
        slices = min(len(rows), self.max_workers)
        return self._context.parallelize(rows, slices).mapPartitions(partial(_partition, blobs)).collect()


def _partition(blobs: Mapping[int, Any], rows: Iterable[tuple[bytes, tuple[Any, ...]]]) -> Iterator[bytes]:
    """What a worker does for a partition."""
    for payload, given in rows:
        yield far.call(payload, *(one if isinstance(one, bytes) else blobs[one].value for one in given))


def _session(sql: Any, master: str) -> Any:
    remedy = "start one with Spark's `sbin/start-master.sh`, or give 'local[2]' for one in this machine's processes"
    if master.startswith("spark://"):
        parts = urlsplit(master)
        try:  # Spark itself goes on asking for a minute
            with socket.create_connection((parts.hostname or "", parts.port or 7077), timeout=PATIENCE):
                pass
        except (OSError, ValueError) as error:
            raise unreachable("Spark master", master, error, remedy) from error
    builder = sql.SparkSession.builder.master(master).appName("weft")
    if master.startswith("local") and "SPARK_LOCAL_IP" not in os.environ:
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    try:
        return builder.config("spark.ui.enabled", "false").getOrCreate()
    except Exception as error:
        raise unreachable("Spark", master, error, f"{remedy}; it needs Java 17 or newer") from error


def _checked_context(sql: Any, session: Any, given: object) -> Any:
    if not isinstance(session, sql.SparkSession):
        remedy = "give a pyspark.sql.SparkSession, or a master's address, such as 'spark://10.0.0.1:7077' or 'local[2]'"
        if type(session).__module__.startswith("pyspark.sql.connect"):
            remedy = "a session of Spark Connect has no RDDs: give one that is made with a master"
        raise InvalidSetting(setting="session_or_master", value=given, remedy=remedy)
    context = session.sparkContext
    if getattr(context, "_jsc", None) is None:
        remedy = "this session was stopped: give one that runs"
        raise InvalidSetting(setting="session_or_master", value=given, remedy=remedy)
    return context
