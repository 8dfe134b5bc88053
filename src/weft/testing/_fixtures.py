"""`resource_delta_fixture`: a pytest fixture that looks at what a test leaves behind.

Pinned by tests/testing/test_fixtures.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from weft._reset import reset
from weft.debug import ResourceDelta
from weft.debug._deltas import check_settle, settled
from weft.debug._resources import look
from weft.errors import MissingDependency

if TYPE_CHECKING:
    import pytest

__all__ = ["resource_delta_fixture"]


def resource_delta_fixture(
    *, autouse: bool = False, writer: Callable[[ResourceDelta], object] | None = None, settle: float = 5.0
) -> Any:
    """Makes a pytest fixture that counts threads, interpreters, processes, descriptors and shared memory around a test.

    Give it a name in a ``conftest.py``: ``nothing_is_left = resource_delta_fixture(autouse=True)``. What weft keeps
    warm for later is ended, by `weft.reset`, if something has grown: that does not count. Fixtures that are set up
    after this one are torn down before it looks; things of a wider scope are there before and after.

    Args:
        autouse: Whether each test has it, or only those that take it.
        writer: Gets the `ResourceDelta` after each test, labelled with the test's id. By default the test fails, with
            what has grown, if something has.
        settle: Seconds that what the test has started may take to end after it; waited for only if something has grown.

    Returns:
        The fixture.

    Raises:
        weft.errors.MissingDependency: pytest is not installed.
        TypeError: ``writer`` cannot be called.
        weft.errors.InvalidSetting: ``settle`` is no number of seconds >= 0.

    Example:
        >>> from weft.testing import resource_delta_fixture
        >>> nothing_is_left = resource_delta_fixture(autouse=True)
    """
    try:
        import pytest
    except ModuleNotFoundError:
        raise MissingDependency(package="pytest") from None
    if writer is not None and not callable(writer):
        raise TypeError(f"writer must be a function that takes a ResourceDelta, or None, not {writer!r}")
    check_settle(settle)
    write = _fail if writer is None else writer

    @pytest.fixture(autouse=autouse)
    def resource_delta(request: pytest.FixtureRequest) -> Iterator[None]:
        """Counts what the test leaves behind."""
        before, begun = look(), time.monotonic()
        yield
        label, seconds = request.node.nodeid, time.monotonic() - begun
        delta = settled(label, before, seconds, 0)
        if delta.growth:
            reset()
            delta = settled(label, before, seconds, settle)
        write(delta)

    return resource_delta


def _fail(delta: ResourceDelta) -> None:
    import pytest

    if delta.growth:
        pytest.fail(str(delta), pytrace=False)
