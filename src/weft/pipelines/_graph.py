"""Whether nodes make a graph: refusals when a pipeline is built, and the order in which its nodes can run.

All that is wrong is told at once, each with the names of the nodes. Pinned by tests/pipelines/test_refusals.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from weft.errors import InvalidPipeline
from weft.pipelines import _types
from weft.pipelines._nested import PipelineNode
from weft.pipelines._node import Node

if TYPE_CHECKING:
    from weft.pipelines._pipeline import Pipeline

    type Element = Node | PipelineNode

__all__ = ["checked_elements", "in_order", "producers_of"]


def checked_elements(nodes: object, name: str | None) -> tuple[Element, ...]:
    """The nodes of a pipeline, if they are some.

    Raises:
        InvalidPipeline: Something among them is none, or two have one name.
    """
    from weft.pipelines._pipeline import Pipeline

    if isinstance(nodes, Node | PipelineNode | Pipeline) or not isinstance(nodes, Iterable):
        problem = f"nodes has to be a list of nodes, not {_what(nodes)}: write [{_called(nodes)}]"
        raise InvalidPipeline(pipeline=name, problems=[problem])
    given = cast("Iterable[Any]", nodes)
    elements: list[Any] = [one.as_node() if isinstance(one, Pipeline) else one for one in given]
    problems: list[str] = []
    if not elements:
        problems.append("it has no nodes: give it at least one")
    for position, one in enumerate(elements):
        if not isinstance(one, Node | PipelineNode):
            remedy = "write @node(output_name=...) above it" if callable(one) else "give what @node or as_node() makes"
            problems.append(f"nodes[{position}] is {_what(one)}, not a node: {remedy}")
    if not problems:
        seen: dict[str, int] = {}
        for position, one in enumerate(elements):
            first = seen.setdefault(one.name, position)
            if first != position:
                problems.append(
                    f"nodes[{first}] and nodes[{position}] are both called {one.name!r}: use with_name(...) for one"
                )
    if problems:
        raise InvalidPipeline(pipeline=name, problems=problems)
    return tuple(elements)


def producers_of(elements: tuple[Element, ...], name: str | None) -> Mapping[str, Element]:
    """Which node gives each output.

    Raises:
        InvalidPipeline: Two give the same.
    """
    found: dict[str, Element] = {}
    problems: list[str] = []
    for one in elements:
        for output in one.outputs:
            other = found.setdefault(output, one)
            if other is not one:
                how = "output_mapping" if isinstance(one, PipelineNode) else "output_name"
                problems.append(f"nodes {other.name!r} and {one.name!r} both give {output!r}: change the {how} of one")
    if problems:
        raise InvalidPipeline(pipeline=name, problems=problems)
    return found


def in_order(elements: tuple[Element, ...], producers: Mapping[str, Element], name: str | None) -> tuple[Element, ...]:
    """The nodes such that each comes after those whose outputs it takes; else in the order in which they were given.

    Raises:
        InvalidPipeline: They go in a circle, or one takes what it cannot be given.
    """
    position = {one.name: index for index, one in enumerate(elements)}
    before = {one.name: {producers[taken].name for taken in one.inputs if taken in producers} for one in elements}
    waiting = {one: len(others) for one, others in before.items()}
    after: dict[str, list[str]] = {one: [] for one in before}
    for one, others in before.items():
        for other in others:
            after[other].append(one)
    ready = [position[one] for one, count in waiting.items() if not count]
    heapify(ready)
    order: list[Element] = []
    while ready:
        element = elements[heappop(ready)]
        order.append(element)
        for one in after[element.name]:
            waiting[one] -= 1
            if not waiting[one]:
                heappush(ready, position[one])
    if len(order) < len(elements):
        raise InvalidPipeline(pipeline=name, problems=[_circle(before, waiting, elements, producers)])
    problems = [problem for one in order for problem in _mismatches(one, producers)]
    if problems:
        raise InvalidPipeline(pipeline=name, problems=problems)
    return tuple(order)


def _circle(
    before: Mapping[str, set[str]],
    waiting: Mapping[str, int],
    elements: tuple[Element, ...],
    producers: Mapping[str, Element],
) -> str:
    """One way round, in words."""
    names = [one for one, count in waiting.items() if count]
    # Each that waits has one before it that waits too: going back finds a circle, perhaps after a tail.
    walk = [names[0]]
    while True:
        previous = min(one for one in before[walk[-1]] if waiting[one])
        if previous in walk:
            circle = [*walk[walk.index(previous) :], previous][::-1]
            break
        walk.append(previous)
    by_name = {one.name: one for one in elements}
    steps = [
        next(taken for taken in by_name[later].inputs if taken in producers and producers[taken].name == earlier)
        for earlier, later in pairwise(circle)
    ]
    told = circle[0] + "".join(f" -({what})-> {one}" for what, one in zip(steps, circle[1:], strict=True))
    return f"its nodes go in a circle: {told}; break it by renaming an input or an output"


def _mismatches(element: Element, producers: Mapping[str, Element]) -> Iterable[str]:
    for taken, wanted in wanted_types(element).items():
        producer = producers.get(taken)
        if producer is None:
            continue
        given = given_types(producer).get(taken, Any)
        if not _types.can_be(given, wanted):
            yield (
                f"node {producer.name!r} gives {taken!r} as {_types.shown(given)}, and node {element.name!r} takes "
                f"{_types.shown(wanted)}: correct an annotation, or convert it in a node between them"
            )


def wanted_types(element: Element) -> Mapping[str, Any]:
    """What the inputs of a node are annotated as, where they are."""
    if isinstance(element, Node):
        found = _types.annotations_of(element.fn)
        return {name: found[name] for name in element.inputs if name in found}
    inner = _taken_inside(element.pipeline)
    types = {outer: inner[name] for outer in element.inputs if (name := element.inner_input(outer)) in inner}
    # The pipeline takes one element of these.
    return {name: list[kind] if name in element.map_over else kind for name, kind in types.items()}


def given_types(element: Element) -> Mapping[str, Any]:
    """What the outputs of a node are annotated as, where they are."""
    import typing

    if isinstance(element, Node):
        found = _types.annotations_of(element.fn).get("return", Any)
        given = _types.given_by(found, element.kind)
        if element.single:
            return {element.outputs[0]: given}
        parts = typing.get_args(given)
        fits = typing.get_origin(given) is tuple and len(parts) == len(element.outputs) and Ellipsis not in parts
        return dict(zip(element.outputs, parts, strict=True)) if fits else {}
    found: dict[str, Any] = {}
    for one in element.pipeline.order:
        for inner, kind in given_types(one).items():
            outer = next((name for name in element.outputs if element.inner_output(name) == inner), None)
            if outer is not None:
                found[outer] = list[kind] if element.map_over else kind
    return found


def _taken_inside(pipeline: Pipeline) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for one in pipeline.order:
        for name, kind in wanted_types(one).items():
            if name in pipeline.inputs:
                found.setdefault(name, kind)
    return found


def _what(thing: object) -> str:
    return f"the function {thing.__name__}" if hasattr(thing, "__code__") else f"a {type(thing).__name__}"  # type: ignore[attr-defined]


def _called(thing: object) -> str:
    return getattr(thing, "name", None) or "..."
