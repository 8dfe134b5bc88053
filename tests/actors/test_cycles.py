"""Started and ended, again and again: threads, interpreters, descriptors, children and memory stay as they are.

`WEFT_ACTOR_CYCLES` says how often; 1,000 is what the design asks for, and takes minutes with interpreters. Without it 50
under WEFT_CHAOS=full, and fewer else.
"""

from __future__ import annotations

import gc
import os

import anyio
import pytest

from tests.actors import functions
from tests.actors.conftest import PATIENCE
from tests.executors.child import times
from weft.actors import open_nursery
from weft.debug._resources import KINDS, look

MODULE = functions.__name__
CYCLES = int(os.environ.get("WEFT_ACTOR_CYCLES") or times(50, 3))
WARM = times(10, 2)  # cycles after which all is there that stays
SPARE = 2  # of each thing there may be one more, or one that is being made: a spare interpreter and its maker
PER_CYCLE = 16 << 10  # bytes of memory that a cycle may leave, for what allocators do not give back
AT_ALL = 24 << 20  # and all cycles together


def held() -> dict[str, int]:
    """How much of each kind this process holds."""
    found = look()
    return {kind: len(getattr(found, kind) or ()) for kind in KINDS}


def memory() -> int:
    """Bytes that this process has in memory; 0 where that is not known."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return 0


@pytest.mark.deadline(60 + 3 * CYCLES)
@pytest.mark.parametrize("how", ["cancelled while it runs", "ended"])
def test_cycles_of_start_and_end_leave_nothing_more(library: str, spawn: str, how: str) -> None:
    seen: list[tuple[dict[str, int], int]] = []

    async def cycle() -> None:
        with anyio.fail_after(PATIENCE):
            async with open_nursery(spawn=spawn) as nursery:
                portal = await nursery.start_actor("a", enable_modules=[MODULE])
                assert await portal.run(functions.add, a=1, b=2) == 3
                if how == "ended":
                    await portal.cancel_actor()
                    return
                async with portal.open_context(functions.double) as (ctx, _), ctx.open_stream() as stream:
                    await stream.send(1)
                    assert await stream.receive() == 2
                    nursery.cancel()

    async def main() -> None:
        for number in range(WARM + CYCLES + 1):
            if number in (WARM, WARM + CYCLES):
                gc.collect()
                seen.append((held(), memory()))
            await cycle()

    anyio.run(main, backend=library)
    (before, memory_before), (after, memory_after) = seen
    more = {kind: (old, after[kind]) for kind, old in before.items() if after[kind] > old + SPARE}
    assert not more, f"more than before, after {CYCLES} cycles: {more}"
    assert memory_after - memory_before < AT_ALL + PER_CYCLE * CYCLES
