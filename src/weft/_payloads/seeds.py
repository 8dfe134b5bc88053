"""Seeds: `options(seed=…)` gives each task one of its own, which depends on its number and on nothing else.

The seed of task number n of a view, or of item n of a map, is BLAKE2b of the view's seed and n: the same for any number
of workers, in whatever order they come to it, wherever it runs, and again when it is retried.

A task finds it with `task_seed`. Where tasks run alone in their interpreter (interpreters, processes), the generator
of `random` is seeded with it too, and numpy's global one if numpy is imported there by then; in threads both are
everybody's, so they are left alone.
Loaded in workers; imports C modules only. Pinned by tests/executors/test_seeds.py.
"""

import sys
from _contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

__all__ = ["Seeded", "run_seeded", "seed_of", "seeded_items", "task_seed"]

_BYTES = 16

_seed: "ContextVar[int]" = ContextVar("weft.task_seed")


def task_seed() -> int:
    """The seed of the task that runs here: for a generator of its own.

    Returns:
        A number of 128 bits, which depends on the `seed` of `options()` and on the number of the task.

    Raises:
        RuntimeError: no task runs here, or its view has no seed.

    Example:
        >>> import random
        >>> from weft.executors import ThreadPoolExecutor, task_seed
        >>> def roll(_):
        ...     return random.Random(task_seed()).randint(1, 6)
        >>> with ThreadPoolExecutor(2) as pool:
        ...     list(pool.options(seed=7).map(roll, range(6))) == list(pool.options(seed=7).map(roll, range(6)))
        True
    """
    seed = _seed.get(None)
    if seed is None:
        raise RuntimeError("no task with a seed runs here: submit it to executor.options(seed=...)")
    return seed


def seed_of(seed: int, number: int) -> int:
    """The seed of a task, by its number."""
    from _blake2 import blake2b

    return int.from_bytes(blake2b(f"{seed} {number}".encode(), digest_size=_BYTES).digest())


def run_seeded(fn: "Callable[..., Any]", seed: int, alone: bool, /, *args: "Any", **kwargs: "Any") -> "Any":
    """`fn` with a seed; `alone`: no other task uses the generators of this interpreter meanwhile."""
    before = _seed.set(seed)
    if alone:
        _seed_global_generators(seed)
    try:
        return fn(*args, **kwargs)
    finally:
        _seed.reset(before)


def _seed_global_generators(seed: int) -> None:
    import random

    random.seed(seed)
    if "numpy" in sys.modules:
        import numpy.random

        numpy.random.seed([seed >> shift & 0xFFFFFFFF for shift in range(0, 8 * _BYTES, 32)])


class Seeded:
    """A function of a map's items, called with the number of each before it."""

    def __init__(self, fn: "Callable[..., Any]", seed: int, alone: bool, star: bool) -> None:
        self._fn = fn
        self._seed = seed
        self._alone = alone
        self._star = star
        self.__name__ = getattr(fn, "__name__", type(fn).__name__)  # for messages and traces
        self.__qualname__ = getattr(fn, "__qualname__", self.__name__)

    def __call__(self, numbered: "tuple[int, Any]", /) -> "Any":
        number, item = numbered
        args = item if self._star else (item,)
        return run_seeded(self._fn, seed_of(self._seed, number), self._alone, *args)


def seeded_items(iterables: "tuple[Iterable[Any], ...]") -> "Iterator[tuple[int, Any]]":
    """The items of a map, as `Seeded` takes them."""
    items: Iterable[Any] = iterables[0] if len(iterables) == 1 else zip(*iterables)  # noqa: B905  # the shortest ends it
    return enumerate(items)
