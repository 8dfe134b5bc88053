"""What the two methods of `multiprocessing` share: a child of its, that dies when this process does.

The child inherits the reading end of a pipe that nobody writes to. When this process is gone the kernel sends the child
a SIGIO, which ends it, whatever it is doing.
Pinned by tests/actors/test_spawn.py.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.reduction import DupFd
from typing import Any

from weft.actors._spawn._child_handle import Child, End, Start

__all__ = ["lacks", "spawn"]

_REAPED_WITHIN = 1.0  # seconds from the end of a child to its exit status


def lacks(method: str) -> str | None:
    """What this system lacks for it."""
    import multiprocessing

    if sys.platform == "win32":
        return "a POSIX system"
    return None if method in multiprocessing.get_all_start_methods() else f"multiprocessing's {method!r}"


def spawn(start: Start, method: str) -> Child:
    """Starts an actor."""
    lifeline, ours = os.pipe()
    try:
        with start.end:
            context: Any = get_context(method)
            process = context.Process(
                target=_live,
                args=(_Descriptor(start.end.fileno()), _Descriptor(lifeline), start.setup),
                name=f"weft-actor-{start.name}",
            )
            process.start()
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(lifeline)
    return MultiprocessingChild(process, ours)


class _Descriptor:
    """A descriptor that goes with a process that is started."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _detach, (DupFd(self.number),)


def _detach(duplicate: Any) -> int:
    number: int = duplicate.detach()
    return number


def _live(descriptor: int, lifeline: int, setup: bytes) -> None:
    """The child's main function."""
    import fcntl
    import socket

    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        if os.read(lifeline, 1) == b"":
            os._exit(1)
    from weft.actors._child import live, raise_on_signal

    raise_on_signal()
    live(socket.socket(fileno=descriptor), setup, alone=True)


class MultiprocessingChild:
    """An actor that is a child of `multiprocessing`."""

    is_process = True

    def __init__(self, process: Any, lifeline: int) -> None:
        self._process: Any = process
        self._lifeline = lifeline
        self.pid: int = process.pid
        self.descriptor: int = process.sentinel

    def on_end(self, fn: Callable[[], object]) -> None:
        """See `Child`; the descriptor tells."""

    def end(self) -> End | None:
        """See `Child`."""
        if self._process is None:
            return self._ended
        status: int | None = self._process.exitcode
        if status is None:
            return None
        self._ended = End(signal=-status) if status < 0 else End(exit_code=status)
        return self._ended

    _ended: End | None = None

    def interrupt(self) -> None:
        """See `Child`."""
        if self.end() is None and self._process is not None:
            self._process.terminate()

    def kill(self) -> bool:
        """See `Child`."""
        if self.end() is None and self._process is not None:
            self._process.kill()
        return True

    def close(self) -> None:
        """See `Child`."""
        if self._process is None:
            return
        self.end()
        self._process.join(_REAPED_WITHIN)
        self.end()
        with suppress(ValueError):  # it has not ended
            self._process.close()
        self._process = None
        self.descriptor = -1
        os.close(self._lifeline)
