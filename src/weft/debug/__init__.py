"""What tasks did and are doing: traces of what has run, a dump of what runs now, and what blocks leave behind.

Tracing costs one relaxed load a task while it is off, and under 200 ns a task while it is on (invariant 8). All of
these may be called on any thread. Each interpreter of a process traces for itself.
"""

from weft.debug._deltas import ResourceDelta, track_resource_deltas
from weft.debug._dump import dump, get_num_worker_threads, get_worker_thread_id
from weft.debug._hangs import HangWatch, dump_on_hang
from weft.debug._resources import Resources
from weft.debug._tracing import Trace, TraceEvent, disable_tracing, enable_tracing

__all__ = [
    "HangWatch",
    "ResourceDelta",
    "Resources",
    "Trace",
    "TraceEvent",
    "disable_tracing",
    "dump",
    "dump_on_hang",
    "enable_tracing",
    "get_num_worker_threads",
    "get_worker_thread_id",
    "track_resource_deltas",
]
