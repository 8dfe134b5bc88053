"""A pipeline as blocks in layers, each under all that it needs; a nested pipeline is a block with a drawing in it.

Layers are those of the longest path from the inputs; within a layer, blocks are ordered by the mean place of what they
are connected to, sweeping down and up (the barycentre heuristic of Sugiyama, Tagawa and Toda, 1981).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from weft.pipelines._node import REQUIRED, Node

if TYPE_CHECKING:
    from weft.pipelines import Pipeline
    from weft.viz._seen import RunRecord, Seen

__all__ = ["Block", "Drawing", "drawing_of", "seconds_shown"]

_SWEEPS = 4
_LONGEST = 28  # letters of a value that is shown


@dataclass(slots=True)
class Block:
    """One box.

    Attributes:
        id: Its own, in the whole picture.
        kind: "input", "node" or "pipeline".
        name: What is written in it.
        notes: Lines below the name: what it gives, or a default.
        over: The inputs that it is mapped over.
        inner: The drawing of a nested pipeline.
        seen: What it did in a run, if one is shown.
        share: Its part of the time of all nodes of that run, from 0 to 1.
    """

    id: str
    kind: Literal["input", "node", "pipeline"]
    name: str
    notes: list[str] = field(default_factory=list[str])
    over: tuple[str, ...] = ()
    inner: Drawing | None = None
    seen: Seen | None = None
    share: float = 0.0

    @property
    def state(self) -> str:
        """What is to be seen at a glance: "failed", "cached", "ran", "idle", or nothing without a run."""
        seen = self.seen
        if seen is None:
            return ""
        if seen.failed:
            return "failed"
        if seen.calls:
            return "ran"
        return "cached" if seen.cached else "idle"

    @property
    def told(self) -> str:
        """What it did, in words."""
        seen = self.seen
        if seen is None:
            return ""
        parts = [seconds_shown(seen.seconds)] if seen.calls else []
        if seen.calls > 1:
            parts.append(f"{seen.calls:,} calls")
        parts += [f"{count:,} {what}" for count, what in ((seen.cached, "cached"), (seen.failed, "failed")) if count]
        if seen.retries:
            parts.append(f"{seen.retries:,} tried again")
        return ", ".join(parts) or "not run"


@dataclass(slots=True)
class Drawing:
    """Blocks in layers, and what goes from one to another: the names of the values."""

    layers: list[list[Block]]
    edges: list[tuple[Block, Block, list[str]]]

    @property
    def blocks(self) -> list[Block]:
        return [block for layer in self.layers for block in layer]


def drawing_of(pipeline: Pipeline, run: RunRecord | None, prefix: str = "") -> Drawing:
    """The drawing of a pipeline.

    Args:
        pipeline: The pipeline.
        run: What it did.
        prefix: The path of the nested pipeline that it is, with a slash at its end.
    """
    drawing = _drawn(pipeline, run, prefix)
    whole = sum(block.seen.seconds for block in _leaves(drawing) if block.seen is not None)
    for block in _leaves(drawing):
        block.share = block.seen.seconds / whole if block.seen is not None and whole else 0.0
    return drawing


def _leaves(drawing: Drawing) -> list[Block]:
    found: list[Block] = []
    for block in drawing.blocks:
        found += [block] if block.inner is None else _leaves(block.inner)
    return found


def _drawn(pipeline: Pipeline, run: RunRecord | None, prefix: str) -> Drawing:
    inputs = {name: Block(f"{prefix}:{name}", "input", name, _default(pipeline, name)) for name in pipeline.inputs}
    makers: dict[str, Block] = dict(inputs)
    names: dict[tuple[str, str], list[str]] = {}
    blocks: dict[str, Block] = {block.id: block for block in inputs.values()}
    rank: dict[str, int] = {}
    for one in pipeline.order:
        path = f"{prefix}{one.name}"
        if isinstance(one, Node):
            block = Block(path, "node", one.name, [", ".join(one.outputs)], seen=None if run is None else run.of(path))
        else:
            inner = _drawn(one.pipeline, run, f"{path}/")
            block = Block(path, "pipeline", one.name, [", ".join(one.outputs)], one.map_over, inner)
        blocks[block.id] = block
        rank[block.id] = 0
        for name in one.inputs:
            maker = makers[name]
            names.setdefault((maker.id, block.id), []).append(name)
            rank[block.id] = max(rank[block.id], rank.get(maker.id, -1) + 1)
        makers.update(dict.fromkeys(one.outputs, block))
    for block in inputs.values():  # right above the first that takes it
        takers = [rank[to] for maker, to in names if maker == block.id]
        rank[block.id] = min(takers, default=0) - 1
    edges = [(blocks[maker], blocks[to], labels) for (maker, to), labels in names.items()]
    return Drawing(_ordered(blocks, rank, edges), edges)


def _default(pipeline: Pipeline, name: str) -> list[str]:
    value = pipeline.parameters[name]
    if value is REQUIRED:
        return []
    try:
        shown = repr(value)
    except Exception:  # whose value it is has a bug, and the picture is of something else
        shown = type(value).__name__
    return [f"= {shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + '…'}"]


def _ordered(blocks: dict[str, Block], rank: dict[str, int], edges: list[Any]) -> list[list[Block]]:
    layers: list[list[Block]] = [[] for _ in {*rank.values()}]
    places = {number: place for place, number in enumerate(sorted({*rank.values()}))}
    for id_, number in rank.items():
        layers[places[number]].append(blocks[id_])
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for maker, to, _ in edges:
        above.setdefault(to.id, []).append(maker.id)
        below.setdefault(maker.id, []).append(to.id)
    for _ in range(_SWEEPS):
        for near, order in ((above, layers), (below, layers[::-1])):
            _sort(order, layers, near)
    return layers


def _sort(order: list[list[Block]], layers: list[list[Block]], near: dict[str, list[str]]) -> None:
    for layer in order:
        where = {block.id: (place + 0.5) / len(one) for one in layers for place, block in enumerate(one)}
        layer.sort(key=_mean_place(where, near))


def _mean_place(where: dict[str, float], near: dict[str, list[str]]) -> Callable[[Block], float]:
    def place(block: Block) -> float:
        others = near.get(block.id)
        return sum(where[one] for one in others) / len(others) if others else where[block.id]

    return place


def seconds_shown(seconds: float) -> str:
    """A time with three digits and its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 else f"{seconds:,.0f} s"
    return f"{seconds / 1e-9:.3g} ns"
