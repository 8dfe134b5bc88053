"""Random graphs, for Hypothesis. Not in graphs.py: interpreters with a GIL of their own cannot import Hypothesis."""

from typing import Any

from hypothesis import strategies as st

from tests.pipelines.graphs import Mix, Several
from weft import RuntimeConfig
from weft.errors import PipelineError
from weft.pipelines import Node, Pipeline


@st.composite
def pipelines(draw: st.DrawFn, prefix: str = "v", depth: int = 1, fails: bool = True) -> Pipeline:
    """A graph of up to seven nodes, perhaps with one in it that is mapped over a list."""
    made: list[Any] = []
    known = [f"{prefix}_in{n}" for n in range(draw(st.integers(1, 3)))]
    for number in range(draw(st.integers(1, 7))):
        if depth and draw(st.integers(0, 4)) == 0:
            inner = draw(pipelines(prefix=f"{prefix}{number}", depth=depth - 1, fails=fails))
            over = inner.inputs[0]
            mapped = draw(st.booleans())
            if mapped:
                made.append(
                    Node(Several(draw(st.integers(0, 3))), output_name=f"{prefix}{number}_items", name=f"s{number}")
                )
                mapping = {f"{prefix}{number}_items": over}
            else:
                mapping = {draw(st.sampled_from(known)): over}
            made.append(
                inner.as_node(name=f"inner{number}", map_over=list(mapping) if mapped else None, input_mapping=mapping)
            )
            known += [*inner.inputs[1:], *inner.outputs]
            continue
        names = tuple(draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True)))
        outputs = draw(st.integers(1, 2))
        unlucky = draw(st.sampled_from([None, None, None, 3])) if fails else None
        gives = tuple(f"{prefix}{number}_{one}" for one in range(outputs))
        fn = Mix(number, names, outputs, unlucky)
        made.append(Node(fn, output_name=gives[0] if outputs == 1 else gives, name=f"n{number}"))
        known += gives
    return Pipeline(draw(st.permutations(made)), name=prefix)


@st.composite
def inputs_of(draw: st.DrawFn, pipeline: Pipeline) -> tuple[dict[str, Any], str | None]:
    """Inputs, and the one to map over, if any."""
    inputs: dict[str, Any] = {name: draw(st.integers(0, 99)) for name in pipeline.inputs}
    over = draw(st.sampled_from([None, *pipeline.inputs]))
    if over is not None:
        inputs[over] = [inputs[over] + n for n in range(draw(st.integers(0, 5)))]
    return inputs, over


def outcome(pipeline: Pipeline, inputs: dict[str, Any], config: RuntimeConfig | None, over: str | None) -> Any:
    """What comes of it, in a form that can be compared."""
    try:
        if over is None:
            return pipeline.run(inputs, config=config)
        results = pipeline.map(inputs, map_over=over, config=config, return_exceptions=True)
    except PipelineError as error:
        return _told(error)
    return [_told(one) if isinstance(one, PipelineError) else one for one in results]


def _told(error: PipelineError) -> Any:
    cause = error.__cause__
    return error.node, error.item, error.inputs, type(cause), cause.args if cause else None
