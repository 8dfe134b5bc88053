"""What a kind of worker costs here: its start, and one empty call there and back. Runs in a process of its own."""

from collections.abc import Iterator
from statistics import median
from time import perf_counter
from typing import Any

from weft import capabilities
from weft._flavors import make_executor

__all__ = ["answer"]

_CALLS = 50


def answer(flavors: list[str]) -> Iterator[dict[str, Any]]:
    """Measures one flavor after another."""
    for flavor in flavors:
        if flavor == "interpreters" and not capabilities().interpreters:
            continue
        began = perf_counter()
        executor, _ = make_executor(flavor, 1, None)
        with executor:
            executor.submit(int).result()
            start = perf_counter() - began
            yield {"flavor": flavor, "start": start, "call": median(_call(executor) for _ in range(_CALLS))}


def _call(executor: Any) -> float:
    began = perf_counter()
    executor.submit(int).result()
    return perf_counter() - began
