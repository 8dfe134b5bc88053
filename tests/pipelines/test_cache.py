"""What is computed again, and what is not: keys see code, helpers, closures, inputs; a miss can be explained."""

import functools
import importlib.util
import logging
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.pipelines import graphs
from tests.pipelines.conftest import Places
from weft import RuntimeConfig
from weft.errors import PipelineError
from weft.pipelines import CacheSpec, CallbackContext, DiskCache, MemoryCache, Pipeline, PipelineCallback, node
from weft.pipelines._digests import NoDigest, digest_of, function_digest


def module(folder: Path, source: str) -> ModuleType:
    """A module of this source, always under one name."""
    file = folder / "cached_module.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location("cached_module", file)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules["cached_module"] = found
    exec(compile(source, str(file), "exec"), found.__dict__)
    return found


SOURCE = """
FACTOR = 2
TABLE = {"a": 1}
class Scale:
    unit = 1
    def of(self, x): return x * self.unit
def helper(x): return x * FACTOR
def deeper(x): return helper(x) + TABLE["a"]
def fn(x, k=1): return deeper(x) + k + Scale().of(x)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x * FACTOR", "x + FACTOR"),
        ("FACTOR = 2", "FACTOR = 3"),
        ('"a": 1', '"a": 2'),
        ("k=1", "k=2"),
        ("unit = 1", "unit = 2"),
        ("x * self.unit", "x + self.unit"),
        ("deeper(x) + k", "deeper(x) - k"),
    ],
)
def test_a_change_anywhere_around_a_function_is_seen(tmp_path: Path, old: str, new: str) -> None:
    digest = function_digest(module(tmp_path, SOURCE).fn)
    assert function_digest(module(tmp_path, "# moved down\n\n" + SOURCE).fn) == digest
    assert function_digest(module(tmp_path, SOURCE.replace(old, new)).fn) != digest
    del sys.modules["cached_module"]


def test_a_change_while_the_program_runs_is_seen(tmp_path: Path) -> None:
    found = module(tmp_path, SOURCE)
    pipeline = Pipeline([node(output_name="y")(found.fn)], config=RuntimeConfig(cache=MemoryCache()))
    assert pipeline.run(x=1) == {"y": 5}
    found.FACTOR = 5
    assert pipeline.run(x=1) == {"y": 8}
    found.TABLE["a"] = 2
    assert pipeline.run(x=1) == {"y": 9}
    found.helper = lambda x: 0
    assert pipeline.run(x=1) == {"y": 4}
    del sys.modules["cached_module"]


def test_a_changed_closure_is_seen() -> None:
    def make(k: int) -> Any:
        return node(output_name="y")(lambda x: x + k)

    cache = MemoryCache()
    config = RuntimeConfig(cache=cache)
    assert [Pipeline([make(k)]).run(x=1, config=config)["y"] for k in (1, 2, 1)] == [2, 3, 2]
    assert cache.stats.hits == 1


def test_partials_and_methods_have_digests_of_what_they_are_bound_to() -> None:
    def fn(a, b):
        return a, b

    digests = {function_digest(functools.partial(fn, k)) for k in (1, 2)} | {function_digest(fn)}
    assert len(digests) == 3
    assert function_digest(functools.partial(fn, 1)) == function_digest(functools.partial(fn, 1))
    assert function_digest("a".join) != function_digest("b".join)


def test_digests_are_the_same_in_another_process(tmp_path: Path) -> None:
    """The function is compiled in both: bytecode files may be another 3.13's, which makes other code of it."""
    fn = module(tmp_path, SOURCE).fn
    code = (
        "from cached_module import fn; from weft.pipelines._digests import digest_of, function_digest;"
        "print(digest_of(({'b', 'a'}, [1, None], {'x': 2.5})).hex(), function_digest(fn).hex())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    mine = digest_of(({"a", "b"}, [1, None], {"x": 2.5})).hex(), function_digest(fn).hex()
    assert tuple(out.stdout.split()) == mine
    del sys.modules["cached_module"]


class Told:
    def __init__(self, key: object) -> None:
        self.key = key

    def __cache_key__(self) -> object:
        return self.key


class Public:
    def __init__(self, shown: object, hidden: object) -> None:
        self.shown = shown
        self._hidden = hidden


def test_values_that_differ_have_different_digests() -> None:
    values = [None, True, 1, 1.0, "1", b"1", (1,), [1], {1}, frozenset({1}), {1: 1}, [[1]], [1, 1], ([1], 1), -0.0, 0.0]
    values += [bytearray(b"1"), Told(1), Told(2), Public(1, 2), Public(2, 2), int, {"a": 1, "b": 2}, {"b": 2, "a": 1}]
    assert len({digest_of(value) for value in values}) == len(values)


class Log(list[int]):
    """Nothing that a result depends on."""

    __cache_key__ = "log"


LOG = Log()


def test_what_says_itself_what_counts_does_so_around_a_function() -> None:
    log = Log()

    def around(x: int) -> None:
        log.append(x)

    def globally(x: int) -> None:
        LOG.append(x)

    for fn in (around, globally):
        before = function_digest(fn)
        fn(1)
        assert function_digest(fn) == before


def test_private_attributes_are_left_out_and_cycles_end() -> None:
    assert digest_of(Public(1, 2)) == digest_of(Public(1, 3))
    again: list = [1]
    again.append(again)
    assert digest_of(again) == digest_of(again)
    with pytest.raises(NoDigest):
        digest_of([threading.Lock()])


def test_arrays_have_digests() -> None:
    numpy = pytest.importorskip("numpy")
    one = numpy.arange(6)
    assert digest_of(one) == digest_of(numpy.arange(6))
    others = [one.reshape(2, 3), one.astype("int32"), one[::2], one + 1]
    assert len({digest_of(value) for value in (one, *others)}) == 5
    assert digest_of(one.reshape(2, 3).T) == digest_of(numpy.ascontiguousarray(one.reshape(2, 3).T))


@pytest.mark.leaves_threads("the executors of the module's fixture")
def test_results_are_found_on_every_executor(places: Places, kind: str, tmp_path: Path) -> None:
    with DiskCache(tmp_path) as cache:
        config = places.config(kind, cache=cache)
        first = Pipeline([graphs.where]).map({"x": range(20)}, map_over="x", config=config)
        assert Pipeline([graphs.where]).map({"x": range(20)}, map_over="x", config=config) == first
        assert [Pipeline([graphs.where]).run(x=x, config=config) for x in range(20)] == first
        assert len(cache) == 20


class Calls(PipelineCallback):
    """Writes down which nodes are called. The nodes themselves must not: a list that they write to is around them."""

    def __init__(self) -> None:
        self.nodes: list[str] = []

    def on_node_start(self, node: str, context: CallbackContext) -> None:
        self.nodes.append(node)


def test_a_result_that_is_found_saves_what_only_led_to_it() -> None:
    calls, cache = Calls(), MemoryCache()
    pipeline = Pipeline([graphs.invert, graphs.double], config=RuntimeConfig(cache=cache, callbacks=(calls,)))
    pipeline.run(x=1)
    hits = cache.stats.hits
    assert pipeline.run(x=1, output_name="z") == {"z": 2}
    assert (calls.nodes, cache.stats.hits - hits) == (["invert", "double"], 1)


def test_a_node_that_is_not_cached_runs_each_time_and_counts_by_what_it_gives() -> None:
    given, calls = iter([1, 1, 2]), Calls()
    fresh = node(output_name="y", name="fresh", cache=False)(lambda: next(given))
    pipeline = Pipeline([fresh, graphs.double], config=RuntimeConfig(cache=MemoryCache(), callbacks=(calls,)))
    assert [pipeline.run()["z"] for _ in range(3)] == [2, 2, 4]
    assert calls.nodes == ["fresh", "double", "fresh", "fresh", "double"]


def test_each_call_counts_by_its_own_configuration() -> None:
    """A plan keeps what it has made of the last one: another, or a change around the function, is not taken for it."""

    class Computed:
        __cache_key__ = "as it is"
        times = 0

    computed, factor = Computed(), 2

    @node(output_name="y", cache=True)
    def multiply(x: int) -> int:
        computed.times += 1
        return x * factor

    pipeline = Pipeline([multiply])
    one, other = (RuntimeConfig(cache=MemoryCache()) for _ in range(2))
    told = RuntimeConfig(cache=CacheSpec("memory", None, {}))
    for config, runs in [(one, 1), (one, 1), (other, 2), (one, 2), (None, 3), (one, 3), (told, 4), (told, 4), (one, 4)]:
        assert pipeline.run({"x": 3}, config=config) == {"y": 6}
        assert computed.times == runs, config
    factor = 5
    assert pipeline.run({"x": 3}, config=one) == {"y": 15}
    with RuntimeConfig.use(other):
        assert pipeline.run({"x": 3}) == {"y": 15}
        assert pipeline.run({"x": 3}) == {"y": 15}
    assert computed.times == 6
    assert pipeline.run({"x": 3}, config=RuntimeConfig(cache=one.cache, flavor="threads")) == {"y": 15}
    assert computed.times == 6


def test_failures_are_not_cached() -> None:
    cache = MemoryCache()
    for _ in range(2):
        with pytest.raises(PipelineError):
            Pipeline([graphs.invert]).run(x=0, config=RuntimeConfig(cache=cache))
    assert len(cache) == 0


def test_an_input_without_a_digest_is_told_and_not_cached(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Pipeline([node(output_name="y")(lambda x: 1)], config=RuntimeConfig(cache=MemoryCache()))
    with caplog.at_level(logging.WARNING, "weft.pipelines"):
        assert pipeline.run(x=threading.Lock()) == {"y": 1}
    assert "input 'x' holds something that cannot be told from others" in caplog.text


def test_inputs_that_are_equal_and_differ_all_the_same() -> None:
    """Also when their keys are remembered: each comes three times, among more of them than are."""

    @node(output_name="kind")
    def kind(x: Any, y: Any) -> str:
        return f"{x!r} {y!r} {type(x).__name__}"

    class Number(int):
        """Equal to an int, and printed otherwise."""

        def __repr__(self) -> str:
            return "number"

    cache = MemoryCache()
    pipeline = Pipeline([kind], config=RuntimeConfig(cache=cache))
    values = [1, True, 1.0, Number(1), 0.0, -0.0, 0, False, None, "", b"", "a" * 65, "a" * 64, "1", b"1", (1,), (True,)]
    pairs = [(x, y) for x in values for y in (0, False, *range(1, 70))]
    for _ in range(3):
        for x, y in pairs:
            assert pipeline.run(x=x, y=y) == {"kind": f"{x!r} {y!r} {type(x).__name__}"}
    assert (cache.stats.stored, cache.stats.hits) == (len(pairs), 2 * len(pairs))


def test_nested_maps_are_cached_node_by_node() -> None:
    cache = MemoryCache()
    config = RuntimeConfig(cache=cache)
    expected = graphs.corpus.run(texts=graphs.TEXTS, config=config)
    stored = cache.stats.stored
    assert graphs.corpus.run(texts=graphs.TEXTS, config=config) == expected == graphs.corpus.run(texts=graphs.TEXTS)
    assert cache.stats.stored == stored
    graphs.corpus.run(texts=[*graphs.TEXTS, "one more"], config=config)
    assert cache.stats.stored == stored + 4 + 1


@pytest.mark.parametrize("make", [MemoryCache, None], ids=["memory", "disk"])
def test_misses_are_explained(make: Any, tmp_path: Path) -> None:
    with make() if make else DiskCache(tmp_path / "cache") as cache:
        config = RuntimeConfig(cache=cache)

        def pipeline(factor: int) -> Pipeline:
            found = module(tmp_path, SOURCE.replace("FACTOR = 2", f"FACTOR = {factor}"))
            fresh = node(output_name="f", name="fresh", cache=False)(lambda: 1)
            after = node(output_name="g", name="after")(lambda f: f)
            return Pipeline([node(output_name="y")(found.fn), fresh, after], config=config)

        def told(factor: int, **inputs: Any) -> list[tuple[str, str]]:
            return [(one.state, one.why) for one in pipeline(factor).explain_cache(inputs)]

        assert told(2, x=1)[0] == ("miss", "nothing of this node is in the cache")
        assert told(2, x=1)[1] == ("off", "it says cache=False")
        assert told(2, x=1)[2][0] == "unknown"
        pipeline(2).run(x=1)
        assert told(2, x=1)[0] == ("hit", "its function and inputs are the same")
        assert told(2, x=2)[0] == ("miss", "input 'x' differs")
        assert told(2, x=2, k=3)[0] == ("miss", "inputs 'x', 'k' differ")
        assert told(3, x=1)[0][1].startswith("its code has changed, or that of a helper")
        assert told(3, x=2)[0][1] == "its code or what is around it has changed, and so have its inputs"
    del sys.modules["cached_module"]
