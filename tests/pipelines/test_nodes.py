"""`node` and `Node`: what a function becomes, what is refused, and that a node is a value that can be pickled."""

import functools
import pickle

import pytest

from tests.pipelines import graphs
from weft import RuntimeConfig
from weft.errors import InvalidPipeline, InvalidSetting
from weft.pipelines import Node, Pipeline, node


def test_a_node_has_its_functions_names_and_can_be_called_like_it() -> None:
    assert graphs.count.name == "count"
    assert graphs.count.inputs == ("words", "least")
    assert graphs.count.outputs == ("count",)
    assert graphs.count(["a", "bb"], least=2) == 1
    assert graphs.bounds.outputs == ("low", "high")


def test_without_a_name_for_its_output_it_is_called_like_the_function() -> None:
    @node
    def answer() -> int:
        return 42

    assert Pipeline([answer]).run() == {"answer": 42}


def test_the_kinds() -> None:
    async def waits() -> None: ...

    async def yields():
        yield 1

    assert [node(output_name="x")(fn).kind for fn in (graphs.add_one, graphs.measure.fn, waits, yields)] == [
        "plain",
        "generator",
        "async",
        "async generator",
    ]


def test_with_name_and_with_config_give_another_node() -> None:
    config = RuntimeConfig(retries=2)
    other = graphs.split.with_name("cut").with_config(config)
    assert (other.name, other.config, graphs.split.name, graphs.split.config) == ("cut", config, "split", None)
    assert other.fn is graphs.split.fn


def test_keyword_only_positional_only_and_bound_parameters() -> None:
    def fn(a, /, b, *, c=3):
        return a, b, c

    assert Pipeline([node(output_name="x")(fn)]).run(a=1, b=2) == {"x": (1, 2, 3)}
    assert Pipeline([node(output_name="x")(fn)]).run(a=1, b=2, c=4) == {"x": (1, 2, 4)}
    assert Pipeline([Node(functools.partial(fn, 1), output_name="x", name="p")]).run(b=2) == {"x": (1, 2, 3)}
    assert Pipeline([Node(functools.partial(fn, b=2), output_name="x", name="p")]).run(a=1) == {"x": (1, 2, 3)}


@pytest.mark.parametrize(
    "made",
    [graphs.split, graphs.split.with_name("cut"), graphs.bounds.with_config(RuntimeConfig(retries=1)), graphs.words],
    ids=["by name", "renamed", "configured", "pipeline"],
)
def test_it_survives_pickling(made) -> None:
    copy = pickle.loads(pickle.dumps(made))
    assert (copy.name, copy.inputs, copy.outputs) == (made.name, made.inputs, made.outputs)
    assert (copy is made) == (made is graphs.split)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"output_name": "two words"}, "output_name='two words'"),
        ({"output_name": "class"}, "output_name='class'"),
        ({"output_name": ("a", "a")}, "output_name=('a', 'a')"),
        ({"output_name": ()}, "output_name=()"),
        ({"name": "a/b"}, "name='a/b'"),
        ({"cache": 1}, "cache=1"),
        ({"retries": -1}, "retries=-1"),
        ({"timeout": 0}, "timeout=0"),
        ({"backoff": -1}, "backoff=-1"),
        ({"retry_on": ValueError()}, "retry_on=ValueError()"),
        ({"config": {}}, "config={}"),
    ],
)
def test_a_wrong_option_is_refused_by_its_name(options, named: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        node(**options)(graphs.add_one)
    assert named in str(caught.value)


def test_parameters_without_names_are_refused() -> None:
    with pytest.raises(InvalidPipeline, match=r"\*rest has no names for inputs: write the parameters out"):
        node(output_name="x")(lambda *rest: rest)
    with pytest.raises(InvalidPipeline, match=r"\*\*more"):
        node(output_name="x")(lambda **more: more)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="fn=3"):
        Node(3)
