"""Who is killed when: callers, templates and workers, at random moments. Invariant 3: no process, zombie or descriptor is left.

Processes are known by a mark in their environment, which a forked or exec'ed child has too.
"""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tests.executors.child import descriptors_of_this_process, run_child, start_child, times
from tests.executors.template_preloads import write_module
from tests.executors.template_talk import WORKERS, program, talk
from tests.lateness import check_within
from weft.executors._template.template import Template

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

MARK = "WEFT_TEMPLATE_MARK"


def processes(mark: str) -> list[int]:
    """Those that have the mark, but not zombies, whose environment is gone."""
    wanted = f"{MARK}={mark}".encode()
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if wanted in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.append(int(name))
            except OSError:  # ended meanwhile
                continue
    return found


def seconds_until_none(mark: str) -> float:
    begin = time.monotonic()
    while left := processes(mark):
        assert time.monotonic() - begin < 20, [Path(f"/proc/{pid}/stat").read_text() for pid in left]
        time.sleep(0.005)  # they are no children of ours: nothing reports their end
    return time.monotonic() - begin


def children() -> set[int]:
    """The children of this process, those that nobody has waited for among them."""
    with subprocess.Popen(["ps", "-A", "-o", "pid=,ppid="], stdout=subprocess.PIPE, text=True) as process:
        rows = [tuple(map(int, line.split())) for line in process.communicate(timeout=20)[0].splitlines()]
    return {pid for pid, parent in rows if parent == os.getpid() and pid != process.pid}


_others: set[int] = set()  # that tests before have left: multiprocessing has helpers that stay


@pytest.fixture(autouse=True)
def note_others() -> None:
    _others.clear()
    _others.update(children())


def has_children() -> bool:
    return bool(children() - _others)


CALLER = program("""
    import threading
    template = Template(run=f"{WORKERS}:{sys.argv[1]}")
    def ask():
        while True:
            several = [talk(template) for _ in range(3)]
            print("some\\n", end="", flush=True)
            for one in several[:2]:
                one.end()
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    threads[0].join()
""")


@pytest.mark.deadline(120)
@pytest.mark.parametrize("worker", ["wait", "wait_for_ever"])
def test_the_caller_is_killed(rng: random.Random, worker: str) -> None:
    for number in range(times(40, 4)):
        mark = uuid.uuid4().hex
        # Workers without the core, which cannot end by themselves: it is the template that kills them.
        child = start_child(CALLER.replace(".end()", ".close()"), worker, **{MARK: mark})
        try:
            if number % 2:
                assert child.stdout is not None
                assert child.stdout.readline() == "some\n"
            time.sleep(rng.random() * 0.15)
        finally:
            child.kill()
            child.communicate(timeout=20)
        check_within(seconds_until_none(mark), 1.0)


def test_the_caller_is_killed_while_a_preload_hangs(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "weft_hangs.py").write_text(f"open({str(fifo)!r}, 'w').close()\nimport time\ntime.sleep(1000)")
    body = """
        sys.path.insert(0, sys.argv[1])
        talk(Template(("weft_hangs",), run=f"{WORKERS}:wait"))
    """
    child = start_child(program(body), str(tmp_path), **{MARK: mark})
    fifo.read_text()  # it hangs from now on
    child.kill()
    child.communicate(timeout=20)
    check_within(seconds_until_none(mark), 1.0)


@pytest.mark.invariant(4)
def test_ctrl_c_while_a_preload_hangs(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "weft_hangs.py").write_text(f"open({str(fifo)!r}, 'w').close()\nimport time\ntime.sleep(1000)")
    body = """
        import time
        sys.path.insert(0, sys.argv[1])
        template = Template(("weft_hangs",), run=f"{WORKERS}:wait")
        try:
            talk(template)
        except KeyboardInterrupt:
            print(time.monotonic())
    """
    child = start_child(program(body), str(tmp_path), **{MARK: mark})
    fifo.read_text()
    sent = time.monotonic()
    child.send_signal(signal.SIGINT)
    output, errors = child.communicate(timeout=20)
    assert child.returncode == 0, errors
    check_within(float(output) - sent, 0.2)
    check_within(seconds_until_none(mark), 1.0)


def test_a_worker_that_nobody_waits_for_any_more_is_killed() -> None:
    # Ctrl-C while its template imports: the request is there, and the worker is forked when nobody wants it.
    mark = uuid.uuid4().hex
    body = """
        import threading
        template = Template(run=f"{WORKERS}:do")
        template.start()
        os.kill(template.pid, signal.SIGSTOP)
        try:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            talk(template, b"import signal; signal.pause()")
            raise SystemExit("was not interrupted")
        except KeyboardInterrupt:
            pass
        os.kill(template.pid, signal.SIGCONT)
        one = talk(template, b"import signal; signal.pause()")
        one.worker.kill()
        one.worker.status(20)
        # Its own report came after the other's: all that are left are this process and the template.
        import time
        end = time.monotonic() + 10
        from tests.executors.test_template_ends import processes
        while len(processes(os.environ["WEFT_TEMPLATE_MARK"])) > 2 and time.monotonic() < end:
            time.sleep(0.005)
        print(len(processes(os.environ["WEFT_TEMPLATE_MARK"])), template.wait_idle(20))
        template.close()
    """
    child = start_child(program(body), **{MARK: mark})
    output, errors = child.communicate(timeout=40)
    assert child.returncode == 0, errors
    assert output == "2 True\n"


def test_closing_while_a_preload_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    body = f"open({str(fifo)!r}, 'w').close()\nimport time\ntime.sleep(1000)"
    template = Template((write_module(tmp_path, monkeypatch, "weft_hangs", body),), run=f"{WORKERS}:wait")
    template.start()
    fifo.read_text()
    begin = time.monotonic()
    template.close()
    check_within(time.monotonic() - begin, 1.0)
    assert not has_children()


def test_closing_one_that_is_stopped() -> None:
    template = Template(run=f"{WORKERS}:wait")
    one = talk(template)
    assert template.pid is not None
    os.kill(template.pid, signal.SIGSTOP)
    template.close()
    assert one.worker.status(0) == -signal.SIGKILL
    assert not has_children()
    one.close()


def test_the_caller_just_ends() -> None:
    mark = uuid.uuid4().hex
    body = """
        template = Template(run=f"{WORKERS}:wait_for_ever")
        talk(template).answer()
    """
    child = start_child(program(body), **{MARK: mark})
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 0, errors
    assert errors == ""
    check_within(seconds_until_none(mark), 1.0)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="interpreters need 3.14")
def test_an_interpreter_ends_that_has_a_template() -> None:
    # Its reading thread is no daemon there: isolated interpreters have none.
    body = """
        from concurrent import interpreters
        import weft.executors._ending
        one = interpreters.create()
        one.prepare_main({"path": tuple(sys.path)})
        one.exec('''if True:
            import sys
            sys.path[:] = path
            import weft.executors._ending
            from tests.executors.template_talk import WORKERS, talk
            from weft.executors._template.template import Template
            template = Template(run=f"{WORKERS}:wait")
            one = talk(template)
            assert one.answer() == one.worker.pid
            print(template.pid, flush=True)
        ''')
        one.close()
        try:
            print(os.waitpid(-1, os.WNOHANG))
        except ChildProcessError:
            print("reaped")
    """
    ended = run_child(program(body))
    ended.check_sound()
    assert ended.output.split("\n")[1] == "reaped"


def test_a_copy_of_the_socket_in_a_forked_child_keeps_nothing_alive() -> None:
    # Python's hooks close the child's own; this is one that they know nothing of, as a fork in C would leave it.
    mark = uuid.uuid4().hex
    body = """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        template = Template(run=f"{WORKERS}:wait_for_ever")
        one = talk(template)
        one.answer()
        held = os.dup(template._process._socket.fileno())
        os.set_inheritable(held, True)
        child = os.fork()
        if child == 0:
            del os.environ["WEFT_TEMPLATE_MARK"]
            os.execv(sys.executable, [sys.executable, "-c", "import sys; sys.stdin.read()"])
        print(child, flush=True)
        signal.pause()
    """
    child = start_child(program(body), **{MARK: mark})
    try:
        assert child.stdout is not None
        assert int(child.stdout.readline())
        child.kill()
        child.wait(20)
        # The grandchild, which holds a copy, lives until its stdin ends.
        check_within(seconds_until_none(mark), 1.0)
    finally:
        child.kill()
        child.communicate(timeout=20)


@pytest.mark.deadline(120)
@pytest.mark.parametrize("worker", ["wait", "wait_as_the_core_does"])
def test_the_template_is_killed(rng: random.Random, worker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    before = descriptors_of_this_process()
    template = Template(run=f"{WORKERS}:{worker}")
    stop = threading.Event()
    started: list[int] = []
    failures: list[BaseException] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                one = talk(template)
            except BaseException as error:
                failures.append(error)
                return
            started.append(one.worker.pid)
            if one.end() not in (0, 1, -signal.SIGKILL):
                failures.append(AssertionError(one.worker.status(0)))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(times(60, 6)):
        count = len(started)
        end = time.monotonic() + 20
        while len(started) < count + 2 and not failures:
            assert time.monotonic() < end
            time.sleep(0.001)
        time.sleep(rng.random() * 0.03)
        pid = template.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
    stop.set()
    for thread in threads:
        thread.join(20)
    assert not failures
    template.close()
    # This process has the mark in its os.environ, not in what it was started with.
    check_within(seconds_until_none(mark), 1.0)
    assert not has_children()
    assert descriptors_of_this_process() == before


def test_the_template_is_killed_with_workers_that_wait() -> None:
    template = Template(run=f"{WORKERS}:wait_for_ever")
    several = [talk(template) for _ in range(3)]
    for one in several:
        one.answer()
    assert template.pid is not None
    os.kill(template.pid, signal.SIGKILL)
    begin = time.monotonic()
    assert [one.worker.status(20) for one in several] == [-signal.SIGKILL] * 3
    check_within(time.monotonic() - begin, 1.0)
    assert not any(os.path.exists(f"/proc/{one.worker.pid}/exe") for one in several)
    template.close()
    for one in several:
        one.close()
