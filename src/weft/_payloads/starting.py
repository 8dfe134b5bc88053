"""How a worker begins: what it is told before its first task.

`pack_setup` runs in the caller when the pool is made, `greeting` there for each worker that starts, and `start` in the
worker, once. What `start` raises breaks the pool, with that as the cause.
Pinned by tests/executors/test_initializer.py and test_interpreters.py.
"""

import sys
from marshal import dumps as dump_plain
from marshal import loads as load_plain

from weft._payloads.late_imports import when_imported
from weft._payloads.main_module import main_info, prepare_main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from weft._payloads.initializing import Inherited

__all__ = ["enter", "greeting", "pack_setup", "start"]


def pack_setup(
    initializer: "Callable[..., object] | None",
    initargs: "tuple[Any, ...]",
    preload: "Sequence[str]",
    inner_threads: int = 0,
    *,
    own_process: bool = True,
) -> "tuple[bytes, Inherited | None]":
    """What a worker is told, and what else a process of its own gets from `Handover.add_to`.

    Args:
        initializer: Called in the worker, or None.
        initargs: Its arguments.
        preload: Modules to import first.
        inner_threads: How many threads the libraries there may use for one call; 0: as many as they like.
        own_process: Whether a worker has a process to itself.

    Raises:
        weft.errors.PayloadError: The initializer or an argument of it cannot be pickled.
    """
    call, inherited = b"", None
    if initializer is not None:
        from weft._payloads.initializing import pack_initializer

        call, inherited = pack_initializer(initializer, initargs, own_process=own_process)
    info: dict[str, Any] = {**main_info()}
    return dump_plain((info, tuple(preload), inner_threads, own_process, call)), inherited


def greeting(setup: bytes) -> bytes:
    """What a worker is told that starts now: `setup`, and what it needs of the caller as it is at this moment.

    That is what the loggers let through, and the key by which proxies of `multiprocessing` managers are let in.
    """
    from weft._payloads.receiving import levels

    key = b""
    if "multiprocessing.connection" in sys.modules:
        from multiprocessing.process import current_process

        key = bytes(current_process().authkey)
    return dump_plain((setup, levels(), key, b"", -1))


def start(greeting: bytes, say: "Callable[[bytes], None]") -> "Callable[[], object] | None":
    """Makes a fresh interpreter or process ready for tasks.

    Args:
        greeting: What `greeting` gave, or `Handover.add_to`.
        say: Takes what is said beside results from now on; see asides.py.

    Returns:
        What the worker calls after its last task, if there is something.
    """
    from weft._payloads.asides import install

    setup, levels, key, own_call, tracker = load_plain(greeting)
    install(say, streams=True, levels=levels)
    if key:
        when_imported("multiprocessing.process", lambda: _take_key(key))
    if tracker >= 0:
        from weft._payloads.handed import take_tracker

        when_imported("multiprocessing.resource_tracker", lambda: take_tracker(tracker))
    main, preload, inner_threads, own_process, call = load_plain(setup)
    if inner_threads and own_process:
        from weft._payloads.inner_threads import limit_libraries_to_come

        limit_libraries_to_come(inner_threads)
    if not own_process:
        import os

        # Who interrupts a task looks for `Interrupted` beside it, where an import takes a turn of the GIL per file.
        __import__("weft.errors")

        # A spare was made when the environment may have been another one.
        os.reload_environ()  # type: ignore[attr-defined]  # since 3.14, as interpreters
    end = None
    prepare_main(main)
    for name in preload:
        __import__(name)
    if call := call or own_call:
        from weft._payloads.working import unpack_call

        _, _, initializer, *arguments = unpack_call(call)
        end = enter(initializer(*arguments))
    if inner_threads:
        from weft._payloads.inner_threads import limit_loaded_libraries

        limit_loaded_libraries(inner_threads, own_process=own_process)
    return end


def _take_key(key: bytes) -> None:
    from multiprocessing.process import current_process

    current_process().authkey = key


def enter(returned: object) -> "Callable[[], object] | None":
    """Enters the context manager that an initializer returned, if it did.

    Returns:
        What leaves it.
    """
    kind: Any = type(returned)
    if not (hasattr(kind, "__enter__") and hasattr(kind, "__exit__")):
        return None
    kind.__enter__(returned)
    return lambda: kind.__exit__(returned, None, None, None)
