"""How the failure of a node is told: which one, on which item, with which inputs.

What a node was given is shown, shortened, and not kept. Pinned by tests/pipelines/test_running.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weft.errors import PipelineError, short_repr

if TYPE_CHECKING:
    from weft.pipelines._plan import Plan, Step

__all__ = ["failure_of", "summary"]

_SIZED = (str, bytes, list, tuple, dict, set, frozenset)
_SHOWN = 60  # characters of one input


def summary(names: tuple[str, ...], args: tuple[Any, ...]) -> dict[str, str]:
    """What a node was given, in few words."""
    return {name: _shown(value) for name, value in zip(names, args, strict=True)}


def _shown(value: Any) -> str:
    if type(value) in _SIZED and len(value) > 1000:
        # The repr of all of it may take longer than the node did.
        return f"<{type(value).__name__} of length {len(value)}>"
    text = short_repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def failure_of(
    plan: Plan, step: Step, args: tuple[Any, ...], error: BaseException, *, item: int | None, attempts: int = 1
) -> PipelineError:
    """The error that a pipeline fails with when one of its steps has.

    A pipeline in it that is mapped over items has told its own: then this adds where that one is. The caller gives
    it the cause that it is to have.
    """
    if step.kind == "map" and isinstance(error, PipelineError):
        where = "" if error.item is None else f"[{error.item}]"
        made = PipelineError(
            node=f"{step.path}{where}/{error.node}",
            pipeline=plan.name,
            item=item,
            inputs=error.inputs,
            error=error.__cause__,
            attempts=error.attempts,
        )
        made.__cause__ = error.__cause__
        return made
    made = PipelineError(
        node=step.path, pipeline=plan.name, item=item, inputs=summary(step.names, args), error=error, attempts=attempts
    )
    made.__cause__ = error
    return made
