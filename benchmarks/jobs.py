"""Whole jobs, and the functions of their tasks, which are at module level and can go anywhere."""

from __future__ import annotations

import atexit
import http.client
import random
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import cache
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.workloads import crunch, increment
from weft.cli.demo.source_metrics import measure_source

_SERVER = """
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(0.02)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
server = Server(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@cache
def _server() -> int:
    """The port of an HTTP server in a process of its own, which ends with this one."""
    process = subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True)
    atexit.register(process.kill)
    assert process.stdout is not None
    return int(process.stdout.readline())


def prepare() -> None:
    """Has ready what jobs need, and is no part of them."""
    _server()
    _sources()
    if find_spec("numpy"):
        _array()


def fetch(port: int) -> int:
    """One request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/")
        return len(connection.getresponse().read())
    finally:
        connection.close()


def fetch_all(executor: Executor, count: int) -> None:
    assert sum(executor.map(fetch, [_server()] * count)) == 2 * count


@cache
def _sources() -> Sequence[str]:
    return sorted(str(path) for path in Path(random.__file__).parent.rglob("*.py") if path.is_file())  # no broken link


def measure_file(path: str) -> int:
    """The demo's task: functions that it found."""
    return len(measure_source(Path(path).read_bytes()).functions)


def measure_sources(executor: Executor, count: int) -> None:
    assert sum(executor.map(measure_file, islice(cycle(_sources()), count))) > 0


def increment_all(executor: Executor, count: int) -> None:
    assert sum(executor.map(increment, range(count))) == count * (count + 1) // 2


@cache
def _array() -> Any:
    import numpy as np

    return np.random.default_rng(0).random(1_000_000)


def sorted_array(array: Any) -> Any:
    """numpy lets go of the GIL for this."""
    import numpy as np

    return np.sort(array, kind="stable")


def sort_arrays(executor: Executor, count: int) -> None:
    array = _array()
    for result in executor.map(sorted_array, [array] * count):
        assert len(result) == len(array)


def mixture(executor: Executor, count: int) -> None:
    port, array = _server(), _array()
    futures: list[Any] = []
    for number in range(count):
        futures += [executor.submit(crunch, number), executor.submit(fetch, port), executor.submit(increment, number)]
        if number % 20 == 0:
            futures.append(executor.submit(sorted_array, array))
    for future in futures:
        future.result()
