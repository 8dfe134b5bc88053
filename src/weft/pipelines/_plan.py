"""The flat plan that a pipeline is compiled into: steps that take values from slots and put values into slots.

Nested pipelines dissolve into the plan that they are in; one that is mapped over items is one step, whose work is a
plan of its own. What is not needed for the outputs that were asked for has no step.

A slot is a place in a list that each item has of its own. A parameter that several nodes have different defaults for
has a slot for each default, all of which get the value that is given.

Plans are immutable, but for what is derived from them when it is first asked for. They are pickled without that.
Any thread. Pinned by tests/pipelines/test_running.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from weft.pipelines._inputs import columns_of, rows_of
from weft.pipelines._node import LEFT_OUT, REQUIRED, Kind, Node, RetryOn

if TYPE_CHECKING:
    from weft.config import RuntimeConfig
    from weft.pipelines._nested import PipelineNode
    from weft.pipelines._pipeline import Pipeline
    from weft.pipelines._work import Work

__all__ = ["InnerMap", "Parameter", "Plan", "Step", "plan_of"]


class Parameter(NamedTuple):
    """A value that comes from outside: its name, where it goes, and what it is if it is not given."""

    name: str
    slot: int
    default: object


class Step:
    """One node in a plan.

    Attributes:
        index: Which step of its plan it is.
        path: Its name, after those of the nested pipelines that it is in: ``"pages/clean"``.
        fn: The function; an `InnerMap` for a pipeline that is mapped over items.
        kind: That of the node; "map" for a pipeline that is mapped over items.
        names: What the inputs are called there.
        args: The slots of the inputs.
        by_keyword: The names of the last inputs, which are given by keyword.
        outs: The slots of the outputs.
        outputs: What the outputs are called there.
        single: The function gives the one output itself, not a tuple.
        after: The steps that have to be done before.
        scopes: The paths of the nested pipelines that it is in, the outermost first.
        config: The configuration of the node, or of the innermost nested pipeline that has one.
    """

    __slots__ = (
        "after", "args", "backoff", "by_keyword", "cache", "config", "fn", "index", "kind", "names", "outputs", "outs",
        "path", "retries", "retry_on", "scopes", "single", "timeout",
    )  # fmt: skip

    index: int
    path: str
    fn: Callable[..., Any]
    kind: Kind | str
    names: tuple[str, ...]
    args: tuple[int, ...]
    by_keyword: tuple[str, ...]
    outs: tuple[int, ...]
    outputs: tuple[str, ...]
    single: bool
    after: tuple[int, ...]
    scopes: tuple[str, ...]
    config: RuntimeConfig | None
    cache: bool
    retries: int | None
    timeout: float | None
    retry_on: RetryOn
    backoff: float

    def __init__(self, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(self, name, value)

    def __reduce__(self) -> Any:
        # An executor does not travel, nor does what else the configuration has for the caller's side.
        return _step, ({name: getattr(self, name) for name in self.__slots__} | {"config": None},)

    def __repr__(self) -> str:
        return f"<Step {self.index} {self.path}>"

    def call(self, args: tuple[Any, ...]) -> Any:
        """Calls the function; gives a coroutine or an iterator where it does."""
        if not self.by_keyword:
            return self.fn(*args)
        split = len(args) - len(self.by_keyword)
        return self.fn(*args[:split], **dict(zip(self.by_keyword, args[split:], strict=True)))

    def put(self, values: list[Any], result: Any) -> None:
        """Puts what the function gave into the slots.

        Raises:
            TypeError: It is not the tuple that its outputs are to be taken from.
            ValueError: It has another length.
        """
        if self.single:
            values[self.outs[0]] = result
            return
        given = tuple(result)
        if len(given) != len(self.outs):
            raise ValueError(
                f"{len(self.outs)} values were to be returned, for {', '.join(self.outputs)}: {len(given)}"
            )
        for slot, value in zip(self.outs, given, strict=True):
            values[slot] = value


def _step(fields: dict[str, Any]) -> Step:
    return Step(**fields)


@dataclass(frozen=True, slots=True)
class InnerMap:
    """What a step does whose pipeline is mapped over items: a plan for each of them, and lists of what they give.

    Attributes:
        plan: That of the pipeline.
        names: What the step's inputs are called in it.
        over: Which of them have the items.
        mode: "zip" or "product".
    """

    plan: Plan
    names: tuple[str, ...]
    over: tuple[str, ...]
    mode: str

    def __call__(self, *args: Any) -> tuple[list[Any], ...]:
        """Runs it for all items, one after the other."""
        rows, shared = self.rows(args)
        return self.columns(self.plan.functions.items(rows, self.over, shared))

    def rows(self, args: tuple[Any, ...]) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
        """The inputs that differ, for each item, and those that all share."""
        given = {name: value for name, value in zip(self.names, args, strict=True) if value is not LEFT_OUT}
        columns, shared = columns_of(self.plan.name, given, self.over, self.mode)
        return list(rows_of(columns, self.mode)), shared

    def columns(self, results: list[Any]) -> tuple[list[Any], ...]:
        """A list for each output, of what the items gave."""
        return tuple([one[name] for one in results] for name, _ in self.plan.outputs)


class Plan:
    """What is to be done for the outputs that were asked for, in an order in which it can be.

    Attributes:
        name: The pipeline's.
        parameters: What comes from outside.
        known: The names of all inputs that the pipeline has, those that are not needed here among them.
        steps: What is to be done.
        outputs: The outputs, and their slots.
        size: The number of slots.
        token: What tells this plan from all others, in any process.
        kept: The last configuration that it was run with, and what `work_here` made of it.
    """

    def __init__(
        self,
        name: str | None,
        parameters: tuple[Parameter, ...],
        known: tuple[str, ...],
        steps: tuple[Step, ...],
        outputs: tuple[tuple[str, int], ...],
        size: int,
        token: str | None = None,
    ) -> None:
        self.name = name
        self.parameters = parameters
        self.known = known
        self.steps = steps
        self.outputs = outputs
        self.size = size
        self.token = token or uuid4().hex
        self.kept: tuple[RuntimeConfig, bool, Work | None] | None = None

    def __reduce__(self) -> Any:
        return Plan, (self.name, self.parameters, self.known, self.steps, self.outputs, self.size, self.token)

    @cached_property
    def required(self) -> frozenset[str]:
        """The names of what has to be given."""
        return frozenset(one.name for one in self.parameters if one.default is REQUIRED)

    @cached_property
    def known_names(self) -> frozenset[str]:
        return frozenset(self.known)

    @cached_property
    def is_async(self) -> bool:
        return any(
            step.kind.startswith("async") or (isinstance(step.fn, InnerMap) and step.fn.plan.is_async)
            for step in self.steps
        )

    @cached_property
    def is_plain(self) -> bool:
        """Whether nothing is said about how to run its steps, so that calling them is all there is to do."""
        return not self.is_async and not any(
            step.config or step.retries or step.timeout or (isinstance(step.fn, InnerMap) and not step.fn.plan.is_plain)
            for step in self.steps
        )

    @cached_property
    def functions(self) -> Any:
        """The plan as Python functions."""
        from weft.pipelines._compiled import Compiled

        return Compiled(self)

    @cached_property
    def successors(self) -> tuple[tuple[int, ...], ...]:
        """Which steps come after each."""
        found: list[list[int]] = [[] for _ in self.steps]
        for step in self.steps:
            for before in step.after:
                found[before].append(step.index)
        return tuple(map(tuple, found))

    def start(self, given: dict[str, Any]) -> list[Any]:
        """The slots at the beginning: what is given, and the defaults for what is not."""
        values: list[Any] = [None] * self.size
        for name, slot, default in self.parameters:
            values[slot] = given.get(name, default)
        return values

    def results(self, values: list[Any]) -> dict[str, Any]:
        return {name: values[slot] for name, slot in self.outputs}

    def all_steps(self) -> Iterator[Step]:
        """Its steps, and those of the pipelines that are mapped over items."""
        for step in self.steps:
            yield step
            if isinstance(step.fn, InnerMap):
                yield from step.fn.plan.all_steps()


def plan_of(pipeline: Pipeline, wanted: tuple[str, ...]) -> Plan:
    """Compiles a pipeline.

    Args:
        pipeline: The pipeline.
        wanted: Which of its outputs are asked for, in the order in which they are to be given.
    """
    compiler = _Compiler()
    outputs = compiler.enter(pipeline, wanted, _Outside(compiler, pipeline), "", (), None)
    steps = tuple(Step(**fields) for fields in compiler.steps)
    results = tuple((name, outputs[name]) for name in wanted)
    return Plan(pipeline.name, tuple(compiler.parameters.values()), pipeline.inputs, steps, results, compiler.size)


class _Outside:
    """Where the inputs of the pipeline itself come from: its caller, or what is bound."""

    def __init__(self, compiler: _Compiler, pipeline: Pipeline) -> None:
        self._compiler = compiler
        self._bound = pipeline.bound

    def find(self, name: str, default: object) -> int:
        return self._compiler.parameter(name, self._bound.get(name, default))


class _Around:
    """Where the inputs of a nested pipeline come from: the pipeline around it, by other names, or what is bound."""

    def __init__(self, compiler: _Compiler, nested: PipelineNode, level: _Level) -> None:
        self._compiler = compiler
        self._nested = nested
        self._level = level

    def find(self, name: str, default: object) -> int:
        bound = self._nested.pipeline.bound
        outer = self._nested.outer_name(name)
        if outer is None:
            return self._compiler.constant(bound[name])
        return self._level.find(outer, bound.get(name, default))


class _Level:
    """One pipeline, while it is compiled: which slot has what."""

    def __init__(self, produced: dict[str, int], source: _Outside | _Around) -> None:
        self.produced = produced
        self._source = source

    def find(self, name: str, default: object) -> int:
        slot = self.produced.get(name)
        return self._source.find(name, default) if slot is None else slot


class _Compiler:
    def __init__(self) -> None:
        self.size = 0
        self.steps: list[dict[str, Any]] = []
        self.parameters: dict[object, Parameter] = {}
        self._made_by: dict[int, int] = {}  # the step that fills a slot

    def slot(self) -> int:
        self.size += 1
        return self.size - 1

    def parameter(self, name: str, default: object) -> int:
        found = self.parameters.get((name, id(default)))
        if found is None:
            found = self.parameters[name, id(default)] = Parameter(name, self.slot(), default)
        return found.slot

    def constant(self, value: object) -> int:
        """A slot for a value that cannot be given from outside: a parameter without a name that anybody could use."""
        return self.parameter("", value)

    def enter(
        self,
        pipeline: Pipeline,
        wanted: tuple[str, ...],
        source: _Outside | _Around,
        prefix: str,
        scopes: tuple[str, ...],
        config: RuntimeConfig | None,
    ) -> dict[str, int]:
        """Adds the steps of a pipeline, or of one in it; gives the slots of its outputs."""
        level = _Level({}, source)
        for element, outputs in pipeline.needed(wanted):
            if isinstance(element, Node):
                self._add_node(element, level, prefix, scopes, element.config or config)
            elif element.map_over:
                self._add_map(element, outputs, level, prefix, scopes, config)
            else:
                path = f"{prefix}{element.name}"
                inner = tuple(map(element.inner_output, outputs))
                own = element.pipeline.own_config or config
                around = _Around(self, element, level)
                found = self.enter(element.pipeline, inner, around, f"{path}/", (*scopes, path), own)
                level.produced.update(zip(outputs, map(found.__getitem__, inner), strict=True))
        return level.produced

    def _add_node(
        self, node: Node, level: _Level, prefix: str, scopes: tuple[str, ...], config: RuntimeConfig | None
    ) -> None:
        args = tuple(level.find(name, default) for name, default in node.parameters.items())
        outs = tuple(self.slot() for _ in node.outputs)
        self._add(
            args,
            outs,
            path=f"{prefix}{node.name}",
            fn=node.fn,
            kind=node.kind,
            names=node.inputs,
            by_keyword=node.keyword_only,
            outputs=node.outputs,
            single=node.single,
            scopes=scopes,
            config=config,
            cache=node.cache,
            retries=node.retries,
            timeout=node.timeout,
            retry_on=node.retry_on,
            backoff=node.backoff,
        )
        level.produced.update(zip(node.outputs, outs, strict=True))

    def _add_map(
        self,
        nested: PipelineNode,
        outputs: tuple[str, ...],
        level: _Level,
        prefix: str,
        scopes: tuple[str, ...],
        config: RuntimeConfig | None,
    ) -> None:
        plan = plan_of(nested.pipeline, tuple(map(nested.inner_output, outputs)))
        names: list[str] = []
        slots: list[int] = []
        for parameter in plan.parameters:
            outer = nested.outer_name(parameter.name) if parameter.name else None
            if outer is None or parameter.name in names:
                continue
            names.append(parameter.name)
            must = outer in nested.map_over or parameter.default is REQUIRED
            slots.append(level.find(outer, REQUIRED if must else LEFT_OUT))
        over = tuple(map(nested.inner_input, nested.map_over))
        for outer, inner in zip(nested.map_over, over, strict=True):
            if inner not in names:  # no node needs it, but it says how many items there are
                names.append(inner)
                slots.append(level.find(outer, REQUIRED))
        outs = tuple(self.slot() for _ in outputs)
        own = nested.pipeline.own_config or config
        self._add(
            tuple(slots),
            outs,
            path=f"{prefix}{nested.name}",
            fn=InnerMap(plan, tuple(names), over, nested.map_mode),
            kind="map",
            names=tuple(names),
            by_keyword=(),
            outputs=outputs,
            single=False,
            scopes=scopes,
            config=own,
            cache=False,
            retries=None,
            timeout=None,
            retry_on=Exception,
            backoff=0.1,
        )
        level.produced.update(zip(outputs, outs, strict=True))

    def _add(self, args: tuple[int, ...], outs: tuple[int, ...], **fields: Any) -> None:
        index = len(self.steps)
        after = {self._made_by[slot] for slot in args if slot in self._made_by}
        self._made_by.update(dict.fromkeys(outs, index))
        self.steps.append({"index": index, "args": args, "outs": outs, "after": tuple(sorted(after)), **fields})
