"""`WEFT_TRACE_PATH`: tracing for a program that knows nothing of it.

Turned on when a process makes its first pool, once. `{pid}` in the path stands for the process id; without it, a
process that finds the file being written by another takes a name with its process id in it. So children that inherit
the variable, forked or not, have files of their own.

What is wrong with the path is a warning on logger "weft": a program does not fail because it is being watched.
Pinned by tests/debug/test_trace_variable.py.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from weft.debug import _trace_file, _tracing

_logger = logging.getLogger("weft")
_done_in = 0  # the process that has asked before


def enable_once(path: str) -> None:
    """Turns tracing on, unless this has been called in this process before or it is on."""
    global _done_in
    if _done_in == os.getpid():
        return
    _done_in = os.getpid()
    try:
        _tracing.refuse_if_enabled()
    except RuntimeError:  # the program traces itself
        return
    try:
        file, descriptor = _trace_file.open_own(Path(path.replace("{pid}", str(os.getpid()))))
        _tracing.begin(file, descriptor)
    except (OSError, RuntimeError) as error:
        _logger.warning("WEFT_TRACE_PATH=%r: there will be no trace: %s", path, error)
