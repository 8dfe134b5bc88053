"""What all executors over a native pool share: options, map, shutdown, `with`.

`PoolExecutor` goes before the stdlib class of the executor's name, so that the core's `submit` is found first. A
view, as `options()` returns it, is another handle of the same pool: it shares everything but the options, and
shutting it down shuts the pool down.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from weft import _core, errors
from weft._payloads.seeds import Seeded, run_seeded, seed_of, seeded_items
from weft.executors import _ending, _map
from weft.executors._options import ContextOption, RetryOn, checked_seed, make_task_options
from weft.executors._worker_threads import WorkerThreads

_MOST_WORKERS = 10_000


def checked_max_workers(value: object, name: str = "max_workers") -> int:
    """A setting as a number of workers.

    Raises:
        ValueError: it is zero, negative or absurd (as `weft.errors.InvalidSetting`).
        TypeError: it is not a whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number or None, not {value!r}")
    if value <= 0:
        raise errors.InvalidSetting(setting=name, value=value, remedy=f"{name} must be greater than 0")
    if value > _MOST_WORKERS:
        remedy = (
            f"a machine runs {_MOST_WORKERS} at most, and more workers than tasks that wait for something at the same "
            f"time bring nothing"
        )
        raise errors.InvalidSetting(setting=name, value=value, remedy=remedy)
    return value


def checked_max_pending(value: object) -> int:
    """`max_pending` as the core takes it: 0 for None."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"max_pending must be a whole number or None, not {value!r}")
    if not 0 < value < 2**31:
        remedy = f"give a number from 1 to {2**31 - 1}, or None for no limit"
        raise errors.InvalidSetting(setting="max_pending", value=value, remedy=remedy)
    return value


_core.name_by_first_argument(run_seeded)


class PoolExecutor(_core.Pool):
    """The shared half of weft's executors. Internal: use the executors."""

    _max_workers: int
    _workers: WorkerThreads
    _alone: bool = False  # a worker's task has an interpreter to itself
    _seed: int | None = None
    _unseeded: Self  # the same view without a seed; only if it has one
    _one_by_one: bool = False  # each item of a map is a task of its own, since options apply to each

    @property
    def max_workers(self) -> int:
        """How many workers the pool has at most."""
        return self._max_workers

    def options(
        self,
        *,
        timeout: float | None = None,
        retries: int = 0,
        backoff: float = 0.1,
        retry_on: RetryOn = Exception,
        priority: int = 0,
        name: str | None = None,
        context: ContextOption = "copy",
        seed: int | None = None,
    ) -> Self:
        """A view of this pool whose tasks have these options.

        The options replace those of a view that this is called on; they are not merged.

        Args:
            timeout: seconds that a task may run, counted from its start. Then `Interrupted` is raised in it, and its
                future fails with `TaskTimeout`; a task stuck in a C call is given up one second later.
            retries: how often a task that failed is run again.
            backoff: seconds before the first retry; doubles with each, up to a minute. Holds no worker.
            retry_on: the exception class, or classes, that are worth a retry. A timeout counts as `TaskTimeout`.
            priority: higher runs first, from -1000 to 1000. Now and then a worker takes the one that has waited longest
                instead, so that none waits for ever.
            name: the tasks' name in messages and traces, instead of the function's.
            context: `"copy"`, each task sees a copy of its submitter's context variables; `"empty"`, none; or a
                `contextvars.Context` to run in (one task at a time).
            seed: a whole number: each task of this view, and each item of a map, gets a seed of its own, which
                `weft.executors.task_seed()` returns in it: the same for any number of workers. In interpreters and
                processes `random` is seeded with it too, and `numpy.random` where numpy is imported by then.

        Returns:
            An executor of the same class over the same pool.

        Raises:
            weft.errors.InvalidSetting: a value is not allowed.

        Example:
            >>> from weft.executors import ThreadPoolExecutor
            >>> with ThreadPoolExecutor(2) as pool:
            ...     patient = pool.options(retries=3, backoff=0.01, name="fetch")
            ...     patient.submit(pow, 2, 5).result()
            32
        """
        packed = make_task_options(
            timeout=timeout,
            retries=retries,
            backoff=backoff,
            retry_on=retry_on,
            priority=priority,
            name=name,
            context=context,
        )
        view = type(self).__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._adopt(self, packed)
        if self._seed is not None:
            del view.submit, view._unseeded
        view._one_by_one = timeout is not None or retries > 0 or context != "copy"
        view._seed = None
        return view if seed is None else view._with_seed(checked_seed(seed), packed)

    def _with_seed(self, seed: int, options: _core.TaskOptions) -> Self:
        view = type(self).__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._adopt(self, options)
        view._seed = seed
        view._unseeded = self
        numbers = itertools.count()

        def submit(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            if not callable(fn):
                raise TypeError(f"submit(): fn must be callable, not {fn!r}")
            return self.submit(run_seeded, fn, seed_of(seed, next(numbers)), self._alone, *args, **kwargs)

        view.submit = submit  # type: ignore[method-assign]
        return view

    def map[T](
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        ordered: bool = True,
    ) -> Iterator[T]:
        """`fn` of each item, in parallel; an iterator over the results.

        Items travel in chunks, which adapt to the measured time of an item; each item keeps its own error. All input is
        read at once and all of it is worked on whether the results are read or not, unless `buffersize` is given. The
        shortest input ends it. An iterator that is closed, or dropped half way, cancels what has not begun; a thread
        that waits for its next result then comes to its end, as if it had asked afterwards.

        Args:
            fn: called with one item of each iterable.
            *iterables: the inputs.
            timeout: seconds from this call until a result must be there.
            chunksize: items in a task; None adapts.
            buffersize: how many items may be read ahead of the results that were taken: input may then be endless.
            ordered: False gives results as they come.

        Raises:
            TimeoutError: from the iterator, when a result is not there in time.
            ValueError: chunksize or buffersize is less than 1.

        Example:
            >>> from weft.executors import ThreadPoolExecutor
            >>> with ThreadPoolExecutor(2) as pool:
            ...     list(pool.map(pow, range(4), [2, 2, 2, 2]))
            [0, 1, 4, 9]
        """
        if self._seed is not None:
            if not callable(fn):
                raise TypeError(f"map(): fn must be callable, not {fn!r}")
            return self._unseeded.map(
                Seeded(fn, self._seed, self._alone, len(iterables) != 1),
                seeded_items(iterables),
                timeout=timeout,
                chunksize=chunksize,
                buffersize=buffersize,
                ordered=ordered,
            )
        return _map.parallel_map(
            self,
            fn,
            iterables,
            timeout=timeout,
            chunksize=chunksize,
            buffersize=buffersize,
            ordered=ordered,
            one_by_one=self._one_by_one,
            runners=self._chunk_runners(),
        )

    def _chunk_runners(self) -> tuple[_map.Runner, _map.Runner]:
        """What `map` submits: for a chunk, and for a single item."""
        return _map.run_chunk, _map.run_one

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks; what is queued still runs, unless it is to be cancelled.

        Args:
            wait: return when all tasks are done and the workers are gone. Ctrl-C ends the wait.
            cancel_futures: cancel the tasks that have not begun.

        Raises:
            RuntimeError: called with `wait` from a task of this very pool, which would wait for itself.
        """
        _map.finish_all(self, cancel=cancel_futures)
        self._close(cancel_futures)
        if wait:
            self._wait_left(None)
            self._workers.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is None or issubclass(exc_type, Exception):
            self.shutdown(wait=True)
            return
        # Ctrl-C or sys.exit: whoever leaves like this does not want the rest of the work.
        _map.finish_all(self, cancel=True)
        why = f"{type(self).__name__} left by {exc_type.__name__}"
        _ending.leave_now([self], why, ctrl_c=issubclass(exc_type, KeyboardInterrupt))
