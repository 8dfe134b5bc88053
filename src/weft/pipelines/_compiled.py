"""A plan as Python functions: for one item, and for many. This is where a node costs no more than its call.

The source is written from the plan: a line for each step, values in local variables. So a step costs a call of its
function and a store; there is no list of slots, no dict for each node, and no test whether anything is to be done
besides. The line on which an error was raised tells the step that it comes from.

Only for plans that are plain: no retries, no timeouts, no coroutines, no cache, nobody to be told. All else is
`_sequential`'s, which gives the same results.
The code that is run holds no text from outside but identifiers, which `Pipeline` has checked.
Any thread. Pinned by tests/pipelines/test_running.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from weft.errors import PipelineError
from weft.pipelines._failures import failure_of
from weft.pipelines._node import REQUIRED

if TYPE_CHECKING:
    from weft.pipelines._plan import Plan, Step

__all__ = ["Compiled"]


class Compiled:
    """The functions of a plan, each made when it is first asked for."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._loops: dict[tuple[str, ...], Callable[..., None]] = {}

    @cached_property
    def run(self) -> Callable[..., dict[str, Any]]:
        """Takes the inputs by keyword and gives the outputs.

        Raises:
            TypeError: An input is missing, or is none of the pipeline's; nothing has run.
            PipelineError: A node raised.
        """
        return _Writer(self._plan).function(None)

    def items(self, rows: Iterable[Any], over: tuple[str, ...], shared: dict[str, Any]) -> list[dict[str, Any]]:
        """The outputs for each item. An error names the item.

        Args:
            rows: For each item a tuple of the inputs that differ.
            over: The names of these.
            shared: All other inputs.
        """
        results: list[dict[str, Any]] = []
        self.loop(over)(iter(rows), results, 0, **shared)
        return results

    def items_or_errors(
        self, rows: Iterable[Any], over: tuple[str, ...], shared: dict[str, Any], first: int = 0
    ) -> list[dict[str, Any] | PipelineError]:
        """The same, with the error in place of the outputs where there is one; ``first`` is the first item's number."""
        results: list[dict[str, Any] | PipelineError] = []
        left: Iterator[Any] = iter(rows)
        loop = self.loop(over)
        while True:
            try:
                loop(left, results, first, **shared)
                return results
            except PipelineError as error:
                results.append(error)

    def loop(self, over: tuple[str, ...]) -> Callable[..., None]:
        found = self._loops.get(over)
        if found is None:
            found = self._loops[over] = _Writer(self._plan).function(over)
        return found


class _Writer:
    """Writes one function."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._prefix = "_"
        while any(name.startswith(self._prefix) for name in plan.known):
            self._prefix += "_"
        self._names: dict[str, Any] = {}
        self._lines: list[str] = []
        self._variables: dict[int, str] = {}
        self._steps: dict[int, Step] = {}  # by line

    def function(self, over: tuple[str, ...] | None) -> Callable[..., Any]:
        """The function: for one item, or, given the names of the inputs that differ, for many."""
        p = self._prefix
        parameters = self._parameters(() if over is None else over)
        many = over is not None
        signature = ", ".join([f"{p}rows, {p}results, {p}first"] * many + ["*"] * bool(parameters) + parameters)
        self._lines.append(f"def {p}run({signature}):")
        self._lines += [f" {line}" for line in self._defaults(() if over is None else over)]
        self._lines.append(" try:")
        indent = "  "
        if over is not None:
            target = ", ".join(over) + ("," if over else f"{p}nothing")
            self._lines.append(f"  for {target} in {p}rows:")
            indent = "   "
        for step in self._plan.steps:
            self._lines.append(f"{indent}{self._call(step)}")
            self._steps[len(self._lines)] = step
        given = ", ".join(f"{name!r}: {self._variables[slot]}" for name, slot in self._plan.outputs)
        self._lines.append(f"{indent}{p}results.append({{{given}}})" if many else f"{indent}return {{{given}}}")
        count = f"{p}first + len({p}results)" if many else "None"
        self._lines += [f" except Exception as {p}error:", f"  {p}fail({p}error, locals(), {count})", "  raise"]
        self._names[f"{p}fail"] = self._fail
        code = compile("\n".join(self._lines) + "\n", f"<pipeline {self._plan.name or ''}>", "exec")
        exec(code, self._names)
        made: Callable[..., Any] = self._names[f"{p}run"]
        made.__qualname__ = made.__name__ = "run" if over is None else "run_items"
        return made

    def _parameters(self, over: tuple[str, ...]) -> list[str]:
        """What comes by keyword; parameters that several nodes have different defaults for come as none yet."""
        p = self._prefix
        defaults: dict[str, list[object]] = {}
        for name, slot, default in self._plan.parameters:
            if name == "":
                self._variables[slot] = self._constant(f"{p}c{slot}", default)
            else:
                self._variables[slot] = name
                defaults.setdefault(name, []).append(default)
        found: list[str] = []
        for name in self._plan.known:
            if name in over:
                continue
            values = defaults.get(name, [None])
            if len(values) == 1:
                found.append(name if values[0] is REQUIRED else f"{name}={self._constant(f'{p}d_{name}', values[0])}")
            else:
                missing = "" if REQUIRED in values else f"={self._constant(f'{p}missing', REQUIRED)}"
                found.append(f"{name}{missing}")
        return found

    def _defaults(self, over: tuple[str, ...]) -> Iterator[str]:
        """Lines that give each node its own default."""
        p = self._prefix
        several: dict[str, list[tuple[int, object]]] = {}
        for name, slot, default in self._plan.parameters:
            if name and name not in over:
                several.setdefault(name, []).append((slot, default))
        for name, slots in several.items():
            if len(slots) == 1 or any(default is REQUIRED for _, default in slots):
                continue
            for slot, default in slots:
                self._variables[slot] = variable = f"{p}v{slot}"
                yield f"{variable} = {self._constant(f'{p}d{slot}', default)} if {name} is {p}missing else {name}"

    def _constant(self, name: str, value: object) -> str:
        self._names[name] = value
        return name

    def _call(self, step: Step) -> str:
        p = self._prefix
        args = [self._variables[slot] for slot in step.args]
        for position, name in enumerate(step.by_keyword, len(args) - len(step.by_keyword)):
            args[position] = f"{name}={args[position]}"
        call = f"{self._constant(f'{p}f{step.index}', step.fn)}({', '.join(args)})"
        if step.kind == "generator":
            call = f"{self._constant(f'{p}list', list)}({call})"
        for slot in step.outs:
            self._variables[slot] = f"{p}v{slot}"
        targets = ", ".join(self._variables[slot] for slot in step.outs)
        return f"{targets}{'' if step.single else ','} = {call}"

    def _fail(self, error: Exception, variables: dict[str, Any], item: int | None) -> None:
        """Raises the error as that of the step whose line it comes from; returns if it comes from none."""
        traceback = error.__traceback__
        step = None if traceback is None else self._steps.get(traceback.tb_lineno)
        if step is None:
            return
        names = [self._variables[slot] for slot in step.args]
        args = tuple(variables[name] if name in variables else self._names[name] for name in names)
        raise failure_of(self._plan, step, args, error, item=item) from (
            error.__cause__ if isinstance(error, PipelineError) else error
        )
