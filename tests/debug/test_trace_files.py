"""Traces in files: JSON lines and Chrome traces, who may write them, and what happens if they cannot be written."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.debug import trace_event_format
from tests.executors.child import descriptors_of_this_process, run_child, times, wait_until
from tests.executors.flavors import PATIENCE
from tests.lateness import check_within
from weft import _core, debug
from weft.debug import Trace
from weft.executors import SerialExecutor, ThreadPoolExecutor

FIELDS = ["name", "worker", "flavor", "start", "duration", "state", "queued", "pool", "thread"]


def nothing(*_: object) -> None:
    pass


def some_work() -> None:
    """Tasks of several kinds, on two pools, one within another, and one that never runs."""
    gate = threading.Event()
    with (
        ThreadPoolExecutor(2, thread_name_prefix='a "pool"') as pool,
        ThreadPoolExecutor(1) as other,
        SerialExecutor() as serial,
    ):
        held = other.submit(gate.wait, PATIENCE)
        wait_until(held.running, "the task runs")
        assert other.options(name="never").submit(nothing).cancel()
        pool.options(name="naïve \n\udc80").submit(nothing).result(PATIENCE)
        pool.submit(lambda: pool.submit(nothing).result()).result(PATIENCE)
        list(pool.map(nothing, range(100), chunksize=1))
        serial.submit(nothing).result()
        gate.set()


def lines_of(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


# ---- JSON lines -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trace.jsonl", "trace", "trace.json.txt"])
def test_json_lines(tmp_path: Path, ended: Callable[[], Trace], name: str) -> None:
    path = tmp_path / name
    began = time.time()
    debug.enable_tracing(path)
    some_work()
    trace = ended()
    lines = lines_of(path)
    assert (trace.path, trace.events, trace.dropped) == (path, [], 0)
    assert trace.written == len(lines) == 106
    for line in lines:
        assert list(line) == FIELDS
        if line["state"] == "cancelled":
            assert [line[field] for field in ("worker", "start", "duration", "thread")] == [None] * 4
        else:
            assert line["duration"] >= 0
            assert began - 2e-3 <= line["start"] <= time.time() + 2e-3
    names = {line["name"] for line in lines}
    assert names == {"Event.wait", "never", "naïve \n\\udc80", "nothing", "some_work.<locals>.<lambda>"}
    assert {line["worker"] for line in lines if line["pool"] == 'a "pool"'} <= {
        'a "pool"_0',
        'a "pool"_1',
        'a "pool"_2',
    }


def test_a_file_that_is_there_is_overwritten(tmp_path: Path, ended: Callable[[], Trace]) -> None:
    path = tmp_path / "trace"
    path.write_text("old\n" * 1000)
    debug.enable_tracing(str(path))
    SerialExecutor().submit(nothing)
    ended()
    assert len(lines_of(path)) == 1


def test_it_is_written_while_work_goes_on(tmp_path: Path, ended: Callable[[], Trace]) -> None:
    path = tmp_path / "trace"
    debug.enable_tracing(path)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(nothing).result(PATIENCE)
        wait_until(lambda: path.read_text().endswith("\n"), "the first line")
        assert len(lines_of(path)) == 1
    ended()


# ---- Chrome -----------------------------------------------------------------------------------------------


def test_a_chrome_trace(tmp_path: Path, ended: Callable[[], Trace]) -> None:
    path = tmp_path / "trace.json"
    began = time.monotonic()
    debug.enable_tracing(path)
    some_work()
    trace = ended()
    now = time.monotonic()
    by_phase = trace_event_format.check(trace_event_format.load(path))
    assert trace.written == 106
    assert len(by_phase["X"]) == 105
    assert len(by_phase["b"]) == 105  # all that went through a queue, the cancelled one too
    for event in by_phase["X"]:
        assert event["pid"] == os.getpid()
        assert began * 1e6 <= event["ts"] <= event["ts"] + event["dur"] <= now * 1e6 + 1
        assert event["args"]["state"] == "done"
        assert event["args"]["queued_us"] >= 0
    threads = {event["args"]["name"] for event in by_phase["M"] if event["name"] == "thread_name"}
    assert {"SerialExecutor", 'a "pool"_0'} <= threads
    assert [event["name"] for event in by_phase["e"] if event["args"]["state"] == "cancelled"] == ["never"]


def test_an_empty_chrome_trace(tmp_path: Path, ended: Callable[[], Trace]) -> None:
    path = tmp_path / "trace.json"
    debug.enable_tracing(path)
    assert ended().written == 0
    assert set(trace_event_format.check(trace_event_format.load(path))) == {"M", "X"}


def test_a_chrome_trace_can_be_read_while_it_grows(tmp_path: Path, ended: Callable[[], Trace]) -> None:
    path = tmp_path / "trace.json"
    debug.enable_tracing(path)
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(nothing) for _ in range(1000)]:
            future.result(PATIENCE)
        wait_until(lambda: path.read_text().count('"X"') == 1000, "all of it is there")
        by_phase = trace_event_format.check(trace_event_format.load(path, cut_off=True), cut_off=True)
        assert len(by_phase["X"]) == 1000
    ended()
    trace_event_format.check(trace_event_format.load(path))


# ---- what cannot be written -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "error"), [("no/such/folder", FileNotFoundError), (".", IsADirectoryError)])
def test_a_path_that_cannot_be_written(tmp_path: Path, name: str, error: type[OSError]) -> None:
    with pytest.raises(error) as caught:
        debug.enable_tracing(tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)
    assert debug.disable_tracing() is None


def test_a_second_trace_does_not_empty_the_file_of_the_first(tmp_path: Path, ended: Callable[[], Trace]) -> None:
    path = tmp_path / "trace"
    debug.enable_tracing(path)
    SerialExecutor().submit(nothing)
    with pytest.raises(RuntimeError, match="on already, to .*trace; call disable_tracing"):
        debug.enable_tracing(path)
    ended()
    assert len(lines_of(path)) == 1


def test_a_file_that_another_process_is_writing(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    debug.enable_tracing(path)
    ended = run_child(
        """
import sys
from weft import debug
try:
    debug.enable_tracing(sys.argv[1])
except RuntimeError as error:
    print(error)
""",
        str(path),
    )
    ended.check_sound()
    assert ended.output == f"another process is writing a trace to {path}; give each a path of its own\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full here")
def test_a_disk_that_is_full() -> None:
    before = len(descriptors_of_this_process())
    debug.enable_tracing("/dev/full")
    with ThreadPoolExecutor(1) as pool:
        assert [future.result(PATIENCE) for future in [pool.submit(nothing) for _ in range(1000)]] == [None] * 1000
    with pytest.raises(OSError, match="the trace is incomplete: '/dev/full'"):
        debug.disable_tracing()
    assert debug.disable_tracing() is None
    assert len(descriptors_of_this_process()) == before


def test_files_are_closed(tmp_path: Path, ended: Callable[[], Trace]) -> None:
    before = len(descriptors_of_this_process())
    for number in range(5):
        debug.enable_tracing(tmp_path / str(number))
        ended()
    assert len(descriptors_of_this_process()) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.deadline(120)
def test_what_a_slow_reader_leaves_no_room_for_is_dropped_and_counted(
    tmp_path: Path, ended: Callable[[], Trace], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the file: tasks go on, events are dropped, and their number is right."""
    monkeypatch.setattr(debug._tracing, "MOST_CHUNKS", 4)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    count = 20_000
    debug.enable_tracing(path)
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(nothing) for _ in range(count)]:
            future.result(PATIENCE)
    text: list[bytes] = []
    drain = threading.Thread(target=lambda: text.extend(iter(lambda: os.read(reader, 65536), b"")))
    drain.start()
    with caplog.at_level(logging.WARNING, logger="weft"):
        trace = ended()
    drain.join(PATIENCE)
    os.close(reader)
    assert trace.dropped > 0
    assert trace.written + trace.dropped == count
    assert b"".join(text).count(b"\n") == trace.written
    assert f"{trace.dropped} of {count} events are not in the trace" in caplog.text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_ctrl_c_ends_the_wait_for_a_file_that_nobody_reads(tmp_path: Path) -> None:
    """Invariant 4."""
    ended = run_child(
        """
import os, signal, sys, threading, time
from weft import debug
from weft.executors import ThreadPoolExecutor

os.mkfifo(sys.argv[1])
reader = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
debug.enable_tracing(sys.argv[1])
with ThreadPoolExecutor(1) as pool:
    for future in [pool.submit(int) for _ in range(5000)]:
        future.result()
try:
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    debug.disable_tracing()
except KeyboardInterrupt:
    print("interrupted", debug.disable_tracing())
""",
        str(tmp_path / "pipe"),
    )
    ended.check_sound()
    assert ended.output == "interrupted None\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_exit_does_not_wait_for_ever_for_a_file_that_nobody_reads(tmp_path: Path) -> None:
    ended = run_child(
        """
import os, sys, time
from weft import debug
from weft.executors import ThreadPoolExecutor

os.mkfifo(sys.argv[1])
reader = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
debug._tracing.EXIT_WITHIN = 0.2
debug.enable_tracing(sys.argv[1])
with ThreadPoolExecutor(1) as pool:
    for future in [pool.submit(int) for _ in range(5000)]:
        future.result()
print("exit", time.monotonic())
""",
        str(tmp_path / "pipe"),
    )
    ended.check_sound()
    check_within(ended.exit_seconds, 3.0)
    assert "the trace could not be written to its end: the file does not take what is written to it" in ended.errors


# ---- memory -----------------------------------------------------------------------------------------------


@pytest.mark.deadline(300)
def test_memory_is_flat_while_a_million_tasks_are_traced(tmp_path: Path) -> None:
    """However many names there are: nothing is kept of what has been written."""
    ended = run_child(
        """
import os, sys
from weft import debug
from weft.executors import ThreadPoolExecutor

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def work(batches):
    for batch in range(batches):
        named = pool.options(name=f"batch {batch} " + "x" * 100)
        for future in [named.submit(int) for _ in range(2000)]:
            future.result()

debug._tracing.MOST_CHUNKS = 32  # 1 MiB a thread, so that a busy machine has not much to put off
debug.enable_tracing(sys.argv[1])
with ThreadPoolExecutor(2, max_pending=1000) as pool:
    work(50)
    before = resident()
    work(int(sys.argv[2]))
    grown = resident() - before
trace = debug.disable_tracing()
print(trace.written, trace.dropped, grown)
""",
        str(tmp_path / "trace"),
        str(times(500, 100)),
        seconds=200,
    )
    ended.check_sound()
    written, dropped, grown = map(int, ended.output.split())
    assert written + dropped == 2000 * (50 + times(500, 100))
    assert grown < 8_000_000
    with (tmp_path / "trace").open() as file:
        assert sum(1 for _ in file) == written


def test_a_trace_is_seen_as_on_until_it_ends(ended: Callable[[], Trace]) -> None:
    assert not _core.is_tracing()
    debug.enable_tracing()
    assert _core.is_tracing()
    ended()
    assert not _core.is_tracing()
