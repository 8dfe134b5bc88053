"""Races that start from a barrier: the same few things done at the same moment, again and again."""

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.executors.flavors import PATIENCE

SECONDS = float(os.environ.get("WEFT_RACE_SECONDS") or 0.5)
"""How long a race is run again and again."""

LEAST = 20
"""How many rounds it takes at least, however slow the machine."""


def race[S](
    *actions: Callable[[S], Any],
    setup: Callable[[], S],
    check: Callable[[S, list[Any]], None],
    seconds: float = SECONDS,
) -> int:
    """Makes something, lets each action loose on it at the same moment in a thread of its own, and checks what came of it.

    The threads are the same in each round, and the interpreter switches between them as often as it can: what is
    meant to collide has to arrive within microseconds.

    Args:
        actions: called with what `setup` made.
        setup: called before each round.
        check: called after each round with what `setup` made and what the actions returned or raised, in their order.
        seconds: how long to go on.

    Returns:
        The number of rounds.
    """
    begin, end = threading.Barrier(len(actions) + 1), threading.Barrier(len(actions) + 1)
    state: list[S | None] = [None]
    returned: list[Any] = [None] * len(actions)

    def runner(number: int, action: Callable[[S], Any]) -> None:
        try:
            while True:
                begin.wait()
                now = state[0]
                if now is None:
                    return
                try:
                    returned[number] = action(now)
                except BaseException as error:
                    returned[number] = error
                now = None
                end.wait(PATIENCE)
        except threading.BrokenBarrierError:
            return

    interval = sys.getswitchinterval()
    threads = [threading.Thread(target=runner, args=each, daemon=True) for each in enumerate(actions)]
    for thread in threads:
        thread.start()
    rounds = 0
    until = time.monotonic() + seconds
    try:
        sys.setswitchinterval(1e-5)
        while rounds < LEAST or time.monotonic() < until:
            state[0] = setup()
            begin.wait(PATIENCE)
            end.wait(PATIENCE)
            check(state[0], returned)
            rounds += 1
        state[0] = None
        begin.wait(PATIENCE)
    finally:
        sys.setswitchinterval(interval)
        begin.abort()
        end.abort()
    for thread in threads:
        thread.join(PATIENCE)
    print(f"{rounds} rounds")
    return rounds
