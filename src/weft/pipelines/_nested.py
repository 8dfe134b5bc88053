"""`PipelineNode`: a pipeline as a node of another one, under other names, perhaps for each of many items.

Its inputs are all that the inner pipeline has, but for what is bound there and not named in ``input_mapping``: what
somebody has settled is not settled anew by a node that happens to bear the name.
Immutable; any thread. Pinned by tests/pipelines/test_running.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, cast

from weft.errors import InvalidSetting
from weft.pipelines._inputs import checked_mode, checked_over
from weft.pipelines._node import checked_name

if TYPE_CHECKING:
    from weft.pipelines._pipeline import Pipeline

__all__ = ["PipelineNode"]


class PipelineNode:
    """A pipeline as a node of another. Made by `Pipeline.as_node`; immutable.

    Attributes:
        pipeline: The pipeline.
        name: What it is called.
        map_over: The inputs, by their names here, that have an item for each run of the pipeline; its outputs are lists
            then.
        map_mode: "zip" or "product".
        parameters: Its inputs, by their names here, and their defaults.
        outputs: Its outputs, by their names here.

    Example:
        >>> from weft.pipelines import Pipeline, node
        >>> @node(output_name="square")
        ... def square(x: int) -> int:
        ...     return x * x
        >>> squares = Pipeline([square], name="squares").as_node(
        ...     map_over="numbers", input_mapping={"numbers": "x"}, output_mapping={"square": "squares"}
        ... )
        >>> Pipeline([squares]).run(numbers=[1, 2, 3])
        {'squares': [1, 4, 9]}
    """

    config = None

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        name: str | None = None,
        map_over: str | Iterable[str] | None = None,
        map_mode: str = "zip",
        input_mapping: Mapping[str, str] | None = None,
        output_mapping: Mapping[str, str] | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.name = checked_name("name", name or pipeline.name or "pipeline")
        # In the direction in which values go: outer to inner, then inner to outer.
        inner_names = _checked(input_mapping, "input_mapping", inner=pipeline.inputs, inner_first=False)
        self._inner = dict(inner_names)
        self._outer = {inner: outer for outer, inner in inner_names.items()}
        self._outer_output = _checked(output_mapping, "output_mapping", inner=pipeline.outputs, inner_first=True)
        self._inner_output = {outer: inner for inner, outer in self._outer_output.items()}
        self.parameters: dict[str, object] = {}
        for inner, default in pipeline.parameters.items():
            outer = self.outer_name(inner)
            if outer is not None:
                self.parameters[outer] = default
        self.outputs: tuple[str, ...] = tuple(self._outer_output.get(one, one) for one in pipeline.outputs)
        if len({*self.outputs}) < len(self.outputs):
            remedy = "give each output a name of its own"
            raise InvalidSetting(setting="output_mapping", value=dict(output_mapping or {}), remedy=remedy)
        if len(self.parameters) < sum(self.outer_name(one) is not None for one in pipeline.inputs):
            remedy = "give each input a name of its own"
            raise InvalidSetting(setting="input_mapping", value=dict(input_mapping or {}), remedy=remedy)
        self.map_over = () if map_over is None else checked_over(map_over, self.inputs)
        self.map_mode = checked_mode(map_mode)

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.parameters)

    def __repr__(self) -> str:
        over = f" for each of {', '.join(self.map_over)}" if self.map_over else ""
        return f"<PipelineNode {self.name}({', '.join(self.inputs)}) -> {', '.join(self.outputs)}{over}>"

    def __reduce__(self) -> Any:
        return _rebuild, (self.pipeline, self.name, self.map_over, self.map_mode, self._inner, self._outer_output)

    def with_name(self, name: str) -> PipelineNode:
        """The same node under another name.

        Args:
            name: The name.

        Returns:
            Another node.
        """
        return _rebuild(self.pipeline, name, self.map_over, self.map_mode, self._inner, self._outer_output)

    # ---- the names on both sides ---------------------------------------------------------------------

    def outer_name(self, inner: str) -> str | None:
        """What an input of the pipeline is called here; None if it is settled in there."""
        if inner in self._outer:
            return self._outer[inner]
        return None if inner in self.pipeline.bound else inner

    def inner_input(self, outer: str) -> str:
        return self._inner.get(outer, outer)

    def inner_output(self, outer: str) -> str:
        return self._inner_output.get(outer, outer)


def _rebuild(
    pipeline: Pipeline,
    name: str,
    map_over: tuple[str, ...],
    map_mode: str,
    input_mapping: dict[str, str],
    output_mapping: dict[str, str],
) -> PipelineNode:
    return PipelineNode(
        pipeline,
        name=name,
        map_over=map_over or None,
        map_mode=map_mode,
        input_mapping=input_mapping,
        output_mapping=output_mapping,
    )


def _checked(mapping: object, setting: str, *, inner: tuple[str, ...], inner_first: bool) -> dict[str, str]:
    """A mapping of names, one side of which has to be the pipeline's."""
    direction = "{inner: outer}" if inner_first else "{outer: inner}"
    if mapping is None:
        return {}
    if not isinstance(mapping, Mapping):
        raise InvalidSetting(setting=setting, value=mapping, remedy=f"give {direction}")
    found: dict[Any, Any] = dict(cast("Mapping[Any, Any]", mapping))
    for key, value in found.items():
        ours, theirs = (key, value) if inner_first else (value, key)
        if ours not in inner:
            swapped = theirs in inner
            remedy = f"turn it round: it is {direction}" if swapped else None
            raise InvalidSetting(setting=setting, value=ours, allowed=inner, remedy=remedy)
        if not (isinstance(theirs, str) and theirs.isidentifier()) or iskeyword(theirs):
            raise InvalidSetting(setting=setting, value=theirs, remedy="give a name that a parameter could have")
    if len({*found.values()}) < len(found):
        raise InvalidSetting(setting=setting, value=found, remedy="map each name once")
    return found
