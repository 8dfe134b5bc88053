"""`ProgressCallback`: which bars there are, and what they say at the end."""

import io
import re
import time

import pytest
from rich.console import Console

from tests.pipelines import graphs
from tests.pipelines.conftest import Places
from tests.without import said_without
from weft import RuntimeConfig
from weft.errors import PipelineError
from weft.pipelines import MemoryCache, Pipeline, ProgressCallback, node


class Terminal:
    """A terminal, and what it has shown."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.console = Console(file=self._stream, force_terminal=True, width=120, color_system=None)

    def last(self, count: int) -> list[str]:
        """So many of the last lines, without their bars and times."""
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._stream.getvalue())
        lines = [line for line in re.split(r"[\r\n]+", text) if "/" in line]
        return [" ".join(re.sub(r"[━╸╺]+|\d:\d\d:\d\d", "", line).split()) for line in lines[-count:]]


@pytest.fixture
def shown() -> Terminal:
    return Terminal()


@pytest.mark.leaves_threads("the executors of the module's fixture")
def test_a_bar_for_each_map_and_node(places: Places, kind: str, shown: Terminal) -> None:
    pipeline = Pipeline(
        [graphs.words.as_node(name="texts", map_over="text", output_mapping={"count": "counts"}), graphs.add_up],
        name="all",
    )
    config = places.config(kind, callbacks=(ProgressCallback(console=shown.console),))
    pipeline.map({"text": [["a"], ["b", "c d"]]}, map_over="text", output_name="total", config=config)
    assert sorted(shown.last(5)) == sorted(["all 2/2", "texts 3/3", "split 3/3", "count 3/3", "add_up 2/2"])


def test_one_run(shown: Terminal) -> None:
    config = RuntimeConfig(callbacks=(ProgressCallback(console=shown.console),))
    graphs.words.run(text="a b", output_name="count", config=config)
    assert shown.last(2) == ["split 1/1", "count 1/1"]


def test_what_was_cached_and_what_failed(shown: Terminal) -> None:
    @node(output_name="y")
    def inverse(x: int) -> float:
        return 1 / x

    cache = MemoryCache()
    pipeline = Pipeline([inverse], name="inverses")
    for _ in range(2):
        config = RuntimeConfig(cache=cache, callbacks=(ProgressCallback(console=shown.console),))
        results = pipeline.map({"x": [1, 0, 2]}, map_over="x", config=config, return_exceptions=True)
        assert isinstance(results[1], PipelineError)
    assert shown.last(2) == ["inverses 3/3", "inverse 3/3 2 cached, 1 failed"]


def test_items_without_a_number(shown: Terminal) -> None:
    config = RuntimeConfig(callbacks=(ProgressCallback(console=shown.console),))
    assert len(list(graphs.words.imap({"text": iter("abc")}, map_over="text", output_name="count", config=config))) == 3
    assert "3/?" in shown.last(3)[0]


def test_two_at_a_time(shown: Terminal) -> None:
    """The terminal is the first one's; the second runs without."""
    callback = ProgressCallback(console=shown.console)

    @node(output_name="y")
    def inner(x: str) -> int:
        return graphs.words.run(text=x, config=RuntimeConfig(callbacks=(callback,)))["count"]

    assert Pipeline([inner]).run(x="a b", config=RuntimeConfig(callbacks=(callback,))) == {"y": 2}
    assert shown.last(1) == ["inner 1/1"]


def test_it_costs_little() -> None:
    """Bars are told now and then, not for each of 20,000 items."""
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    config = RuntimeConfig(callbacks=(ProgressCallback(console=console),))
    began = time.process_time()
    graphs.words.map({"text": ["a"] * 20_000}, map_over="text", config=config)
    assert time.process_time() - began < 10


def test_without_rich() -> None:
    said = said_without("rich", "weft.pipelines.ProgressCallback()")
    assert said == 'rich is not installed; run: pip install "weft[progress]"\n'
