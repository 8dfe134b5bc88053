"""Interpreters run as child processes, for what cannot be tried in the process of the tests: exits, forks, signals, crashes.

`WEFT_CHAOS=full` asks for the full counts of the reliability table; without it a run is short enough for `make test`.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

FULL = os.environ.get("WEFT_CHAOS") == "full"


def times(full: int, reduced: int) -> int:
    """How often to try something: the full count under WEFT_CHAOS=full."""
    return full if FULL else reduced


@dataclass
class Ended:
    """What became of a child."""

    status: int  # the exit status; negative: the signal that killed it
    output: str
    errors: str
    began_to_exit: float | None  # time.monotonic() of its line "exit <time>", the last thing its program did
    ended: float  # time.monotonic()

    @property
    def exit_seconds(self) -> float:
        """From the end of the program to the end of the process."""
        assert self.began_to_exit is not None, self
        return self.ended - self.began_to_exit

    def check_sound(self, status: int = 0) -> None:
        """Fails unless the child ended by itself, with this status and without a crash."""
        shown = f"status {self.status}\n-- output\n{self.output}\n-- errors\n{self.errors}"
        assert "Fatal Python error" not in self.errors, shown
        assert "terminate called" not in self.errors, shown
        assert self.status == status, shown


def start_child(program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Starts this interpreter on a program, with pipes, unbuffered, and stacks on stderr should it crash."""
    return subprocess.Popen(
        [sys.executable, "-u", "-X", "faulthandler", "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, **environment},
    )


def finish_child(process: subprocess.Popen[str], seconds: float) -> Ended:
    """Waits for a child's end; one that takes longer is made to dump its stacks, and fails the test."""
    watch = os.pidfd_open(process.pid)
    try:
        # Its pipes are small business: no child writes more than they hold.
        in_time = bool(select.select([watch], [], [], seconds)[0])
        ended = time.monotonic()
        if not in_time:
            process.send_signal(signal.SIGABRT)
        output, errors = process.communicate(timeout=20)
    finally:
        os.close(watch)
        process.kill()
        process.wait()
    assert in_time, f"not ended within {seconds:g} s\n-- output\n{output}\n-- errors\n{errors}"
    last = [line for line in output.splitlines() if line.startswith("exit ")]
    return Ended(process.returncode, output, errors, float(last[-1].split()[1]) if last else None, ended)


def run_child(program: str, *arguments: str, seconds: float = 30, **environment: str) -> Ended:
    """Runs a program in a child interpreter to its end."""
    with start_child(program, *arguments, **environment) as process:
        return finish_child(process, seconds)


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """For what reports no event: looks again and again."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.002)


def threads_of_this_process() -> set[int]:
    """Kernel ids of the OS threads, those that native code has started among them (Linux)."""
    return {int(thread) for thread in os.listdir("/proc/self/task")}


def descriptors_of_this_process() -> Mapping[str, str]:
    """Open file descriptors and what they lead to (Linux)."""
    found: dict[str, str] = {}
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found[descriptor] = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:  # the one that listdir itself had open
            continue
    return found


def resident_bytes() -> int:
    """Resident memory of this process (Linux)."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
