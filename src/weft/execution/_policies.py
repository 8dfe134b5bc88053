"""The policies: immutable, readable, and without threads of their own.

`Policy` and `TaskPolicy` are two classes, so that a type checker knows which algorithms return a future.
Pinned by tests/parallel/test_policies.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self, final

from weft import _core
from weft.execution._chunk_sizes import ChunkName, ChunkSize

if TYPE_CHECKING:
    from weft.executors import SerialExecutor, ThreadPoolExecutor

type PolicyName = Literal["seq", "par", "par_unseq", "unseq"]

_AUTO = ChunkSize("auto")


@final
class TaskTag:
    """The type of `task`, which makes a policy return futures: `par(task)`. There is one of it.

    Example:
        >>> from weft.execution import par, task
        >>> par(task)
        par(task)
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "task"

    def __reduce__(self) -> str:
        return "task"  # by name: it stays one


task = TaskTag()


@dataclass(frozen=True, slots=True, repr=False)
class _Settings:
    """What the two kinds of policy share."""

    name: PolicyName
    chunks: ChunkSize = _AUTO
    executor: ThreadPoolExecutor | SerialExecutor | None = None

    @property
    def chunk_name(self) -> ChunkName:
        """`"auto"`, `"static"`, `"dynamic"` or `"guided"`."""
        return self.chunks.name

    @property
    def chunk_size(self) -> int | None:
        """Elements in a chunk; None for the default of the kind."""
        return self.chunks.size

    @property
    def parallel(self) -> bool:
        """Whether more than one thread may take part."""
        return self.name in ("par", "par_unseq")

    def with_(self, chunks: ChunkSize, /) -> Self:
        """This policy, with its ranges cut in another way.

        Args:
            chunks: What `static_chunk_size`, `dynamic_chunk_size`, `guided_chunk_size` or `auto_chunk_size` returns.

        Raises:
            TypeError: it is something else.

        Example:
            >>> from weft.execution import guided_chunk_size, par
            >>> par.with_(guided_chunk_size()).chunk_name
            'guided'
        """
        if not isinstance(chunks, ChunkSize):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers are not all typed
            raise TypeError(f"with_() takes a chunk size, such as static_chunk_size(1000), not {chunks!r}")
        return replace(self, chunks=chunks)

    def on(self, executor: ThreadPoolExecutor | SerialExecutor | None, /) -> Self:
        """This policy, on another pool.

        Args:
            executor: a thread pool or a serial executor of `weft.executors`, which is left running, or a view of one
                as its `options()` returns it; None for weft's default thread pool.

        Raises:
            TypeError: it is something else.

        Example:
            >>> from weft.execution import par
            >>> from weft.executors import ThreadPoolExecutor
            >>> from weft.parallel import transform
            >>> with ThreadPoolExecutor(2) as pool:
            ...     squares = [0] * 4
            ...     transform(par.on(pool), range(4), squares, lambda x: x * x)
            >>> squares
            [0, 1, 4, 9]
        """
        if executor is not None and not isinstance(executor, _core.Pool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"on() takes an executor of weft whose workers share this interpreter's objects, not {executor!r}; use "
                f"weft.executors.ThreadPoolExecutor or SerialExecutor"
            )
        return replace(self, executor=executor)

    def _words(self, tagged: str) -> str:
        words = self.name + tagged
        if self.chunks != _AUTO:
            words += f".with_({self.chunks!r})"
        if self.executor is not None:
            words += f".on({self.executor!r})"
        return words

    def __reduce__(self) -> tuple[Any, ...]:
        if self.executor is not None:
            raise TypeError(
                f"cannot pickle {self!r}: its executor lives in this process; pickle the policy without it, and call "
                f"on() where it is used"
            )
        return type(self), (self.name, self.chunks)


@final
@dataclass(frozen=True, slots=True, repr=False)
class Policy(_Settings):
    """How an algorithm runs, and where: `seq`, `par`, `par_unseq` and `unseq` are policies, and so is what they make.

    Attributes:
        name: `"seq"`, `"par"`, `"par_unseq"` or `"unseq"`.
        chunks: in which pieces the range is cut.
        executor: the pool; None for weft's default thread pool.

    Example:
        >>> from weft.execution import dynamic_chunk_size, par
        >>> policy = par.with_(dynamic_chunk_size(16))
        >>> policy.name, policy.chunk_name, policy.chunk_size, policy.task
        ('par', 'dynamic', 16, False)
    """

    @property
    def task(self) -> bool:
        """Whether algorithms return a future: no."""
        return False

    def __call__(self, tag: TaskTag, /) -> TaskPolicy:
        """`par(task)`: the policy that makes an algorithm return a `weft.Future`.

        Raises:
            TypeError: the argument is not `task`.

        Example:
            >>> from weft.execution import par, task
            >>> from weft.parallel import reduce
            >>> reduce(par(task), [1, 2, 3]).result()
            6
        """
        _check_tag(self.name, tag)
        return TaskPolicy(self.name, self.chunks, self.executor)

    def __repr__(self) -> str:
        return self._words("")


@final
@dataclass(frozen=True, slots=True, repr=False)
class TaskPolicy(_Settings):
    """A policy whose algorithms start at once and return a `weft.Future`: `par(task)`.

    Example:
        >>> from weft.execution import seq, task
        >>> policy = seq(task)
        >>> policy.task, policy.name
        (True, 'seq')
    """

    @property
    def task(self) -> bool:
        """Whether algorithms return a future: yes."""
        return True

    def __call__(self, tag: TaskTag, /) -> TaskPolicy:
        """Itself.

        Raises:
            TypeError: the argument is not `task`.
        """
        _check_tag(self.name, tag)
        return self

    def __repr__(self) -> str:
        return self._words("(task)")


def _check_tag(name: str, tag: object) -> None:
    if not isinstance(tag, TaskTag):
        raise TypeError(
            f"{name}(...) takes the tag weft.execution.task and nothing else, not {tag!r}; an algorithm takes the "
            f"policy as its first argument"
        )


seq = Policy("seq")
par = Policy("par")
par_unseq = Policy("par_unseq")
unseq = Policy("unseq")
