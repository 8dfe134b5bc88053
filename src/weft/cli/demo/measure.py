"""Runs a trial in a fresh process, from the parent's side: starts it, follows it, and never leaves it behind.

The child leads a process group of its own, so that a terminal's Ctrl-C reaches only us, and that its workers
can be ended with it. However we leave, `stop` runs: it closes the child's standard input, at which the
child ends its group; waits until the last process that holds the child's standard error has gone; and kills the
group if that takes longer than `GRACE`. If we are killed ourselves, the same descriptor closes.

Pinned by tests/cli/test_measure.py and tests/cli/test_interrupt.py.
"""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Self

from weft.cli.demo.trial import Failure, Job, Trial

GRACE = 1.0  # seconds


def measure(job: Job, on_progress: Callable[[int], object]) -> Trial | Failure:
    """Runs a job in a fresh process.

    Args:
        job: The contender, the number of workers and the paths.
        on_progress: Called with the number of files done, some times a second.

    Returns:
        What was measured; a `Failure` if the contender raised, or if its process died.
    """
    with TrialProcess() as process:
        process.begin(job)
        while True:
            try:
                message: int | Trial | Failure = process.receive()
            except (EOFError, pickle.UnpicklingError):
                return process.cause_of_death()
            if not isinstance(message, int):
                return message
            on_progress(message)


class TrialProcess:
    """A child process that runs `weft.cli.demo.trial`; as a context manager it is gone at the end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *_interpreter_options(), "-c", "from weft.cli.demo.trial import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            process_group=None if sys.platform == "win32" else 0,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0,
        )
        self._errors = bytearray()
        # Every descendant holds standard error: this thread ends when the last of them has.
        self._drain = threading.Thread(target=self._read_errors, name="demo stderr", daemon=True)
        self._drain.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The child's process id, which is also its group's."""
        return self._process.pid

    def begin(self, job: Job) -> None:
        """Sends the job; a child that is dead already will be found out by `receive`."""
        stdin = _open(self._process.stdin)
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(job, stdin)
            stdin.flush()

    def receive(self) -> int | Trial | Failure:
        """Waits for the next message.

        Raises:
            EOFError: the child has died, or `pickle.UnpicklingError`: in the middle of a message.
        """
        return pickle.load(_open(self._process.stdout))

    def cause_of_death(self) -> Failure:
        """What is known about a child that ended without a result."""
        self.stop()
        status = self._process.returncode
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        errors = self._errors.decode(errors="replace").strip()
        last_words = errors.splitlines()[-1:]
        return Failure(": ".join([f"the process ended without a result ({how})", *last_words]), errors)

    def stop(self) -> None:
        """Ends the child and its workers, if they haven't ended; returns within about `GRACE` seconds."""
        try:
            with contextlib.suppress(BrokenPipeError):
                _open(self._process.stdin).close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)
                self._drain.join(GRACE)
        finally:  # also when a second Ctrl-C comes
            if self._process.poll() is None or self._drain.is_alive():
                self._kill()
            self._process.wait()
            _open(self._process.stdout).close()

    def _kill(self) -> None:
        if sys.platform == "win32":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _read_errors(self) -> None:
        with _open(self._process.stderr) as errors:
            while chunk := os.read(errors.fileno(), 65536):
                self._errors += chunk


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "Popen was asked for a pipe"
    return pipe


def _interpreter_options() -> list[str]:
    """What the child's interpreter is told; workers in processes and interpreters take it over.

    `-P`: a file in the current folder must not stand in for a module. No word of what the parser thinks of other
    people's string escapes. The GIL as this process was told.
    """
    gil = sys._xoptions.get("gil")  # pyright: ignore[reportPrivateUsage]
    return ["-P", "-W", "ignore::SyntaxWarning", *(["-X", f"gil={gil}"] if gil is not None else [])]


def _environment() -> dict[str, str]:
    """The environment, with the folder that weft is imported from at the end of the module search path."""
    package_root = str(Path(__file__).parents[3])
    existing = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([existing, package_root] if existing else [package_root])}
