"""Python run in a child process, where the mode can be chosen and a program be run as by a user."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import weft

FOLDER = str(Path(weft.__file__).parents[1])
"""Where weft is imported from; the child runs in another folder."""


def start_python(*command: str, cwd: Path | None = None, mode: str | None = None) -> subprocess.Popen[str]:
    """Starts this interpreter, with nothing to read."""
    path = os.pathsep.join([FOLDER, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1", "PYTHON_COLORS": "0"}
    environment.pop("WEFT_COMPAT_MODE", None)
    if mode is not None:
        environment["WEFT_COMPAT_MODE"] = mode
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


@dataclass(frozen=True)
class Ended:
    """What a child has left."""

    stdout: str
    stderr: str
    returncode: int


def end_of(process: subprocess.Popen[str]) -> Ended:
    with process:
        try:
            stdout, stderr = process.communicate(timeout=50)
        except BaseException:
            process.kill()
            raise
    return Ended(stdout, stderr, process.returncode)


def run_python(*command: str, cwd: Path | None = None, mode: str | None = None) -> Ended:
    """Runs this interpreter to its end."""
    return end_of(start_python(*command, cwd=cwd, mode=mode))


def output_of(*command: str, cwd: Path | None = None, mode: str | None = None) -> str:
    """What it prints. It must end well, and have nothing to complain about."""
    done = run_python("-W", "error", *command, cwd=cwd, mode=mode)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout
