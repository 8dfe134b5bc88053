"""`RedisCache` against a real server: who shares it, and what becomes of a pipeline when it is not there."""

import logging
import pickle
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.conftest import Places
from tests.pipelines.redis_server import RedisServer
from weft import RuntimeConfig
from weft.errors import InvalidSetting
from weft.pipelines import CacheSpec, Pipeline, RedisCache, node


@node(output_name="square")
def square(x: int) -> int:
    return x * x


@pytest.fixture
def cache(redis_server: RedisServer, tmp_path: Path) -> Iterator[RedisCache]:
    with RedisCache(redis_server.url, prefix=f"{tmp_path}:") as cache:
        yield cache
        cache.clear()


def raw(server: RedisServer) -> Any:
    import redis

    return redis.Redis(port=server.port)


@pytest.mark.parametrize("kind", ["sequential", "threads", "processes"])
@pytest.mark.leaves_threads("the executors of the module's fixture")
def test_every_run_and_every_worker_finds_what_another_has_made(places: Places, cache: RedisCache, kind: str) -> None:
    config = places.config(kind, cache=cache)
    for _ in range(2):
        assert Pipeline([square], config=config).map({"x": [1, 2, 3]}, map_over="x") == [
            {"square": 1},
            {"square": 4},
            {"square": 9},
        ]
    assert len(cache) == 3
    again = pickle.loads(pickle.dumps(cache))
    assert again.url == cache.url
    assert len(again) == 3
    again.close()


def test_a_result_expires(redis_server: RedisServer, tmp_path: Path) -> None:
    with RedisCache(redis_server.url, prefix=f"{tmp_path}:", expire=0.05) as cache:
        cache.put(b"key", 1)
        end = time.monotonic() + 20
        while cache.get(b"key") is not None:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_what_is_not_its_own_is_left_alone(redis_server: RedisServer, tmp_path: Path) -> None:
    with raw(redis_server) as client, RedisCache(redis_server.url, prefix=f"{tmp_path}[*]?") as cache:
        client.set(f"{tmp_path}another", "kept")
        for number in range(3):
            cache.put(b"%d" % number, number, node="n", parts=b"p%d" % number)
        assert cache.history("n") == [b"p2", b"p1", b"p0"]
        cache.clear()
        assert len(cache) == 0
        assert cache.history("n") == []
        assert client.get(f"{tmp_path}another") == b"kept"
        client.delete(f"{tmp_path}another")


def test_a_damaged_entry_is_a_miss_with_a_warning(
    redis_server: RedisServer, cache: RedisCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put(b"key", [1])
    with raw(redis_server) as client:
        (name,) = client.keys(f"{cache.prefix}entry:*")
        client.append(name, b"x")
    with caplog.at_level(logging.WARNING, "weft.pipelines"):
        assert cache.get(b"key", "none") == "none"
    assert "damaged" in caplog.text
    assert not cache.contains(b"key")


def test_a_server_that_goes_costs_no_result(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = RedisServer(tmp_path)
    try:
        with RedisCache(server.url) as cache:
            pipeline = Pipeline([square], config=RuntimeConfig(cache=cache))
            assert pipeline.run(x=3) == {"square": 9}
            server.end()
            with caplog.at_level(logging.WARNING, "weft.pipelines"):
                assert pipeline.map({"x": [3, 4]}, map_over="x") == [{"square": 9}, {"square": 16}]
            assert len(cache) == 0
        assert str(server.port) in caplog.text
        assert "goes on without" in caplog.text
    finally:
        server.end()


def test_an_address_where_nobody_is_is_refused_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, and says nothing
        began = time.monotonic()
        with pytest.raises(InvalidSetting, match=r"\*\*\*@127.0.0.1.*no Redis server answers") as caught:
            RedisCache(f"redis://:secret@127.0.0.1:{mute.getsockname()[1]}/0")
        assert time.monotonic() - began < 20
    assert "secret" not in str(caught.value)
    with pytest.raises(InvalidSetting, match="such as 'redis://"):
        RedisCache("http://127.0.0.1")


@pytest.mark.parametrize("wrong", [{"prefix": ""}, {"prefix": 1}, {"expire": 0}, {"expire": "1"}, {"expire": True}])
def test_settings_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(wrong))):
        CacheSpec("redis", "redis://127.0.0.1:1/0", wrong).create()
