"""`inclusive_scan` and `exclusive_scan`: each element combined with all before it.

In parallel a scan takes two rounds. In the first, each chunk is scanned by itself; then what goes before each chunk is
combined from their last values, in order; in the second, it is combined into the values of each chunk. That is twice
the calls, so where nothing is gained by threads (with a GIL, unless the caller cuts the range), there is one chunk and
one round. Nothing is written before the first round is over.
Pinned by tests/parallel/test_properties.py.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import TYPE_CHECKING, Any, overload

from weft.execution import dynamic_chunk_size, seq
from weft.parallel import _buffers
from weft.parallel._chunks import Work
from weft.parallel._launch import (
    AnyPolicy,
    check_callable,
    check_iterable,
    check_policy,
    in_one_piece,
    launch,
    run_chunks,
)
from weft.parallel._sources import Destination, Written, all_read, indexed

if TYPE_CHECKING:
    from weft._core import Future
    from weft.execution import Policy, TaskPolicy

type _Op = Callable[[Any, Any], Any]

_NOTHING: Any = object()


@overload
def inclusive_scan(
    policy: Policy, src: Iterable[Any], dst: Destination[Any], *, op: _Op = ..., init: Any = ...
) -> None: ...
@overload
def inclusive_scan(
    policy: TaskPolicy, src: Iterable[Any], dst: Destination[Any], *, op: _Op = ..., init: Any = ...
) -> Future[None]: ...
def inclusive_scan(
    policy: AnyPolicy, src: Iterable[Any], dst: Destination[Any], *, op: _Op = operator.add, init: Any = None
) -> Any:
    """`dst[i] = init op src[0] op ... op src[i]`, for an associative `op`; as `itertools.accumulate`.

    Over buffers of one type, with `operator.add`, `operator.mul`, `min` or `max`, no Python runs.

    Args:
        policy: how, and where.
        src: the elements.
        dst: where results go; at least as long as `src`. It may be `src` itself.
        op: combines two values.
        init: what stands before the first element; None: nothing.

    Returns:
        None; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: `dst` is too short.
        OverflowError: a result does not fit into an integer buffer.
        BaseException: what `op` raised, at the lowest index at which it did.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import inclusive_scan
        >>> sums = [0] * 5
        >>> inclusive_scan(par, [1, 2, 3, 4, 5], sums)
        >>> sums
        [1, 3, 6, 10, 15]
    """
    return _start(policy, "inclusive_scan", src, dst, op, init, inclusive=True)


@overload
def exclusive_scan(
    policy: Policy, src: Iterable[Any], dst: Destination[Any], *, init: Any = ..., op: _Op = ...
) -> None: ...
@overload
def exclusive_scan(
    policy: TaskPolicy, src: Iterable[Any], dst: Destination[Any], *, init: Any = ..., op: _Op = ...
) -> Future[None]: ...
def exclusive_scan(
    policy: AnyPolicy, src: Iterable[Any], dst: Destination[Any], *, init: Any = 0, op: _Op = operator.add
) -> Any:
    """`dst[i] = init op src[0] op ... op src[i - 1]`, for an associative `op`; `dst[0]` is `init`.

    Over buffers of one type, with `operator.add`, `operator.mul`, `min` or `max`, no Python runs.

    Args:
        policy: how, and where.
        src: the elements.
        dst: where results go; at least as long as `src`. It may be `src` itself.
        init: what stands before the first element. The default is that of a sum: give 1 for a product.
        op: combines two values.

    Returns:
        None; with the tag `task`, a future of it.

    Raises:
        TypeError: an argument is of the wrong type, or `init` is None.
        ValueError: `dst` is too short.
        OverflowError: a result does not fit into an integer buffer.
        BaseException: what `op` raised, at the lowest index at which it did.

    Example:
        >>> from weft.execution import par
        >>> from weft.parallel import exclusive_scan
        >>> offsets = [0] * 4
        >>> exclusive_scan(par, [3, 1, 4, 1], offsets)
        >>> offsets
        [0, 3, 4, 8]
    """
    if init is None:
        raise TypeError("init must not be None: an exclusive scan begins with it")
    return _start(policy, "exclusive_scan", src, dst, op, init, inclusive=False)


def _start(policy: AnyPolicy, name: str, src: Any, dst: Any, op: _Op, init: Any, *, inclusive: bool) -> Any:
    check_policy(policy)
    check_iterable("src", src)
    check_callable("op", op)
    written = Written(dst)
    known = indexed(src)
    if known is not None:
        written.check_room(known.length)
    call = _buffers.scan(policy, src, dst, op, init, inclusive=inclusive)
    if call is not None:
        return launch(policy, name, call)
    first = _NOTHING if init is None else init
    return launch(policy, name, _scan, policy, name, src, written, op, first, inclusive)


def _scan(policy: AnyPolicy, name: str, source: Any, dst: Written, op: _Op, init: Any, inclusive: bool) -> None:
    known = all_read(source)
    dst.check_room(known.length)

    def scan_one(chunk: Work) -> tuple[int, list[Any]]:
        values: list[Any] = []
        for part in chunk:
            if values:
                values += accumulate(part, op, initial=values.pop())
            else:
                values = list(accumulate(part, op))
        return chunk.start, values

    def put(at: int, before: Any, values: list[Any]) -> None:
        """The values of a chunk, with what goes before them."""
        if not inclusive:
            dst.write(at, [before, *[op(before, value) for value in values[:-1]]])
        elif before is _NOTHING:
            dst.write(at, values)
        else:
            dst.write(at, [op(before, value) for value in values])

    if in_one_piece(policy):
        _plain(name, known, dst, op, init, inclusive)
        return
    chunks = [pair for pair in run_chunks(policy, name, known, scan_one) if pair[1]]
    # What goes before each chunk: a scan of the chunks' last values.
    befores: list[Any] = [init]
    for _, values in chunks[:-1]:
        before = befores[-1]
        befores.append(values[-1] if before is _NOTHING else op(before, values[-1]))

    def put_some(chunk: Work) -> None:
        for part in chunk:
            for number in part:
                at, values = _chunk(chunks, number)
                put(at, befores[number], values)

    run_chunks(policy.with_(dynamic_chunk_size(1)), name, range(len(chunks)), put_some)


def _chunk(chunks: list[tuple[int, list[Any]]], number: int) -> tuple[int, list[Any]]:
    return chunks[number]


def _plain(name: str, source: Any, dst: Written, op: _Op, init: Any, inclusive: bool) -> None:
    """In the caller, in one round."""

    def work(chunk: Work) -> None:
        last = init
        for part in chunk:
            values = list(accumulate(part, op) if last is _NOTHING else accumulate(part, op, initial=last))
            if last is _NOTHING:
                dst.write(chunk.at, values)
            elif inclusive:
                dst.write(chunk.at, values[1:])
            else:
                dst.write(chunk.at, values[:-1])
            last = values[-1]

    run_chunks(seq, name, source, work)
