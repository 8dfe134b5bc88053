"""How a template process is started: a fresh interpreter like this one, in a process group of its own.

The same executable and options as this interpreter, as multiprocessing starts its children. A group of its own, so
that Ctrl-C at the terminal reaches the caller and no one else; an empty stdin, which two processes could not share;
stdout and stderr are the caller's. It inherits the socket and the lifeline and no other descriptor.

`posix_spawn` and not `subprocess`: nothing of this process is copied, however large it is, no Python code runs
between fork and exec, and one call sets the group before the first instruction.
Pinned by tests/executors/test_template.py.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from weft.executors._template import boot

if TYPE_CHECKING:
    from weft.executors._template.surroundings import Surroundings

__all__ = ["Orders", "spawn"]


class Orders(TypedDict):
    """What a template is told first. Plain data, so that `marshal` can carry it."""

    surroundings: Surroundings
    preload: tuple[str, ...]
    run: str
    parent: int


def spawn(environment: dict[str, str], socket: int, lifeline: int) -> int:
    """Starts a template on descriptors of its own, which stay the caller's here too.

    Returns:
        Its process id. It is a child of this process, to be reaped by whoever called this.

    Raises:
        OSError: There is no such executable, or no room for a process or a descriptor.
    """
    executable = _executable()
    if not executable:
        raise FileNotFoundError("sys.executable is empty: this program does not know its Python interpreter")
    high: list[int] = []
    try:
        # Past the numbers that they get there, so that one cannot take the place of the other.
        for number in (socket, lifeline):
            high.append(fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 10))  # noqa: PERF401  # closed below, also one alone
        return os.posix_spawn(
            executable,
            [executable, *_options(), boot.__file__],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, high[0], boot.SOCKET),
                (os.POSIX_SPAWN_DUP2, high[1], boot.LIFELINE),
            ],
            setpgroup=0,
            setsigmask=(),
        )
    finally:
        for number in high:
            os.close(number)


def _executable() -> str:
    # What an embedding program told multiprocessing holds here too.
    spawning = sys.modules.get("multiprocessing.spawn")
    told = None if spawning is None else spawning.get_executable()
    return os.fsdecode(told) if told else sys.executable


def _options() -> Sequence[str]:
    from subprocess import _args_from_interpreter_flags  # type: ignore[attr-defined]  # as multiprocessing does

    return _args_from_interpreter_flags()  # type: ignore[no-any-return]
