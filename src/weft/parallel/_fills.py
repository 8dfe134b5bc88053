"""`fill fill_n copy copy_if iota`: values into a destination.

Over buffers of a type that the core knows no Python runs (but for the predicate of `copy_if`).
Pinned by tests/parallel/test_properties.py.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, overload

from weft.parallel import _buffers
from weft.parallel._chunks import Work
from weft.parallel._launch import AnyPolicy, check_callable, check_iterable, check_policy, launch, run_chunks
from weft.parallel._sources import Destination, Indexed, Written, all_read, indexed

if TYPE_CHECKING:
    from weft._core import Future
    from weft.execution import Policy, TaskPolicy


@overload
def fill(policy: Policy, dst: Destination[Any], value: Any) -> None: ...
@overload
def fill(policy: TaskPolicy, dst: Destination[Any], value: Any) -> Future[None]: ...
def fill(policy: AnyPolicy, dst: Destination[Any], value: Any) -> Any:
    """`dst[i] = value` for every element.

    Args:
        policy: how, and where.
        dst: what is filled.
        value: with this, the very object each time.

    Returns:
        None; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import fill
        >>> letters = list("abc")
        >>> fill(par, letters, "x")
        >>> letters
        ['x', 'x', 'x']
    """
    check_policy(policy)
    written = Written(dst)
    call = _buffers.fill(policy, dst, None, value)
    if call is not None:
        return launch(policy, "fill", call)
    return launch(policy, "fill", _fill, policy, "fill", written, written.length, value)


@overload
def fill_n(policy: Policy, dst: Destination[Any], count: int, value: Any) -> None: ...
@overload
def fill_n(policy: TaskPolicy, dst: Destination[Any], count: int, value: Any) -> Future[None]: ...
def fill_n(policy: AnyPolicy, dst: Destination[Any], count: int, value: Any) -> Any:
    """`dst[i] = value` for the first `count` elements.

    Args:
        policy: how, and where.
        dst: what is filled.
        count: how many elements, 0 or more.
        value: with this, the very object each time.

    Returns:
        None; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: there are fewer elements, or `count` is negative.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import fill_n
        >>> letters = list("abc")
        >>> fill_n(par, letters, 2, "x")
        >>> letters
        ['x', 'x', 'c']
    """
    check_policy(policy)
    written = Written(dst)
    try:
        number = operator.index(count)
    except TypeError:
        raise TypeError(f"count must be an integer, not {count!r}") from None
    if number < 0:
        raise ValueError(f"count must be 0 or more, not {number}")
    written.check_room(number, "count is")
    call = _buffers.fill(policy, dst, number, value)
    if call is not None:
        return launch(policy, "fill_n", call)
    return launch(policy, "fill_n", _fill, policy, "fill_n", written, number, value)


def _fill(policy: AnyPolicy, name: str, dst: Written, count: int, value: Any) -> None:
    def work(chunk: Work) -> None:
        for span in chunk.spans():
            dst.write(span.start, [value] * len(span))

    run_chunks(policy, name, _indices(count), work)


@overload
def copy(policy: Policy, src: Iterable[Any], dst: Destination[Any]) -> None: ...
@overload
def copy(policy: TaskPolicy, src: Iterable[Any], dst: Destination[Any]) -> Future[None]: ...
def copy(policy: AnyPolicy, src: Iterable[Any], dst: Destination[Any]) -> Any:
    """`dst[i] = src[i]` for each element of `src`.

    Args:
        policy: how, and where.
        src: the elements.
        dst: where they go; at least as long as `src`, and no part of it.

    Returns:
        None; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: `dst` is too short.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import copy
        >>> letters = ["-"] * 4
        >>> copy(par, "abc", letters)
        >>> letters
        ['a', 'b', 'c', '-']
    """
    check_policy(policy)
    check_iterable("src", src)
    written = Written(dst)
    known = indexed(src)
    if known is not None:
        written.check_room(known.length)
    call = _buffers.copy(policy, src, dst)
    if call is not None:
        return launch(policy, "copy", call)
    return launch(policy, "copy", _copy, policy, src, written)


def _copy(policy: AnyPolicy, source: Iterable[Any], dst: Written) -> None:
    known = all_read(source)
    dst.check_room(known.length)

    def work(chunk: Work) -> None:
        for part in chunk:
            dst.write(chunk.at, list(part))

    run_chunks(policy, "copy", known, work)


@overload
def copy_if(policy: Policy, src: Iterable[Any], dst: Destination[Any], pred: Callable[[Any], object]) -> int: ...
@overload
def copy_if(
    policy: TaskPolicy, src: Iterable[Any], dst: Destination[Any], pred: Callable[[Any], object]
) -> Future[int]: ...
def copy_if(policy: AnyPolicy, src: Iterable[Any], dst: Destination[Any], pred: Callable[[Any], object]) -> Any:
    """The elements that `pred` is true for, in their order, to the beginning of `dst`.

    Args:
        policy: how, and where.
        src: the elements.
        dst: where they go; it may be `src` itself.
        pred: called with each element.

    Returns:
        How many there are; with the tag `task`, a future of it. What lies behind them in `dst` is as it was.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: `dst` is too short for them; nothing is written then.
        BaseException: what `pred` raised, at the lowest index at which it did; nothing is written then.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import copy_if
        >>> odd = [0] * 5
        >>> number = copy_if(par, range(10), odd, lambda x: x % 2)
        >>> odd[:number]
        [1, 3, 5, 7, 9]
    """
    check_policy(policy)
    check_iterable("src", src)
    check_callable("pred", pred)
    return launch(policy, "copy_if", _copy_if, policy, src, Written(dst), pred)


def _copy_if(policy: AnyPolicy, source: Iterable[Any], dst: Written, pred: Callable[[Any], object]) -> int:
    def work(chunk: Work) -> list[Any]:
        chosen: list[Any] = []
        for part in chunk:
            chosen += [element for element in part if pred(element)]
        return chosen

    pieces = run_chunks(policy, "copy_if", source, work)
    number = sum(map(len, pieces))
    dst.check_room(number, "chosen are")
    at = 0
    for piece in pieces:
        dst.write(at, piece)
        at += len(piece)
    return number


@overload
def iota(policy: Policy, dst: Destination[Any], start: Any = ..., step: Any = ...) -> None: ...
@overload
def iota(policy: TaskPolicy, dst: Destination[Any], start: Any = ..., step: Any = ...) -> Future[None]: ...
def iota(policy: AnyPolicy, dst: Destination[Any], start: Any = 0, step: Any = 1) -> Any:
    """`dst[i] = start + i * step` for every element.

    Args:
        policy: how, and where.
        dst: what is filled.
        start: the first value.
        step: from one to the next.

    Returns:
        None; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        OverflowError: a value does not fit into an integer buffer.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import iota
        >>> numbers = [0] * 4
        >>> iota(par, numbers, 10, 5)
        >>> numbers
        [10, 15, 20, 25]
    """
    check_policy(policy)
    written = Written(dst)
    call = _buffers.iota(policy, dst, start, step)
    if call is not None:
        return launch(policy, "iota", call)
    return launch(policy, "iota", _iota, policy, written, start, step)


def _iota(policy: AnyPolicy, dst: Written, start: Any, step: Any) -> None:
    def work(chunk: Work) -> None:
        for span in chunk.spans():
            dst.write(span.start, [start + index * step for index in span])

    run_chunks(policy, "iota", _indices(dst.length), work)


def _indices(count: int) -> Indexed:
    return Indexed(count, lambda start, stop: list(range(start, stop)))
