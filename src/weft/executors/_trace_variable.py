"""`WEFT_TRACE_PATH`: whether a program is to be traced, asked when it makes its first pool.

`weft.debug` is a layer above this one, and loaded only if the variable is set.
Pinned by tests/debug/test_trace_variable.py.
"""

import os


def trace_if_asked() -> None:
    """Turns tracing on if `WEFT_TRACE_PATH` is set and this process has not done so yet."""
    path = os.environ.get("WEFT_TRACE_PATH")
    if path:
        from weft.debug import _variable

        _variable.enable_once(path)
