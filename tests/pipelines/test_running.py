"""`run`, `map` and `imap` in the calling thread: inputs, defaults, selected outputs, nesting, what is refused."""

import itertools

import pytest

from tests.pipelines import graphs
from weft import RuntimeConfig, get_default_config, set_default_config
from weft.errors import InvalidInputs, InvalidSetting, PipelineError
from weft.pipelines import Node, Pipeline, node


def recorder(calls: list[str]):
    """Makes nodes that write down when they are called."""

    def make(output: str, *inputs: str, **defaults: object) -> Node:
        scope: dict = {"calls": calls}
        parameters = [*inputs, *(f"{name}={value!r}" for name, value in defaults.items())]
        names = [*inputs, *defaults]
        exec(
            f"def fn({', '.join(parameters)}):\n calls.append({output!r})\n return {[*names]!r}, [{', '.join(names)}]",
            scope,
        )
        return Node(scope["fn"], output_name=output, name=output)

    return make


def test_nodes_run_once_each_in_an_order_that_works() -> None:
    calls: list[str] = []
    make = recorder(calls)
    pipeline = Pipeline([make("c", "a", "b"), make("b", "a"), make("a", "x")])
    assert list(pipeline.run(x=1)) == ["a", "b", "c"]
    assert calls == ["a", "b", "c"]


def test_only_what_is_needed_runs() -> None:
    calls: list[str] = []
    make = recorder(calls)
    inner = Pipeline([make("p", "a"), make("q", "a")], name="inner")
    pipeline = Pipeline([make("a", "x"), make("b", "y"), inner, make("c", "p")])
    assert list(pipeline.run(x=1, output_name="c")) == ["c"]
    assert calls == ["a", "p", "c"]  # neither b, so y need not be given, nor q
    calls.clear()
    assert list(pipeline.run(y=1, output_name=["b"])) == ["b"]
    assert calls == ["b"]
    assert list(pipeline.run(x=1, output_name=("p", "a"))) == ["p", "a"]


def test_defaults_of_several_nodes_are_each_their_own() -> None:
    make = recorder([])
    pipeline = Pipeline([make("a", k=1), make("b", k=2)])
    assert pipeline.run() == {"a": (["k"], [1]), "b": (["k"], [2])}
    assert pipeline.run(k=3) == {"a": (["k"], [3]), "b": (["k"], [3])}
    assert pipeline.map({"k": [5]}, map_over="k") == [{"a": (["k"], [5]), "b": (["k"], [5])}]
    nested = Pipeline([pipeline.with_name("inner"), make("c", "a", k=4)])
    assert nested.run() == {"a": (["k"], [1]), "b": (["k"], [2]), "c": (["a", "k"], [(["k"], [1]), 4])}
    mapped = Pipeline([Pipeline([make("a", "x", k=1), make("b", k=2)], name="m").as_node(map_over="x"), make("c", k=9)])
    assert mapped.run(x=[0])["a"] == [(["x", "k"], [0, 1])]
    assert mapped.run(x=[0])["b"] == [(["k"], [2])]
    assert mapped.run(x=[0], k=7)["b"] == [(["k"], [7])]


def test_an_input_that_one_node_requires_is_required() -> None:
    make = recorder([])
    pipeline = Pipeline([make("a", k=1), make("b", "k")])
    assert pipeline.unfulfilled_args == ("k",)
    with pytest.raises(InvalidInputs, match="input 'k', which node '.' takes, is missing"):
        pipeline.run()
    assert pipeline.run(k=3)["a"] == (["k"], [3])


def test_bind_and_unbind() -> None:
    bound = graphs.words.bind(least=2)
    assert (bound.bound_inputs, graphs.words.bound_inputs) == ({"least": 2}, {})
    assert bound.run(text="a bb", output_name="count") == {"count": 1}
    assert bound.run(text="a bb", least=1, output_name="count") == {"count": 2}  # the call goes first
    assert bound.bind(text="a").unfulfilled_args == ()
    assert bound.unbind("least").bound_inputs == {}
    assert bound.bind(text="a").unbind().bound_inputs == {}
    with pytest.raises(InvalidInputs, match="input 'text' is not bound: 'least' is"):
        bound.unbind("text")
    with pytest.raises(InvalidInputs, match="did you mean 'least'"):
        graphs.words.bind(leats=2)


def test_what_is_bound_inside_is_settled_unless_it_is_mapped() -> None:
    inner = Pipeline([recorder([])("a", "x", "k")], name="inner").bind(k=5)
    assert Pipeline([inner]).inputs == ("x",)
    assert Pipeline([inner]).run(x=1) == {"a": (["x", "k"], [1, 5])}
    open_again = inner.as_node(input_mapping={"k2": "k"})
    assert Pipeline([open_again]).run(x=1) == {"a": (["x", "k"], [1, 5])}
    assert Pipeline([open_again]).run(x=1, k2=6) == {"a": (["x", "k"], [1, 6])}
    mapped = Pipeline([inner.as_node(map_over="x")])
    assert mapped.run(x=[1, 2])["a"] == [(["x", "k"], [1, 5]), (["x", "k"], [2, 5])]


def test_generators_and_asynchronous_nodes() -> None:
    async def slowly(x):
        return x + 1

    async def several(y):
        for one in range(y):
            yield one

    pipeline = Pipeline([node(output_name="y")(slowly), node(output_name="items")(several)])
    assert pipeline.run(x=2) == {"y": 3, "items": [0, 1, 2]}
    assert pipeline.map({"x": [0, 1]}, map_over="x", output_name="items") == [{"items": [0]}, {"items": [0, 1]}]
    assert list(pipeline.imap({"x": iter([0])}, map_over="x")) == [{"y": 1, "items": [0]}]


def test_several_outputs_have_to_be_so_many() -> None:
    pipeline = Pipeline([node(output_name=("a", "b"))(lambda x: x)])
    assert pipeline.run(x=(1, 2)) == {"a": 1, "b": 2}
    for config in (None, RuntimeConfig(retries=1)):
        with pytest.raises(PipelineError) as caught:
            pipeline.run(x=(1, 2, 3), config=config)
        assert isinstance(caught.value.__cause__, ValueError)


def test_nested_pipelines_run_under_other_names() -> None:
    assert graphs.corpus.run(texts=graphs.TEXTS, output_name="total") == {"total": 10}
    assert graphs.corpus.run(texts=graphs.TEXTS, least=3) == {
        "low": [2, 2, 3],
        "high": [3, 4, 8],
        "lengths": [[2, 2, 2, 3, 2, 2], [4, 2], [3, 8]],
        "counts": [1, 1, 2],
        "all_words": [text.split() for text in graphs.TEXTS],
        "total": 4,
    }
    assert graphs.corpus.run(texts=[])["total"] == 0


def test_a_nested_map_over_a_product_and_over_what_no_node_needs() -> None:
    pair = Pipeline([node(output_name="pair")(lambda a, b: (a, b))], name="pairs")
    both = Pipeline([pair.as_node(map_over=["a", "b"], map_mode="product")])
    assert both.run(a=[1, 2], b=["xy", "z"])["pair"] == [(1, "xy"), (1, "z"), (2, "xy"), (2, "z")]
    one = Pipeline(
        [node(output_name="u")(lambda a: a).with_name("u"), node(output_name="v")(lambda b: b).with_name("v")]
    )
    assert Pipeline([one.as_node(map_over="a")]).run(a=[1, 2], b=3, output_name="v") == {"v": [3, 3]}


@pytest.mark.parametrize("config", [None, RuntimeConfig(retries=1)], ids=["compiled", "step by step"])
def test_map_zips_or_multiplies(config) -> None:
    pipeline = Pipeline([node(output_name="s")(lambda a, b, c=0: (a, b, c))])

    def results(**options) -> list:
        return [one["s"] for one in pipeline.map(config=config, **options)]

    assert results(inputs={"a": [1, 2], "b": 3}, map_over="a") == [(1, 3, 0), (2, 3, 0)]
    assert results(inputs={"a": [1, 2], "b": [3, 4]}, map_over=["a", "b"]) == [(1, 3, 0), (2, 4, 0)]
    product = results(inputs={"a": [1, 2], "b": [3, 4], "c": 5}, map_over=["a", "b"], map_mode="product")
    assert product == [(a, b, 5) for a, b in itertools.product([1, 2], [3, 4])]
    assert results(inputs={"a": [], "b": 3}, map_over="a") == []


def test_imap_reads_only_as_much_as_is_taken() -> None:
    read: list[int] = []

    def numbers():
        for number in itertools.count():
            read.append(number)
            yield number

    results = Pipeline([node(output_name="y")(graphs.add_one)]).imap({"x": numbers()}, map_over="x")
    assert [next(results)["y"] for _ in range(3)] == [1, 2, 3]
    assert read == [0, 1, 2]
    results.close()
    pairs = Pipeline([node(output_name="y")(lambda a, b: (a, b))])
    endless = pairs.imap({"a": itertools.count(), "b": [1, 2]}, map_over=["a", "b"], map_mode="product")
    assert [one["y"] for one in itertools.islice(endless, 3)] == [(0, 1), (0, 2), (1, 1)]


@pytest.mark.parametrize(
    ("inputs", "options", "says"),
    [
        ({"texts": ["a"]}, {"map_over": "text"}, "there is no input 'texts': did you mean 'text'?"),
        ({}, {"map_over": "text"}, "input 'text', which node 'split' takes, is missing"),
        ({}, {"map_over": "least", "output_name": "words"}, "input 'text'"),
        ({"text": "a"}, {"map_over": "least"}, "input 'least', which map_over names, is missing"),
        ({"text": "abc"}, {"map_over": "text"}, "has to be a sequence, not str: give a list"),
        ({"text": {"a": 1}}, {"map_over": "text"}, "not dict"),
        ({"text": {"a"}}, {"map_over": "text"}, "not set: give list(...) of it"),
        ({"text": 3}, {"map_over": "text"}, "not int"),
        ({"text": iter(["a"])}, {"map_over": "text"}, "or use imap, which takes any iterable"),
        ({"text": ["a"], "least": [1, 2]}, {"map_over": ["text", "least"]}, "'text' has 1, 'least' has 2"),
        ([("text", "a")], {"map_over": "text"}, "inputs has to be a mapping"),
    ],
)
def test_wrong_inputs_of_map_are_refused_before_anything_runs(inputs, options, says: str) -> None:
    with pytest.raises(InvalidInputs) as caught:
        graphs.words.map(inputs, **options)
    assert says in str(caught.value)


def test_wrong_inputs_of_run() -> None:
    for call, says in [
        (lambda: graphs.words.run(), "input 'text', which node 'split' takes, is missing"),
        (lambda: graphs.words.run(txt="a"), "did you mean 'text'?"),
        (lambda: graphs.words.run(text="a", words=[]), "'words' is what node 'split' gives, not an input"),
        (lambda: graphs.words.run({"text": "a"}, text="b"), "input 'text' is given twice"),
        (lambda: graphs.words.run({3: "a"}), "3 is no name of an input"),
        (lambda: graphs.words.run("a"), "not str"),
        (
            lambda: Pipeline([node(output_name="b")(lambda cuont: 1).with_name("b"), graphs.count]).run(words=[]),
            "did you mean 'count', which a node gives?",
        ),
    ]:
        with pytest.raises(InvalidInputs) as caught:
            call()
        assert says in str(caught.value)
    with pytest.raises(InvalidSetting, match="map_over='txt'"):
        graphs.words.map({"text": ["a"]}, map_over="txt")
    with pytest.raises(InvalidSetting, match="did you mean 'zip'"):
        graphs.words.map({"text": ["a"]}, map_over="text", map_mode="zipp")
    with pytest.raises(InvalidSetting, match="buffersize=0"):
        graphs.words.imap({"text": ["a"]}, map_over="text", buffersize=0)


def test_lists_of_unequal_length_in_a_nested_map() -> None:
    inner = Pipeline([node(output_name="s")(lambda a, b: a)], name="pairs").as_node(map_over=["a", "b"])
    with pytest.raises(PipelineError, match="'a' has 1, 'b' has 2") as caught:
        Pipeline([inner]).run(a=[1], b=[1, 2])
    assert caught.value.node == "pairs"


@pytest.mark.parametrize("config", [None, RuntimeConfig(retries=0, timeout=30)], ids=["compiled", "step by step"])
def test_a_failure_names_node_item_and_inputs(config) -> None:
    pipeline = Pipeline([graphs.invert, graphs.double], name="ratio")
    with pytest.raises(PipelineError) as caught:
        pipeline.map({"x": [1, 0, 2]}, map_over="x", config=config)
    error = caught.value
    assert str(error) == (
        "node 'invert' of pipeline 'ratio' failed on item 1: ZeroDivisionError: division by zero; it was given x=0"
    )
    assert (error.node, error.pipeline, error.item, error.inputs) == ("invert", "ratio", 1, {"x": "0"})
    assert isinstance(error.__cause__, ZeroDivisionError)
    outcomes = pipeline.map({"x": [1, 0, 2, 0]}, map_over="x", return_exceptions=True, config=config)
    assert [getattr(one, "item", one) for one in outcomes] == [{"y": 1.0, "z": 2.0}, 1, {"y": 0.5, "z": 1.0}, 3]
    lazily = pipeline.imap({"x": iter([1, 0, 2])}, map_over="x", return_exceptions=True, config=config)
    assert [getattr(one, "item", one) for one in lazily] == [{"y": 1.0, "z": 2.0}, 1, {"y": 0.5, "z": 1.0}]


@pytest.mark.parametrize("config", [None, RuntimeConfig(timeout=30)], ids=["compiled", "step by step"])
def test_a_failure_in_nested_pipelines_has_the_way_to_it(config) -> None:
    with pytest.raises(PipelineError) as caught:
        graphs.corpus.map({"texts": [["a"], ["b", "c", ""]]}, map_over="texts", config=config)
    assert (caught.value.node, caught.value.item) == ("texts[2]/bounds", 1)
    assert isinstance(caught.value.__cause__, ValueError)
    flat = Pipeline([Pipeline([graphs.invert], name="inner"), graphs.double])
    with pytest.raises(PipelineError) as caught:
        flat.run(x=0, config=config)
    assert caught.value.node == "inner/invert"


def test_what_a_failure_shows_of_inputs_is_short() -> None:
    class Loud:
        def __repr__(self) -> str:
            raise OSError

    pipeline = Pipeline([node(output_name="y")(lambda x, z: x.no)])
    with pytest.raises(PipelineError) as caught:
        pipeline.run(x="a" * 500, z=Loud())
    assert len(str(caught.value)) < 400
    assert "Loud whose repr raises OSError" in str(caught.value)
    with pytest.raises(PipelineError, match="x=<list of length 5000>"):
        pipeline.run(x=[1] * 5000, z=1)


def test_an_interruption_is_not_wrapped() -> None:
    def stop(x):
        raise KeyboardInterrupt

    for config in (None, RuntimeConfig(retries=3)):
        with pytest.raises(KeyboardInterrupt):
            Pipeline([node(output_name="y")(stop)]).run(x=1, config=config)


def test_a_type_error_in_a_node_is_the_nodes() -> None:
    with pytest.raises(PipelineError) as caught:
        Pipeline([node(output_name="y")(lambda x: x + 1)]).run(x="a")
    assert isinstance(caught.value.__cause__, TypeError)


def test_an_error_of_the_input_iterator_is_its_own() -> None:
    def numbers():
        yield 1
        raise OSError("no more")

    results = Pipeline([node(output_name="y")(graphs.add_one)]).imap({"x": numbers()}, map_over="x")
    assert next(results) == {"y": 2}
    with pytest.raises(OSError, match="no more"):
        next(results)


def test_inputs_may_be_called_anything() -> None:
    pipeline = Pipeline([node(output_name="self")(lambda inputs, config, _rows, __v0: [inputs, config, _rows, __v0])])
    given = {"inputs": 1, "config": 2, "_rows": 3, "__v0": 4}
    assert pipeline.run(given) == {"self": [1, 2, 3, 4]}
    assert pipeline.map(given | {"_rows": [3]}, map_over="_rows") == [{"self": [1, 2, 3, 4]}]


def test_a_long_chain() -> None:
    scope: dict = {}
    made = []
    for number in range(1500):
        exec(f"def n{number}(v{number}): return v{number} + 1", scope)
        made.append(node(output_name=f"v{number + 1}")(scope[f"n{number}"]))
    pipeline = Pipeline(made[::-1])
    assert pipeline.run(v0=0, output_name="v1500") == {"v1500": 1500}
    assert pipeline.run(v0=0, output_name="v1500", config=RuntimeConfig(retries=1)) == {"v1500": 1500}


# ---- which configuration counts --------------------------------------------------------------------------


def test_the_most_specific_configuration_counts_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter(range(100))

    def fails(x):
        if next(failures) % 3:
            return x
        raise OSError

    base = Pipeline([node(output_name="y", backoff=0)(fails)])
    retrying, plain = RuntimeConfig(retries=1), RuntimeConfig()

    def works(pipeline: Pipeline, config: RuntimeConfig | None = None) -> bool:
        nonlocal failures
        failures = iter(range(100))
        try:
            pipeline.run(x=1, config=config)
        except PipelineError:
            return False
        return True

    assert not works(base)
    assert works(base, retrying)
    assert works(base.with_config(retrying))
    assert not works(base.with_config(retrying), plain)
    with RuntimeConfig.use(retrying):
        assert works(base)
        assert not works(base.with_config(plain))
    set_default_config(retrying)
    try:
        assert works(base)
    finally:
        set_default_config(None)
    monkeypatch.setenv("WEFT_RETRIES", "1")
    assert get_default_config().retries == 1
    assert works(base)
    monkeypatch.delenv("WEFT_RETRIES")
    assert not works(base)
    assert works(Pipeline([node(output_name="y", backoff=0, retries=1)(fails)]), plain)
    own = node(output_name="y", backoff=0)(fails).with_config(retrying)
    assert works(Pipeline([own]))
    assert not works(Pipeline([own]), plain)


def test_configurations_are_inherited_through_nesting() -> None:
    config, other = RuntimeConfig(retries=1), RuntimeConfig(retries=2)
    parent = Pipeline([graphs.split], name="parent", config=config)
    child = Pipeline([graphs.count], parent=parent)
    grandchild = Pipeline([graphs.count], parent=child)
    assert child.effective_config is config
    assert grandchild.effective_config is config
    assert Pipeline([graphs.count], parent=parent, config=other).effective_config is other
    with RuntimeConfig.use(other):
        assert graphs.words.effective_config is other
        assert grandchild.effective_config is config


def test_nested_pipelines_have_the_configuration_of_what_they_are_in_unless_they_have_one() -> None:
    seen = []

    def fails(x):
        seen.append(x)
        raise OSError

    inner = Pipeline([node(output_name="y", backoff=0)(fails)], name="inner")
    for nested in (inner, inner.as_node(map_over="x")):
        for own, outer, tries in [(None, 2, 3), (1, 2, 2)]:
            config = None if own is None else RuntimeConfig(retries=own)
            element = nested if own is None else inner.with_config(config)
            if own is not None and nested is not inner:
                element = inner.with_config(config).as_node(map_over="x")
            seen.clear()
            with pytest.raises(PipelineError):
                Pipeline([element], config=RuntimeConfig(retries=outer)).run(x=[1])
            assert len(seen) == tries
