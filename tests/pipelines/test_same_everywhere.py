"""Results, and errors, never depend on the executor: random graphs on all of them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pipelines import graphs, random_graphs
from tests.pipelines.conftest import MAKERS, Places
from tests.pipelines.random_graphs import outcome
from weft import RuntimeConfig
from weft.pipelines import MemoryCache, Pipeline

REMOTE = ("processes", "stdlib-processes", "interpreters")


@pytest.mark.deadline(240)
@pytest.mark.leaves_threads("the executors of the module's fixture")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_random_graph_gives_the_same_on_every_executor(places: Places, data: st.DataObject) -> None:
    pipeline = data.draw(random_graphs.pipelines())
    inputs, over = data.draw(random_graphs.inputs_of(pipeline))
    expected = outcome(pipeline, inputs, None, over)
    assert outcome(pipeline, inputs, RuntimeConfig(retries=0, timeout=60, cache=MemoryCache()), over) == expected
    # Not all of them each time: it is examples that find something.
    kinds = [kind for kind in MAKERS if kind not in REMOTE] + [
        data.draw(st.sampled_from([*REMOTE][: 3 if "interpreters" in MAKERS else 2]))
    ]
    for kind in kinds:
        assert outcome(pipeline, inputs, places.config(kind), over) == expected, kind
    cached = places.config("threads", cache=MemoryCache())
    assert outcome(pipeline, inputs, cached, over) == expected
    assert outcome(pipeline, inputs, cached, over) == expected


@pytest.mark.leaves_threads("the executors of the module's fixture")
def test_the_corpus_gives_the_same_on_every_executor(places: Places, kind: str) -> None:
    expected = graphs.corpus.run(texts=graphs.TEXTS)
    config = places.config(kind)
    assert graphs.corpus.run(texts=graphs.TEXTS, config=config) == expected
    many = {"texts": [graphs.TEXTS] * 300}
    assert graphs.corpus.map(many, map_over="texts", config=config) == [expected] * 300
    lazily = graphs.corpus.imap({"texts": iter([graphs.TEXTS] * 50)}, map_over="texts", config=config, buffersize=7)
    assert list(lazily) == [expected] * 50


@pytest.mark.leaves_threads("the executors of the module's fixture")
def test_asynchronous_nodes_run_everywhere(places: Places, kind: str) -> None:
    pipeline = Pipeline([graphs.waited])
    config = places.config(kind)
    assert pipeline.run(x=1, config=config) == {"waited": 2}
    assert pipeline.map({"x": range(20)}, map_over="x", config=config) == [{"waited": x + 1} for x in range(20)]
