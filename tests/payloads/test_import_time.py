"""A fresh interpreter has 40 ms to its first result: the worker's side loads next to nothing (invariant 10's spirit)."""

import subprocess
import sys

import pytest

from tests.lateness import Late

SLOW = {
    *("asyncio", "concurrent.futures", "inspect", "logging", "multiprocessing", "pickle", "re", "runpy", "threading"),
    *("traceback", "typing", "weft.errors", "weft.executors", "cloudpickle", "contextlib", "dataclasses"),
}

SESSION = """
import marshal, sys, time
before = set(sys.modules)
begin = time.perf_counter()
from weft._payloads import working
working.prepare_main({"kind": "", "where": "", "argv": sys.argv, "path": sys.path})
function = working.load_function(b"operator:add")
number, kwnames, *values = working.unpack_call(bytes.fromhex(sys.argv[1]))
data, buffers = working.pack_result([function(*values)])
print(time.perf_counter() - begin, *sorted(set(sys.modules) - before))
"""


def session() -> tuple[float, set[str]]:
    from weft._payloads.calling import pack_call

    data, _ = pack_call(1, None, ([1], [2]))
    command = [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{SESSION}", data.hex()]
    output = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True).stdout.split()
    return float(output[0]), set(output[1:])


def test_a_first_result_loads_nothing_slow() -> None:
    _, loaded = session()
    assert "weft._payloads.working" in loaded
    assert not loaded & SLOW
    assert {name for name in loaded if name.startswith("weft")} == {
        "weft",
        "weft._payloads",
        *(f"weft._payloads.{name}" for name in ("main_module", "pickling", "references", "working")),
    }


@pytest.mark.invariant(10)
def test_a_first_result_is_quick() -> None:
    seconds = min(session()[0] for _ in range(5))
    if seconds > 0.020:
        raise Late(f"{seconds:.3f} s")
