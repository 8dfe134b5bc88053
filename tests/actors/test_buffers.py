"""Large buffers: beside the channel, not through it; lent within the process; nothing of them is left."""

from __future__ import annotations

import gc
import os
import socket
import sys
import tracemalloc
from contextlib import suppress
from typing import Any

import anyio
import pytest

from tests.actors import functions
from tests.actors.conftest import Run
from tests.executors.child import times, wait_until
from weft import errors
from weft.actors import open_nursery
from weft.actors._channel import Channel
from weft.actors._frames import ITEM, encode
from weft.actors._memory import LEAST, Lending, SharedMemory, Slip, make_sockets
from weft.debug._resources import look

MODULE = functions.__name__
LARGE = 1 << 20
FEW = 8  # blocks that may be there at a time

linux = pytest.mark.skipif(sys.platform != "linux", reason="shared memory without a name is Linux's")


def descriptors() -> int:
    return len(look().descriptors or ())


def shared_names() -> set[str]:
    """What has a name and may be a block; others of this machine have their semaphores there, which come and go."""
    found: set[str] = set()
    for name in os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else ():
        with suppress(OSError):  # gone meanwhile
            if os.stat(f"/dev/shm/{name}").st_size >= LEAST:
                found.add(name)
    return found


def test_bytes_of_any_size_come_back_as_they_were(run: Run, spawn: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            for size in (0, 1, LEAST - 1, LEAST, LEAST + 1, LARGE + 3):
                data = os.urandom(size)
                values: list[Any] = [
                    data,
                    bytearray(data),
                    [data, {"key": data}, bytearray(data)],
                    memoryview(data),
                    ("text" * (size // 4), data),
                ]
                for value in values:
                    back = await portal.run(functions.echo, value=value)
                    assert type(back) is type(value)
                    assert back == value
                async with portal.open_context(functions.send_back) as (ctx, _), ctx.open_stream() as stream:
                    for value in values:
                        await stream.send(value)
                    for value in values:
                        assert await stream.receive() == value

    run(main)


def test_arrays_go_beside_the_pickle_and_can_be_written(run: Run) -> None:
    numpy = pytest.importorskip("numpy")
    values = numpy.arange(LARGE, dtype="f8").reshape(1024, -1)

    async def main() -> None:
        async with open_nursery(spawn="process") as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            for sent in (values, values.T, values[:, ::2], [values, values + 1]):
                back = await portal.run(functions.echo, value=sent)
                assert numpy.array_equal(back, sent)
            back = await portal.run(functions.double_array, values=values)
            back += 1
            assert numpy.array_equal(back, values * 2 + 1)
            assert values[0, 1] == 1.0

    run(main)


def test_a_view_is_lent_to_an_actor_of_this_process_and_copied_for_another(run: Run, spawn: str) -> None:
    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            data = bytearray(LARGE)
            assert await portal.run(functions.touch, view=memoryview(data)) == LARGE
            assert data[0] == (0 if spawn == "process" else 7)
            with pytest.raises(errors.RemoteActorError, match="read-only"):
                await portal.run(functions.touch, view=memoryview(bytes(LARGE)))
        gc.collect()
        data.append(1)  # nobody holds it any more

    run(main)


def test_what_an_actor_has_sent_outlives_it(run: Run, spawn: str) -> None:
    async def main() -> memoryview:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            return await portal.run(functions.view_of, data=bytes(range(256)) * 4096)

    assert run(main) == bytes(range(256)) * 4096


@linux
def test_many_large_messages_leave_nothing(run: Run, spawn: str) -> None:
    names = shared_names()

    async def main() -> None:
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            data = bytearray(LARGE)
            open_before = 0
            for number in range(times(100, 30)):
                assert await portal.run(functions.echo, value=memoryview(data)) == data
                if number == 9:
                    open_before = descriptors()
            gc.collect()
            # A spare interpreter that is being made opens files now and then.
            wait_until(lambda: descriptors() <= open_before, "no more descriptors than before")
            # A block is used again when it has come back, which may be one message later.
            assert functions.shared_mappings() <= before + FEW
            assert await portal.run(functions.shared_mappings) <= before + FEW
            async with portal.open_context(functions.send_back) as (ctx, _), ctx.open_stream() as stream:
                for _ in range(times(50, 20)):
                    await stream.send(memoryview(data))
                    await stream.send(bytes(data))
                    assert await stream.receive() == data
                    assert await stream.receive() == data

    before = functions.shared_mappings()
    run(main)
    gc.collect()
    assert functions.shared_mappings() == before
    assert shared_names() == names


@linux
def test_an_actor_killed_with_large_messages_under_way_leaves_nothing(run: Run) -> None:
    names, before = shared_names(), (descriptors(), functions.shared_mappings())
    kept: list[Any] = []

    async def main() -> None:
        with pytest.raises(BaseExceptionGroup):
            async with open_nursery(spawn="process") as nursery:
                portal = await nursery.start_actor("a", enable_modules=[MODULE])
                kept.append(await portal.run(functions.view_of, data=b"k" * LARGE))
                async with portal.open_context(functions.send_back) as (ctx, _), ctx.open_stream() as stream:
                    for _ in range(20):
                        await stream.send(bytearray(LARGE))
                    await portal.run(functions.die_while_holding, data=memoryview(bytearray(4 * LARGE)))

    for _ in range(3):
        run(main)
        assert kept.pop() == b"k" * LARGE
    gc.collect()
    assert (descriptors(), functions.shared_mappings()) <= (before[0] + 2, before[1])
    assert shared_names() == names


def test_a_stream_bounds_what_is_under_way_in_bytes_too(run: Run, spawn: str) -> None:
    item = memoryview(bytes(32 << 20))

    async def main() -> int:
        sent = 0
        async with open_nursery(spawn=spawn) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[MODULE])
            with pytest.raises(errors.ChannelClosed):
                async with portal.open_context(functions.hold_context, path=os.devnull) as (ctx, _):
                    async with ctx.open_stream() as stream:
                        with anyio.move_on_after(30.0) as scope:
                            while True:  # nobody reads
                                await stream.send(item)
                                sent += 1
                                if sent >= 8:
                                    scope.deadline = anyio.current_time() + 0.2
                    await portal.cancel_actor()
        return sent

    assert run(main) == 8


# ---- the two memories, and who lies about them ----------------------------------------------------------------------


@linux
def test_a_liar_can_only_close_the_channel(run: Run) -> None:
    lies = [(1, 0, 10, False), (2**64 - 1, 0, 1, True), (0, 2**63, 2**63, False)]

    async def main() -> None:
        for lie in [*lies, None]:
            sockets = make_sockets()
            assert sockets is not None
            ours, theirs = SharedMemory(sockets[0]), SharedMemory(sockets[1])
            a, b = socket.socketpair()
            channel = Channel(a, "a liar", memory=ours)
            if lie is None:  # a block that is there, and less of it than is said
                slip = theirs.put(bytes(LARGE))
                assert slip is not None
                slip = Slip(slip.data[:8] + (1 << 19).to_bytes(8, "big") + slip.data[16:])
            else:
                slip = Slip(b"".join(part.to_bytes(8, "big") for part in lie[:3]) + bytes([lie[3]]))
            b.sendall(b"".join(encode(ITEM, 1, b"", [slip])))
            with pytest.raises(BaseExceptionGroup) as caught:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(channel.run, lambda frame: None)
            assert caught.group_contains(errors.ChannelFault, match="names")
            theirs.close()
            b.close()

    run(main)


@linux
def test_a_descriptor_that_is_no_sealed_memory_is_refused() -> None:
    sockets = make_sockets()
    assert sockets is not None
    ours = SharedMemory(sockets[0])
    liar = socket.socket(fileno=sockets[1])
    plain = os.memfd_create("plain")
    os.truncate(plain, LARGE)
    socket.send_fds(liar, [(5).to_bytes(8, sys.byteorder)], [plain])
    os.close(plain)
    with pytest.raises(errors.ChannelFault, match="could be taken away"):
        ours.take(Slip(b"".join(part.to_bytes(8, "big") for part in (5, 0, 10)) + b"\0").data)
    liar.close()
    ours.close()


def test_what_is_lent_is_taken_once_and_dropped_at_the_end() -> None:
    lender = Lending()
    taker = Lending(lender.number)
    data = bytearray(LARGE)
    slip = lender.put(data)
    assert slip is not None
    view = taker.take(slip.data)
    view[3] = 5
    assert data[3] == 5
    with pytest.raises(errors.ChannelFault, match="not lent"):
        taker.take(slip.data)
    view.release()
    slip = lender.put(data)
    with pytest.raises(BufferError):
        data.append(1)
    taker.close()
    data.append(1)
    assert lender.put(data) is None
    lender.close()


def test_a_copy_is_lent_where_the_lender_may_end_first() -> None:
    lender = Lending(copied=True)
    data = bytearray(LARGE)
    tracemalloc.start()
    try:
        slip = lender.put(data)
        assert tracemalloc.get_traced_memory()[1] < LEAST  # it is no interpreter's
    finally:
        tracemalloc.stop()
    assert slip is not None
    data[0] = 1
    data.append(1)
    view = lender.take(slip.data)
    assert (view[0], len(view)) == (0, LARGE)
    lender.close()
    assert view[1] == 0
