"""The file of a trace: one writer at a time.

A file that is being written is locked (where the system and the file system know locks), so that a child process with
the same `WEFT_TRACE_PATH`, or the same program started twice, does not write over it.
"""

from __future__ import annotations

import os
import stat
import sys
from itertools import count
from pathlib import Path


def open_alone(path: Path) -> int | None:
    """Opens a file for writing, emptied and locked.

    Args:
        path: the file; made if it is not there.

    Returns:
        The descriptor; None if somebody else is writing a trace to it.

    Raises:
        OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        if not _locked(descriptor):
            os.close(descriptor)
            return None
        if stat.S_ISREG(os.fstat(descriptor).st_mode):  # a pipe or a terminal has no length
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_own(path: Path) -> tuple[Path, int]:
    """The same, with the process id in the name if somebody else is writing a trace to it.

    Returns:
        The path that it has become, and the descriptor.

    Raises:
        OSError: it cannot be written.
    """
    names = (path.with_suffix(f".{os.getpid()}{'' if n == 1 else f'-{n}'}{path.suffix}") for n in count(1))
    candidate = path
    while (descriptor := open_alone(candidate)) is None:
        candidate = next(names)
    return candidate, descriptor


if sys.platform == "win32":

    def _locked(_: int) -> bool:
        return True

else:
    import fcntl

    def _locked(descriptor: int) -> bool:
        """Whether the file is ours now. It is unlocked when it is closed, by us or by our death."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # no file system that knows locks
            return True
        return True
