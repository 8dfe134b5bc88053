"""Asks a question of a process of its own: for what runs other people's code, which may print, crash or hang.

The child leads a process group of its own, which is killed when time is up, when it has answered, and when we are
interrupted. If we are killed ourselves, its own watchdog ends it soon after. What it prints goes nowhere; it answers
in lines of JSON, and those that it has given count, however it ends.
Pinned by tests/cli/test_child.py.
"""

import contextlib
import faulthandler
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

__all__ = ["Answer", "ask", "give_up", "search_path"]

_running: set["subprocess.Popen[bytes]"] = set()
_times_given_up = 0

_LATER = 2.0  # seconds after which the child ends by itself, counted from when we would have killed it


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        lines: What it answered, in order.
        ended: How it ended, where that was not well: "no answer within 5 s", "killed by SIGSEGV".
    """

    lines: tuple[Any, ...]
    ended: str | None


def ask(
    question: str,
    argument: object,
    seconds: float,
    *,
    path: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Answer:
    """Has a child process answer a question.

    Args:
        question: ``module:function``; it is called with the argument and yields what it answers.
        argument: What JSON can carry.
        seconds: How long it may take, the child's start included.
        path: Where the child looks for modules; by default where this process does.
        environment: Its environment; by default that of this process.

    Returns:
        The answer.
    """
    path = search_path() if path is None else path
    times_given_up = _times_given_up
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as answers, tempfile.TemporaryFile() as errors:
        asked.write(json.dumps([question, argument, seconds, list(path)]).encode())
        asked.seek(0)
        try:
            process = subprocess.Popen(
                [sys.executable, *_interpreter_options(), "-c", "from weft.cli._child import main; main()"],
                stdin=asked,
                stdout=answers,
                stderr=errors,
                env={**(os.environ if environment is None else environment), "PYTHONPATH": _root()},
                process_group=None if sys.platform == "win32" else 0,
            )
        except OSError as error:
            return Answer((), f"no process could be started: {error.strerror or error}")
        _running.add(process)
        if times_given_up != _times_given_up:  # while it was started
            _kill(process)
        ended = None
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            ended = f"no answer within {seconds:g} s"
        else:
            ended = None if status == 0 else _how(status, errors)
        finally:
            _running.discard(process)
            _end(process)
        answers.seek(0)
        return Answer(tuple(_lines(answers.read())), ended)


def give_up() -> None:
    """Ends what other threads are asking: they get no answer."""
    global _times_given_up
    _times_given_up += 1
    for process in list(_running):
        _kill(process)


def search_path() -> list[str]:
    """Where this process finds modules, as full paths: the current folder first, as for ``python -m``."""
    here = os.getcwd()
    return list(dict.fromkeys([here, *(entry or here for entry in sys.path)]))


def _root() -> str:
    """The folder that weft is imported from: the child needs it before it knows its path."""
    return str(Path(__file__).parents[2])


def _interpreter_options() -> list[str]:
    """`-P`: no file in the current folder stands in for a module that we need. The GIL as this process was told."""
    gil = sys._xoptions.get("gil")  # pyright: ignore[reportPrivateUsage]
    return ["-P", *(["-X", f"gil={gil}"] if gil is not None else [])]


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kills the child, if it still runs, and what it has left behind."""
    _kill(process)
    process.wait()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _how(status: int, errors: IO[bytes]) -> str:
    how = f"exit status {status}"
    if status < 0:
        with contextlib.suppress(ValueError):
            how = f"killed by {signal.Signals(-status).name}"
    errors.seek(0)
    last = errors.read()[-2000:].decode(errors="replace").strip().splitlines()[-1:]
    return ": ".join(["the process ended", how, *last])


def _lines(data: bytes) -> Iterator[Any]:
    for line in data.splitlines():
        with contextlib.suppress(ValueError):  # cut off in the middle
            yield json.loads(line)


def main() -> None:
    """The child's side."""
    question, argument, seconds, path = json.loads(sys.stdin.buffer.read())
    faulthandler.dump_traceback_later(seconds + _LATER, exit=True)  # a thread of C: it needs no GIL
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.path[:] = path
    module, _, name = question.partition(":")
    status = 1
    try:
        answer: Callable[[Any], Iterator[Any]] = getattr(importlib.import_module(module), name)
        for line in answer(argument):
            answers.write(json.dumps(line, default=repr).encode() + b"\n")
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(status)  # threads that were left, and what `atexit` has, are nobody's concern
