"""`count count_if find find_if all_of any_of none_of`: questions to each element.

A search ends at its first hit: nothing behind it is begun any more, and everything before it has been asked. Under
`seq` the elements are asked one after the other and nothing is read too much; in parallel, some behind the hit may be
asked.
Pinned by tests/parallel/test_properties.py and test_sources.py.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, overload

from weft.parallel import _buffers
from weft.parallel._chunks import Work
from weft.parallel._launch import AnyPolicy, check_callable, check_iterable, check_policy, launch, run_chunks

if TYPE_CHECKING:
    from weft._core import Future
    from weft.execution import Policy, TaskPolicy

type _Predicate = Callable[[Any], object]


@overload
def count(policy: Policy, it: Iterable[Any], value: object) -> int: ...
@overload
def count(policy: TaskPolicy, it: Iterable[Any], value: object) -> Future[int]: ...
def count(policy: AnyPolicy, it: Iterable[Any], value: object) -> Any:
    """How many elements are `value`, or equal to it; as `list.count`.

    Over a buffer and with a number, no Python runs.

    Args:
        policy: how, and where.
        it: the elements. An iterator is read as the work goes on.
        value: what is counted.

    Returns:
        The number; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        BaseException: what a comparison or the iterator raised, at the lowest index at which one did.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import count
        >>> count(par, "selvedge", "e")
        3
    """
    check_policy(policy)
    check_iterable("it", it)
    call = _buffers.count(policy, it, value)
    if call is not None:
        return launch(policy, "count", call)
    return launch(policy, "count", _count, policy, it, value)


def _count(policy: AnyPolicy, source: Iterable[Any], value: object) -> int:
    def work(chunk: Work) -> int:
        return sum(operator.countOf(part, value) for part in chunk)  # type: ignore[arg-type]  # any iterable will do

    return sum(run_chunks(policy, "count", source, work))


@overload
def count_if(policy: Policy, it: Iterable[Any], pred: _Predicate) -> int: ...
@overload
def count_if(policy: TaskPolicy, it: Iterable[Any], pred: _Predicate) -> Future[int]: ...
def count_if(policy: AnyPolicy, it: Iterable[Any], pred: _Predicate) -> Any:
    """How many elements `pred` is true for.

    Over a buffer, and with a comparison that the core knows, no Python runs: `functools.partial(operator.lt, 5)` counts
    the elements that are greater than 5 (5 < x).

    Args:
        policy: how, and where.
        it: the elements. An iterator is read as the work goes on.
        pred: called with each element.

    Returns:
        The number; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        BaseException: what `pred` or the iterator raised, at the lowest index at which one did.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import count_if
        >>> count_if(par, range(10), lambda x: x % 3 == 0)
        4
    """
    check_policy(policy)
    check_iterable("it", it)
    check_callable("pred", pred)
    call = _buffers.count_if(policy, it, pred)
    if call is not None:
        return launch(policy, "count_if", call)
    return launch(policy, "count_if", _count_if, policy, it, pred)


def _count_if(policy: AnyPolicy, source: Iterable[Any], pred: _Predicate) -> int:
    def work(chunk: Work) -> int:
        number = 0
        for part in chunk:
            for element in part:
                if pred(element):
                    number += 1
        return number

    return sum(run_chunks(policy, "count_if", source, work))


@overload
def find(policy: Policy, it: Iterable[Any], value: object) -> int: ...
@overload
def find(policy: TaskPolicy, it: Iterable[Any], value: object) -> Future[int]: ...
def find(policy: AnyPolicy, it: Iterable[Any], value: object) -> Any:
    """The lowest index at which the element is `value`, or equal to it; -1 if there is none.

    Over a buffer and with a number, no Python runs.

    Args:
        policy: how, and where.
        it: the elements. An iterator is read as the work goes on; it may be endless.
        value: what is looked for.

    Returns:
        The index or -1; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        BaseException: what a comparison or the iterator raised, if that was at a lower index than the first hit.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import find
        >>> find(par, ["warp", "weft", "weft"], "weft"), find(par, ["warp"], "weft")
        (1, -1)
    """
    check_policy(policy)
    check_iterable("it", it)
    call = _buffers.find(policy, it, value)
    if call is not None:
        return launch(policy, "find", call)
    return launch(policy, "find", _find, policy, it, value)


def _find(policy: AnyPolicy, source: Iterable[Any], value: object) -> int:
    def work(chunk: Work) -> int:
        for part in chunk:
            for index, element in enumerate(part, chunk.at):
                if element is value or element == value:
                    return index
        return -1

    return _first(run_chunks(policy, "find", source, work, _itself))


@overload
def find_if(policy: Policy, it: Iterable[Any], pred: _Predicate) -> int: ...
@overload
def find_if(policy: TaskPolicy, it: Iterable[Any], pred: _Predicate) -> Future[int]: ...
def find_if(policy: AnyPolicy, it: Iterable[Any], pred: _Predicate) -> Any:
    """The lowest index at which `pred` is true; -1 if there is none.

    Over a buffer, and with a comparison that the core knows (see `count_if`), no Python runs.

    Args:
        policy: how, and where.
        it: the elements. An iterator is read as the work goes on; it may be endless.
        pred: called with elements; in parallel, also with some behind the first hit.

    Returns:
        The index or -1; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        BaseException: what `pred` or the iterator raised, if that was at a lower index than the first hit.

    Example:
        >>> import itertools
        >>> from weft.execution import par
        >>> from weft.parallel import find_if
        >>> find_if(par, itertools.count(), lambda x: x * x > 200)
        15
    """
    check_policy(policy)
    check_iterable("it", it)
    check_callable("pred", pred)
    call = _buffers.find_if(policy, it, pred)
    if call is not None:
        return launch(policy, "find_if", call)
    return launch(policy, "find_if", _find_if, policy, "find_if", it, pred, True)


def _find_if(policy: AnyPolicy, name: str, source: Iterable[Any], pred: _Predicate, wanted: bool) -> int:
    """The lowest index at which the truth of `pred` is the one that is wanted, or -1."""

    def work(chunk: Work) -> int:
        for part in chunk:
            for index, element in enumerate(part, chunk.at):
                if bool(pred(element)) is wanted:
                    return index
        return -1

    return _first(run_chunks(policy, name, source, work, _itself))


def _itself(index: int) -> int:
    return index


def _first(indices: list[int]) -> int:
    return next((index for index in indices if index >= 0), -1)


@overload
def any_of(policy: Policy, it: Iterable[Any], pred: _Predicate) -> bool: ...
@overload
def any_of(policy: TaskPolicy, it: Iterable[Any], pred: _Predicate) -> Future[bool]: ...
def any_of(policy: AnyPolicy, it: Iterable[Any], pred: _Predicate) -> Any:
    """Whether `pred` is true for at least one element: `any(map(pred, it))`.

    Args:
        policy: how, and where.
        it: the elements. An iterator is read as the work goes on; it may be endless.
        pred: called with elements, until the answer is known.

    Returns:
        The answer; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        BaseException: what `pred` or the iterator raised, if that was at a lower index than the first hit.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import any_of
        >>> any_of(par, "Weft", str.isupper), any_of(par, "", str.isupper)
        (True, False)
    """
    check_policy(policy)
    check_iterable("it", it)
    check_callable("pred", pred)
    return launch(policy, "any_of", _any_of, policy, "any_of", it, pred)


@overload
def none_of(policy: Policy, it: Iterable[Any], pred: _Predicate) -> bool: ...
@overload
def none_of(policy: TaskPolicy, it: Iterable[Any], pred: _Predicate) -> Future[bool]: ...
def none_of(policy: AnyPolicy, it: Iterable[Any], pred: _Predicate) -> Any:
    """Whether `pred` is true for no element: `not any(map(pred, it))`.

    Args:
        policy: how, and where.
        it: the elements. An iterator is read as the work goes on.
        pred: called with elements, until the answer is known.

    Returns:
        The answer; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        BaseException: what `pred` or the iterator raised, if that was at a lower index than the first hit.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import none_of
        >>> none_of(par, [2, 4, 6], lambda x: x % 2)
        True
    """
    check_policy(policy)
    check_iterable("it", it)
    check_callable("pred", pred)
    return launch(policy, "none_of", _none_of, policy, it, pred)


@overload
def all_of(policy: Policy, it: Iterable[Any], pred: _Predicate) -> bool: ...
@overload
def all_of(policy: TaskPolicy, it: Iterable[Any], pred: _Predicate) -> Future[bool]: ...
def all_of(policy: AnyPolicy, it: Iterable[Any], pred: _Predicate) -> Any:
    """Whether `pred` is true for every element: `all(map(pred, it))`.

    Args:
        policy: how, and where.
        it: the elements. An iterator is read as the work goes on.
        pred: called with elements, until the answer is known.

    Returns:
        The answer; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        BaseException: what `pred` or the iterator raised, if that was before the first element it is false for.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import all_of
        >>> all_of(par, [2, 4, 6], lambda x: x % 2 == 0), all_of(par, [], bool)
        (True, True)
    """
    check_policy(policy)
    check_iterable("it", it)
    check_callable("pred", pred)
    return launch(policy, "all_of", _all_of, policy, it, pred)


def _any_of(policy: AnyPolicy, name: str, source: Iterable[Any], pred: _Predicate) -> bool:
    call = _buffers.find_if(policy, source, pred)
    return (call() if call is not None else _find_if(policy, name, source, pred, wanted=True)) >= 0


def _none_of(policy: AnyPolicy, source: Iterable[Any], pred: _Predicate) -> bool:
    return not _any_of(policy, "none_of", source, pred)


def _all_of(policy: AnyPolicy, source: Iterable[Any], pred: _Predicate) -> bool:
    call = _buffers.count_if(policy, source, pred)
    if call is not None:  # counted, since with NaN the opposite of a comparison is not another comparison
        return call() == _buffers.elements(source)
    return _find_if(policy, "all_of", source, pred, wanted=False) < 0
