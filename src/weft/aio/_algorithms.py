"""The algorithms of `weft.parallel`, awaited: `await reduce(par, numbers)`.

Each runs as one task on the policy's pool, whatever the policy (`seq` too), and takes part in its own work there: the
event loop's thread is never one of those that work. An iterator among the arguments is read on that pool.

Cancelling the task that awaits stops the work: what is queued never runs, what runs is interrupted at its next
bytecode. Then a destination may hold some of the results. Called on an event loop's thread. Pinned by
tests/parallel/test_async.py.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from weft import parallel
from weft.execution import Policy, TaskPolicy, task

if TYPE_CHECKING:
    from weft._core import Future
    from weft.parallel._sources import Destination

type _Policy = Policy | TaskPolicy
type _Op = Callable[[Any, Any], Any]
type _Predicate = Callable[[Any], object]

__all__ = [
    "all_of",
    "any_of",
    "copy",
    "copy_if",
    "count",
    "count_if",
    "exclusive_scan",
    "fill",
    "fill_n",
    "find",
    "find_if",
    "for_each",
    "for_loop",
    "inclusive_scan",
    "iota",
    "none_of",
    "reduce",
    "sort",
    "stable_sort",
    "transform",
    "transform_reduce",
]


def _tagged(policy: _Policy) -> TaskPolicy:
    if not isinstance(policy, Policy | TaskPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"the first argument must be a policy, such as weft.execution.par, not {policy!r}")
    return policy(task)


async def _awaited[T](future: Future[T]) -> T:
    return await future  # which stops the work if its only awaiter is cancelled


async def for_loop(policy: _Policy, first: int, last: int, body: Callable[[int], object]) -> None:
    """Call `body` with each index from `first` to before `last`.

    Arguments, result and errors are those of `weft.parallel.for_loop`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import for_loop
        >>> squares = [0] * 4
        >>> asyncio.run(for_loop(par, 0, 4, lambda i: squares.__setitem__(i, i * i)))
        >>> squares
        [0, 1, 4, 9]
    """
    await _awaited(parallel.for_loop(_tagged(policy), first, last, body))


async def for_each(policy: _Policy, it: Iterable[Any], fn: Callable[[Any], object]) -> None:
    """Call `fn` with each element.

    Arguments, result and errors are those of `weft.parallel.for_each`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import for_each
        >>> seen = set()
        >>> asyncio.run(for_each(par, [1, 2, 3], seen.add))
        >>> sorted(seen)
        [1, 2, 3]
    """
    await _awaited(parallel.for_each(_tagged(policy), it, fn))


async def transform(
    policy: _Policy, src: Iterable[Any], dst: Destination[Any], fn: Callable[..., Any], *, other: Any = None
) -> None:
    """Put `fn` of each element of `src`, or of each pair with `other`, into `dst`.

    Arguments, result and errors are those of `weft.parallel.transform`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import transform
        >>> lengths = [0, 0]
        >>> asyncio.run(transform(par, ["warp", "selvedge"], lengths, len))
        >>> lengths
        [4, 8]
    """
    await _awaited(parallel.transform(_tagged(policy), src, dst, fn, other=other))


async def reduce(policy: _Policy, it: Iterable[Any], *, init: Any = 0, op: _Op = operator.add) -> Any:
    """All elements, combined by `op` after `init`.

    Arguments, result and errors are those of `weft.parallel.reduce`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import reduce
        >>> asyncio.run(reduce(par, range(101)))
        5050
    """
    return await _awaited(parallel.reduce(_tagged(policy), it, init=init, op=op))


async def transform_reduce(
    policy: _Policy,
    it: Iterable[Any],
    *,
    init: Any,
    reduce_op: _Op,
    transform_op: Callable[..., Any],
    other: Any = None,
) -> Any:
    """All elements, or all pairs with `other`, transformed and then combined after `init`.

    Arguments, result and errors are those of `weft.parallel.transform_reduce`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import transform_reduce
        >>> asyncio.run(transform_reduce(par, ["a", "bc"], init=0, reduce_op=max, transform_op=len))
        2
    """
    return await _awaited(
        parallel.transform_reduce(
            _tagged(policy), it, init=init, reduce_op=reduce_op, transform_op=transform_op, other=other
        )
    )


async def count(policy: _Policy, it: Iterable[Any], value: object) -> int:
    """How many elements equal `value`.

    Arguments, result and errors are those of `weft.parallel.count`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import count
        >>> asyncio.run(count(par, "selvedge", "e"))
        3
    """
    return await _awaited(parallel.count(_tagged(policy), it, value))


async def count_if(policy: _Policy, it: Iterable[Any], pred: _Predicate) -> int:
    """How many elements `pred` is true for.

    Arguments, result and errors are those of `weft.parallel.count_if`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import count_if
        >>> asyncio.run(count_if(par, "Weft", str.isupper))
        1
    """
    return await _awaited(parallel.count_if(_tagged(policy), it, pred))


async def find(policy: _Policy, it: Iterable[Any], value: object) -> int:
    """The lowest index of an element that equals `value`, or -1.

    Arguments, result and errors are those of `weft.parallel.find`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import find
        >>> asyncio.run(find(par, ["warp", "weft"], "weft"))
        1
    """
    return await _awaited(parallel.find(_tagged(policy), it, value))


async def find_if(policy: _Policy, it: Iterable[Any], pred: _Predicate) -> int:
    """The lowest index of an element that `pred` is true for, or -1.

    Arguments, result and errors are those of `weft.parallel.find_if`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import find_if
        >>> asyncio.run(find_if(par, range(100), lambda x: x * x > 200))
        15
    """
    return await _awaited(parallel.find_if(_tagged(policy), it, pred))


async def all_of(policy: _Policy, it: Iterable[Any], pred: _Predicate) -> bool:
    """Whether `pred` is true for every element.

    Arguments, result and errors are those of `weft.parallel.all_of`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import all_of
        >>> asyncio.run(all_of(par, "weft", str.islower))
        True
    """
    return await _awaited(parallel.all_of(_tagged(policy), it, pred))


async def any_of(policy: _Policy, it: Iterable[Any], pred: _Predicate) -> bool:
    """Whether `pred` is true for at least one element.

    Arguments, result and errors are those of `weft.parallel.any_of`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import any_of
        >>> asyncio.run(any_of(par, "weft", str.isupper))
        False
    """
    return await _awaited(parallel.any_of(_tagged(policy), it, pred))


async def none_of(policy: _Policy, it: Iterable[Any], pred: _Predicate) -> bool:
    """Whether `pred` is true for no element.

    Arguments, result and errors are those of `weft.parallel.none_of`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import none_of
        >>> asyncio.run(none_of(par, "weft", str.isupper))
        True
    """
    return await _awaited(parallel.none_of(_tagged(policy), it, pred))


async def sort(
    policy: _Policy, data: Destination[Any], *, key: Callable[[Any], Any] | None = None, reverse: bool = False
) -> None:
    """Sort in place.

    Arguments, result and errors are those of `weft.parallel.sort`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import sort
        >>> numbers = [3, 1, 2]
        >>> asyncio.run(sort(par, numbers))
        >>> numbers
        [1, 2, 3]
    """
    await _awaited(parallel.sort(_tagged(policy), data, key=key, reverse=reverse))


async def stable_sort(
    policy: _Policy, data: Destination[Any], *, key: Callable[[Any], Any] | None = None, reverse: bool = False
) -> None:
    """Sort in place; equal elements keep their order.

    Arguments, result and errors are those of `weft.parallel.stable_sort`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import stable_sort
        >>> words = ["weft", "warp", "loom", "web"]
        >>> asyncio.run(stable_sort(par, words, key=len))
        >>> words
        ['web', 'weft', 'warp', 'loom']
    """
    await _awaited(parallel.stable_sort(_tagged(policy), data, key=key, reverse=reverse))


async def fill(policy: _Policy, dst: Destination[Any], value: Any) -> None:
    """Put `value` into every element.

    Arguments, result and errors are those of `weft.parallel.fill`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import fill
        >>> letters = [None] * 3
        >>> asyncio.run(fill(par, letters, "x"))
        >>> letters
        ['x', 'x', 'x']
    """
    await _awaited(parallel.fill(_tagged(policy), dst, value))


async def fill_n(policy: _Policy, dst: Destination[Any], count: int, value: Any) -> None:
    """Put `value` into the first `count` elements.

    Arguments, result and errors are those of `weft.parallel.fill_n`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import fill_n
        >>> letters = [None] * 3
        >>> asyncio.run(fill_n(par, letters, 2, "x"))
        >>> letters
        ['x', 'x', None]
    """
    await _awaited(parallel.fill_n(_tagged(policy), dst, count, value))


async def copy(policy: _Policy, src: Iterable[Any], dst: Destination[Any]) -> None:
    """Put each element of `src` into `dst`.

    Arguments, result and errors are those of `weft.parallel.copy`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import copy
        >>> letters = ["-"] * 4
        >>> asyncio.run(copy(par, "abc", letters))
        >>> letters
        ['a', 'b', 'c', '-']
    """
    await _awaited(parallel.copy(_tagged(policy), src, dst))


async def copy_if(policy: _Policy, src: Iterable[Any], dst: Destination[Any], pred: _Predicate) -> int:
    """Put the elements that `pred` is true for to the beginning of `dst`; how many there are.

    Arguments, result and errors are those of `weft.parallel.copy_if`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import copy_if
        >>> odd = [0] * 10
        >>> asyncio.run(copy_if(par, range(10), odd, lambda x: x % 2))
        5
        >>> odd[:5]
        [1, 3, 5, 7, 9]
    """
    return await _awaited(parallel.copy_if(_tagged(policy), src, dst, pred))


async def iota(policy: _Policy, dst: Destination[Any], start: Any = 0, step: Any = 1) -> None:
    """Put `start`, `start + step`, ... into `dst`.

    Arguments, result and errors are those of `weft.parallel.iota`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import iota
        >>> numbers = [0] * 3
        >>> asyncio.run(iota(par, numbers, 10, 5))
        >>> numbers
        [10, 15, 20]
    """
    await _awaited(parallel.iota(_tagged(policy), dst, start, step))


async def inclusive_scan(
    policy: _Policy, src: Iterable[Any], dst: Destination[Any], *, op: _Op = operator.add, init: Any = None
) -> None:
    """Put each element, combined with `init` and all before it, into `dst`.

    Arguments, result and errors are those of `weft.parallel.inclusive_scan`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import inclusive_scan
        >>> sums = [0] * 4
        >>> asyncio.run(inclusive_scan(par, [3, 1, 4, 1], sums))
        >>> sums
        [3, 4, 8, 9]
    """
    await _awaited(parallel.inclusive_scan(_tagged(policy), src, dst, op=op, init=init))


async def exclusive_scan(
    policy: _Policy, src: Iterable[Any], dst: Destination[Any], *, init: Any = 0, op: _Op = operator.add
) -> None:
    """Put `init`, combined with all elements before each, into `dst`.

    Arguments, result and errors are those of `weft.parallel.exclusive_scan`.

    Example:
        >>> import asyncio
        >>> from weft.execution import par
        >>> from weft.aio import exclusive_scan
        >>> offsets = [0] * 4
        >>> asyncio.run(exclusive_scan(par, [3, 1, 4, 1], offsets))
        >>> offsets
        [0, 3, 4, 8]
    """
    await _awaited(parallel.exclusive_scan(_tagged(policy), src, dst, init=init, op=op))
