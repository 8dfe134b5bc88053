"""Ctrl-C at a terminal, in each phase of a nursery: the program ends, with all of its actors, and says so once.

A terminal sends SIGINT to every process of the group in the foreground, so to actors that are processes too; what is
sent to one process is in test_ending.py. `WEFT_CHAOS=full` has all phases by every method, and random moments.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.executors.child import times
from tests.lateness import Late, check_within

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")

READY = "ready\r\n"
SECONDS = 30.0
"""After which a program has failed to end."""

PROGRAM = """
    import fcntl, os, signal, sys, termios, time
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may have it ignored
    import anyio
    from tests.actors import functions
    from weft.actors import open_nursery

    library, method, phase = sys.argv[1:]

    def ready(nursery):
        pids = [health.pid for health in nursery.actors() if health.pid and health.pid != os.getpid()]
        print("pids", *pids, "ready", flush=True)

    async def again_and_again(nursery):
        ready(nursery)
        for number in range(10_000):
            portal = await nursery.start_actor(f"b{number}", enable_modules=[functions.__name__])
            await portal.run(functions.add, a=1, b=2)
            await portal.cancel_actor()

    async def main():
        async with open_nursery(spawn=method, grace=0.5, hard_kill=2.0) as nursery:
            portal = await nursery.start_actor("a", enable_modules=[functions.__name__])
            await portal.run(functions.add, a=1, b=2)
            match phase:
                case "waiting":
                    ready(nursery)
                    await anyio.sleep_forever()
                case "computing":  # asyncio's run lets the step of the loop end first
                    ready(nursery)
                    end = time.monotonic() + 0.5
                    while time.monotonic() < end:
                        pass
                    await anyio.sleep_forever()
                case "calling":
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(portal.run, functions.sleep_forever)
                        await anyio.sleep(0.05)
                        ready(nursery)
                case "spinning":
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(portal.run, functions.spin_async)
                        await anyio.sleep(0.05)
                        ready(nursery)
                case "streaming":
                    async with portal.open_context(functions.double) as (ctx, _), ctx.open_stream() as stream:
                        for number in range(1_000_000):
                            await stream.send(number)
                            await stream.receive()
                            if number == 10:
                                ready(nursery)
                case "starting":
                    await again_and_again(nursery)
                case "leaving":
                    await nursery.run_in_actor(functions.clean_up, seconds=0.3, path=os.devnull)
                    await anyio.sleep(0.05)
                    ready(nursery)
                    nursery.cancel()
                case "joining":
                    await nursery.run_in_actor(functions.sleep_forever)
                    ready(nursery)

    anyio.run(main, backend=library)
"""

PHASES = ["waiting", "computing", "calling", "spinning", "streaming", "starting", "leaving", "joining"]


class Terminal:
    """A program with a terminal of its own, whose keys are ours."""

    def __init__(self, *args: str) -> None:
        self._keys, theirs = os.openpty()
        self.said = ""
        command = [sys.executable, "-X", "utf8", "-X", "faulthandler", "-c", textwrap.dedent(PROGRAM), *args]
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": "."},
        )
        os.close(theirs)

    def read_until(self, text: str | None) -> None:
        """None: to the end, which comes when the last process has closed its terminal."""
        end = time.monotonic() + SECONDS
        while text is None or text not in self.said:
            if not select.select([self._keys], [], [], max(0.0, end - time.monotonic()))[0]:
                raise AssertionError(f"nothing more within {SECONDS:g} s\n{self.said}")
            if not self._read():
                assert text is None, self.said
                return

    def _read(self) -> bool:
        try:
            more = os.read(self._keys, 1 << 16)
        except OSError:  # what Linux says where nobody has the terminal open any more
            more = b""
        self.said += more.decode()
        return bool(more)

    def press_ctrl_c(self) -> None:
        os.write(self._keys, b"\x03")

    def ends_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.process.poll() is None and (left := end - time.monotonic()) > 0:
            if select.select([self._keys], [], [], min(left, 0.02))[0]:
                self._read()
        return self.process.poll() is not None

    def end(self) -> int:
        """Its exit status, when it has ended by itself."""
        try:
            status = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.read_until(None)
            raise AssertionError(f"not ended within {SECONDS:g} s\n{self.said}") from None
        self.read_until(None)
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._keys)


def press_in(phase: str, library: str, method: str, moment: float) -> tuple[float, str]:
    """How long it took from Ctrl-C to its end, in seconds, and what it has said."""
    terminal = Terminal(library, method, phase)
    try:
        terminal.read_until(READY)
        time.sleep(moment)
        begun = time.monotonic()
        terminal.press_ctrl_c()
        if not terminal.ends_within(3.0) and "Exception ignored" in terminal.said:
            terminal.press_ctrl_c()  # Python has lost the first: it came in a destructor
            begun = time.monotonic()
        status = terminal.end()
        took = time.monotonic() - begun
        said = terminal.said
    finally:
        terminal.close()
    if phase == "leaving" and status == 0:
        raise Late("it had left before the key was pressed")
    if library == "trio" and ("TrioInternalError" in said or "Cancel scope stack corrupted" in said):
        pytest.xfail("KeyboardInterrupt was raised inside of trio's own loop, or of a scope as anyio leaves it")
    assert status in (130, -signal.SIGINT), said
    pids = said.partition("pids")[2].partition("ready")[0].split()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()], said
    assert said.count("KeyboardInterrupt") >= 1, said
    assert "Fatal Python error" not in said, said
    return took, said


@pytest.mark.invariant(4)
@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c(library: str, spawn: str, phase: str) -> None:
    took, said = press_in(phase, library, spawn, moment=0.01)
    check_within(took, 3.0, said)


@pytest.mark.invariant(4)
@pytest.mark.deadline(60 + 15 * times(20, 1))
def test_ctrl_c_at_random_moments(library: str, spawn: str, rng: random.Random) -> None:
    for _ in range(times(20, 1)):
        phase = rng.choice(PHASES)
        took, said = press_in(phase, library, spawn, moment=rng.uniform(0, 0.2))
        check_within(took, 3.0, f"{phase}: {said}")
