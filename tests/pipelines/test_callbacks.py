"""Hooks: which are called, in what order, on whose side; and that an exception in one harms nobody."""

import logging
import threading
from typing import Any

import pytest

from tests.pipelines import graphs
from tests.pipelines.conftest import Places
from weft import RuntimeConfig
from weft.errors import InvalidSetting, PipelineError
from weft.pipelines import CallbackContext, Pipeline, PipelineCallback, node

HOOKS = [name for name in vars(PipelineCallback) if name.startswith("on_")]


class Diary(PipelineCallback):
    """Writes down every hook, with the names and numbers that it is called with, and how deep."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.threads: set[int] = set()


def _hook(name: str) -> Any:
    def hook(self: Diary, *args: Any) -> None:
        context: CallbackContext = args[-1]
        shown = [one for one in args[:-1] if isinstance(one, str | int) or one is None]
        self.told.append((name.removeprefix("on_"), *shown, context.depth))
        self.threads.add(threading.get_ident())

    return hook


for _name in HOOKS:
    setattr(Diary, _name, _hook(_name))


@pytest.mark.leaves_threads("the executors of the module's fixture")
def test_every_hook_is_called_in_order_on_every_executor(places: Places, kind: str) -> None:
    inner = Pipeline([graphs.add_up], name="sums")
    pipeline = Pipeline(
        [graphs.words.as_node(name="texts", map_over="text", output_mapping={"count": "counts"}), inner]
    )
    diary = Diary()
    config = places.config(kind, callbacks=(diary,))
    results = pipeline.map({"text": [["a"], ["b", "c d"]]}, map_over="text", output_name="total", config=config)
    assert results == [{"total": 1}, {"total": 3}]

    def item(number: int, texts: int) -> list[tuple[Any, ...]]:
        told: list[tuple[Any, ...]] = [("map_item_start", number, 1), ("node_start", "texts", 1)]
        told.append(("map_start", "texts", texts, 2))
        for one in range(texts):
            told.append(("map_item_start", one, 2))
            for name in ("split", "count"):
                told += [("node_start", f"texts/{name}", 2), ("node_end", f"texts/{name}", 2)]
            told.append(("map_item_end", one, 2))
        told += [("map_end", "texts", 2), ("node_end", "texts", 1)]
        told += [("nested_pipeline_start", "sums", 2), ("node_start", "sums/add_up", 2)]
        told += [("node_end", "sums/add_up", 2), ("nested_pipeline_end", "sums", 2), ("map_item_end", number, 1)]
        return told

    assert diary.told == [("map_start", "pipeline", 2, 1), *item(0, 1), *item(1, 2), ("map_end", "pipeline", 1)]
    assert diary.threads == {threading.get_ident()}


def test_run_tells_of_its_beginning_end_and_failure() -> None:
    diary = Diary()
    config = RuntimeConfig(callbacks=(diary,))
    Pipeline([graphs.invert], name="ratio").run(x=1, config=config)
    with pytest.raises(PipelineError):
        Pipeline([graphs.invert], name="ratio").run(x=0, config=config)
    begin, end = ("pipeline_start", "ratio", 1), ("pipeline_end", "ratio", 1)
    assert diary.told == [
        *(begin, ("node_start", "invert", 1), ("node_end", "invert", 1), end),
        *(begin, ("node_start", "invert", 1), ("error", "invert", 1), end),
    ]


def test_an_exception_in_a_hook_is_logged_and_goes_no_further(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(PipelineCallback):
        def on_node_start(self, node: str, context: CallbackContext) -> None:
            raise OSError("no")

    diary = Diary()
    with caplog.at_level(logging.ERROR, "weft.pipelines"):
        config = RuntimeConfig(callbacks=(Broken(), diary))
        assert Pipeline([graphs.invert]).run(x=1, config=config) == {"y": 1}
    assert "Broken.on_node_start raised; the pipeline goes on" in caplog.text
    assert ("node_start", "invert", 1) in diary.told


def test_hooks_share_what_they_leave() -> None:
    class Counts(PipelineCallback):
        def on_node_end(self, node: str, seconds: float, context: CallbackContext) -> None:
            context.set("nodes", context.get("nodes", 0) + 1)

        def on_pipeline_end(self, pipeline: str, outputs: Any, seconds: float, context: CallbackContext) -> None:
            self.total = context.get("nodes"), context.current_pipeline_id, sorted(outputs)

    counts = Counts()
    Pipeline([graphs.invert, graphs.double]).run(x=1, config=RuntimeConfig(callbacks=(counts,)))
    assert counts.total == (2, "pipeline", ["y", "z"])


def test_a_class_or_a_stranger_is_no_callback() -> None:
    one = Pipeline([node(output_name="y")(graphs.add_one)])
    with pytest.raises(InvalidSetting, match=r"give an object of it: Diary\(\)"):
        one.run(x=1, config=RuntimeConfig(callbacks=(Diary,)))
    with pytest.raises(InvalidSetting, match="give a weft.pipelines.PipelineCallback"):
        one.run(x=1, config=RuntimeConfig(callbacks=(print,)))
