"""The initializer's call on its way to workers: packed once for all of them, or anew for each process.

Locks, queues, pipes and shared memory of `multiprocessing` cross only to a process that is being started. Where plain
pickle refuses the call, it is packed as `multiprocessing` would for a process that it spawns: for each worker by
itself, as some reducers make what is good for one process. Descriptors go beside the bytes, with the request
for the worker (`Template.start_worker`), so there is nothing left to collect from a worker that dies early. Not by
`multiprocessing.resource_sharer`: that keeps a thread, and a descriptor for each worker that did not come for it.

Runs in the caller: when the pool is made, and on a thread of the pool for each process. The other side is handed.py.
Pinned by tests/executors/test_inherited.py.
"""

import sys
from copyreg import dispatch_table
from marshal import dumps as dump_plain
from marshal import loads as load_plain

from weft._payloads.culprits import payload_error
from weft._payloads.handed import Handed
from weft._payloads.pickling import PayloadPickler, dump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from weft.errors import PayloadError

__all__ = ["Handover", "Inherited", "pack_initializer"]

MOST = 240
"""Descriptors for one worker. Linux sends 253 at a time; the channel and the tracker need some."""


def pack_initializer(
    initializer: "Callable[..., object]", initargs: "tuple[Any, ...]", *, own_process: bool
) -> "tuple[bytes, Inherited | None]":
    """The call in bytes; or none, and what packs it anew for each worker.

    Args:
        initializer: See the pools.
        initargs: See the pools.
        own_process: Whether workers are processes, so that they can inherit.

    Raises:
        PayloadError: It cannot be pickled either way.
    """
    data, culprit, error = dump((0, None, initializer, *initargs), None)
    if data is not None:
        return data, None
    if own_process:
        del culprit, error  # a cycle, with this frame, that would keep the arguments
        inherited = Inherited(initializer, initargs)
        with Handover() as handover:
            inherited.pack(handover)
        return b"", inherited
    assert error is not None
    raise _refused(error, culprit, initializer, initargs, inherits=False) from error


def _refused(
    error: BaseException, culprit: object, initializer: object, initargs: "tuple[Any, ...]", *, inherits: bool
) -> "PayloadError":
    roots = {"initializer": initializer} | {f"initargs[{index}]": value for index, value in enumerate(initargs)}
    return payload_error(error, culprit, roots, inherits=inherits)


class Handover:
    """What one worker is handed beside its channel. For `multiprocessing`, it is the process being started.

    Holds duplicates of the descriptors until the worker has its own: any thread may close the objects meanwhile.
    """

    DupFd = Handed

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def duplicate_for_child(self, descriptor: int) -> int:
        """Takes a descriptor along; its place among them."""
        import os

        if len(self.descriptors) == MOST:
            raise ValueError(f"a worker can be handed at most {MOST} descriptors")
        self.descriptors.append(os.dup(descriptor))
        return len(self.descriptors) - 1

    def add_to(self, greeting: bytes, inherited: "Inherited | None") -> bytes:
        """The greeting of a worker that is handed these things, and the caller's resource tracker if there is one.

        Raises:
            PayloadError: The initializer or an argument of it can no longer be pickled.
        """
        call = b"" if inherited is None else inherited.pack(self)
        resource_tracker: Any = sys.modules.get("multiprocessing.resource_tracker")
        pipe = None if resource_tracker is None else resource_tracker._resource_tracker._fd
        if pipe is None and not call:
            return greeting
        tracker = -1 if pipe is None else self.duplicate_for_child(pipe)
        setup, levels, key, *_ = load_plain(greeting)
        return dump_plain((setup, levels, key, call, tracker))

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        import os

        while self.descriptors:
            os.close(self.descriptors.pop())


class Inherited:
    """An initializer's call that is packed for each worker; keeps alive what they find by name."""

    def __init__(self, initializer: "Callable[..., object]", initargs: "tuple[Any, ...]") -> None:
        self._initializer = initializer
        self._initargs = initargs

    def pack(self, handover: Handover) -> bytes:
        """The call for one worker, in bytes.

        Raises:
            PayloadError: The initializer or an argument of it cannot be pickled.
        """
        from multiprocessing.context import get_spawning_popen, set_spawning_popen

        before = get_spawning_popen()
        set_spawning_popen(handover)  # pyright: ignore[reportArgumentType]  # it need not be a `Popen`
        try:
            data, culprit, error = dump((0, None, self._initializer, *self._initargs), None, InheritancePickler)
        finally:
            set_spawning_popen(before)
        if data is not None:
            return data
        assert error is not None
        raise _refused(error, culprit, self._initializer, self._initargs, inherits=True) from error


class InheritancePickler(PayloadPickler):
    """Knows what `multiprocessing` can reduce, too."""

    def __init__(self, *args: "Any", **keywords: "Any") -> None:
        from multiprocessing import reduction

        super().__init__(*args, **keywords)
        pickler: Any = reduction.ForkingPickler
        self._reducers: dict[type, Any] = pickler._extra_reducers
        self.dispatch_table = {**dispatch_table, **self._reducers}

    def reducer_override(self, obj: object, /) -> "Any":
        if type(obj) in self._reducers:
            self.last = obj
            return NotImplemented
        return super().reducer_override(obj)
