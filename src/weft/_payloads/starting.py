"""How a worker begins: what it is told before its first task.

`pack_setup` runs in the caller when the pool is made, `greeting` there for each worker that starts, and `start` in the
worker, once. What `start` raises breaks the pool, with that as the cause.
Pinned by tests/executors/test_initializer.py and test_interpreters.py.
"""

from marshal import dumps as dump_plain
from marshal import loads as load_plain

from weft._payloads.main_module import main_info, prepare_main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["greeting", "pack_setup", "start"]


def pack_setup(
    initializer: "Callable[..., object] | None", initargs: "tuple[Any, ...]", preload: "Sequence[str]"
) -> bytes:
    """What a worker is told.

    Args:
        initializer: Called in the worker, or None.
        initargs: Its arguments.
        preload: Modules to import first.

    Raises:
        weft.errors.PayloadError: The initializer or an argument of it cannot be pickled.
    """
    call = b""
    if initializer is not None:
        from weft._payloads.culprits import payload_error
        from weft._payloads.pickling import dump

        data, culprit, error = dump((0, None, initializer, *initargs), None)
        if data is None:
            assert error is not None
            named = {f"initargs[{index}]": value for index, value in enumerate(initargs)}
            raise payload_error(error, culprit, {"initializer": initializer, **named}) from error
        call = data
    info: dict[str, Any] = {**main_info()}
    return dump_plain((info, tuple(preload), call))


def greeting(setup: bytes) -> bytes:
    """What a worker is told that starts now: `setup`, and what the caller's loggers let through."""
    from weft._payloads.receiving import levels

    return dump_plain((setup, levels()))


def start(greeting: bytes, say: "Callable[[bytes], None]") -> None:
    """Makes a fresh interpreter or process ready for tasks.

    Args:
        greeting: What `greeting` gave.
        say: Takes what is said beside results from now on; see asides.py.
    """
    from weft._payloads.asides import install

    setup, levels = load_plain(greeting)
    install(say, streams=True, levels=levels)
    main, preload, call = load_plain(setup)
    prepare_main(main)
    for name in preload:
        __import__(name)
    if call:
        from weft._payloads.working import unpack_call

        _, _, initializer, *arguments = unpack_call(call)
        initializer(*arguments)
