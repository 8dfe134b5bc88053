"""A fresh interpreter has 40 ms to its first result: the worker's side loads next to nothing (invariant 10's spirit)."""

import subprocess
import sys

import pytest

from tests.lateness import check_within

SLOW = {
    *("asyncio", "concurrent.futures", "inspect", "logging", "multiprocessing", "pickle", "re", "runpy", "threading"),
    *("traceback", "typing", "weft.errors", "weft.executors", "cloudpickle", "contextlib", "dataclasses"),
}

SESSION = """
import marshal, sys, time
before, (data, greeting) = set(sys.modules), map(bytes.fromhex, sys.argv[1:])
begin = time.perf_counter()
from weft._payloads import asides, starting, working
assert starting.start(greeting, lambda message: None) is None
function = working.load_function(b"operator:add")
number, kwnames, *values = working.unpack_call(data)
data, buffers = working.pack_result([function(*values)])
seconds, loaded = time.perf_counter() - begin, sorted(set(sys.modules) - before)
asides.uninstall()
print(seconds, *loaded)
"""


def session() -> tuple[float, set[str]]:
    import multiprocessing.connection  # as every caller has that has a pool of processes

    from weft._payloads.calling import pack_call
    from weft._payloads.starting import greeting, pack_setup

    assert multiprocessing.connection
    data, _ = pack_call(1, None, ([1], [2]))
    setup, _ = pack_setup(None, (), ())
    told = greeting(setup)
    command = [
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path[:0] = {sys.path!r}\n{SESSION}",
        data.hex(),
        told.hex(),
    ]
    output = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True).stdout.split()
    return float(output[0]), set(output[1:])


def test_a_first_result_loads_nothing_slow() -> None:
    _, loaded = session()
    assert "weft._payloads.working" in loaded
    assert not loaded & SLOW
    assert {name for name in loaded if name.startswith("weft")} == {
        "weft",
        "weft._payloads",
        *(f"weft._payloads.{name}" for name in ("asides", "late_imports", "main_module", "pickling", "references")),
        *(f"weft._payloads.{name}" for name in ("starting", "working")),
    }


@pytest.mark.invariant(10)
def test_a_first_result_is_quick() -> None:
    seconds = min(session()[0] for _ in range(5))
    check_within(seconds, 0.020)
