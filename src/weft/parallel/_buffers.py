"""The other track: which calls the core can do on a buffer by itself, with no Python and without the GIL.

Everything that algorithms ask of the core goes through here. Each function returns the call that does the whole work,
or None, and the algorithm then goes the way of Python objects. A call is taken where the operator is one that the core
knows, the buffers are of one type that it knows, and the numbers given with them can be had in that type.
Errors of a buffer that is taken (read-only, not contiguous, too short) are the core's own.
Pinned by tests/parallel/test_buffers.py.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, Literal

from weft import _core
from weft.execution._chunk_sizes import ChunkName
from weft.parallel._launch import AnyPolicy, pool_of

type Call = Callable[[], Any]
type _Op = Literal["add", "mul", "min", "max"]
type _Compare = Literal["lt", "le", "gt", "ge", "eq", "ne"]

OPERATORS: dict[Any, _Op] = {operator.add: "add", operator.mul: "mul", min: "min", max: "max"}
COMPARISONS: dict[Any, _Compare] = {
    operator.lt: "lt",
    operator.le: "le",
    operator.gt: "gt",
    operator.ge: "ge",
    operator.eq: "eq",
    operator.ne: "ne",
}
_FLIPPED: dict[_Compare, _Compare] = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
_PLACEHOLDER = getattr(functools, "Placeholder", None)  # from 3.14 on
_OBJECTS = (list, tuple, range, dict, set)


def _type(buffer: Any) -> tuple[str, int] | None:
    """`("int" or "float", bytes)` of a buffer that the core takes; None for everything that it does not take."""
    if type(buffer) in _OBJECTS or not _core.buffer_supported(buffer):
        return None
    with memoryview(buffer) as view:
        return "float" if view.format.lstrip("@=<") in ("f", "d") else "int", view.itemsize


def _fits(type_: tuple[str, int], number: object) -> bool:
    """Whether a buffer of this type could hold the number, or one that is as good as it."""
    kind, size = type_
    if type(number) is int:
        largest = 2 ** (8 * size - 1) if kind == "int" else 2 ** (53 if size == 8 else 24)
        return -largest <= number < largest
    return kind == "float" and isinstance(number, float)


def _name_of[T](operation: Any, names: dict[Any, T]) -> T | None:
    try:
        return names.get(operation)
    except TypeError:  # callable, but not hashable
        return None


def _comparison(predicate: Any) -> tuple[_Compare, Any] | None:
    """`(name, value)` of a predicate that the core knows: a `functools.partial` of a comparison, with one value.

    `partial(operator.lt, 5)` asks whether 5 < x; with 3.14's `Placeholder` first, whether x < 5.
    """
    if type(predicate) is not functools.partial or predicate.keywords:
        return None
    name = _name_of(predicate.func, COMPARISONS)
    if name is None:
        return None
    match predicate.args:
        case (value,) if value is not _PLACEHOLDER:
            return _FLIPPED[name], value
        case (first, value) if first is _PLACEHOLDER and first is not None:
            return name, value
        case _:
            return None


def _where(policy: AnyPolicy) -> Any:
    """The pool whose workers help; None: the caller alone."""
    return pool_of(policy) if policy.parallel else None


def _chunk(policy: AnyPolicy) -> tuple[ChunkName, int]:
    return policy.chunk_name, policy.chunk_size or 0


def _start(buffer: Any, length: int) -> Any:
    """The first elements of a one-dimensional buffer."""
    return buffer if len(buffer) == length else memoryview(buffer)[:length]


def reduce(policy: AnyPolicy, source: Any, init: Any, op: Any) -> Call | None:
    """All elements, combined."""
    name = _name_of(op, OPERATORS)
    if name is None or (type_ := _type(source)) is None or not (init is None or _fits(type_, init)):
        return None
    return functools.partial(_core.buffer_reduce, _where(policy), source, name, init, _chunk(policy))


def transform_reduce(
    policy: AnyPolicy, source: Any, other: Any, init: Any, reduce_op: Any, transform_op: Any
) -> Call | None:
    """All pairs, transformed and then combined: the dot product and its like."""
    outer, inner = _name_of(reduce_op, OPERATORS), _name_of(transform_op, OPERATORS)
    if outer is None or inner is None or (type_ := _type(source)) is None:
        return None
    if not _fits(type_, other) and _type(other) != type_:
        return None
    if not (init is None or _fits(type_, init)):
        return None
    return functools.partial(
        _core.buffer_transform_reduce, _where(policy), source, other, inner, outer, init, _chunk(policy)
    )


def transform(policy: AnyPolicy, source: Any, other: Any, dst: Any, fn: Any) -> Call | None:
    """Each pair, into `dst`."""
    name = _name_of(fn, OPERATORS)
    if name is None or (type_ := _type(source)) is None or _type(dst) != type_:
        return None
    if not _fits(type_, other) and _type(other) != type_:
        return None
    return functools.partial(
        _core.buffer_transform, _where(policy), source, other, _start(dst, len(source)), name, _chunk(policy)
    )


def scan(policy: AnyPolicy, source: Any, dst: Any, op: Any, init: Any, *, inclusive: bool) -> Call | None:
    """Each element combined with all before it, into `dst`."""
    name = _name_of(op, OPERATORS)
    if name is None or (type_ := _type(source)) is None or _type(dst) != type_:
        return None
    if not (init is None or _fits(type_, init)):
        return None
    target = _start(dst, len(source))
    return functools.partial(_core.buffer_scan, _where(policy), source, target, name, inclusive, init, _chunk(policy))


def count(policy: AnyPolicy, source: Any, value: Any) -> Call | None:
    """How many elements equal the value."""
    return _compare("count", policy, source, "eq", value)


def find(policy: AnyPolicy, source: Any, value: Any) -> Call | None:
    """The index of the first element that equals the value, or -1."""
    return _compare("find", policy, source, "eq", value)


def count_if(policy: AnyPolicy, source: Any, predicate: Any) -> Call | None:
    """How many elements the predicate holds for."""
    known = _comparison(predicate)
    return None if known is None else _compare("count", policy, source, *known)


def find_if(policy: AnyPolicy, source: Any, predicate: Any) -> Call | None:
    """The index of the first element that the predicate holds for, or -1."""
    known = _comparison(predicate)
    return None if known is None else _compare("find", policy, source, *known)


def _compare(what: Literal["count", "find"], policy: AnyPolicy, source: Any, name: _Compare, value: Any) -> Call | None:
    # Compared exactly, whatever the types: a number that the buffer's type cannot hold equals none.
    if not isinstance(value, int | float) or _type(source) is None:
        return None
    function = _core.buffer_count if what == "count" else _core.buffer_find
    return functools.partial(function, _where(policy), source, name, value, _chunk(policy))


def sort(policy: AnyPolicy, target: Any, *, reverse: bool, stable: bool) -> Call | None:
    """In place."""
    if _type(target) is None:
        return None
    return functools.partial(_core.buffer_sort, _where(policy), target, reverse, stable, _chunk(policy))


def fill(policy: AnyPolicy, dst: Any, count: int | None, value: Any) -> Call | None:
    """The value, into the first `count` elements or into all."""
    if (type_ := _type(dst)) is None or not _fits(type_, value):
        return None
    target = dst if count is None else _start(dst, count)
    return functools.partial(_core.buffer_fill, _where(policy), target, value, _chunk(policy))


def copy(policy: AnyPolicy, source: Any, dst: Any) -> Call | None:
    """All elements, into `dst`."""
    if (type_ := _type(source)) is None or _type(dst) != type_:
        return None
    return functools.partial(_core.buffer_copy, _where(policy), source, _start(dst, len(source)), _chunk(policy))


def iota(policy: AnyPolicy, dst: Any, start: Any, step: Any) -> Call | None:
    """`start`, `start + step`, ..., into `dst`."""
    if (type_ := _type(dst)) is None or not _fits(type_, start) or not _fits(type_, step):
        return None
    return functools.partial(_core.buffer_iota, _where(policy), dst, start, step, _chunk(policy))


def elements(buffer: Any) -> int:
    """How many numbers there are in it, whatever its shape."""
    with memoryview(buffer) as view:
        return view.nbytes // view.itemsize
