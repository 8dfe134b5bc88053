"""`for_loop`, `for_each`, `transform`: a call for each element.

Pinned by tests/parallel/test_properties.py.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, overload

from weft.parallel import _buffers
from weft.parallel._chunks import Work
from weft.parallel._launch import (
    AnyPolicy,
    check_callable,
    check_iterable,
    check_policy,
    launch,
    run_chunks,
)
from weft.parallel._sources import Destination, Written, all_read, indexed, zipped

if TYPE_CHECKING:
    from weft._core import Future
    from weft.execution import Policy, TaskPolicy


@overload
def for_loop(policy: Policy, first: int, last: int, body: Callable[[int], object]) -> None: ...
@overload
def for_loop(policy: TaskPolicy, first: int, last: int, body: Callable[[int], object]) -> Future[None]: ...
def for_loop(policy: AnyPolicy, first: int, last: int, body: Callable[[int], object]) -> Any:
    """`for index in range(first, last): body(index)`.

    Args:
        policy: how, and where.
        first: the first index.
        last: the index after the last one; nothing is done if it is not greater than `first`.
        body: called with each index. What it returns is dropped.

    Returns:
        None; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        BaseException: what the body raised, at the lowest index at which it did.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import for_loop
        >>> cubes = [0] * 5
        >>> for_loop(par, 0, 5, lambda i: cubes.__setitem__(i, i**3))
        >>> cubes
        [0, 1, 8, 27, 64]
    """
    check_policy(policy)
    check_callable("body", body)
    indices = range(_index("first", first), _index("last", last))
    return launch(policy, "for_loop", _for_each, policy, "for_loop", indices, body)


@overload
def for_each[T](policy: Policy, it: Iterable[T], fn: Callable[[T], object]) -> None: ...
@overload
def for_each[T](policy: TaskPolicy, it: Iterable[T], fn: Callable[[T], object]) -> Future[None]: ...
def for_each[T](policy: AnyPolicy, it: Iterable[T], fn: Callable[[T], object]) -> Any:
    """`for element in it: fn(element)`.

    Args:
        policy: how, and where.
        it: the elements. An iterator is read as the work goes on, a bounded number of elements ahead, on the thread
            that runs the algorithm; it may be endless if something ends the work.
        fn: called with each element. What it returns is dropped.

    Returns:
        None; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        BaseException: what `fn` or the iterator raised, at the lowest index at which one did.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import for_each
        >>> seen = set()
        >>> for_each(par, "weft", seen.add)
        >>> sorted(seen)
        ['e', 'f', 't', 'w']
    """
    check_policy(policy)
    check_iterable("it", it)
    check_callable("fn", fn)
    return launch(policy, "for_each", _for_each, policy, "for_each", it, fn)


def _for_each(policy: AnyPolicy, name: str, source: Iterable[Any], fn: Callable[[Any], object]) -> None:
    def work(chunk: Work) -> None:
        for part in chunk:
            for element in part:
                fn(element)

    run_chunks(policy, name, source, work)


@overload
def transform(
    policy: Policy, src: Iterable[Any], dst: Destination[Any], fn: Callable[..., Any], *, other: Any = ...
) -> None: ...
@overload
def transform(
    policy: TaskPolicy, src: Iterable[Any], dst: Destination[Any], fn: Callable[..., Any], *, other: Any = ...
) -> Future[None]: ...
def transform(
    policy: AnyPolicy, src: Iterable[Any], dst: Destination[Any], fn: Callable[..., Any], *, other: Any = None
) -> Any:
    """`dst[i] = fn(src[i])` for each element; with `other`, `dst[i] = fn(src[i], other[i])`.

    Over buffers, with `other` and one of `operator.add`, `operator.mul`, `min`, `max`, no Python runs.

    Args:
        policy: how, and where.
        src: the elements.
        dst: where results go; at least as long as `src`. It may be `src` itself.
        fn: called with each element, or with each pair.
        other: a second source, as long as `src`, or a number that goes with every element.

    Returns:
        None; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: `dst` is too short, or `other` is not as long as `src`.
        OverflowError: a result does not fit into an integer buffer.
        BaseException: what `fn` raised, at the lowest index at which it did. Some results may be in `dst` then.

    Example:
        >>> import array, operator
        >>> from weft.execution import par
        >>> from weft.parallel import transform
        >>> lengths = [0, 0, 0]
        >>> transform(par, ["a", "bc", "def"], lengths, len)
        >>> lengths
        [1, 2, 3]
        >>> prices = array.array("d", [1.0, 2.5])
        >>> transform(par, prices, prices, operator.mul, other=2.0)
        >>> prices.tolist()
        [2.0, 5.0]
    """
    check_policy(policy)
    check_iterable("src", src)
    check_callable("fn", fn)
    written = Written(dst)
    known = indexed(src)
    if known is not None:
        written.check_room(known.length)
    if other is not None:
        call = _buffers.transform(policy, src, other, dst, fn)
        if call is not None:
            return launch(policy, "transform", call)
    source = src if other is None else zipped(src, other)
    return launch(policy, "transform", _transform, policy, source, written, fn, other is not None)


def _transform(policy: AnyPolicy, source: Any, dst: Written, fn: Callable[..., Any], pairs: bool) -> None:
    known = all_read(source)
    dst.check_room(known.length)

    def work(chunk: Work) -> None:
        for part in chunk:
            at = chunk.at
            if pairs:
                dst.write(at, [fn(left, right) for left, right in part])
            else:
                dst.write(at, [fn(element) for element in part])

    run_chunks(policy, "transform", known, work)


def _index(name: str, value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]  # that is the question
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None
