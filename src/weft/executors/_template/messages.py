"""What the caller and the template say to each other: tuples of plain data, with descriptors beside them.

A message is a header (the length of its body, how many descriptors it brings), then its body, which `marshal` wrote.
The descriptors travel with the first byte of the header. So a reader that takes the header by itself knows whose they
are, even if some are lost for want of room in its table: a message whose descriptors are not all there has `None` in
place of them.

    caller to template                                      template to caller
    "start", number, numbers, setup, surroundings           "ready",
    "kill", number, signal                                  "failed", module, failure
                                                            "started", number, pid  (and a pidfd)
                                                            "refused", number, errno
                                                            "ended", number, status
The caller's first message is another: the `Orders` of launch.py, which boot.py reads.

One reader and one writer at a time on each side. Not a packet socket, which macOS does not have.
Pinned by tests/executors/test_template.py.
"""

import _socket
from marshal import dumps, loads
from posix import close

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["MOST_DESCRIPTORS", "ancillary", "frame", "receive"]

HEADER = 8  # six bytes of length, two of the number of descriptors; boot.py knows it too
MOST_DESCRIPTORS = 253  # in one message, on Linux
_NUMBER = 4  # bytes of a descriptor's number, in the system's order
_CLOSE_ON_EXEC = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)


def frame(message: "tuple[Any, ...]", descriptors: int = 0) -> bytes:
    """A message in bytes."""
    body = dumps(message)
    return len(body).to_bytes(6) + descriptors.to_bytes(2) + body


def ancillary(descriptors: "Sequence[int]") -> "list[tuple[int, int, bytes]]":
    """Descriptors, as `sendmsg` takes them."""
    if not descriptors:
        return []
    from sys import byteorder

    numbers = b"".join(number.to_bytes(_NUMBER, byteorder) for number in descriptors)
    return [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)]


def receive(socket: "_socket.socket") -> "tuple[tuple[Any, ...], list[int] | None]":
    """Waits for one whole message.

    Returns:
        The message and its descriptors, which are the caller's now and close at exec; None where some were lost.

    Raises:
        EOFError: The other side has gone, perhaps in the middle of a message.
        OSError: So has the connection.
    """
    descriptors: list[int] = []
    header, beside, _, _ = socket.recvmsg(HEADER, _socket.CMSG_SPACE(MOST_DESCRIPTORS * _NUMBER), _CLOSE_ON_EXEC)
    for level, kind, data in beside:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            descriptors += _numbers(data)
    try:
        header += _take(socket, HEADER - len(header))
        body = _take(socket, int.from_bytes(header[:6]))
    except BaseException:
        _close_all(descriptors)
        raise
    if len(descriptors) != int.from_bytes(header[6:]):
        _close_all(descriptors)
        return loads(body), None
    return loads(body), descriptors


def _numbers(data: bytes) -> list[int]:
    from sys import byteorder

    whole = len(data) - len(data) % _NUMBER
    numbers = [int.from_bytes(data[at : at + _NUMBER], byteorder) for at in range(0, whole, _NUMBER)]
    if not _CLOSE_ON_EXEC:
        from os import set_inheritable

        for number in numbers:
            set_inheritable(number, False)
    return numbers


def _take(socket: "_socket.socket", count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = socket.recv(min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _close_all(descriptors: list[int]) -> None:
    for number in descriptors:
        close(number)
