"""Pipelines for `weft run`."""

import os
import time
from pathlib import Path

from weft.pipelines import Pipeline, node


@node(output_name="words")
def split(text: str) -> list[str]:
    if text == "bad":
        raise ValueError("a bad text")
    return text.split()


@node(output_name="count")
def count(words: list[str], least: int = 1) -> int:
    return sum(len(word) >= least for word in words)


@node(output_name="pid")
def slow(number: int, folder: str) -> int:
    """Leaves a file for each time that it runs. Each twenty wait while there is a file for them beside the folder."""
    time.sleep(0.02)
    while Path(folder).with_name(f"hold-{number // 20}").exists():
        time.sleep(0.005)
    (Path(folder) / f"{number}-{time.monotonic_ns()}").touch()
    return os.getpid()


@node(output_name="thing")
def opaque(number: int) -> object:
    return object()


counting = Pipeline([split, count], name="counting")
slowly = Pipeline([slow], name="slowly")
unwritable = Pipeline([opaque], name="unwritable")
