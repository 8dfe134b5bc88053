"""Pipelines: graphs of functions, run here or wherever an executor runs them, for one input or for many.

    _node, _nested, _pipeline   what is written down: nodes, pipelines, pipelines as nodes
    _graph, _types, _inputs     what is refused, when it is built and when it is called
    _plan, _compiled            the flat plan, and the plan as Python functions
    _running, _mapping          one call: once, for many items;  _awaiting: the same, awaited
    _sequential                 in the calling thread, with all that can be asked for
    _engine, _flow, _chunks     through executors: node by node, item by item
    _clusters, _far_steps       on clusters: whole graphs there
    _digests, _keys, _cache     what is not computed twice
    _hooks, _callbacks          who is told; bars, traces, spans

Importing this module loads none of them: each name is looked up when it is first used.
Pinned by tests/pipelines/.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from weft.pipelines._backends import LocalBackend, ModalBackend, RemoteBackend
    from weft.pipelines._cache._base import Cache, CacheSpec
    from weft.pipelines._cache._disk import DiskCache
    from weft.pipelines._cache._fsspec import FsspecCache
    from weft.pipelines._cache._memory import MemoryCache
    from weft.pipelines._cache._redis import RedisCache
    from weft.pipelines._callbacks._otel import OpenTelemetryCallback
    from weft.pipelines._callbacks._progress import ProgressCallback
    from weft.pipelines._callbacks._trace import TraceCallback
    from weft.pipelines._context import RunContext
    from weft.pipelines._engine import PipelineExecutionEngine
    from weft.pipelines._executors import AsyncExecutor, CompositeExecutor, SequentialExecutor
    from weft.pipelines._explaining import CacheExplanation
    from weft.pipelines._hooks import CallbackContext, PipelineCallback
    from weft.pipelines._nested import PipelineNode
    from weft.pipelines._node import Node, node
    from weft.pipelines._pipeline import Pipeline

__all__ = [
    "AsyncExecutor",
    "Cache",
    "CacheExplanation",
    "CacheSpec",
    "CallbackContext",
    "CompositeExecutor",
    "DiskCache",
    "FsspecCache",
    "LocalBackend",
    "MemoryCache",
    "ModalBackend",
    "Node",
    "OpenTelemetryCallback",
    "Pipeline",
    "PipelineCallback",
    "PipelineExecutionEngine",
    "PipelineNode",
    "ProgressCallback",
    "RedisCache",
    "RemoteBackend",
    "RunContext",
    "SequentialExecutor",
    "TraceCallback",
    "node",
]

_HOMES = {
    "AsyncExecutor": "_executors",
    "Cache": "_cache._base",
    "CacheExplanation": "_explaining",
    "CacheSpec": "_cache._base",
    "CallbackContext": "_hooks",
    "CompositeExecutor": "_executors",
    "DiskCache": "_cache._disk",
    "FsspecCache": "_cache._fsspec",
    "LocalBackend": "_backends",
    "MemoryCache": "_cache._memory",
    "Node": "_node",
    "OpenTelemetryCallback": "_callbacks._otel",
    "Pipeline": "_pipeline",
    "PipelineCallback": "_hooks",
    "PipelineExecutionEngine": "_engine",
    "PipelineNode": "_nested",
    "ProgressCallback": "_callbacks._progress",
    "RedisCache": "_cache._redis",
    "ModalBackend": "_backends",
    "RemoteBackend": "_backends",
    "RunContext": "_context",
    "SequentialExecutor": "_executors",
    "TraceCallback": "_callbacks._trace",
    "node": "_node",
}

# Theirs is another home: here they are for those who write down where a pipeline runs.
_ELSEWHERE = (
    "DaftExecutor",
    "DaskExecutor",
    "InterpreterPoolExecutor",
    "ProcessPoolExecutor",
    "RayExecutor",
    "SparkExecutor",
    "ThreadPoolExecutor",
)

# Hidden from type checkers: they would take it as leave to accept any name at all.
if not TYPE_CHECKING:

    def __getattr__(name):
        from importlib import import_module

        if name in _ELSEWHERE:
            value = getattr(import_module("weft.executors"), name)
        elif (home := _HOMES.get(name)) is not None:
            value = getattr(import_module(f"weft.pipelines.{home}"), name)
        else:
            raise AttributeError(f"module 'weft.pipelines' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
