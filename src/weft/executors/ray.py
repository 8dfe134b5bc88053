"""`RayExecutor`: calls, maps and whole pipelines on Ray (extra ``ray``).

A call is a Ray task of its own, with the CPUs and GPUs that it is to have. A pipeline is handed to Ray whole: nodes
take references to what those before them gave, which stays in Ray's object store, and each node may have resources of
its own. What comes out of that store is not to be written to: arrays arrive read-only.

When a worker dies Ray runs its task again, three times by default; then it fails with `WorkerCrashed`. What is
cancelled gets a `KeyboardInterrupt`, if it runs already. Workers need weft, and the modules of what is sent by name.

Ray has one connection for a process: executors share it, and it is closed by the one that has opened it.
Pinned by tests/engines/test_ray.py.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Self
from urllib.parse import urlsplit

from weft._payloads import far
from weft.errors import InvalidSetting, WorkerCrashed
from weft.executors._cluster import LARGE, PATIENCE, ClusterFuture, imported, unreachable
from weft.executors._options import RetryOn
from weft.executors._references import ReferencingExecutor

__all__ = ["RayExecutor"]

_logger = logging.getLogger("weft.executors")

_LOOK_AGAIN = 1.0  # seconds for which the number of CPUs is taken to stay


class RayExecutor(ReferencingExecutor):
    """Runs calls as Ray tasks; pipelines whole, by references.

    Args:
        address: Where Ray is: ``"10.0.0.1:6379"``, ``"ray://10.0.0.1:10001"`` for Ray's client, "auto" for the one on
            this machine. None: the one that this process is connected to; else one is started here, and ends with this
            executor. It listens on all addresses of the machine.
        num_cpus: How many CPUs a task takes; may be a fraction.
        num_gpus: How many GPUs a task takes.

    Raises:
        InvalidSetting: No Ray answers there within 10 s, this process is connected to another one, or there are never
            as many CPUs or GPUs in a Ray that is started here.
        MissingDependency: The package ray is not installed.

    Example:
        >>> from weft.executors import RayExecutor
        >>> with RayExecutor("10.0.0.1:6379", num_cpus=2) as executor:  # doctest: +SKIP
        ...     executor.submit(divmod, 7, 2).result()
        (3, 1)
    """

    def __init__(self, address: str | None = None, *, num_cpus: float = 1, num_gpus: float = 0) -> None:
        super().__init__()
        self._resources = {"num_cpus": _amount("num_cpus", num_cpus), "num_gpus": _amount("num_gpus", num_gpus)}
        if address is not None and (not isinstance(address, str) or not address):  # pyright: ignore[reportUnnecessaryIsInstance]
            remedy = "give an address such as '10.0.0.1:6379', 'auto', or None"
            raise InvalidSetting(setting="address", value=address, remedy=remedy)
        self._ray = imported("ray", "ray")
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            _connect(self._ray, address)
        elif address not in (None, "auto", _address_of(self._ray)):
            remedy = f"this process is connected to the Ray at {_address_of(self._ray)}: call ray.shutdown() before"
            raise InvalidSetting(setting="address", value=address, remedy=remedy)
        self.address = address or _address_of(self._ray)
        self._local = self._is_ours and address is None
        self._seen = [0.0, 1.0]
        try:
            self._check_resources()
        except BaseException:
            self._close()
            raise

    def __repr__(self) -> str:
        return f"<RayExecutor {self.address!r}>"

    @property
    def max_workers(self) -> int:
        """How many tasks with these resources the cluster runs at a time, now."""
        if time.monotonic() - self._seen[0] > _LOOK_AGAIN:
            self._seen[:] = time.monotonic(), self._ray.cluster_resources().get("CPU", 1.0)
        return max(1, int(self._seen[1] // (self._resources["num_cpus"] or 1)))

    def options(
        self,
        *,
        timeout: float | None = None,
        retries: int = 0,
        backoff: float = 0.1,
        retry_on: RetryOn = Exception,
        name: str | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
    ) -> Self:
        """A view of this executor whose tasks have these options: those of the base, and resources.

        Args:
            timeout: Seconds that a task may run; then it is interrupted, and fails with `weft.errors.TaskTimeout`.
            retries: How often a task that failed is run again.
            backoff: Seconds before the first retry; doubles with each.
            retry_on: The exception class, or classes, that are worth a retry.
            name: The tasks' name.
            num_cpus: How many CPUs a task takes; None: as here.
            num_gpus: How many GPUs a task takes; None: as here.

        Returns:
            An executor over the same workers: as the executor of a node's configuration, it says what that node takes.

        Raises:
            InvalidSetting: A value is not allowed.
        """
        view = super().options(timeout=timeout, retries=retries, backoff=backoff, retry_on=retry_on, name=name)
        wanted = {"num_cpus": num_cpus, "num_gpus": num_gpus}
        changed = {key: _amount(key, value) for key, value in wanted.items() if value is not None}
        view = view._view(_resources=self._resources | changed)
        view._check_resources()
        return view

    def _check_resources(self) -> None:
        there = self._ray.cluster_resources()
        for key, kind in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
            most = there.get(kind, 0)
            if self._resources[key] <= most:
                continue
            told = f"the Ray at {self.address} has {most:g} {kind}s"
            if self._local:
                raise InvalidSetting(setting=key, value=self._resources[key], remedy=f"{told}: give no more than that")
            _logger.warning("%s, and a task is to have %g: tasks wait until there are more", told, self._resources[key])

    # ---- for the base -------------------------------------------------------------------------------------------

    def _launch(self, future: ClusterFuture, payload: bytes, blobs: tuple[Any, ...]) -> None:
        data = payload if len(payload) < LARGE else self._put(payload)
        self._watched(future, self.begin(future.name, far.call, data, *blobs))

    def begin(self, name: str, fn: Callable[..., Any], /, *args: Any) -> Any:
        """See the base."""
        return self._ray.remote(fn).options(name=name, **self._resources).remote(*args)

    def _watch(self, future: ClusterFuture, fn: Callable[..., bytes], args: tuple[Any, ...]) -> None:
        # What it takes is a moment, and no GPU.
        self._watched(future, self._ray.remote(fn).options(name=future.name, num_cpus=0).remote(*args))

    def _watched(self, future: ClusterFuture, reference: Any) -> None:
        future.handle = reference
        reference.future().add_done_callback(partial(self._ended, future))

    def _ended(self, future: ClusterFuture, outcome: Any) -> None:
        error = outcome.exception()
        future.settle(outcome.result() if error is None else self._told(future, error))

    def _put(self, data: bytes) -> Any:
        return self._ray.put(data)

    def drop(self, handles: list[Any]) -> None:
        """See the base."""
        if not handles or not self._ray.is_initialized():
            return
        for handle in self._ray.wait(handles, num_returns=len(handles), timeout=0)[1]:
            self._ray.cancel(handle)

    def _cancel(self, future: ClusterFuture) -> None:
        handle, future.handle = future.handle, None
        if handle is not None and self._ray.is_initialized():
            self._ray.cancel(handle)

    @staticmethod
    def spread(payloads: list[bytes]) -> list[bytes]:
        """In a worker: runs calls in further ones. Meanwhile its CPUs are free for them."""
        ray = imported("ray", "ray")
        remote = ray.remote(far.call).options(name="items")
        return ray.get([remote.remote(one) for one in payloads])

    def _close(self) -> None:
        if self._is_ours:
            self._ray.shutdown()

    def _told(self, future: ClusterFuture, error: BaseException) -> BaseException:
        """An error of the engine's own: the call itself never raises."""
        why = " ".join(str(error).split())[:300] or type(error).__name__
        made = WorkerCrashed(
            f"task {future.name!r} was not run to its end by the Ray at {self.address}: {type(error).__name__}: {why}; "
            "see Ray's logs of that worker: it may have run out of memory, and it needs weft in the caller's version",
            task=future.name,
        )
        made.__cause__ = error
        return made


def _amount(setting: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 10_000:
        raise InvalidSetting(setting=setting, value=value, remedy="give a number, at least 0, such as 1 or 0.5")
    return value


def _address_of(ray: Any) -> str:
    return str(ray.get_runtime_context().gcs_address)


def _connect(ray: Any, address: str | None) -> None:
    remedy = "start one with `ray start --head`, or give the address that it prints, such as '10.0.0.1:6379'"
    try:
        if address is not None and ":" in address:
            _knock(address)
        ray.init(address=address or "local", include_dashboard=False if address is None else None, log_to_driver=False)
    except Exception as error:
        raise unreachable("Ray", address, error, remedy) from error


def _knock(address: str) -> None:
    """Looks whether anything answers: Ray itself takes a minute to give up, and then ends the process."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    with socket.create_connection((parts.hostname or "", parts.port or 10001), timeout=PATIENCE) as connection:
        # HTTP/2, which gRPC speaks: a server answers a client's first words with settings of its own.
        connection.settimeout(PATIENCE)
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        if not connection.recv(1):
            raise ConnectionError("it has closed the connection")
