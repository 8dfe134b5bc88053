"""What tasks did, and what they are doing: traces of what has run, and a dump of what runs now.

Tracing costs one relaxed load a task while it is off, and under 200 ns a task while it is on (invariant 8). All of
these may be called on any thread. Each interpreter of a process traces for itself.
"""

from weft.debug._dump import dump, get_num_worker_threads, get_worker_thread_id
from weft.debug._tracing import Trace, TraceEvent, disable_tracing, enable_tracing

__all__ = [
    "Trace",
    "TraceEvent",
    "disable_tracing",
    "dump",
    "enable_tracing",
    "get_num_worker_threads",
    "get_worker_thread_id",
]
