"""Backends: where a pipeline runs.

`LocalBackend` is this machine, `RemoteBackend` a cluster that is there already, `ModalBackend` containers of Modal's.
Each has `run` and `map`, and does all there is to do: it is handed the pipeline, the inputs and the `RunContext`.
Pinned by tests/pipelines/test_executors.py and tests/engines/.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, cast

from weft.config import check_choice
from weft.errors import InvalidSetting, PipelineError

if TYPE_CHECKING:
    from weft.executors._cluster import ClusterExecutor
    from weft.pipelines._context import RunContext
    from weft.pipelines._pipeline import Pipeline

__all__ = ["Backend", "LocalBackend", "ModalBackend", "RemoteBackend", "checked_backend"]

KINDS = ("dask", "ray", "spark")


class Backend(Protocol):
    """Where a pipeline runs."""

    def run(
        self, pipeline: Pipeline, inputs: dict[str, Any], ctx: RunContext, output_name: tuple[str, ...]
    ) -> dict[str, Any]:
        """Runs it once; see `weft.pipelines._engine.Engine.run_pipeline`."""
        ...

    def map(
        self,
        pipeline: Pipeline,
        items: Iterator[tuple[Any, ...]],
        inputs: dict[str, Any],
        ctx: RunContext,
        output_name: tuple[str, ...],
    ) -> Iterator[dict[str, Any] | PipelineError]:
        """Runs it for each item; see `weft.pipelines._engine.Engine.map_items`."""
        ...


class LocalBackend:
    """This machine: what the configuration says otherwise counts.

    Example:
        >>> from weft import RuntimeConfig
        >>> from weft.pipelines import LocalBackend, Pipeline, node
        >>> double = node(output_name="y")(lambda x: 2 * x)
        >>> Pipeline([double]).run(x=1, config=RuntimeConfig(backend=LocalBackend()))
        {'y': 2}
    """

    def run(
        self, pipeline: Pipeline, inputs: dict[str, Any], ctx: RunContext, output_name: tuple[str, ...]
    ) -> dict[str, Any]:
        """Runs a pipeline once."""
        from weft.pipelines._running import run_here

        return run_here(ctx, inputs, output_name)

    def map(
        self,
        pipeline: Pipeline,
        items: Iterator[tuple[Any, ...]],
        inputs: dict[str, Any],
        ctx: RunContext,
        output_name: tuple[str, ...],
    ) -> Iterator[dict[str, Any] | PipelineError]:
        """Runs a pipeline for each item."""
        from weft.pipelines._mapping import map_here

        return map_here(ctx, items, inputs, output_name)


class _Elsewhere(ABC):
    """The shared part of backends that have an executor for each call."""

    @abstractmethod
    def _connected(self) -> ClusterExecutor:
        """An executor for one call, connected."""

    def run(
        self, pipeline: Pipeline, inputs: dict[str, Any], ctx: RunContext, output_name: tuple[str, ...]
    ) -> dict[str, Any]:
        """Runs a pipeline once."""
        from weft.pipelines._running import run_told

        with self._connected() as executor:
            return run_told(ctx, inputs, lambda: executor.run_pipeline(pipeline, inputs, ctx, output_name))

    def map(
        self,
        pipeline: Pipeline,
        items: Iterator[tuple[Any, ...]],
        inputs: dict[str, Any],
        ctx: RunContext,
        output_name: tuple[str, ...],
    ) -> Iterator[dict[str, Any] | PipelineError]:
        """Runs a pipeline for each item."""
        with self._connected() as executor:
            yield from executor.map_items(pipeline, items, inputs, ctx, output_name)


class RemoteBackend(_Elsewhere):
    """A cluster that is there already. It is connected to for each call, and left running.

    Who runs many pipelines there keeps a `weft.executors.DaskExecutor`, or its like, which stays connected.

    Args:
        kind: What it is: "dask", "ray" or "spark".
        address: Where it is: that of the Dask scheduler, such as ``"tcp://10.0.0.1:8786"``; of Ray, such as
            ``"10.0.0.1:6379"``; of the Spark master, such as ``"spark://10.0.0.1:7077"``, or ``"local[2]"``.
        security: What its client takes for TLS: for Dask a ``distributed.Security``. Ray is told by its environment.

    Raises:
        InvalidSetting: There is no such kind, or the address is no text. One that nobody answers at is told when a
            pipeline is run, within 10 s.

    Example:
        >>> from weft.pipelines import RemoteBackend
        >>> RemoteBackend("dask", "tcp://10.0.0.1:8786")
        RemoteBackend('dask', 'tcp://10.0.0.1:8786')
    """

    def __init__(self, kind: str, address: str | None = None, security: Any = None) -> None:
        self.kind = check_choice("kind", kind, KINDS)
        if not isinstance(address, str) or not address:
            remedy = "give the address of the cluster, such as 'tcp://10.0.0.1:8786'"
            raise InvalidSetting(setting="address", value=address, remedy=remedy)
        if security is not None and kind != "dask":
            remedy = f"leave it out: {kind} takes it from its environment or its configuration"
            raise InvalidSetting(setting="security", value=security, remedy=remedy)
        self.address = address
        self.security = security

    @classmethod
    def from_url(cls, url: str) -> RemoteBackend:
        """The backend that an address with its kind says, such as ``"dask://10.0.0.1:8786"``.

        Args:
            url: The address.

        Returns:
            The backend.

        Raises:
            InvalidSetting: There is no such kind, or no address after it.
        """
        kind, _, address = url.partition("://")
        if kind not in KINDS or not address:
            remedy = "give one such as " + ", ".join(f"{one}://10.0.0.1:{_PORTS[one]}" for one in KINDS)
            raise InvalidSetting(setting="backend", value=url, remedy=remedy)
        if kind == "dask":
            return cls(kind, f"tcp://{address}")
        if kind == "spark":
            return cls(kind, address if address.startswith("local") else url)
        # That port is where Ray has its client's server, which goes by another protocol.
        return cls(kind, url if address.endswith(f":{_PORTS['ray']}") else address)

    def __repr__(self) -> str:
        return f"RemoteBackend({self.kind!r}, {self.address!r})"

    def _connected(self) -> ClusterExecutor:
        if self.kind == "dask":
            from weft.executors.dask import DaskExecutor

            return DaskExecutor(self.address, security=self.security)
        if self.kind == "spark":
            from weft.executors.spark import SparkExecutor

            return SparkExecutor(self.address)
        from weft.executors.ray import RayExecutor

        return RayExecutor(self.address)


class ModalBackend(_Elsewhere):
    """Containers that Modal starts for each call, and ends after it.

    Who runs many pipelines there keeps a `weft.executors.ModalExecutor`.

    Args:
        name: What the app is called there.
        **how: As for `weft.executors.ModalExecutor`: ``image``, ``max_containers``, ``gpu`` and so on.

    Raises:
        InvalidSetting: The name is no text. What Modal refuses is told when a pipeline is run.

    Example:
        >>> from weft.pipelines import ModalBackend
        >>> ModalBackend("pages", gpu="A10G")
        ModalBackend('pages', gpu='A10G')
    """

    def __init__(self, name: str = "weft", **how: Any) -> None:
        if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidSetting(setting="name", value=name, remedy="give the app a name, such as 'pages'")
        self.name = name
        self.how = how

    def __repr__(self) -> str:
        return f"ModalBackend({', '.join([repr(self.name), *(f'{key}={value!r}' for key, value in self.how.items())])})"

    def _connected(self) -> ClusterExecutor:
        from weft.executors._cluster import imported
        from weft.executors.modal import ModalExecutor

        return ModalExecutor(imported("modal", "modal").App(self.name), **self.how)


_PORTS = {"dask": 8786, "ray": 10001, "spark": 7077}


def checked_backend(value: object) -> Backend:
    """The backend of a configuration.

    Raises:
        InvalidSetting: It is none.
    """
    if not (callable(getattr(value, "run", None)) and callable(getattr(value, "map", None))) or isinstance(value, type):
        raise InvalidSetting(setting="backend", value=value, remedy="give a backend, such as LocalBackend(), or None")
    return cast("Backend", value)
