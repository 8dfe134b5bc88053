"""What a task and a test wait at for each other, in a module that workers import: nothing here may import pytest.

That takes a quarter of a second in each interpreter and process, and each interpreter keeps some megabytes of it.
"""

import os
import select
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Gate(Protocol):
    """What a task waits at until the test lets it through, or the other way round."""

    def set(self) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class CrossingGate:
    """A gate that can be pickled, for workers that share no objects with the test: a named pipe, open once it has a byte.

    The one that made it keeps the pipe; it is gone with that.
    """

    def __init__(self) -> None:
        self._path = tempfile.mktemp(prefix="weft-gate-")
        os.mkfifo(self._path)  # fails if it is there already
        self._descriptor = os.open(self._path, os.O_RDWR)

    def __reduce__(self) -> tuple[Callable[[str], Gate], tuple[str]]:
        return (GateFromAfar, (self._path,))

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)
            os.unlink(self._path)

    def set(self) -> None:
        os.write(self._descriptor, b"x")

    def wait(self, timeout: float | None = None) -> bool:
        return bool(select.select([self._descriptor], [], [], timeout)[0])


@dataclass(frozen=True, slots=True)
class GateFromAfar:
    """What becomes of a `CrossingGate` in a worker."""

    path: str

    def set(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        os.write(descriptor, b"x")
        os.close(descriptor)

    def wait(self, timeout: float | None = None) -> bool:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return bool(select.select([descriptor], [], [], timeout)[0])
        finally:
            os.close(descriptor)
