"""Ends a trace that a failed test has left on."""

from collections.abc import Callable, Iterator

import pytest

from weft import debug
from weft.debug import Trace, TraceEvent


@pytest.fixture(autouse=True)
def tracing_is_off() -> Iterator[None]:
    yield
    debug.disable_tracing()


@pytest.fixture
def ended() -> Callable[[], Trace]:
    """Ends the trace that is on."""

    def end() -> Trace:
        trace = debug.disable_tracing()
        assert trace is not None
        return trace

    return end


@pytest.fixture
def events(ended: Callable[[], Trace]) -> Callable[[], list[TraceEvent]]:
    """Ends the trace that is on, and gives its events."""
    return lambda: ended().events
