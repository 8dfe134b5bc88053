"""`WEFT_TRACE_PATH`: tracing for a program that knows nothing of it.

Turned on when a process makes its first pool, once; who makes another one meanwhile waits for that. `{pid}` in the
path stands for the process id; without it, a process that finds the file being written by another takes a name with
its process id in it. So children that inherit the variable, forked or not, have files of their own.

What is wrong with the path is a warning on logger "weft": a program does not fail because it is being watched.
Pinned by tests/debug/test_trace_variable.py.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from weft._locks import Guard
from weft.debug import _trace_file, _tracing

_logger = logging.getLogger("weft")
_guard = Guard()
_asked_in = 0  # the process that has begun to ask
_done_in = 0  # the process that has asked: if it is to be traced, it is


def enable_once(path: str) -> None:
    """Turns tracing on, unless this has been called in this process before or it is on."""
    if _done_in != os.getpid():
        _guard(_enable_lock_held, path)


def _enable_lock_held(path: str) -> None:
    global _asked_in, _done_in
    if _asked_in == os.getpid():  # by another thread, before; or by this one, which makes a pool as it is warned
        return
    _asked_in = os.getpid()
    try:
        _enable(path)
    finally:
        _done_in = os.getpid()


def _enable(path: str) -> None:
    try:
        _tracing.refuse_if_enabled()
    except RuntimeError:  # the program traces itself
        return
    try:
        file, descriptor = _trace_file.open_own(Path(path.replace("{pid}", str(os.getpid()))))
        _tracing.begin(file, descriptor)
    except (OSError, RuntimeError) as error:
        _logger.warning("WEFT_TRACE_PATH=%r: there will be no trace: %s", path, error)
