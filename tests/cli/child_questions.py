"""What test_child.py asks a child process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any


def echo(argument: Any) -> Iterator[Any]:
    print("noise")
    yield argument
    yield os.getpid() == os.getpgrp()


def path(_: object) -> Iterator[Any]:
    yield sys.path


def fail(_: object) -> Iterator[Any]:
    yield 1
    raise LookupError("not today")


def crash(_: object) -> Iterator[Any]:
    yield 1
    os.kill(os.getpid(), signal.SIGKILL)


def hang(file: str) -> Iterator[Any]:
    """Leaves a child of its own, too, and says who both are."""
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(1000)"])
    with open(file, "w") as said:
        said.write(f"{os.getpid()} {child.pid}")
    yield "begun"
    time.sleep(1000)
