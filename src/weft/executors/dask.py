"""`DaskExecutor`: calls, maps and whole pipelines on a Dask cluster, by way of its client (extra ``dask``).

Results are fetched by one thread, as many in one go as have come; nothing waits in the client's own threads. A pipeline
is handed to the scheduler as one graph of Dask's futures, and what goes from node to node goes from worker to worker.

When a worker dies the scheduler has another one do its tasks again, three times by default (``distributed.scheduler.
allowed-failures``); then they fail with `WorkerCrashed`. A task that runs cannot be interrupted: one that is cancelled
goes on, and its result is dropped. Workers need weft, and the modules of what is sent by name.
Pinned by tests/engines/test_dask_*.py.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from weft._payloads import far
from weft.errors import InvalidSetting, WorkerCrashed
from weft.executors._cluster import LARGE, PATIENCE, ClusterFuture, imported, unreachable
from weft.executors._references import ReferencingExecutor
from weft.executors._worker_threads import start_thread

__all__ = ["DaskExecutor"]

_AT_ONCE = 1000  # outcomes that are fetched together
_LOOK_AGAIN = 1.0  # seconds for which the number of workers is taken to stay


class DaskExecutor(ReferencingExecutor):
    """Runs calls on the workers of a Dask cluster; pipelines whole, as graphs.

    Args:
        client_or_address: A ``distributed.Client``, which is left open; or the scheduler's address, such as
            ``"tcp://10.0.0.1:8786"``.
        security: For an address with TLS: a ``distributed.Security``.

    Raises:
        InvalidSetting: No scheduler answers there within 10 s, or the client is closed.
        MissingDependency: The package distributed is not installed.

    Example:
        >>> from weft.executors import DaskExecutor
        >>> with DaskExecutor("tcp://127.0.0.1:8786") as executor:  # doctest: +SKIP
        ...     executor.submit(divmod, 7, 2).result()
        (3, 1)
    """

    def __init__(self, client_or_address: Any, *, security: Any = None) -> None:
        super().__init__()
        distributed = imported("distributed", "dask")
        self._is_ours = not isinstance(client_or_address, distributed.Client)
        if self._is_ours:
            self._client = _connected(distributed, client_or_address, security)
        else:
            self._client = client_or_address
            if security is not None:
                remedy = "leave it out: the client that you give has its own"
                raise InvalidSetting(setting="security", value=security, remedy=remedy)
            if self._client.status != "running":
                remedy = f"this client is {self._client.status}: give one that is connected, or the scheduler's address"
                raise InvalidSetting(setting="client_or_address", value=client_or_address, remedy=remedy)
        self.address: str = self._client.scheduler.address
        self._ended: SimpleQueue[tuple[ClusterFuture, Any] | None] = SimpleQueue()
        self._fetcher: list[threading.Thread] = []
        self._seen = [0.0, 1]  # when the workers were counted, and how many tasks they run at a time

    def __repr__(self) -> str:
        return f"<DaskExecutor {self.address!r}>"

    @property
    def max_workers(self) -> int:
        """How many tasks the cluster's workers run at a time, now."""
        if time.monotonic() - self._seen[0] > _LOOK_AGAIN:
            self._seen[:] = time.monotonic(), max(1, sum(self._client.nthreads().values()))
        return int(self._seen[1])

    # ---- for the base -------------------------------------------------------------------------------------------

    def _launch(self, future: ClusterFuture, payload: bytes, blobs: tuple[Any, ...]) -> None:
        data = payload if len(payload) < LARGE else self._put(payload)
        self._watch(future, far.call, (data, *blobs))

    def begin(self, name: str, fn: Callable[..., Any], /, *args: Any) -> Any:
        """See the base."""
        # Pure would give two calls of a function with the same arguments one result.
        return self._client.submit(fn, *args, key=f"{name}-{uuid4().hex}", pure=False)

    def _watch(self, future: ClusterFuture, fn: Callable[..., bytes], args: tuple[Any, ...]) -> None:
        self._start_fetcher()
        future.handle = handle = self.begin(future.name, fn, *args)
        handle.add_done_callback(partial(_ended, self._ended, future))

    def _put(self, data: bytes) -> Any:
        # With one copy only it would be lost with the worker that has it.
        return self._client.scatter(data, broadcast=True, hash=False)

    def drop(self, handles: list[Any]) -> None:
        """See the base."""
        left = [handle for handle in handles if handle.status == "pending"]
        if left:
            self._client.cancel(left)

    def _cancel(self, future: ClusterFuture) -> None:
        handle, future.handle = future.handle, None
        if handle is not None and self._client.status == "running":
            self._client.cancel([handle])

    @staticmethod
    def spread(payloads: list[bytes]) -> list[bytes]:
        """In a worker: runs calls in further ones. Meanwhile the worker is free for others."""
        distributed = imported("distributed", "dask")
        with distributed.worker_client() as client:
            handles = [client.submit(far.call, one, key=f"items-{uuid4().hex}", pure=False) for one in payloads]
            return client.gather(handles)

    def _close(self) -> None:
        self._ended.put(None)
        for thread in self._fetcher:
            if thread is not threading.current_thread():
                thread.join()
        if self._is_ours:
            self._client.close()

    # ---- what comes back ----------------------------------------------------------------------------------------

    def _start_fetcher(self) -> None:
        with self._shared.lock:
            if not self._fetcher:
                thread = threading.Thread(target=self._fetch, name="weft-dask-results", daemon=True)
                start_thread(thread)
                self._fetcher.append(thread)  # only now: one that did not start fetches nothing

    def _fetch(self) -> None:
        while (first := self._ended.get()) is not None:
            batch = [first]
            ending = False
            while len(batch) < _AT_ONCE and not ending:
                try:
                    following = self._ended.get_nowait()
                except Empty:
                    break
                if following is None:
                    ending = True
                else:
                    batch.append(following)
            self._settle(batch)
            if ending:
                break
        self._ended.put(None)  # for another one, if there is: its start was interrupted, and nobody knows of it

    def _settle(self, batch: list[tuple[ClusterFuture, Any]]) -> None:
        whole = [(future, handle) for future, handle in batch if handle.status == "finished"]
        outcomes: list[bytes | None] = []
        try:
            outcomes = self._client.gather([handle for _, handle in whole])
        except Exception:  # one of them was lost meanwhile: which one, is to be seen one by one
            outcomes = [None] * len(whole)
        for (future, handle), outcome in zip(whole, outcomes, strict=True):
            future.settle(self._outcome(future, handle) if outcome is None else outcome)
        for future, handle in batch:
            if not future.done():
                future.settle(self._outcome(future, handle))

    def _outcome(self, future: ClusterFuture, handle: Any) -> bytes | BaseException:
        try:
            return handle.result(timeout=None if handle.status == "pending" else PATIENCE)
        except Exception as error:
            return self._told(future, error)

    def _told(self, future: ClusterFuture, error: Exception) -> BaseException:
        """An error of the engine's own: the call itself never raises."""
        distributed = imported("distributed", "dask")
        which = f"task {future.name!r}"
        if isinstance(error, distributed.KilledWorker):
            made: BaseException = WorkerCrashed(
                f"{which} was given up by the Dask scheduler at {self.address}: each worker that ran it died, "
                f"the last one was {getattr(getattr(error, 'last_worker', None), 'address', 'unknown')}; "
                "see that worker's log, it may have run out of memory",
                task=future.name,
            )
        else:
            why = " ".join(str(error).split()) or type(error).__name__
            made = WorkerCrashed(
                f"{which} was not run to its end by the Dask cluster at {self.address}: {type(error).__name__}: {why}; "
                "see the logs of its scheduler and workers, which need weft in the caller's version",
                task=future.name,
            )
        made.__cause__ = error
        return made


def _ended(ended: SimpleQueue[Any], future: ClusterFuture, handle: Any) -> None:
    ended.put((future, handle))


def _connected(distributed: Any, address: object, security: Any) -> Any:
    remedy = "start one with `dask scheduler`, or give the address that it prints, such as 'tcp://10.0.0.1:8786'"
    if not isinstance(address, str) or not address:
        how = "give a distributed.Client, or the scheduler's address, such as 'tcp://10.0.0.1:8786'"
        raise InvalidSetting(setting="client_or_address", value=address, remedy=how)
    try:
        _knock(distributed, address, security)
        return distributed.Client(address, timeout=PATIENCE, set_as_default=False, security=security)
    except Exception as error:
        raise unreachable("Dask scheduler", address, error, remedy) from error


def _knock(distributed: Any, address: str, security: Any) -> None:
    """Looks whether a scheduler answers: a client would wait for ever for one that accepts and then says nothing."""
    arguments: dict[str, Any] = {} if security is None else security.get_connection_args("client")

    async def knock() -> None:
        comm = await distributed.comm.connect(address, timeout=PATIENCE, **arguments)
        comm.abort()

    def run() -> None:
        try:
            asyncio.run(asyncio.wait_for(knock(), PATIENCE))
        except Exception as error:
            answer.put(error)
        else:
            answer.put(None)

    answer: SimpleQueue[Exception | None] = SimpleQueue()
    # In a thread of its own, as the caller may have a loop. It is not waited for: to give up takes it ten seconds more.
    start_thread(threading.Thread(target=run, name="weft-dask-knock", daemon=True))
    try:
        error = answer.get(timeout=PATIENCE)
    except Empty:
        raise TimeoutError(f"not a word within {PATIENCE:g} s") from None
    if error is not None:
        raise error
