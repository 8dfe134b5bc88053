"""Frames: what was sent comes out, in pieces of any size; what is no frame is refused before memory is taken for it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.executors.race import race
from weft.actors._frames import HEADER, MOST_BUFFERS, MOST_BYTES, Decoder, encode
from weft.actors._memory import SLIP_BYTES, Slip
from weft.errors import ChannelFault

FRAMES = st.lists(
    st.tuples(
        st.integers(1, 21),
        st.integers(0, 2**64 - 1),
        st.binary(max_size=200),
        st.lists(st.binary(max_size=100), max_size=4),
    ),
    max_size=8,
)


def decoded(data: bytes, cuts: list[int], limit: int = MOST_BYTES) -> list[tuple[int, int, bytes, list[bytes]]]:
    decoder = Decoder(limit)
    found = []
    at = 0
    for end in [*sorted(cuts), len(data)]:
        piece = data[at:end]
        at = max(at, end)
        while piece:
            room = decoder.room()
            if room is None:
                found += decoder.feed(piece)
                piece = b""
            else:
                count = min(len(room), len(piece))
                room[:count] = piece[:count]
                room.release()
                found += decoder.filled(count)
                piece = piece[count:]
    return [(kind, number, bytes(head), [bytes(each) for each in buffers]) for kind, number, head, buffers in found]


@given(FRAMES, st.lists(st.integers(0, 2000), max_size=10))
def test_what_was_sent_comes_out_however_it_is_cut(frames, cuts) -> None:
    data = b"".join(bytes(part) for frame in frames for part in encode(*frame))
    assert decoded(data, [min(cut, len(data)) for cut in cuts]) == [(k, n, h, list(b)) for k, n, h, b in frames]


def test_a_long_body_is_received_in_place(rng: random.Random) -> None:
    body = rng.randbytes(1 << 20)
    data = b"".join(bytes(part) for part in encode(10, 7, b"head", [body, b"", b"tail"]))
    cuts = sorted(rng.randrange(len(data)) for _ in range(9))
    assert decoded(data, cuts) == [(10, 7, b"head", [body, b"", b"tail"])]


@given(st.binary(min_size=16, max_size=400))
def test_garbage_is_refused_or_waited_for_and_never_anything_else(data: bytes) -> None:
    try:
        decoded(data, [], limit=4096)
    except ChannelFault:
        pass


@pytest.mark.parametrize("kind", [0, 22, 255])
def test_an_unknown_kind_is_refused(kind: int) -> None:
    with pytest.raises(ChannelFault, match="no message begins with"):
        Decoder().feed(HEADER.pack(kind, 0, 0, 0, 0))


def test_a_length_over_the_limit_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(ChannelFault, match="4294967295 bytes was announced"):
        Decoder().feed(HEADER.pack(6, 0, 0, 2**32 - 1, 0))


def test_a_table_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ChannelFault):
        Decoder().feed(HEADER.pack(6, 0, 9, 8, 0) + bytes(8))
    with pytest.raises(ChannelFault, match="has buffers of"):
        Decoder().feed(HEADER.pack(6, 0, 1, 4, 0) + b"\xff\xff\xff\xff")


def test_slips_go_instead_of_buffers_and_are_looked_up() -> None:
    there = {bytes([n]) * SLIP_BYTES: bytes([n]) * 1000 for n in (1, 2)}
    first, second = (Slip(name) for name in there)
    data = b"".join(encode(16, 5, first, [b"small", second]))
    assert len(data) < 200
    decoder = Decoder(take=lambda slip: memoryview(there[slip]))
    ((kind, number, head, buffers),) = decoder.feed(data)
    assert (kind, number, bytes(head)) == (16, 5, bytes([1]) * 1000)
    assert [bytes(buffer) for buffer in buffers] == [b"small", bytes([2]) * 1000]
    with pytest.raises(ChannelFault, match="beside the channel"):
        Decoder().feed(data)
    with pytest.raises(ChannelFault, match="not in these words"):
        Decoder(take=memoryview).feed(HEADER.pack(16, 0, 1, 8, 0) + b"\x80\0\0\x04slip")


@pytest.mark.parametrize("count", [1, 300, MOST_BUFFERS])
def test_many_buffers(count: int) -> None:
    buffers = [bytes([n % 256]) * (n % 3) for n in range(count)]
    parts = encode(16, 1, b"head", buffers)
    assert len(parts) <= 64  # a system call takes only so many
    assert decoded(b"".join(map(bytes, parts)), []) == [(16, 1, b"head", buffers)]


def test_the_buffers_of_a_message_can_be_used_by_different_threads() -> None:
    """Views of one view share a count, which free threads do not change in one step on 3.13."""
    data = b"".join(bytes(part) for part in encode(16, 1, b"head", [b"one", b"two"]))

    def use(index: int) -> Callable[[list[Any]], None]:
        def use_one(buffers: list[Any]) -> None:
            for _ in range(20_000):
                assert len(memoryview(buffers[index])) == 3

        return use_one

    def check(buffers: list[Any], outcomes: list[Any]) -> None:
        assert outcomes == [None] * 2
        assert [bytes(each) for each in buffers] == [b"one", b"two"]

    race(use(0), use(1), setup=lambda: list(Decoder().feed(data)[0][3]), check=check)


def test_too_long_a_message_is_not_sent() -> None:
    class Long(bytes):
        def __len__(self) -> int:
            return MOST_BYTES + 1

    with pytest.raises(ChannelFault, match="send it in parts"):
        encode(6, 0, Long())
