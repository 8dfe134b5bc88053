"""Nodes and pipelines that workers can import, those too that refuse much."""

import inspect
import os
import time
from dataclasses import dataclass
from typing import Any

from weft.pipelines import Pipeline, node


@node(output_name="words")
def split(text: str) -> list[str]:
    return text.split()


@node(output_name="count")
def count(words: list[str], least: int = 1) -> int:
    return sum(len(word) >= least for word in words)


@node(output_name="lengths")
def measure(words: list[str]):
    for word in words:
        yield len(word)


@node(output_name=("low", "high"))
def bounds(lengths: list[int]) -> tuple[int, int]:
    return min(lengths), max(lengths)


@node(output_name="total")
def add_up(counts: list[int]) -> int:
    return sum(counts)


@node(output_name="y")
def invert(x: float) -> float:
    return 1 / x


@node(output_name="z")
def double(y: float) -> float:
    return 2 * y


@node(output_name="pid")
def where(x: int) -> int:
    return os.getpid()


@node(output_name="waited")
async def waited(x: int) -> int:
    import asyncio

    await asyncio.sleep(0)
    return x + 1


def add_one(x: int) -> int:
    return x + 1


def spin(x: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        pass


words = Pipeline([bounds, measure, count, split], name="words")
per_text = words.as_node(
    name="texts",
    map_over="texts",
    input_mapping={"texts": "text"},
    output_mapping={"count": "counts", "words": "all_words"},
)
corpus = Pipeline([add_up, per_text], name="corpus")
TEXTS = ["to be or not to be", "that is", "the question"]


# ---- for random graphs ---------------------------------------------------------------------------------------


class Unlucky(Exception):
    pass


@dataclass(frozen=True)
class Mix:
    """A function of so many numbers, told from others by its own; it fails for some of them."""

    number: int
    names: tuple[str, ...]
    outputs: int
    unlucky: int | None

    @property
    def __signature__(self) -> inspect.Signature:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Signature([inspect.Parameter(name, kind) for name in self.names])

    def __call__(self, *args: Any) -> Any:
        total = self.number
        for arg in args:
            total = (total * 31 + (sum(arg) if isinstance(arg, list) else arg)) % 1009
        if self.unlucky is not None and total % 7 == self.unlucky:
            raise Unlucky(self.number, total)
        return total if self.outputs == 1 else tuple(total + one for one in range(self.outputs))


@dataclass(frozen=True)
class Several:
    """Gives a list of so many items."""

    number: int

    def __call__(self) -> list[int]:
        return list(range(self.number))
