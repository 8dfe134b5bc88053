"""`Pipeline.explain_cache`: which results would be found, and why the others would not.

A miss is explained by what the keys of the same node's former results were made of: the same inputs with another
function, or the same function with other inputs. Nothing is run, and nothing counts as used.
Pinned by tests/pipelines/test_cache.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from weft.pipelines._context import context_for
from weft.pipelines._digests import SIZE

if TYPE_CHECKING:
    from weft.config import RuntimeConfig
    from weft.pipelines._cache import Cache
    from weft.pipelines._pipeline import Pipeline
    from weft.pipelines._plan import Plan, Step

__all__ = ["CacheExplanation", "explain"]


@dataclass(frozen=True, slots=True)
class CacheExplanation:
    """What would become of one node.

    Attributes:
        node: The node, after the nested pipelines that it is in.
        state: "hit": its result is there; "miss": it is not; "unknown": that depends on what another node gives; "off":
            it is not cached.
        why: In words.

    Example:
        >>> from weft import RuntimeConfig
        >>> from weft.pipelines import MemoryCache, Pipeline, node
        >>> double = node(output_name="y", name="double")(lambda x: 2 * x)
        >>> pipeline = Pipeline([double], config=RuntimeConfig(cache=MemoryCache()))
        >>> pipeline.run(x=1)
        {'y': 2}
        >>> for one in pipeline.explain_cache(x=1) + pipeline.explain_cache(x=2):
        ...     print(one)
        double: hit, its function and inputs are the same
        double: miss, input 'x' differs
    """

    node: str
    state: Literal["hit", "miss", "unknown", "off"]
    why: str

    def __str__(self) -> str:
        return f"{self.node}: {self.state}, {self.why}"


def explain(
    pipeline: Pipeline, plan: Plan, given: dict[str, Any], config: RuntimeConfig | None
) -> list[CacheExplanation]:
    """What would become of each node."""
    context = context_for(pipeline, plan, config)
    keys = context.keys
    values = plan.start(given)
    slots: list[bytes | None] = [None] * plan.size if keys is None else keys.start(values)
    made = {slot for step in plan.steps for slot in step.outs}
    told: list[CacheExplanation] = []
    for step, options in zip(plan.steps, context.work.options, strict=True):
        if options.cache is None or keys is None:
            told.append(CacheExplanation(step.path, "off", _why_off(step, context.config)))
            continue
        open_inputs = [
            name for name, slot in zip(step.names, step.args, strict=True) if slot in made and slots[slot] is None
        ]
        if open_inputs:
            why = f"input {open_inputs[0]!r} comes from a node that is not cached, and has to be run first"
            told.append(CacheExplanation(step.path, "unknown", why))
            continue
        key = keys.of_step(step, values, slots)
        if key is None:
            told.append(CacheExplanation(step.path, "off", "its function, or an input, cannot be told from others"))
        elif options.cache.contains(key):
            told.append(CacheExplanation(step.path, "hit", "its function and inputs are the same"))
        else:
            told.append(CacheExplanation(step.path, "miss", _why_missed(step, options.cache, keys.parts(step, slots))))
    return told


def _why_off(step: Step, config: RuntimeConfig) -> str:
    if step.kind == "map":
        return "the pipeline that it maps is cached node by node"
    return "it says cache=False" if not step.cache else "the configuration has no cache"


def _why_missed(step: Step, cache: Cache, parts: bytes) -> str:
    former = [one for one in cache.history(step.path) if len(one) == len(parts)]
    if not former:
        return "nothing of this node is in the cache"
    if any(one[SIZE:] == parts[SIZE:] for one in former):
        return "its code has changed, or that of a helper, or what they find around them"
    if all(one[:SIZE] != parts[:SIZE] for one in former):
        return "its code or what is around it has changed, and so have its inputs"
    differing = min((_differing(one, parts) for one in former if one[:SIZE] == parts[:SIZE]), key=len)
    named = ", ".join(repr(step.names[position]) for position in differing)
    return f"input {named} differs" if len(differing) == 1 else f"inputs {named} differ"


def _differing(one: bytes, other: bytes) -> list[int]:
    count = len(one) // SIZE - 1
    return [
        position
        for position in range(count)
        if one[(position + 1) * SIZE : (position + 2) * SIZE] != other[(position + 1) * SIZE : (position + 2) * SIZE]
    ]
