"""What only processes can do, and what can only happen to processes."""

import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.executors import remote_tasks as tasks
from tests.executors.child import run_child, wait_until
from tests.executors.gates import CrossingGate
from tests.lateness import check_within
from weft.errors import InvalidSetting, TaskTimeout, WorkerCrashed
from weft.executors import ProcessPoolExecutor

numpy = pytest.importorskip("numpy")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def memories() -> int:
    """Shared memory that this process has mapped or open."""
    return Path("/proc/self/maps").read_text().count("/memfd:weft")


def check_full_strength(pool: Any) -> None:
    """It has two workers, which run two tasks at a time."""
    gates = CrossingGate(), CrossingGate()
    futures = [pool.submit(tasks.meet, *order) for order in (gates, gates[::-1])]
    assert len({future.result(40) for future in futures}) == 2


@pytest.fixture
def pool() -> Any:
    with ProcessPoolExecutor(2) as pool:
        yield pool


# ---- death


@pytest.mark.invariant(7)
def test_a_killed_worker_fails_its_task_and_no_other(pool: Any) -> None:
    """The row of the table: one SIGKILL among 1,000 tasks."""
    before = [pool.submit(abs, -number) for number in range(500)]
    killed = pool.submit(tasks.die)
    after = [pool.submit(abs, -number) for number in range(500, 999)]
    assert [future.result(30) for future in before + after] == list(range(999))
    error = killed.exception(30)
    assert isinstance(error, WorkerCrashed)
    assert isinstance(error, BrokenExecutor)
    assert error.signal == signal.SIGKILL
    assert error.pid not in (None, os.getpid())
    assert "die" in str(error)
    check_full_strength(pool)


@pytest.mark.invariant(7)
def test_a_worker_that_exits(pool: Any) -> None:
    error = pool.submit(tasks.leave, 3).exception(30)
    assert isinstance(error, WorkerCrashed)
    assert error.exit_code == 3
    assert pool.submit(abs, -1).result(30) == 1


@pytest.mark.invariant(7)
def test_killed_from_outside_while_idle(pool: Any) -> None:
    for _ in range(3):
        pid = pool.submit(os.getpid).result(30)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: not alive(pid), "it is dead")
        assert pool.submit(abs, -1).result(30) == 1


def test_killed_at_random_moments_nothing_is_lost(rng: Any) -> None:
    """Large results in flight, workers killed: each task has one result, or says that its worker died."""
    with ProcessPoolExecutor(2) as pool:
        stop = threading.Event()
        worked: set[int] = set()
        young = itertools.repeat(True, 4)  # so many are killed before they have worked: the pool gives up after five
        killed = 0

        def kill_some() -> None:
            nonlocal killed
            while killed < 10 and not stop.wait(rng.uniform(0.001, 0.03)):  # each costs an import of numpy
                for pid in pool._processes:
                    if pid in worked or next(young, False):
                        try:
                            os.kill(pid, signal.SIGKILL)
                            killed += 1
                        except ProcessLookupError:
                            pass

        def note(future: Any) -> None:
            if future.exception() is None:
                worked.add(future.result()[0])

        killer = threading.Thread(target=kill_some)
        killer.start()
        array = numpy.arange(100_000)
        futures: list[Any] = []
        outcomes: list[BaseException | None] = []
        while killed <= 4:
            more = [pool.submit(tasks.add_one_here, array) for _ in range(200)]
            for future in more:
                future.add_done_callback(note)
            futures += more
            outcomes += [future.exception(60) for future in more]
        stop.set()
        killer.join(20)
        assert all(error is None or isinstance(error, WorkerCrashed) for error in outcomes), outcomes
        for future, error in zip(futures, outcomes, strict=True):
            if error is None:
                assert (future.result()[1] == array + 1).all()
        assert pool.submit(abs, -1).result(30) == 1


def test_a_task_that_refuses_to_stop_is_ended(pool: Any) -> None:
    future = pool.options(timeout=0.2).submit(tasks.refuse_to_stop)
    began = time.monotonic()
    assert isinstance(future.exception(30), TaskTimeout)
    check_within(time.monotonic() - began, 4)
    assert pool.submit(abs, -1).result(30) == 1


def test_terminate_and_kill_workers() -> None:
    for how in ("terminate_workers", "kill_workers"):
        pool = ProcessPoolExecutor(2)
        future = pool.submit(tasks.nap_for_ever)
        wait_until(future.running, "it runs")
        getattr(pool, how)()
        assert isinstance(future.exception(30), WorkerCrashed)
        with pytest.raises(RuntimeError):
            pool.submit(abs, -1)


class SlowStart:
    """Has the processes of a pool begin when they may."""

    def __init__(self) -> None:
        self.pool = ProcessPoolExecutor(1)
        self.asked, self.may_start = threading.Event(), threading.Event()
        self._start = self.pool._starter.template.start_worker

    def __call__(self, *args: Any) -> Any:
        self.asked.set()
        assert self.may_start.wait(30)
        return self._start(*args)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowStart]:
    slow = SlowStart()
    monkeypatch.setattr(slow.pool._starter.template, "start_worker", slow)
    yield slow
    slow.may_start.set()
    for process in slow.pool._processes.values():
        process.kill()
    slow.pool.shutdown(wait=True, cancel_futures=True)


@pytest.mark.parametrize("how", ["terminate_workers", "kill_workers"])
def test_a_process_that_is_being_started_is_killed_too(slow: SlowStart, how: str) -> None:
    looked = threading.Event()

    class Processes(dict[int, Any]):
        def values(self) -> Any:
            looked.set()
            return super().values()

    slow.pool._starter.running = Processes()
    future = slow.pool.submit(tasks.nap_for_ever)
    assert slow.asked.wait(30)
    killer = threading.Thread(target=getattr(slow.pool, how), daemon=True)
    killer.start()
    assert looked.wait(30)
    slow.may_start.set()
    killer.join(10)
    assert not killer.is_alive()
    assert future.cancelled() or isinstance(future.exception(0), WorkerCrashed)  # it may have been ready before


def test_nothing_is_left() -> None:
    with ProcessPoolExecutor(1) as pool:  # the shared template stays
        pool.submit(abs, -1).result(30)
    gc.collect()
    descriptors, mapped = len(os.listdir("/proc/self/fd")), memories()
    for _ in range(5):
        with ProcessPoolExecutor(2) as pool:
            pids = set(pool.map(tasks.pid_after, [0.01] * 8))
            assert (pool.submit(tasks.add_one, numpy.zeros(1_000_000)).result(30) == 1).all()
        gc.collect()
        wait_until(lambda pids=pids: not any(map(alive, pids)), "its processes have ended")
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, "its descriptors are closed")
    assert memories() <= mapped


ROOT = Path(__file__).parents[2]

PARENT = """
import sys, time
from tests.executors import remote_tasks as tasks
from tests.executors.gates import CrossingGate
from weft.executors import ProcessPoolExecutor
if __name__ == "__main__":
    pool = ProcessPoolExecutor(2)
    gates = CrossingGate(), CrossingGate()
    places = [pool.submit(tasks.meet, *order) for order in (gates, gates[::-1])]
    pids = [place.result()[0] for place in places]
    del gates
    print(*pids, flush=True)
    futures = [pool.submit(tasks.nap_for_ever) for _ in range(4)]
    time.sleep(60)
"""


def test_workers_end_with_their_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pids = set(map(int, parent.stdout.readline().split()))
        assert len(pids) == 2
        parent.kill()
    wait_until(lambda: not any(map(alive, pids)), "its workers have ended")


WITHOUT_SHARED_MEMORY = """
import logging, resource, sys
import numpy
from tests.executors import remote_tasks as tasks
from weft.executors import ProcessPoolExecutor
if __name__ == "__main__":
    logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stdout)
    LIMIT
    with ProcessPoolExecutor(2) as pool:
        assert list(pool.map(tasks.pid_after, [0.05] * 8, chunksize=1))
        assert (pool.submit(tasks.add_one, numpy.zeros(1_000_000)).result(30) == 1).all()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what limits memfds")
def test_without_shared_memory_there_are_pipes_and_one_warning() -> None:
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))"  # of a memfd, too
    code = WITHOUT_SHARED_MEMORY.replace("LIMIT", limit)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=50)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("weft: there is no shared memory for worker processes (")
    assert "pipes" in line
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a file system")
def test_a_full_dev_shm_is_none_of_ours() -> None:
    """Our memory has no name there, and no limit of that mount's."""
    fill = 'mount -t tmpfs -o size=4k none /dev/shm && head -c 4096 /dev/zero > /dev/shm/full && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", fill, "sh", sys.executable, "-c", WITHOUT_SHARED_MEMORY]
    command[-1] = command[-1].replace("LIMIT", "")
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=50)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr.strip()}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_unguarded_main_is_found(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from weft.executors import ProcessPoolExecutor\n"
        "def double(x): return 2 * x\n"
        "with ProcessPoolExecutor(1) as pool:\n"
        "    print(pool.submit(double, 4).result(30))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "if __name__ == '__main__':" in done.stderr


def test_functions_of_main(tmp_path: Path) -> None:
    script = tmp_path / "guarded.py"
    script.write_text(
        "from weft.executors import ProcessPoolExecutor\n"
        "class Pair:\n"
        "    def __init__(self, a): self.a = a\n"
        "def double(pair): return Pair(2 * pair.a)\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(1) as pool:\n"
        "        print(pool.submit(double, Pair(4)).result(30).a)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("8\n", 0), done.stderr


# ---- arrays


def test_arrays_of_all_sizes_and_kinds(pool: Any) -> None:
    for array in (
        numpy.arange(10),
        numpy.zeros((100, 100)),
        numpy.ones((300, 1000), dtype="float32"),
        numpy.asfortranarray(numpy.arange(400_000.0).reshape(400, 1000)),
        numpy.arange(100_000)[::2],
        numpy.empty((0, 5)),
        numpy.array(["a", "bc"]),
        numpy.array([{}, None], dtype=object),
    ):
        found = pool.submit(tasks.echo_array, array).result(30)
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        assert (found == array).all()


def test_a_result_can_be_written_and_outlives_its_pool() -> None:
    with ProcessPoolExecutor(1) as pool:
        found = pool.submit(tasks.add_one, numpy.zeros(1_000_000)).result(30)
    found += 1
    assert (found == 2).all()


def test_a_read_only_array_stays_so(pool: Any) -> None:
    array = numpy.zeros(1_000_000)
    array.flags.writeable = False
    assert pool.submit(tasks.is_read_only, array).result(30)


def test_many_large_results_at_a_time(pool: Any) -> None:
    array = numpy.arange(500_000)
    futures = [pool.submit(tasks.add_one, array) for _ in range(40)]
    assert all((future.result(30) == array + 1).all() for future in futures)


# ---- replacing


def test_a_worker_is_replaced_after_so_many_tasks() -> None:
    with ProcessPoolExecutor(1, max_tasks_per_child=3) as pool:
        pids = [pool.submit(os.getpid).result(30) for _ in range(9)]
    assert [pids[:3], pids[3:6], pids[6:]] == [[pid] * 3 for pid in dict.fromkeys(pids)]


def test_a_worker_that_grows_is_replaced() -> None:
    with ProcessPoolExecutor(1, max_memory_per_child=200 * 2**20) as pool:
        small = {pool.submit(os.getpid).result(30) for _ in range(5)}
        assert len(small) == 1
        assert {pool.submit(tasks.grow, 300).result(30)} == small
        assert pool.submit(os.getpid).result(30) not in small


@pytest.mark.parametrize(
    ("setting", "value"), [("max_tasks_per_child", 0), ("max_memory_per_child", 1), ("max_workers", 0)]
)
def test_limits_that_cannot_be(setting: str, value: int) -> None:
    with pytest.raises(InvalidSetting, match=setting):
        ProcessPoolExecutor(**{setting: value})


def test_ctrl_c_ends_it_cleanly() -> None:
    ended = run_child(
        """
import os, signal, sys, threading
from tests.executors import remote_tasks as tasks
from weft.executors import ProcessPoolExecutor
if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(tasks.pid_after, [0.01] * 4))
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        list(pool.map(tasks.pid_after, [30] * 4))
"""
    )
    assert ended.status == -signal.SIGINT, ended
    assert ended.errors.count("Traceback") == 1, ended.errors
