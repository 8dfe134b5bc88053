"""`reduce` and `transform_reduce`: all elements combined into one value.

Each chunk is combined from its first element on, then the chunks in the order of their indices, after `init`. So the
operation has to be associative, and nothing more: text can be joined, matrices multiplied. `init` goes in once.
Pinned by tests/parallel/test_properties.py.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, overload

from weft.parallel import _buffers
from weft.parallel._chunks import Work
from weft.parallel._launch import AnyPolicy, check_callable, check_iterable, check_policy, launch, run_chunks
from weft.parallel._sources import zipped

if TYPE_CHECKING:
    from weft._core import Future
    from weft.execution import Policy, TaskPolicy

_NOTHING: Any = object()


@overload
def reduce(policy: Policy, it: Iterable[Any], *, init: Any = ..., op: Callable[[Any, Any], Any] = ...) -> Any: ...
@overload
def reduce(
    policy: TaskPolicy, it: Iterable[Any], *, init: Any = ..., op: Callable[[Any, Any], Any] = ...
) -> Future[Any]: ...
def reduce(policy: AnyPolicy, it: Iterable[Any], *, init: Any = 0, op: Callable[[Any, Any], Any] = operator.add) -> Any:
    """`functools.reduce(op, it, init)`, for an associative `op`.

    Over a buffer, with `operator.add`, `operator.mul`, `min` or `max`, no Python runs: integers are exact, and sums of
    floats come out the same for a given length however many workers there are. Over Python floats the last digits
    depend on where the range was cut; `static_chunk_size` cuts it in the same places each time.

    Args:
        policy: how, and where.
        it: the elements. An iterator is read as the work goes on.
        init: what stands before the first element. The default is that of a sum: give 1 for a product. None: nothing,
            as for `min` and `max`; there must be an element then.
        op: combines two values.

    Returns:
        The combined value; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: there is neither an element nor an `init`.
        BaseException: what `op` or the iterator raised, at the lowest index at which one did.

    Example:
        >>> import operator
        >>> from weft.execution import par
        >>> from weft.parallel import reduce
        >>> reduce(par, range(1, 101))
        5050
        >>> reduce(par, [3, 1, 2], init=None, op=max)
        3
        >>> reduce(par, "weft", init="", op=operator.add)
        'weft'
    """
    check_policy(policy)
    check_iterable("it", it)
    check_callable("op", op)
    call = _buffers.reduce(policy, it, init, op)
    if call is not None:
        return launch(policy, "reduce", call)
    return launch(policy, "reduce", _reduce, policy, it, init, op)


@overload
def transform_reduce(
    policy: Policy,
    it: Iterable[Any],
    *,
    init: Any,
    reduce_op: Callable[[Any, Any], Any],
    transform_op: Callable[..., Any],
    other: Any = ...,
) -> Any: ...
@overload
def transform_reduce(
    policy: TaskPolicy,
    it: Iterable[Any],
    *,
    init: Any,
    reduce_op: Callable[[Any, Any], Any],
    transform_op: Callable[..., Any],
    other: Any = ...,
) -> Future[Any]: ...
def transform_reduce(
    policy: AnyPolicy,
    it: Iterable[Any],
    *,
    init: Any,
    reduce_op: Callable[[Any, Any], Any],
    transform_op: Callable[..., Any],
    other: Any = None,
) -> Any:
    """`functools.reduce(reduce_op, map(transform_op, it), init)`, for an associative `reduce_op`.

    With `other`, `transform_op` is called with pairs; over two buffers of one type, and with operators that the core
    knows (see `reduce`), no Python runs: `operator.mul` and `operator.add` make the dot product.

    Args:
        policy: how, and where.
        it: the elements. An iterator is read as the work goes on.
        init: what stands before the first transformed element; None: nothing, and there must be an element then.
        reduce_op: combines two transformed values.
        transform_op: called with each element, or with each pair.
        other: a second source, as long as `it`, or a number that goes with every element.

    Returns:
        The combined value; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: there is neither an element nor an `init`; or `other` is not as long as `it`.
        BaseException: what an operation or the iterator raised, at the lowest index at which one did.

    Example:
        >>> import array, operator
        >>> from weft.execution import par
        >>> from weft.parallel import transform_reduce
        >>> transform_reduce(par, ["a", "bc"], init=0, reduce_op=operator.add, transform_op=len)
        3
        >>> a, b = array.array("d", [1, 2, 3]), array.array("d", [4, 5, 6])
        >>> transform_reduce(par, a, other=b, init=0.0, reduce_op=operator.add, transform_op=operator.mul)
        32.0
    """
    check_policy(policy)
    check_iterable("it", it)
    check_callable("reduce_op", reduce_op)
    check_callable("transform_op", transform_op)
    if other is None:
        return launch(policy, "transform_reduce", _transform_reduce, policy, it, init, reduce_op, transform_op)
    call = _buffers.transform_reduce(policy, it, other, init, reduce_op, transform_op)
    if call is not None:
        return launch(policy, "transform_reduce", call)
    pairs = zipped(it, other)
    return launch(policy, "transform_reduce", _transform_reduce, policy, pairs, init, reduce_op, transform_op, True)


def _reduce(policy: AnyPolicy, source: Iterable[Any], init: Any, op: Callable[[Any, Any], Any]) -> Any:
    sequential = not policy.parallel

    def work(chunk: Work) -> Any:
        # Alone, it is the plain loop, which begins with `init`.
        value = init if sequential and init is not None else _NOTHING
        for part in chunk:
            if value is _NOTHING:
                value = next(part, _NOTHING)
            value = functools.reduce(op, part, value)
        return value

    values = run_chunks(policy, "reduce", source, work)
    return values[0] if sequential and values[0] is not _NOTHING else _combined(values, init, op)


def _transform_reduce(
    policy: AnyPolicy,
    source: Any,
    init: Any,
    reduce_op: Callable[[Any, Any], Any],
    transform_op: Callable[..., Any],
    pairs: bool = False,
) -> Any:
    sequential = not policy.parallel

    def work(chunk: Work) -> Any:
        value = init if sequential and init is not None else _NOTHING
        for part in chunk:
            for element in part:
                new = transform_op(*element) if pairs else transform_op(element)
                value = new if value is _NOTHING else reduce_op(value, new)
        return value

    values = run_chunks(policy, "transform_reduce", source, work)
    return values[0] if sequential and values[0] is not _NOTHING else _combined(values, init, reduce_op)


def _combined(values: list[Any], init: Any, op: Callable[[Any, Any], Any]) -> Any:
    """The chunks' values, in order, after `init`."""
    values = [value for value in values if value is not _NOTHING]
    if init is not None:
        return functools.reduce(op, values, init)
    if not values:
        raise ValueError("there is no element to begin with: give an init, or at least one element")
    return functools.reduce(op, values)
