"""What is refused when a pipeline is built: each error names the nodes, and what to do."""

import pytest

from tests.pipelines import graphs
from weft import RuntimeConfig
from weft.errors import InvalidPipeline, InvalidSetting
from weft.pipelines import Pipeline, node


def make(name: str, output: str, *inputs: str, returns: type | None = None, takes: type | None = None):
    """A node by the names of what it takes and gives."""
    code = f"def {name}({', '.join(inputs)}): return None"
    found: dict = {}
    exec(code, found)
    fn = found[name]
    if returns is not None:
        fn.__annotations__["return"] = returns
    for one in inputs if takes is not None else ():
        fn.__annotations__[one] = takes
    return node(output_name=output)(fn)


def problems(nodes, **options) -> str:
    with pytest.raises(InvalidPipeline) as caught:
        Pipeline(nodes, **options)
    assert caught.value.problems
    return str(caught.value)


def test_a_circle_is_named_all_the_way_round() -> None:
    text = problems([make("a", "x", "z"), make("b", "y", "x"), make("c", "z", "y"), make("d", "w", "z")], name="round")
    assert "pipeline 'round'" in text
    assert "a -(x)-> b -(y)-> c -(z)-> a" in text


def test_a_node_that_takes_what_it_gives() -> None:
    assert "a -(x)-> a" in problems([make("a", "x", "x")])


def test_two_producers() -> None:
    assert "nodes 'a' and 'b' both give 'x': change the output_name of one" in problems(
        [make("a", "x"), make("b", "x")]
    )


def test_two_nodes_of_one_name() -> None:
    assert "nodes[0] and nodes[1] are both called 'a'" in problems([make("a", "x"), make("a", "y")])


def test_types_that_do_not_fit() -> None:
    text = problems([make("a", "x", returns=int), make("b", "y", "x", takes=str)])
    assert "node 'a' gives 'x' as int, and node 'b' takes str" in text


def test_types_that_do_not_fit_through_nested_and_mapped_pipelines() -> None:
    inner = Pipeline([make("b", "y", "x", takes=str)], name="inner")
    assert "gives 'x' as int" in problems([make("a", "x", returns=int), inner])
    mapped = inner.as_node(map_over="x")
    assert "takes list[str]" in problems([make("a", "x", returns=list[int]), mapped])
    Pipeline([make("a", "x", returns=list[str]), mapped])
    outer = Pipeline([make("a", "x", returns=int)], name="inner").as_node(output_mapping={"x": "q"})
    assert "gives 'q' as int" in problems([outer, make("b", "y", "q", takes=str)])


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = problems([make("a", "x"), make("b", "x"), make("c", "y"), make("d", "y")])
    assert "2 problems" in text


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([], "it has no nodes"),
        (graphs.split, "write [split]"),
        (3, "nodes has to be a list of nodes, not a int"),
        ([graphs.add_one], "nodes[0] is the function add_one, not a node: write @node(output_name=...) above it"),
        ([graphs.split, "count"], "nodes[1] is a str, not a node"),
    ],
)
def test_what_is_no_list_of_nodes(nodes, says: str) -> None:
    assert says in problems(nodes)


def test_wrong_settings() -> None:
    with pytest.raises(InvalidSetting, match="name=''"):
        Pipeline([graphs.split], name="")
    with pytest.raises(InvalidSetting, match="parent"):
        Pipeline([graphs.split], parent=graphs.split)
    with pytest.raises(InvalidSetting, match="config"):
        Pipeline([graphs.split], config={})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"map_over": "txt"}, "map_over='txt' is not valid: did you mean 'text'?"),
        ({"map_over": []}, "map_over=[]"),
        ({"map_over": ["text", "text"]}, "name each input once"),
        ({"map_mode": "zap"}, "did you mean 'zip'?"),
        ({"input_mapping": {"t": "txt"}}, "did you mean 'text'?"),
        ({"input_mapping": {"text": "t"}}, "turn it round: it is {outer: inner}"),
        ({"output_mapping": {"wrds": "w"}}, "did you mean 'words'?"),
        ({"output_mapping": {"w": "words"}}, "turn it round: it is {inner: outer}"),
        ({"output_mapping": {"words": "count"}}, "give each output a name of its own"),
        ({"input_mapping": {"least": "text"}}, "give each input a name of its own"),
        ({"input_mapping": {"a b": "text"}}, "a name that a parameter could have"),
        ({"input_mapping": [("a", "text")]}, "give {outer: inner}"),
    ],
)
def test_wrong_mappings(options, says: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        graphs.words.as_node(**options)
    assert says in str(caught.value)


def test_an_unknown_output() -> None:
    with pytest.raises(InvalidSetting, match="output_name='cuont' is not valid: did you mean 'count'?"):
        graphs.words.run(text="a", output_name="cuont")
    with pytest.raises(InvalidSetting, match="leave it out for all"):
        graphs.words.run(text="a", output_name=[])


def test_a_config_of_a_call_that_is_none() -> None:
    with pytest.raises(InvalidSetting, match="config='threads'"):
        graphs.words.run(text="a", config="threads")
    for wrong, says in [("cache", "give a cache"), ("backend", "give a backend"), ("callbacks", "PipelineCallback")]:
        value = (3,) if wrong == "callbacks" else 3
        with pytest.raises(InvalidSetting, match=says):
            graphs.words.run(text="a", config=RuntimeConfig(**{wrong: value}))
