"""Initializers that return context managers, and tasks for their workers."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

here = threading.local()


def note(path: str, text: str) -> None:
    with open(path, "a") as file:
        file.write(text + "\n")


def note_after(seconds: float, path: str, text: str) -> None:
    time.sleep(seconds)
    note(path, text)


@contextmanager
def connected(path: str) -> Iterator[None]:
    here.connection = f"{os.getpid()} {threading.get_ident()}"
    note(path, "entered")
    yield
    note(path, "left")


def connection() -> str:
    time.sleep(0.002)
    return here.connection


@contextmanager
def saying() -> Iterator[None]:
    print("hello")
    yield
    print("good bye")
    sys.stdout.write("unfinished")


@contextmanager
def broken_entry() -> Iterator[None]:
    raise ConnectionError("nobody there")
    yield


@contextmanager
def broken_exit() -> Iterator[None]:
    yield
    raise ConnectionError("on the way out")


def variables() -> dict[str, str]:
    from weft._payloads.inner_threads import VARIABLES

    return {name: os.environ.get(name, "") for name in VARIABLES}


def blas_threads() -> list[int]:
    import numpy as np  # noqa: F401
    from threadpoolctl import threadpool_info

    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
