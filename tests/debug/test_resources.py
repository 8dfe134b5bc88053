"""track_resource_deltas: what has grown over a block is counted and named, and what has not is not."""

import gc
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from weft.debug import ResourceDelta, Resources, track_resource_deltas
from weft.errors import InvalidSetting
from weft.executors import ProcessPoolExecutor, ThreadPoolExecutor

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks through /proc")


@pytest.fixture
def deltas() -> list[ResourceDelta]:
    return []


def test_nothing_more(deltas: list[ResourceDelta]) -> None:
    with track_resource_deltas("sum", writer=deltas.append):
        sum(range(10))
    (delta,) = deltas
    assert delta.label == "sum"
    assert delta.growth == {}
    assert delta.seconds >= 0
    assert str(delta) == "sum: nothing more than before"
    delta.check()


def test_a_thread(deltas: list[ResourceDelta]) -> None:
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait, name="the-straggler")
    with track_resource_deltas("start", writer=deltas.append, settle=0):
        thread.start()
    gate.set()
    thread.join()
    (delta,) = deltas
    assert delta.growth == {"threads": 1}
    assert delta.added("threads") == {thread.native_id: "the-straggler"}
    assert str(delta) == f"start: 1 thread more\n  thread {thread.native_id}: the-straggler"
    with pytest.raises(AssertionError, match="1 thread more"):
        delta.check()


def test_what_ends_meanwhile_does_not_count(deltas: list[ResourceDelta]) -> None:
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    with track_resource_deltas("start", writer=deltas.append, settle=20):
        thread.start()
        timer = threading.Timer(0.05, gate.set)
        timer.start()
    thread.join()
    timer.join()
    assert deltas[0].growth == {}


@linux
def test_a_descriptor(deltas: list[ResourceDelta]) -> None:
    with track_resource_deltas("open", writer=deltas.append, settle=0):
        end = socket.socket()
    assert deltas[0].growth == {"descriptors": 1}
    assert deltas[0].added("descriptors")[end.fileno()].startswith("socket:")
    with track_resource_deltas("exchange", writer=deltas.append, settle=0):
        number = end.fileno()
        end.close()
        end = socket.socket()
    assert deltas[1].growth == {}
    assert list(deltas[1].removed("descriptors")) == [number]
    with track_resource_deltas("close", writer=deltas.append, settle=0):
        end.close()
    assert deltas[2].growth == {}
    assert deltas[2].added("descriptors") == {}


@linux
def test_a_process_and_its_child(deltas: list[ResourceDelta]) -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(input())'])"
    with track_resource_deltas("spawn", writer=deltas.append, settle=0):
        process = subprocess.Popen(
            [sys.executable, "-c", f"print('up', flush=True); {code}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        assert process.stdout is not None
        process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text():
            pass
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert deltas[0].growth["processes"] == 2
    assert process.pid in deltas[0].added("processes")
    assert "print(input())" in str(deltas[0])


@linux
def test_shared_memory(deltas: list[ResourceDelta]) -> None:
    with track_resource_deltas("map", writer=deltas.append, settle=0):
        descriptor = os.memfd_create("of-a-test")
        os.ftruncate(descriptor, 4096)
        memory = mmap.mmap(descriptor, 4096)
    assert deltas[0].growth["shared_memory"] == 1
    assert list(deltas[0].added("shared_memory").values()) == ["/memfd:of-a-test"]
    assert "1 segment of shared memory" in str(deltas[0])
    memory.close()
    os.close(descriptor)


@linux
def test_helpers_of_multiprocessing_do_not_count(deltas: list[ResourceDelta]) -> None:
    with track_resource_deltas("share", writer=deltas.append):
        memory = SharedMemory(create=True, size=4096)  # starts the resource tracker, if this is the first
        memory.close()
        memory.unlink()
    assert deltas[0].growth == {}, str(deltas[0])


@pytest.mark.skipif(sys.version_info < (3, 14), reason="needs interpreters")
def test_an_interpreter(deltas: list[ResourceDelta]) -> None:
    from concurrent import interpreters

    with track_resource_deltas("make", writer=deltas.append, settle=0):
        one = interpreters.create()
    assert deltas[0].growth["interpreters"] == 1
    assert list(deltas[0].added("interpreters")) == [one.id]
    one.close()


@pytest.fixture(params=[ThreadPoolExecutor, ProcessPoolExecutor])
def pool_class(request: pytest.FixtureRequest) -> type:
    with request.param(1) as pool:  # what pools share is there
        assert pool.submit(abs, -1).result(30) == 1
    return request.param


def test_pools_leave_nothing(pool_class: type, deltas: list[ResourceDelta]) -> None:
    with track_resource_deltas("pool", writer=deltas.append, settle=20), pool_class(2) as pool:
        assert sorted(pool.map(abs, [-1, -2])) == [1, 2]
    deltas[0].check()


def test_an_error_of_the_block_leaves_it_and_the_writer_is_called(deltas: list[ResourceDelta]) -> None:
    with pytest.raises(KeyError, match="mine"):
        with track_resource_deltas("fail", writer=deltas.append):
            raise KeyError("mine")
    assert len(deltas) == 1


def test_what_the_writer_raises_leaves_the_block() -> None:
    with pytest.raises(AssertionError, match="leak: 1 thread more"):
        gate = threading.Event()
        thread = threading.Thread(target=gate.wait)
        try:
            with track_resource_deltas("leak", writer=ResourceDelta.check, settle=0):
                thread.start()
        finally:
            gate.set()
            thread.join()


@linux
def test_cycles_are_no_leak() -> None:
    class Holder:
        def __init__(self) -> None:
            self.me = self
            self.file = open(os.devnull)  # noqa: SIM115

        def __del__(self) -> None:
            self.file.close()

    gc.disable()
    try:
        with track_resource_deltas("cycle", writer=ResourceDelta.check, settle=0):
            Holder()
    finally:
        gc.enable()


def test_plain_data(deltas: list[ResourceDelta]) -> None:
    before = Resources({1: "MainThread"}, None, {}, {3: "socket:[1]"}, None)
    after = Resources({1: "MainThread"}, None, {7: "cat"}, dict.fromkeys(range(3, 20), "pipe"), None)
    delta = ResourceDelta("x", before, after, 0.5)
    told = json.loads(json.dumps(delta.as_dict()))
    assert told["growth"] == {"processes": 1, "descriptors": 16}
    assert told["processes"] == {"added": {"7": "cat"}, "removed": {}}
    assert told["descriptors"]["removed"] == {"3": "socket:[1]"}
    assert "interpreters" not in told  # which is not known
    lines = str(delta).splitlines()
    assert lines[0] == "x: 1 process, 16 descriptors more"
    assert lines[-1] == "  and 7 others"


def test_what_is_wrong_is_said_at_once() -> None:
    with pytest.raises(TypeError, match="label must be a str"):
        track_resource_deltas(3, writer=print)
    with pytest.raises(TypeError, match="writer must be a function"):
        track_resource_deltas("x", writer=None)
    with pytest.raises(InvalidSetting, match="settle="):
        track_resource_deltas("x", writer=print, settle=-1)
    delta = ResourceDelta("x", Resources({}, {}, {}, {}, {}), Resources({}, {}, {}, {}, {}), 0)
    with pytest.raises(InvalidSetting, match="did you mean 'threads'"):
        delta.added("thread")
