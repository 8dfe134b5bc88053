"""`DaftExecutor`: calls, maps and pipelines as plans of Daft (extra ``daft``).

Calls go into plans together (`_jobs`): they are rows of a frame with a column of bytes, which a batch function turns
into a column of outcomes. Daft's native runner works on them with its own threads, in this process: for functions that
let go of the GIL. ``use_process=True`` has it start processes for each plan, which takes a second or two. What runs
cannot be interrupted; what is cancelled goes on, and its result is dropped.
Pinned by tests/engines/test_daft.py.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from typing import Any

from weft._capabilities import usable_cpus
from weft._payloads import far
from weft.config import check_count
from weft.errors import InvalidSetting
from weft.executors._cluster import imported
from weft.executors._jobs import Job, JobExecutor

__all__ = ["DaftExecutor"]


class DaftExecutor(JobExecutor):
    """Runs calls as rows of Daft's plans.

    Args:
        max_workers: How many calls of a plan run at a time, and how many plans. None: by the CPUs that this process may
            use.
        use_process: In processes that Daft starts for each plan, not in its threads.

    Raises:
        InvalidSetting: A value is not allowed.
        MissingDependency: The package daft is not installed.

    Example:
        >>> from weft.executors import DaftExecutor
        >>> with DaftExecutor() as executor:  # doctest: +SKIP
        ...     executor.submit(divmod, 7, 2).result()
        (3, 1)
    """

    _engine = "Daft"

    def __init__(self, max_workers: int | None = None, *, use_process: bool = False) -> None:
        super().__init__()
        if not isinstance(use_process, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidSetting(setting="use_process", value=use_process, remedy="give True or False")
        self._most = check_count("max_workers", max_workers) or usable_cpus()
        self._daft = imported("daft", "daft")
        self._use_process = use_process
        if use_process:
            self.chunk_nanoseconds = self._chunk_nanoseconds = 5_000_000_000

    def __repr__(self) -> str:
        return f"<DaftExecutor of {self._most}>"

    @property
    def max_workers(self) -> int:
        """How many calls of a plan run at a time."""
        return self._most

    def _outcomes(self, job: Job) -> list[bytes]:
        # What many calls have in common goes along once, with the function.
        table = {id(blob): blob for call in job.calls for blob in call.blobs}
        daft = self._daft
        binary = daft.DataType.binary()
        if self._use_process:

            class Calls:
                @daft.method.batch(return_dtype=binary, batch_size=1)
                def run(self, calls: Any) -> list[bytes]:
                    return _outcomes_of(calls.to_pylist(), table)

            function = daft.cls(Calls, use_process=True, max_concurrency=min(self._most, len(job.calls)))().run
        else:

            @daft.func.batch(return_dtype=binary, batch_size=1)
            def function(calls: Any) -> list[bytes]:
                return _outcomes_of(calls.to_pylist(), table)

        rows = [marshal.dumps((call.payload, tuple(map(id, call.blobs)))) for call in job.calls]
        plan = daft.from_pydict({"call": rows}).select(function(daft.col("call")).alias("outcome"))
        return plan.to_pydict()["outcome"]


def _outcomes_of(rows: list[bytes], table: Mapping[int, bytes]) -> list[bytes]:
    """What a worker does for a batch."""
    outcomes: list[bytes] = []
    for row in rows:
        payload, names = marshal.loads(row)
        outcomes.append(far.call(payload, *(table[name] for name in names)))
    return outcomes
