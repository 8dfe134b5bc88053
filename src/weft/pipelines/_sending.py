"""Functions of nodes on their way to a worker: by the name of the node where the function's own leads to that.

A decorated function is not to be found under its name any more: the node is. So it goes as "the function of that node".
Else as weft sends functions: by name, or by value with cloudpickle.
Pinned by tests/pipelines/test_executors.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from weft._payloads.far import FarPickler
from weft._payloads.main_module import ALIAS, main_can_be_found
from weft._payloads.pickling import PayloadPickler, dump
from weft._payloads.references import look_up, reference_to
from weft.errors import MissingDependency, PayloadError
from weft.pipelines._node import Node

if TYPE_CHECKING:
    from weft.pipelines._plan import Plan

__all__ = ["pack"]


class _Pickler(PayloadPickler):
    def reduce_named(self, thing: Any) -> Any:
        if reference_to(thing) is None:
            reference = _reference_to_node(thing)
            if reference is not None:
                return _function_of, (reference,)
        return super().reduce_named(thing)


class _FarPickler(FarPickler):
    def reduce_named(self, thing: Any) -> Any:
        if reference_to(thing) is None and getattr(thing, "__module__", None) not in ("__main__", ALIAS):
            reference = _reference_to_node(thing)
            if reference is not None:
                return _function_of, (reference,)
        return super().reduce_named(thing)


def _reference_to_node(fn: object) -> str | None:
    module, name = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    if type(module) is not str or type(name) is not str or "<locals>" in name:
        return None
    if module in ("__main__", ALIAS) and not main_can_be_found():
        return None
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if isinstance(found, Node) and found.fn is fn else None


def _function_of(reference: str) -> Callable[..., Any]:
    return cast("Node", look_up(reference)).fn


def pack(plan: Plan, thing: object, *, far: bool = False) -> bytes:
    """What is made of a plan, in bytes, for `weft._payloads.pickling.load`.

    Args:
        plan: The plan.
        thing: What is made of it.
        far: It goes to a cluster, where ``__main__`` is another program.

    Raises:
        PayloadError: A function cannot be sent; the error names the node.
        MissingDependency: One can only go by value, and cloudpickle is not installed.
    """
    kind = _FarPickler if far else _Pickler
    data, _, error = dump(thing, None, kind)
    if data is not None:
        return data
    assert error is not None
    for step in plan.all_steps():
        if dump(step.fn, None, kind)[0] is None:
            name = f"node {step.path!r}"
            if isinstance(error, MissingDependency):
                raise MissingDependency(f"{name}: {error}", extra=error.extra, package=error.package) from error
            raise PayloadError(
                f"the function of {name} cannot be sent to a worker that shares nothing with the caller: {error}; give "
                "the node what it needs as inputs, or use threads",
                path=step.path,
            ) from error
    raise PayloadError(f"a pipeline cannot be sent to a worker: {error}; use threads") from error
