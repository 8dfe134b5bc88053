"""`Pipeline`: a graph of functions, and the ways to run it.

Immutable: `bind`, `with_config` and their like give another one. It is refused when it is built if it can't be run
(`_graph`), and compiled once for each set of outputs that is asked for (`_plan`), when it first is.

How a call goes: the configuration that counts is found (the call's, a node's, the pipeline's, that of `use`, the
default, the environment's; the first one there is counts whole). Where that says nothing about how to run, the plan's
own functions do it (`_compiled`); else `_running` does.

Any thread; pickled as its nodes. Pinned by tests/pipelines/.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, Self, cast, overload

from weft.config import RuntimeConfig, check_config, effective_config, nothing_said
from weft.errors import InvalidInputs, InvalidSetting
from weft.pipelines import _inputs
from weft.pipelines._graph import checked_elements, in_order, producers_of
from weft.pipelines._nested import PipelineNode
from weft.pipelines._node import REQUIRED, Node, checked_name
from weft.pipelines._plan import plan_of

if TYPE_CHECKING:
    from typing import Literal

    from weft.errors import PipelineError
    from weft.pipelines._explaining import CacheExplanation
    from weft.pipelines._plan import Plan
    from weft.viz import Picture, RunRecord

    type Results = dict[str, Any]
    type Outputs = str | Iterable[str] | None

__all__ = ["Pipeline"]


class Pipeline:
    """A graph of functions: what one gives is what another takes, by name.

    Args:
        nodes: What `node` makes, and other pipelines, as they are or by `as_node`.
        name: What it is called.
        parent: A pipeline whose configuration counts where this one has none.
        config: Its configuration.

    Raises:
        InvalidPipeline: The nodes make no graph: two give the same, they go in a circle, or types do not fit.
        InvalidSetting: An argument has a value that cannot be.

    Attributes:
        name: What it is called; None: nothing.
        nodes: Its nodes, as they were given.
        outputs: The names of all that its nodes give, in the order in which they can.
        inputs: The names of all that comes from outside.
        parameters: The same with their defaults; what is bound counts as such.
        bound: The inputs that are bound, and their values.
        config: Its own configuration, or None.

    Example:
        >>> from weft.pipelines import Pipeline, node
        >>> @node(output_name="words")
        ... def split(text: str) -> list[str]:
        ...     return text.split()
        >>> @node(output_name="count")
        ... def count(words: list[str], least: int = 1) -> int:
        ...     return sum(len(word) >= least for word in words)
        >>> pipeline = Pipeline([split, count], name="counting")
        >>> pipeline.run(text="to be or not to be", least=3)
        {'words': ['to', 'be', 'or', 'not', 'to', 'be'], 'count': 1}
        >>> pipeline.map({"text": ["a b", "a"]}, map_over="text", output_name="count")
        [{'count': 2}, {'count': 1}]
    """

    def __init__(
        self,
        nodes: Iterable[Node | PipelineNode | Pipeline],
        *,
        name: str | None = None,
        parent: Pipeline | None = None,
        config: RuntimeConfig | None = None,
    ) -> None:
        self.name = None if name is None else checked_name("name", name)
        if parent is not None and not isinstance(cast("object", parent), Pipeline):
            raise InvalidSetting(setting="parent", value=parent, remedy="give a Pipeline, or None")
        self.config = None if config is None else check_config("config", config)
        self.parent = parent
        self.bound: Mapping[str, Any] = {}
        self.nodes = checked_elements(nodes, self.name)
        self._producers = producers_of(self.nodes, self.name)
        self.order = in_order(self.nodes, self._producers, self.name)
        self.outputs: tuple[str, ...] = tuple(output for one in self.order for output in one.outputs)
        inputs = dict.fromkeys(name for one in self.order for name in one.inputs if name not in self._producers)
        self.inputs = tuple(inputs)
        self._plans: dict[tuple[str, ...], Plan] = {}

    # ---- what it is --------------------------------------------------------------------------------

    @cached_property
    def parameters(self) -> Mapping[str, object]:
        """Its inputs with their defaults: REQUIRED where there is none."""
        found: dict[str, object] = {}
        for name in self.inputs:
            defaults = [one.parameters[name] for one in self.order if name in one.parameters]
            required = next((one for one in defaults if one is REQUIRED), defaults[0])
            found[name] = self.bound.get(name, required)
        return found

    @property
    def bound_inputs(self) -> dict[str, Any]:
        """The inputs that are bound, and their values."""
        return dict(self.bound)

    @property
    def unfulfilled_args(self) -> tuple[str, ...]:
        """The inputs that have to be given: neither bound nor with a default."""
        return tuple(name for name, default in self.parameters.items() if default is REQUIRED)

    @property
    def own_config(self) -> RuntimeConfig | None:
        """The configuration of the pipeline, or of the nearest one above it that has one."""
        if self.config is not None or self.parent is None:
            return self.config
        return self.parent.own_config

    @property
    def effective_config(self) -> RuntimeConfig:
        """The configuration that a call counts on which brings none."""
        return self.own_config or effective_config(None)[0]

    def __repr__(self) -> str:
        name = "" if self.name is None else f" {self.name}"
        return f"<Pipeline{name}({', '.join(self.inputs)}) -> {', '.join(self.outputs)}>"

    def __reduce__(self) -> Any:
        return _rebuild, (self.nodes, self.name, dict(self.bound))

    # ---- others made of it ---------------------------------------------------------------------------

    def with_name(self, name: str) -> Self:
        """The same pipeline under another name.

        Args:
            name: The name.

        Returns:
            Another pipeline.
        """
        return self._changed(name=checked_name("name", name))

    def with_config(self, config: RuntimeConfig | None) -> Self:
        """The same pipeline with another configuration.

        Args:
            config: The configuration, which counts whole; None for none of its own.

        Returns:
            Another pipeline.
        """
        return self._changed(config=None if config is None else check_config("config", config))

    def bind(self, **inputs: Any) -> Self:
        """The same pipeline with values for some inputs. A value that a call gives goes first.

        Args:
            **inputs: The values.

        Returns:
            Another pipeline.

        Raises:
            InvalidInputs: There is no such input.
        """
        _inputs.check(self, self._nothing, inputs)
        return self._changed(bound={**self.bound, **inputs})

    def unbind(self, *names: str) -> Self:
        """The same pipeline with some inputs not bound any more.

        Args:
            *names: The inputs; none: all that are bound.

        Returns:
            Another pipeline.

        Raises:
            InvalidInputs: One is not bound.
        """
        wrong = [name for name in names if name not in self.bound]
        if wrong:
            there = ", ".join(map(repr, self.bound)) or "nothing"
            problems = [f"input {name!r} is not bound: {there} is" for name in wrong]
            raise InvalidInputs(pipeline=self.name, problems=problems)
        return self._changed(bound={key: value for key, value in self.bound.items() if names and key not in names})

    def as_node(
        self,
        *,
        name: str | None = None,
        map_over: str | Iterable[str] | None = None,
        map_mode: Literal["zip", "product"] = "zip",
        input_mapping: Mapping[str, str] | None = None,
        output_mapping: Mapping[str, str] | None = None,
    ) -> PipelineNode:
        """This pipeline as a node of another.

        Args:
            name: What it is called there; None: as it is.
            map_over: The inputs, by their names there, that have an item for each of many runs: its outputs then are
                lists.
            map_mode: "zip": the first items of all, the second ones, and so on; "product": all with all, the last
                input's items change fastest.
            input_mapping: Names there to names here, for inputs that are called otherwise there.
            output_mapping: Names here to names there, likewise.

        Returns:
            The node.

        Raises:
            InvalidSetting: A name is none of this pipeline's.
        """
        return PipelineNode(
            self,
            name=name,
            map_over=map_over,
            map_mode=map_mode,
            input_mapping=input_mapping,
            output_mapping=output_mapping,
        )

    def _changed(self, **changes: Any) -> Self:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__, **changes)
        other.__dict__.pop("parameters", None)
        other.__dict__.pop("_fast", None)
        other._plans = {}
        return other

    # ---- running -------------------------------------------------------------------------------------

    def run(
        self,
        inputs: Mapping[str, Any] | None = None,
        *,
        output_name: Outputs = None,
        config: RuntimeConfig | None = None,
        **kw: Any,
    ) -> Results:
        """Runs it once.

        Args:
            inputs: The inputs by name.
            output_name: The output that is wanted, or several; only what these need runs. None: all.
            config: The configuration for this call, whatever else there is.
            **kw: Inputs too.

        Returns:
            The outputs by name.

        Raises:
            InvalidInputs: An input is missing or unknown; nothing has run.
            PipelineError: A node raised; that is the cause.
        """
        given = kw if inputs is None else _inputs.merged(self, inputs, kw)
        if config is None and output_name is None and (fast := self._fast) is not None and nothing_said():
            try:
                return fast(**given)
            except TypeError:  # of the call: an error in a node is a PipelineError
                _inputs.check(self, self.plan(), given)
                raise
        from weft.pipelines._running import run

        return run(self, self.plan(output_name), given, config)

    async def arun(
        self,
        inputs: Mapping[str, Any] | None = None,
        *,
        output_name: Outputs = None,
        config: RuntimeConfig | None = None,
        **kw: Any,
    ) -> Results:
        """Runs it once, under asyncio or trio: asynchronous nodes run on the caller's loop. See `run`."""
        from weft.pipelines import _awaiting

        given = kw if inputs is None else _inputs.merged(self, inputs, kw)
        return await _awaiting.run(self, self.plan(output_name), given, config)

    @overload
    def map(
        self,
        inputs: Mapping[str, Any],
        *,
        map_over: str | Iterable[str],
        map_mode: Literal["zip", "product"] = "zip",
        output_name: Outputs = None,
        config: RuntimeConfig | None = None,
        return_exceptions: Literal[False] = False,
    ) -> list[Results]: ...
    @overload
    def map(
        self,
        inputs: Mapping[str, Any],
        *,
        map_over: str | Iterable[str],
        map_mode: Literal["zip", "product"] = "zip",
        output_name: Outputs = None,
        config: RuntimeConfig | None = None,
        return_exceptions: bool,
    ) -> list[Results | PipelineError]: ...
    def map(
        self,
        inputs: Mapping[str, Any],
        *,
        map_over: str | Iterable[str],
        map_mode: Literal["zip", "product"] = "zip",
        output_name: Outputs = None,
        config: RuntimeConfig | None = None,
        return_exceptions: bool = False,
    ) -> list[Any]:
        """Runs it for each of many items.

        Args:
            inputs: The inputs by name: sequences for those that ``map_over`` names.
            map_over: The input that has an item for each run, or several.
            map_mode: "zip": the first items of all, the second ones, and so on; "product": all with all, the last
                input's items change fastest.
            output_name: As in `run`.
            config: As in `run`.
            return_exceptions: Give the `PipelineError` in place of the outputs of an item that failed, and go on.

        Returns:
            The outputs of each item, in the order of the items.

        Raises:
            InvalidInputs: An input is missing, unknown or no sequence, or lengths differ; nothing has run.
            PipelineError: A node raised: the error of the first item that failed.
        """
        from weft.pipelines import _mapping

        plan, items = self._items(inputs, map_over, map_mode, output_name)
        return _mapping.run(self, plan, items, config, return_exceptions=return_exceptions)

    async def amap(
        self,
        inputs: Mapping[str, Any],
        *,
        map_over: str | Iterable[str],
        map_mode: Literal["zip", "product"] = "zip",
        output_name: Outputs = None,
        config: RuntimeConfig | None = None,
        return_exceptions: bool = False,
    ) -> list[Any]:
        """Runs it for each of many items, under asyncio or trio. See `map`."""
        from weft.pipelines import _awaiting

        plan, items = self._items(inputs, map_over, map_mode, output_name)
        results = _awaiting.run_map(self, plan, items, config, return_exceptions=return_exceptions)
        return [one async for one in results]

    def imap(
        self,
        inputs: Mapping[str, Any],
        *,
        map_over: str | Iterable[str],
        map_mode: Literal["zip", "product"] = "zip",
        output_name: Outputs = None,
        config: RuntimeConfig | None = None,
        return_exceptions: bool = False,
        buffersize: int | None = None,
    ) -> Iterator[Any]:
        """Runs it for each of many items, as results are taken: items may come from any iterable, also without end.

        Args:
            inputs: As in `map`, but any iterables.
            map_over: As in `map`.
            map_mode: As in `map`. "product" reads all inputs but the first at once.
            output_name: As in `run`.
            config: As in `run`.
            return_exceptions: As in `map`.
            buffersize: How many items may be read ahead of the results that were taken. None: as many as keep the
                workers busy; without workers, none.

        Returns:
            An iterator over the outputs of each item, in the order of the items. Closing it ends the work.

        Raises:
            InvalidInputs: As in `map`, at once.
            PipelineError: From the iterator: a node raised. That ends it.
        """
        from weft.pipelines import _mapping

        plan, items = self._items(inputs, map_over, map_mode, output_name, lazy=True)
        return _mapping.iterate(self, plan, items, config, return_exceptions=return_exceptions, buffersize=buffersize)

    def aimap(
        self,
        inputs: Mapping[str, Any],
        *,
        map_over: str | Iterable[str],
        map_mode: Literal["zip", "product"] = "zip",
        output_name: Outputs = None,
        config: RuntimeConfig | None = None,
        return_exceptions: bool = False,
        buffersize: int | None = None,
    ) -> AsyncIterator[Any]:
        """Runs it for each of many items, as an asynchronous iterator, under asyncio or trio. See `imap`."""
        from weft.pipelines import _awaiting

        plan, items = self._items(inputs, map_over, map_mode, output_name, lazy=True)
        return _awaiting.run_map(self, plan, items, config, return_exceptions=return_exceptions, buffersize=buffersize)

    def _items(
        self, inputs: object, map_over: object, map_mode: object, output_name: Outputs, *, lazy: bool = False
    ) -> tuple[Plan, _inputs.Items]:
        """What a call is to run, and over what: everything that is wrong with either is told before anything runs."""
        over = _inputs.checked_over(map_over, self.inputs)
        given = _inputs.merged(self, {} if inputs is None else inputs, {})
        mode = _inputs.checked_mode(map_mode)
        plan = self.plan(output_name)
        _inputs.check(self, plan, given)
        columns, shared = _inputs.columns_of(self.name, given, over, mode, lazy=lazy)
        return plan, _inputs.items_of(columns, shared, mode)

    def explain_cache(
        self,
        inputs: Mapping[str, Any] | None = None,
        *,
        output_name: Outputs = None,
        config: RuntimeConfig | None = None,
        **kw: Any,
    ) -> list[CacheExplanation]:
        """Says for each node whether `run` would find its result in the cache, and why. Runs nothing.

        Args:
            inputs: As in `run`.
            output_name: As in `run`.
            config: As in `run`.
            **kw: Inputs too.

        Returns:
            One for each node, in the order in which they would run.

        Raises:
            InvalidInputs: As in `run`.
        """
        from weft.pipelines._explaining import explain

        given = kw if inputs is None else _inputs.merged(self, inputs, kw)
        plan = self.plan(output_name)
        _inputs.check(self, plan, given)
        return explain(self, plan, given, config)

    # ---- looking at it -------------------------------------------------------------------------------

    def visualize(self, path: str | PathLike[str] | None = None, *, run: RunRecord | None = None) -> Picture:
        """Draws it: its nodes in layers, nested pipelines with what is in them.

        Args:
            path: The file to write: ``.svg``, ``.html`` (nested pipelines fold), ``.mmd`` (Mermaid). None: none.
            run: What it did, a `weft.viz.RunRecord` that was among a run's callbacks: nodes then are coloured by their
                time, by what was cached and by failures.

        Returns:
            The picture, which has all of these forms; a notebook shows it.

        Raises:
            InvalidSetting: The file cannot be written, or ends in something else.
        """
        from weft.viz._picture import picture_of

        picture = picture_of(self, run)
        if path is not None:
            picture.save(path)
        return picture

    def _repr_html_(self) -> str:
        return self.visualize().svg

    # ---- compiling -----------------------------------------------------------------------------------

    @cached_property
    def _fast(self) -> Any:
        """The function for a call that says nothing but its inputs; None if there is more to be done than to call."""
        plan = self.plan()
        return plan.functions.run if plan.is_plain and self.own_config is None else None

    @cached_property
    def _nothing(self) -> Plan:
        from weft.pipelines._plan import Plan

        return Plan(self.name, (), self.inputs, (), (), 0)

    def plan(self, output_name: Outputs = None) -> Plan:
        """The plan for some outputs; None: for all.

        Raises:
            InvalidSetting: There is no such output.
        """
        wanted = self.outputs if output_name is None else self._checked_outputs(output_name)
        found = self._plans.get(wanted)
        if found is None:
            found = self._plans.setdefault(wanted, plan_of(self, wanted))
        return found

    def _checked_outputs(self, output_name: object) -> tuple[str, ...]:
        names = (output_name,) if isinstance(output_name, str) else output_name
        if not isinstance(names, list | tuple) or not names:
            remedy = "give the name of an output, or a list of names; leave it out for all"
            raise InvalidSetting(setting="output_name", value=output_name, remedy=remedy)
        for name in cast("list[object]", names):
            if name not in self.outputs:
                raise InvalidSetting(setting="output_name", value=name, allowed=self.outputs)
        return tuple(dict.fromkeys(cast("list[str]", names)))

    def needed(self, wanted: tuple[str, ...]) -> list[tuple[Node | PipelineNode, tuple[str, ...]]]:
        """The nodes that some outputs need, in order, and which of their own outputs are needed."""
        needed = {*wanted}
        found: list[tuple[Node | PipelineNode, tuple[str, ...]]] = []
        for one in reversed(self.order):
            outputs = tuple(output for output in one.outputs if output in needed)
            if not outputs:
                continue
            found.append((one, outputs))
            if isinstance(one, Node):
                needed.update(one.inputs)
            else:
                inner = one.pipeline.inputs_for(tuple(map(one.inner_output, outputs)))
                needed.update(name for name in map(one.outer_name, inner) if name is not None)
                needed.update(one.map_over)
        return found[::-1]

    def inputs_for(self, wanted: tuple[str, ...]) -> set[str]:
        """The inputs that some outputs need."""
        taken: set[str] = set()
        for one, outputs in self.needed(wanted):
            if isinstance(one, Node):
                taken.update(one.inputs)
            else:
                inner = one.pipeline.inputs_for(tuple(map(one.inner_output, outputs)))
                taken.update(name for name in map(one.outer_name, inner) if name is not None)
                taken.update(one.map_over)
        return taken.intersection(self.inputs)


def _rebuild(nodes: tuple[Node | PipelineNode, ...], name: str | None, bound: dict[str, Any]) -> Pipeline:
    pipeline = Pipeline(nodes, name=name)
    return pipeline.bind(**bound) if bound else pipeline
