"""The first words of a channel: the child's hello, what it is told to be, and that it is ready.

    child                                   parent
    HELLO  magic, version, child's word
                                            SPEC   parent's word, then the spec (`marshal`)
    READY, or FAILED with what was raised

With the spec the child gets the socket of its shared memory, if it is a process (weft.actors._memory).

The words are random, made for this actor, and came to the child with its socket; so each knows that the other is the
one it was made for. On Linux the kernel also says which process and user have sent the first message. Until a word
has been seen nothing else of a message is looked at, and no message may be longer than `LONGEST_HELLO`.

Blocking in the child, which has nothing else to do yet; on the loop in the parent, with a deadline.
Pinned by tests/actors/test_handshake.py.
"""

from __future__ import annotations

import hmac
import marshal
import os
import secrets
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import anyio

from weft.actors._frames import FAILED, HELLO, READY, SAID, SPEC, Buffer, Decoder, Frame, encode
from weft.errors import ChannelClosed, ChannelFault

__all__ = [
    "LONGEST_HELLO",
    "Ready",
    "Words",
    "await_hello",
    "await_ready",
    "hear_spec",
    "make_pair",
    "say",
    "say_hello",
]

LONGEST_HELLO = 4096
_LONGEST_SPEC = 1 << 24
_MAGIC = b"weft actor 1\n"
_WORD = 32  # bytes
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_DESCRIPTOR = struct.Struct("i")
_PASSCRED: int | None = getattr(socket, "SO_PASSCRED", None)
_SCM_CREDENTIALS: int = getattr(socket, "SCM_CREDENTIALS", 2)


class Words(NamedTuple):
    """What the two sides know each other by."""

    child: bytes
    parent: bytes

    @staticmethod
    def new() -> Words:
        """Two words that nobody else knows."""
        return Words(secrets.token_bytes(_WORD), secrets.token_bytes(_WORD))


class Ready(NamedTuple):
    """What the child has answered: what reads on, what came after it, and what the child failed with, if it did."""

    decoder: Decoder
    early: list[Frame]
    failure: bytes | None


def make_pair() -> tuple[socket.socket, socket.socket]:
    """The parent's end and the child's, each of which says who has written to the other."""
    ours, theirs = socket.socketpair()
    if _PASSCRED is not None:
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, _PASSCRED, 1)
    return ours, theirs


def say(end: socket.socket, kind: int, head: bytes = b"") -> None:
    """Sends a frame, and waits until it is sent. In the child, before it has a loop."""
    end.sendall(b"".join(encode(kind, 0, head)))


def say_hello(end: socket.socket, words: Words) -> None:
    """The child's first message."""
    say(end, HELLO, _MAGIC + words.child)


def hear_spec(end: socket.socket, words: Words, parent: int) -> tuple[tuple[Any, ...], int]:
    """Waits for what to be. In the child.

    Args:
        end: The child's end.
        words: What both sides know.
        parent: The parent's process id.

    Returns:
        The spec, and the descriptor that came with it; -1: none did.

    Raises:
        ChannelFault: It is not the parent who speaks.
        ChannelClosed: The parent has gone.
    """
    decoder = Decoder(_LONGEST_SPEC)
    frames: list[Frame] = []
    beside = -1
    while not frames:
        data, sender, descriptor = _receive(end)
        beside = max(beside, descriptor)
        if not data:
            raise ChannelClosed("the parent has gone")
        _check_sender(sender, parent)
        frames = decoder.feed(data) if decoder.room() is None else _filled(decoder, data)
    kind, _, head, _ = frames[0]
    if kind != SPEC or not hmac.compare_digest(bytes(head[:_WORD]), words.parent):
        raise ChannelFault("who speaks to this actor is not its parent")
    _trust(end)
    return marshal.loads(head[_WORD:]), beside


def _filled(decoder: Decoder, data: bytes) -> list[Frame]:
    room = decoder.room()
    if room is None or len(data) > len(room):
        raise ChannelFault("there was more than one message where one was expected")
    room[: len(data)] = data
    return decoder.filled(len(data))


async def await_hello(
    end: socket.socket, words: Words, peer: str, pid: int, spec: tuple[Any, ...], beside: int = -1
) -> None:
    """Waits for the child's hello, and tells it what to be. On the parent's loop.

    Args:
        end: The parent's end.
        words: What both sides know.
        peer: Who the child is, for messages.
        pid: The process that it is expected to be.
        spec: What it is told.
        beside: A descriptor that goes with that; -1: none.

    Raises:
        ChannelFault: It is not the child who speaks, or this is no hello.
        ChannelClosed: The child has gone.
    """
    decoder = Decoder(LONGEST_HELLO)
    while True:
        await anyio.wait_readable(end)
        data, sender, descriptor = _receive(end)
        if descriptor >= 0:
            os.close(descriptor)
            raise ChannelFault(f"{peer} sent a descriptor, which nobody asked for")
        if not data:
            raise ChannelClosed(f"{peer} went away before it said anything")
        _check_sender(sender, pid)
        frames = decoder.feed(data)
        if frames:
            break
    kind, _, head, _ = frames[0]
    right = kind == HELLO and head[: len(_MAGIC)] == _MAGIC
    if not right or not hmac.compare_digest(bytes(head[len(_MAGIC) :]), words.child):
        raise ChannelFault(f"who speaks on the channel of {peer} is a stranger: it does not know the word")
    rest = memoryview(b"".join(encode(SPEC, 0, words.parent + marshal.dumps(spec))))
    while rest:
        try:
            if beside >= 0:
                rest = rest[socket.send_fds(end, [rest], [beside]) :]
                beside = -1
            else:
                rest = rest[end.send(rest) :]
        except BlockingIOError:
            await anyio.wait_writable(end)
        except OSError as error:
            raise ChannelClosed(f"{peer} went away before it was ready: {error}") from None


async def await_ready(
    end: socket.socket,
    peer: str,
    said: Callable[[Buffer], object],
    take: Callable[[bytes], memoryview] | None = None,
) -> Ready:
    """Waits until the child is ready. On the parent's loop.

    Args:
        end: The parent's end.
        peer: Who the child is, for messages.
        said: Takes what the child logs and prints until then.
        take: Gives what the child has put beside the channel.

    Raises:
        ChannelFault: This is no answer.
        ChannelClosed: The child has gone.
    """
    decoder = Decoder(take=take)
    while True:
        await anyio.wait_readable(end)
        room = decoder.room()
        try:
            data = end.recv(1 << 16 if room is None else len(room))
        except OSError as error:
            raise ChannelClosed(f"{peer} went away before it was ready: {error}") from None
        if not data:
            raise ChannelClosed(f"{peer} went away before it was ready")
        frames = decoder.feed(data) if room is None else _filled(decoder, data)
        for index, (kind, _, head, _) in enumerate(frames):
            if kind == SAID:
                said(head)
            elif kind == READY:
                _trust(end)
                return Ready(decoder, frames[index + 1 :], None)
            elif kind == FAILED:
                return Ready(decoder, [], bytes(head))
            else:
                raise ChannelFault(f"{peer} said something else than that it is ready")


def _receive(end: socket.socket) -> tuple[bytes, tuple[int, int] | None, int]:
    """What is there, the process and user that wrote it, where the system says so, and a descriptor, if one came."""
    if _PASSCRED is None:
        return end.recv(LONGEST_HELLO), None, -1
    room = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_DESCRIPTOR.size)
    try:
        data, beside, _, _ = end.recvmsg(LONGEST_HELLO, room, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return b"", None, -1
    sender, descriptor = None, -1
    for level, kind, content in beside:
        if level != socket.SOL_SOCKET:
            continue
        if kind == _SCM_CREDENTIALS:
            pid, uid, _ = _CREDENTIALS.unpack(content[: _CREDENTIALS.size])
            sender = pid, uid
        elif kind == socket.SCM_RIGHTS:
            for (number,) in _DESCRIPTOR.iter_unpack(content[: len(content) // 4 * 4]):
                if descriptor >= 0:
                    os.close(descriptor)
                descriptor = number
    return data, sender, descriptor


def _check_sender(sender: tuple[int, int] | None, pid: int) -> None:
    if sender is not None and sender != (pid, os.geteuid()) and sender[0]:  # 0: a process that is not seen from here
        raise ChannelFault(
            f"a stranger speaks on the channel: process {sender[0]} of user {sender[1]}, where process {pid} was "
            "expected"
        )


def _trust(end: socket.socket) -> None:
    """Who is there is known: the kernel need not say it with each message."""
    if _PASSCRED is not None:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, _PASSCRED, 0)
