"""`sort` and `stable_sort`: Python objects by merging sorted runs, buffers by the core.

Runs are pieces of the range, each sorted by `list.sort`. Then neighbours are merged, pair by pair, also by
`list.sort`, which finds two ascending runs and merges them in C. Where there are fewer pairs than workers, a pair is
cut so that each merges a piece of it: all of the left run below a value, and what is less than that value in the right
one.

As `list.sort`: only `<` is used, `key` is called once for each element, in parallel; `reverse` keeps equal elements in
their order. An exception leaves the list as it was.

With a GIL only one thread compares at a time, and merging would be work on top: there, unless the caller cuts the
range, it is one run. Tried: `heapq.merge`, which is Python for each element, and many times slower than the
comparisons it saves.
Pinned by tests/parallel/test_sorts.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, MutableSequence
from typing import TYPE_CHECKING, Any, overload

from weft.execution import dynamic_chunk_size, static_chunk_size
from weft.parallel import _buffers
from weft.parallel._chunks import Work
from weft.parallel._launch import AnyPolicy, check_callable, check_policy, in_one_piece, launch, pool_of, run_chunks
from weft.parallel._sources import Destination, Indexed, Written

if TYPE_CHECKING:
    from weft._core import Future
    from weft.execution import Policy, TaskPolicy

type _Key = Callable[[Any], Any]
type _Cut = tuple[list[Any], list[Any]]

_LEAST = 1000  # elements that are worth a run of their own where nobody says how long one is


@overload
def sort(policy: Policy, data: Destination[Any], *, key: _Key | None = ..., reverse: bool = ...) -> None: ...
@overload
def sort(
    policy: TaskPolicy, data: Destination[Any], *, key: _Key | None = ..., reverse: bool = ...
) -> Future[None]: ...
def sort(policy: AnyPolicy, data: Destination[Any], *, key: _Key | None = None, reverse: bool = False) -> Any:
    """Sort in place.

    Equal elements may change their order in buffers, which the core sorts where there is no `key`; use `stable_sort` if
    that matters. In buffers of floats, NaN comes last, as in numpy.

    Args:
        policy: how, and where.
        data: a list or another mutable sequence, or a buffer.
        key: called with each element, once; the elements are sorted by what it returns.
        reverse: the largest first.

    Returns:
        None; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type, or elements cannot be compared.
        ValueError: the length of `data` changed meanwhile.
        BaseException: what `key` or a comparison raised; `data` is as it was then.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import sort
        >>> words = ["weft", "warp", "selvedge"]
        >>> sort(par, words)
        >>> words
        ['selvedge', 'warp', 'weft']
    """
    return _start(policy, "sort", data, key, reverse, stable=False)


@overload
def stable_sort(policy: Policy, data: Destination[Any], *, key: _Key | None = ..., reverse: bool = ...) -> None: ...
@overload
def stable_sort(
    policy: TaskPolicy, data: Destination[Any], *, key: _Key | None = ..., reverse: bool = ...
) -> Future[None]: ...
def stable_sort(policy: AnyPolicy, data: Destination[Any], *, key: _Key | None = None, reverse: bool = False) -> Any:
    """Sort in place; equal elements keep their order, with `reverse` too.

    Args:
        policy: how, and where.
        data: a list or another mutable sequence, or a buffer.
        key: called with each element, once; the elements are sorted by what it returns.
        reverse: the largest first.

    Returns:
        None; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type, or elements cannot be compared.
        ValueError: the length of `data` changed meanwhile.
        BaseException: what `key` or a comparison raised; `data` is as it was then.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import stable_sort
        >>> words = ["weft", "warp", "loom", "selvedge"]
        >>> stable_sort(par, words, key=len, reverse=True)
        >>> words
        ['selvedge', 'weft', 'warp', 'loom']
    """
    return _start(policy, "stable_sort", data, key, reverse, stable=True)


def _start(policy: AnyPolicy, name: str, data: Any, key: _Key | None, reverse: bool, *, stable: bool) -> Any:
    check_policy(policy)
    written = Written(data, "data")
    if key is not None:
        check_callable("key", key)
    else:
        call = _buffers.sort(policy, data, reverse=bool(reverse), stable=stable)
        if call is not None:
            return launch(policy, name, call)
    return launch(policy, name, _sort, policy, name, data, written, key, bool(reverse))


def _sort(
    policy: AnyPolicy, name: str, data: MutableSequence[Any], target: Written, key: _Key | None, reverse: bool
) -> None:
    items = list(data)
    if in_one_piece(policy) or (policy.chunk_name == "auto" and len(items) < 2 * _LEAST):
        items.sort(key=key, reverse=reverse)
    else:
        items = _in_parallel(policy, name, items, key, reverse)
    if len(data) != len(items):
        raise ValueError("list modified during sort")
    target.write(0, items)


def _in_parallel(policy: AnyPolicy, name: str, items: list[Any], key: _Key | None, reverse: bool) -> list[Any]:
    seats = pool_of(policy).max_workers
    runs_of = policy
    if policy.chunk_name == "auto":
        runs_of = policy.with_(static_chunk_size(max(_LEAST, -(-len(items) // seats))))
    by: _Key | None = None
    order = items
    if key is not None:
        # Sorted are the indices, by keys that are there: no key is made twice.
        keys = _keys(policy, name, items, key)
        by = keys.__getitem__
        order = list(range(len(items)))
    if reverse:  # as list.sort does it: equal elements end up in their order again
        order = order[::-1]

    def sort_one(chunk: Work) -> list[Any]:
        run = order[chunk.start : chunk.stop]
        run.sort(key=by)
        return run

    runs = run_chunks(runs_of, name, Indexed(len(order), lambda start, stop: order[start:stop]), sort_one)
    while len(runs) > 1:
        runs = _merged_by_pairs(policy, name, runs, by, seats)
    result = runs[0] if runs else []
    if reverse:
        result.reverse()
    return result if key is None else [items[index] for index in result]


def _keys(policy: AnyPolicy, name: str, items: list[Any], key: _Key) -> list[Any]:
    keys: list[Any] = [None] * len(items)

    def work(chunk: Work) -> None:
        for part in chunk:
            at = chunk.at
            found = [key(element) for element in part]
            keys[at : at + len(found)] = found

    run_chunks(policy, name, items, work)
    return keys


def _merged_by_pairs(
    policy: AnyPolicy, name: str, runs: list[list[Any]], by: _Key | None, seats: int
) -> list[list[Any]]:
    """Half as many runs: the first with the second, the third with the fourth, ..."""
    pieces = max(1, -(-2 * seats // len(runs)))
    cuts: list[_Cut] = []
    ends: list[int] = []  # of each pair, among the cuts
    for left, right in zip(runs[::2], runs[1::2], strict=False):
        cuts += _cut(left, right, by, pieces)
        ends.append(len(cuts))

    def merge(chunk: Work) -> list[list[Any]]:
        return [_merge(cuts, number, by) for part in chunk for number in part]

    one_by_one = policy.with_(dynamic_chunk_size(1))
    merged = [run for runs in run_chunks(one_by_one, name, range(len(cuts)), merge) for run in runs]
    result: list[list[Any]] = []
    begin = 0
    for end in ends:
        whole = merged[begin]
        for piece in merged[begin + 1 : end]:
            whole += piece
        result.append(whole)
        begin = end
    if len(runs) % 2:
        result.append(runs[-1])
    return result


def _cut(left: list[Any], right: list[Any], by: _Key | None, pieces: int) -> list[_Cut]:
    """A pair of runs as pairs of pieces; merged one by one and put together, they are the merged pair."""
    cuts: list[_Cut] = []
    at = other = 0
    for number in range(1, pieces + 1):
        to, others = len(left) * number // pieces, len(right)
        if number < pieces:
            if to == at:
                continue
            # What is less goes to the left of left[to]; what is equal stays behind it, and so to its right.
            others = bisect_left(right, left[to] if by is None else by(left[to]), other, key=by)
        cuts.append((left[at:to], right[other:others]))
        at, other = to, others
    return cuts


def _merge(cuts: list[_Cut], number: int, by: _Key | None) -> list[Any]:
    left, right = cuts[number]
    left += right
    left.sort(key=by)
    return left
