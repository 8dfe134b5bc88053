"""What pipelines raise. Loaded when one of these is first asked of `weft.errors`, where they are to be found."""

from collections.abc import Iterable, Mapping

from weft.errors import WeftError

__all__ = ["InvalidInputs", "InvalidPipeline", "PipelineError"]


class _PipelineRefused(WeftError, ValueError):
    pipeline: str | None
    problems: tuple[str, ...]
    _cannot: str

    def __init__(self, message: str = "", *, pipeline: str | None = None, problems: Iterable[str] = ()) -> None:
        problems = tuple(problems)
        super().__init__(message or f"{_pipeline_named(pipeline)} cannot {self._cannot}: {_listed(problems)}")
        self.pipeline = pipeline
        self.problems = problems


class InvalidPipeline(_PipelineRefused):
    """A pipeline cannot be built as it was written down.

    Attributes:
        pipeline: The pipeline's name, or None where it has none.
        problems: What is wrong, one sentence each.

    Args:
        message: What happened; written from the attributes where it is empty.
        pipeline: See the attribute.
        problems: See the attribute.

    Example:
        >>> from weft.errors import InvalidPipeline
        >>> print(InvalidPipeline(pipeline="docs", problems=["nodes 'a' and 'b' both give 'x': rename one"]))
        pipeline 'docs' cannot be built: nodes 'a' and 'b' both give 'x': rename one
    """

    __module__ = "weft.errors"

    _cannot = "be built"


class InvalidInputs(_PipelineRefused):
    """A pipeline was given inputs that it does not have, or not those that it needs. Nothing has run.

    Attributes:
        pipeline: The pipeline's name, or None where it has none.
        problems: What is wrong, one sentence each.

    Args:
        message: What happened; written from the attributes where it is empty.
        pipeline: See the attribute.
        problems: See the attribute.

    Example:
        >>> from weft.errors import InvalidInputs
        >>> print(InvalidInputs(pipeline="docs", problems=["input 'text' is missing"]))
        pipeline 'docs' cannot run: input 'text' is missing
    """

    __module__ = "weft.errors"

    _cannot = "run"


class PipelineError(WeftError, RuntimeError):
    """A node of a pipeline raised. The exception itself is ``__cause__``.

    Attributes:
        node: The node, with the nested pipelines that it is in, and the items of theirs: ``"pages[3]/clean"``.
        pipeline: The name of the pipeline that was run, or None where it has none.
        item: The number of the item of `map`, or None.
        inputs: The reprs of what the node was given, shortened, by name.
        type_name: The name of the exception's class.
        attempts: How often the node was tried.

    Args:
        message: What happened; written from the attributes where it is empty.
        node: See the attribute.
        pipeline: See the attribute.
        item: See the attribute.
        inputs: See the attribute.
        error: The exception, for the message.
        attempts: See the attribute.

    Example:
        >>> from weft.errors import PipelineError
        >>> print(PipelineError(node="clean", item=3, inputs={"text": "None"}, error=TypeError("no text")))
        node 'clean' failed on item 3: TypeError: no text; it was given text=None
    """

    __module__ = "weft.errors"

    node: str | None
    pipeline: str | None
    item: int | None
    inputs: dict[str, str]
    type_name: str | None
    attempts: int

    def __init__(
        self,
        message: str = "",
        *,
        node: str | None = None,
        pipeline: str | None = None,
        item: int | None = None,
        inputs: Mapping[str, str] | None = None,
        error: BaseException | None = None,
        attempts: int = 1,
    ) -> None:
        inputs = dict(inputs or {})
        if not message:
            message = "a node" if node is None else f"node {node!r}"
            message += "" if pipeline is None else f" of pipeline {pipeline!r}"
            message += " failed" if item is None else f" failed on item {item}"
            message += "" if attempts == 1 else f", {attempts} times"
            message += "" if error is None else f": {type(error).__name__}: {_first_line(error)}"
            message += "; it was given " + (", ".join(f"{name}={text}" for name, text in inputs.items()) or "nothing")
        super().__init__(message)
        self.node = node
        self.pipeline = pipeline
        self.item = item
        self.inputs = inputs
        self.type_name = None if error is None else type(error).__name__
        self.attempts = attempts


def _pipeline_named(name: str | None) -> str:
    return "a pipeline" if name is None else f"pipeline {name!r}"


def _listed(problems: tuple[str, ...]) -> str:
    if len(problems) < 2:
        return problems[0] if problems else "no reason was given"
    return f"{len(problems)} problems" + "".join(f"\n  - {problem}" for problem in problems)


def _first_line(error: BaseException) -> str:
    try:
        lines = str(error).strip().splitlines()
    except Exception as another:
        return f"<whose str raises {type(another).__name__}>"
    text = lines[0] if lines else ""
    return text if len(text) <= 300 else text[:297] + "..."
