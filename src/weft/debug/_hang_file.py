"""The file that a hang is written to: opened at once, so that a wrong path is said at once; removed if nothing was.

Others may have it open too, in this process or in another: each holds a shared lock, and only who can make that an
exclusive one removes the file. Appended to, so that what several write stands one after the other.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["HangFile"]


class HangFile:
    """A file to append to.

    Args:
        path: The file; made if it is not there.

    Raises:
        OSError: It cannot be written.

    Attributes:
        descriptor: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process = os.getpid()
        try:
            while True:
                self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
                _share(self.descriptor)
                if self._is_at_its_path():
                    return
                os.close(self.descriptor)  # removed by another between the two
        except OSError as error:
            what = (
                f"{error.strerror or error}; path is where stacks are written if a block hangs: name a file that can be"
            )
            raise type(error)(error.errno, what, str(path)) from None

    def length(self) -> int:
        """Bytes in it."""
        return os.fstat(self.descriptor).st_size

    def write(self, text: str) -> None:
        """Appends."""
        data = memoryview(text.encode(errors="backslashreplace"))
        while data:
            data = data[os.write(self.descriptor, data) :]

    def close(self) -> None:
        """Closes it; removes it if it is empty, and nobody else has it open."""
        try:  # in a forked child the lock is the parent's
            is_ours = self._process == os.getpid() and self.length() == 0 and _have_alone(self.descriptor)
            if is_ours and self._is_at_its_path():
                self._path.unlink(missing_ok=True)
        except OSError:
            pass  # it stays, empty
        finally:
            os.close(self.descriptor)

    def _is_at_its_path(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self.descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False


if sys.platform == "win32":

    def _share(_: int) -> None:
        pass

    def _have_alone(_: int) -> bool:
        return False

else:
    import fcntl

    def _share(descriptor: int) -> None:
        with suppress(OSError):  # no file system that knows locks
            fcntl.flock(descriptor, fcntl.LOCK_SH)

    def _have_alone(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
