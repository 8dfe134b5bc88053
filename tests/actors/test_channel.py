"""Channels and their handshake: garbage, half a message, a stranger, a slow peer: a clear error, and nobody else minds."""

from __future__ import annotations

import os
import random
import socket
import threading
from typing import Any

import anyio
import pytest

from tests.actors.conftest import PATIENCE, Run
from weft.actors._channel import Channel
from weft.actors._frames import HELLO, ITEM, RESULT, encode
from weft.actors._handshake import Words, await_hello, await_ready, hear_spec, make_pair, say, say_hello
from weft.errors import ChannelClosed, ChannelFault


def wire(*frame: Any) -> bytes:
    return b"".join(bytes(part) for part in encode(*frame))


async def two(deliver_a, deliver_b, body) -> None:
    a, b = socket.socketpair()
    channels = Channel(a, "b"), Channel(b, "a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(channels[0].run, deliver_a)
        tasks.start_soon(channels[1].run, deliver_b)
        await body(*channels)
        for channel in channels:
            channel.close(None)


def test_frames_arrive_in_order_also_long_ones_and_from_threads(run: Run) -> None:
    async def main() -> None:
        got: list[tuple[int, bytes]] = []
        arrived = anyio.Event()

        def take(frame) -> None:
            _, number, head, buffers = frame
            got.append((number, bytes(head) + b"".join(map(bytes, buffers))))
            if len(got) == 60:
                arrived.set()

        sent = [(n, os.urandom(1 << (n % 20))) for n in range(60)]

        async def body(a: Channel, b: Channel) -> None:
            def send() -> None:
                for number, data in sent:
                    a.send(ITEM, number, b"" if number % 2 else data, [data] if number % 2 else ())

            thread = threading.Thread(target=send)
            thread.start()
            await arrived.wait()
            thread.join()
            await a.flushed()

        await two(take, take, body)
        assert got == sent

    run(main)


def test_who_sends_much_waits_until_it_is_read(run: Run) -> None:
    async def main() -> None:
        a, b = socket.socketpair()
        channel = Channel(a, "b")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(channel.run, lambda frame: None)
            channel.send(ITEM, 1, bytes(8 << 20))
            with anyio.move_on_after(0.05) as waited:
                await channel.drained()
            assert waited.cancelled_caught
            total = 0
            b.setblocking(False)
            while total < (8 << 20) + 16:
                await anyio.wait_readable(b)
                total += len(b.recv(1 << 20))
            await channel.drained()
            channel.close(None)
        b.close()

    run(main)


@pytest.mark.parametrize("what", ["end", "half", "garbage", "long"])
def test_what_is_no_message_ends_this_channel_and_wakes_who_waits(run: Run, what: str) -> None:
    data = {
        "end": b"",
        "half": wire(RESULT, 1, b"abc")[:-1],
        "garbage": b"\xff" * 64,
        "long": b"\x0a\0\0\0\xff\xff\xff\xff" + bytes(8),
    }
    match = {"half": "in the middle", "garbage": "no message begins", "long": "announced"}

    async def main() -> None:
        a, b = socket.socketpair()
        c, d = socket.socketpair()
        bad, good = Channel(a, "the peer"), Channel(c, "another")
        got = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(good.run, lambda frame: got.set())
            bad.send(ITEM, 1, bytes(8 << 20))

            async def wait() -> None:
                await bad.drained()

            tasks.start_soon(wait)
            b.sendall(data[what])
            b.close()
            if what == "end":
                await bad.run(lambda frame: None)
            else:
                with pytest.raises(ChannelFault, match=match[what]):
                    await bad.run(lambda frame: None)
            with pytest.raises(ChannelClosed):
                bad.send(ITEM, 1)
            d.sendall(wire(ITEM, 1))
            await got.wait()
            good.close(None)
        d.close()

    # A peer that closes with something unread resets the connection: then that is the end, whatever it had said.
    if what == "end":
        run(main)
    else:
        data_only = data[what]

        async def polite() -> None:
            a, b = socket.socketpair()
            bad = Channel(a, "the peer")
            b.sendall(data_only)
            b.shutdown(socket.SHUT_WR)
            with pytest.raises(ChannelFault, match=match[what]):
                await bad.run(lambda frame: None)
            with pytest.raises(ChannelFault):
                bad.send(ITEM, 1)
            b.close()

        run(polite)


def test_fuzz(run: Run, rng: random.Random) -> None:
    """Whatever comes in, the channel ends or waits; it never raises anything else, and never takes much memory."""

    async def main() -> None:
        for _ in range(150):
            a, b = socket.socketpair()
            channel = Channel(a, "the peer")
            whole = b"".join(
                wire(rng.randint(1, 21), rng.getrandbits(64), rng.randbytes(rng.randint(0, 99))) for _ in range(5)
            )
            data = bytearray(whole)
            for _ in range(rng.randint(0, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            b.sendall(bytes(data[: rng.randint(0, len(data))]))
            b.shutdown(socket.SHUT_WR)
            try:
                await channel.run(lambda frame: None)
            except ChannelFault:
                pass
            assert channel.is_closed
            b.close()

    run(main)


# ---- the handshake -----------------------------------------------------------------------------------


class Child:
    """The child's side of a handshake, on a thread."""

    def __init__(self, end: socket.socket, do) -> None:
        self.error: BaseException | None = None
        self.spec: Any = None

        def live() -> None:
            try:
                self.spec = do(end)
            except BaseException as error:
                self.error = error
            finally:
                end.close()

        self.thread = threading.Thread(target=live)
        self.thread.start()


def test_hello_spec_ready(run: Run) -> None:
    async def main() -> None:
        words, (ours, theirs) = Words.new(), make_pair()
        ours.setblocking(False)

        def do(end: socket.socket) -> Any:
            say_hello(end, words)
            spec, beside = hear_spec(end, words, os.getpid())
            os.write(beside, b"w")
            os.close(beside)
            say(end, 21, b"said")
            say(end, 3)
            say(end, 21, b"after")
            return spec

        child = Child(theirs, do)
        said: list[bytes] = []
        reading, writing = os.pipe()
        await await_hello(ours, words, "actor 'a'", os.getpid(), ("spec", bytes(100_000)), writing)
        os.close(writing)
        ready = await await_ready(ours, "actor 'a'", lambda head: said.append(bytes(head)))
        child.thread.join(PATIENCE)
        assert child.error is None
        assert child.spec == ("spec", bytes(100_000))
        assert os.read(reading, 2) == b"w"  # the end of the pipe went with the spec
        os.close(reading)
        assert ready.failure is None
        assert said == [b"said"]
        ours.close()

    run(main)


@pytest.mark.parametrize("what", ["nothing", "garbage", "another word", "another version", "long", "a result"])
def test_a_stranger_is_not_let_in(run: Run, what: str) -> None:
    async def main() -> None:
        words, (ours, theirs) = Words.new(), make_pair()
        ours.setblocking(False)
        hello = {
            "garbage": b"GET / HTTP/1.1\r\n\r\n",
            "another word": wire(HELLO, 0, b"weft actor 1\n" + bytes(32)),
            "another version": wire(HELLO, 0, b"weft actor 9\n" + words.child),
            "long": wire(HELLO, 0, bytes(5000)),
            "a result": wire(RESULT, 0, b"weft actor 1\n" + words.child),
            "nothing": b"",
        }[what]
        theirs.sendall(hello)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ChannelClosed) as caught:
            await await_hello(ours, words, "actor 'a'", os.getpid(), ("secret",))
        assert isinstance(caught.value, ChannelFault) == (what != "nothing")
        theirs.settimeout(0)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)  # it has learnt nothing
        ours.close()
        theirs.close()

    run(main)


@pytest.mark.skipif(not hasattr(socket, "SO_PASSCRED"), reason="descriptors are not looked for")
def test_a_descriptor_that_nobody_asked_for_is_refused_and_closed(run: Run) -> None:
    async def main() -> None:
        words, (ours, theirs) = Words.new(), make_pair()
        ours.setblocking(False)
        reading, writing = os.pipe()
        socket.send_fds(theirs, [wire(HELLO, 0, b"weft actor 1\n" + words.child)], [writing])
        os.close(writing)
        with pytest.raises(ChannelFault, match="sent a descriptor"):
            await await_hello(ours, words, "actor 'a'", os.getpid(), ())
        assert os.read(reading, 1) == b""  # nobody has the other end
        os.close(reading)
        ours.close()
        theirs.close()

    run(main)


@pytest.mark.skipif(not hasattr(socket, "SO_PASSCRED"), reason="the system does not say who has written")
def test_another_process_is_a_stranger_even_if_it_knows_the_word(run: Run) -> None:
    async def main() -> None:
        words, (ours, theirs) = Words.new(), make_pair()
        ours.setblocking(False)
        say_hello(theirs, words)
        with pytest.raises(ChannelFault, match=f"process {os.getpid()} of user"):
            await await_hello(ours, words, "actor 'a'", os.getpid() + 1, ())
        ours.close()
        theirs.close()

    run(main)


def test_the_child_refuses_a_parent_that_does_not_know_its_word() -> None:
    words, (ours, theirs) = Words.new(), make_pair()
    ours.sendall(wire(2, 0, bytes(32) + b"spec"))
    with pytest.raises(ChannelFault, match="is not its parent"):
        hear_spec(theirs, words, os.getpid())
    ours.close()
    with pytest.raises((ChannelClosed, ConnectionError)):
        hear_spec(theirs, words, os.getpid())
    theirs.close()


def test_a_slow_peer_keeps_nobody_else(run: Run) -> None:
    async def main() -> None:
        words, (slow, theirs) = Words.new(), make_pair()
        slow.setblocking(False)
        hello = wire(HELLO, 0, b"weft actor 1\n" + words.child)
        async with anyio.create_task_group() as tasks:
            done = anyio.Event()

            async def wait() -> None:
                await await_hello(slow, words, "actor 'slow'", os.getpid(), ())
                done.set()

            tasks.start_soon(wait)
            for byte in hello[:-1]:
                theirs.sendall(bytes([byte]))
                await anyio.sleep(0)
            assert not done.is_set()
            theirs.sendall(hello[-1:])
            await done.wait()
        slow.close()
        theirs.close()

    run(main)
