"""The template process: what its workers are, what they have from the caller, and what is said where one cannot start.

Each worker here is a real one, forked from a real template; it runs a function of template_workers.py in place of the core.
"""

import errno
import json
import os
import select
import signal
import sys
import threading
import time
from collections import UserDict
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.executors.child import descriptors_of_this_process, run_child, wait_until
from tests.executors.template_preloads import write_module
from tests.executors.template_talk import WORKERS, program, talk
from weft.errors import InitializerFailed, WorkerStartFailed
from weft.executors import ProcessPoolExecutor
from weft.executors._template import surroundings
from weft.executors._template import template as templates
from weft.executors._template.template import Template

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

type Make = Callable[..., Template]


@pytest.fixture
def make() -> Generator[Make]:
    made: list[Template] = []

    def one(run: str = "report", preload: tuple[str, ...] = ()) -> Template:
        made.append(Template(preload, run=f"{WORKERS}:{run}"))
        return made[-1]

    yield one
    for template in made:
        template.close()


# ---- what a worker is ------------------------------------------------------------------------------


def test_a_worker_has_what_it_was_given_and_nothing_of_the_template(make: Make) -> None:
    template = make()
    one = talk(template, b"the setup", kind=2)
    seen = one.answer()
    assert one.end() == 0
    assert seen["kind"] == 2
    assert seen["setup"] == b"the setup"
    assert seen["there"] == [True, False, False, False, False]
    assert seen["pid"] == one.worker.pid
    assert seen["parent"] == seen["group"] == template.pid != os.getpid()
    assert seen["threads"] == 1
    assert seen["opened"] == []
    assert seen["stdin"] == os.devnull
    assert seen["collects"]
    assert seen["argv"] == sys.argv
    assert set(seen["path"]) == {entry or os.getcwd() for entry in sys.path}


def test_signals_in_a_worker_are_those_of_a_fresh_interpreter(make: Make) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        one = talk(make())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    seen = one.answer()
    assert one.end() == 0
    assert seen["masked"] == []
    assert seen["ignored"] == [signal.SIGPIPE, signal.SIGXFSZ]  # Python's own
    assert seen["interrupt"]
    assert seen["wakeup"] == -1


def test_a_template_loads_little(make: Make) -> None:
    one = talk(make())
    modules = set(one.answer()["modules"])
    assert one.end() == 0
    assert {"weft._core", "weft._payloads.working", "weft._payloads.starting"} <= modules
    assert (
        not modules
        & {"asyncio", "inspect", "multiprocessing", "pickle", "socket", "subprocess", "typing"} - _of_logging()
    )
    assert not modules & {"weft.errors", "weft.executors._template.template"}


def _of_logging() -> set[str]:
    """What the standard library's futures load on this version, and so the core."""
    ended = run_child("import json, sys, concurrent.futures._base, logging\nprint(json.dumps(list(sys.modules)))")
    ended.check_sound()
    return set(json.loads(ended.output))


def test_many_threads_ask_at_once(make: Make) -> None:
    template = make("wait")
    pids: list[int] = []
    barrier = threading.Barrier(6)

    def ask() -> None:
        barrier.wait(20)
        for _ in range(4):
            one = talk(template)
            assert one.answer() == one.worker.pid
            pids.append(one.worker.pid)
            assert one.end() == 0

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert len(set(pids)) == 24
    assert template.wait_idle()


def test_a_setup_of_any_size(make: Make) -> None:
    template = make()
    for setup in (b"", bytes(70_000), os.urandom(5_000_000)):
        ours, theirs = os.pipe()
        worker = template.start_worker([1, theirs], [theirs], f"say(descriptors[0], {len(setup)})".encode())
        os.close(theirs)
        os.close(ours)
        assert worker.status(20) is not None
        os.close(worker.pidfd)
    one = talk(make("do"), b"say(descriptors[0], 7)#" + bytes(b"x" * 3_000_000))
    assert one.answer() == 7
    assert one.end() == 0


def test_descriptors_and_numbers_must_agree(make: Make) -> None:
    with pytest.raises(ValueError, match="asks for 2 descriptors"):
        make().start_worker([1, 5, 6, -1], [5], b"")


# ---- what it has from the caller -------------------------------------------------------------------


def test_folder_and_environment_are_those_of_the_request(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = make()
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setenv("WEFT_TEMPLATE_TEST", f"é\udc80 {number}")
        one = talk(template)
        seen = one.answer()
        assert one.end() == 0
        assert seen["folder"] == str(folder)
        assert seen["environment"] == f"é\udc80 {number}"
    monkeypatch.delenv("WEFT_TEMPLATE_TEST")
    one = talk(template)
    assert one.answer()["environment"] == ""
    assert one.end() == 0


def test_options_of_the_interpreter_are_the_callers() -> None:
    body = """
        import json
        template = Template(run=f"{WORKERS}:report")
        one = talk(template)
        print(json.dumps([one.answer()["options"], [sys.warnoptions, sys._xoptions]]))
        one.end()
        template.close()
    """
    import subprocess

    command = [sys.executable, "-W", "ignore::ImportWarning", "-X", "dev", "-X", "utf8=1", "-c", program(body)]
    output = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    worker, here = json.loads(output.stdout)
    assert worker == here, output.stderr
    assert worker[1]["utf8"] == "1"


def test_nothing_of_main_runs_again(tmp_path: Path) -> None:
    # Without a guard: if a template or a worker ran it, there would be no end of them.
    script = tmp_path / "unguarded.py"
    body = """
        with open(sys.argv[1], "a") as file:
            file.write("ran\\n")
        template = Template(run=f"{WORKERS}:report")
        one = talk(template)
        print(one.answer()["main"])
        one.end()
        template.close()
    """
    script.write_text(program(body))
    ended = run_child(
        f"import runpy, sys; sys.argv[0] = {str(script)!r}; runpy.run_path(sys.argv[0], run_name='__main__')",
        str(tmp_path / "runs"),
    )
    ended.check_sound()
    assert (tmp_path / "runs").read_text() == "ran\n"
    assert "template" not in ended.output
    assert "read_orders" not in ended.output


def test_a_preloaded_module_is_imported_once(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = write_module(
        tmp_path, monkeypatch, "weft_preloaded", "import os\nimported_by = os.getpid()\nprint('once')\n"
    )
    template = make("do", (name,))
    for _ in range(2):
        one = talk(template, b"import weft_preloaded; say(descriptors[0], weft_preloaded.imported_by)")
        assert one.answer() == template.pid
        assert one.end() == 0


def test_what_a_preload_prints_is_printed_once(tmp_path: Path) -> None:
    (tmp_path / "weft_prints.py").write_text("print('printed')\n")
    body = """
        sys.path.insert(0, sys.argv[1])
        template = Template(("weft_prints",), run=f"{WORKERS}:report")
        for _ in range(2):
            talk(template).end()
        template.close()
    """
    ended = run_child(program(body), str(tmp_path))
    ended.check_sound()
    assert ended.output.count("printed") == 1


# ---- the end of a worker ---------------------------------------------------------------------------

ENDS = {
    "returns": ("pass", 0),
    "exits": ("raise SystemExit(3)", 3),
    "exits, saying why": ("raise SystemExit('why')", 1),
    "raises": ("1 / 0", 1),
    "is killed": ("import os; os.kill(os.getpid(), 9)", -9),
    "exits at once": ("import os; os._exit(77)", 77),
}


@pytest.mark.parametrize("how", ENDS)
def test_the_status_says_how_a_worker_ended(make: Make, how: str) -> None:
    code, status = ENDS[how]
    one = talk(make("do"), code.encode())
    assert one.worker.status(20) == status
    if one.worker.pidfd >= 0:
        assert select.select([one.worker.pidfd], [], [], 20)[0]
    one.worker.kill()  # says nothing, and reaches nobody
    assert one.end() == status


def test_a_worker_ends_as_a_program_does(tmp_path: Path) -> None:
    code = """
import atexit, os, sys, threading, weakref
class Thing: pass
thing = Thing()
atexit.register(print, "atexit")
weakref.finalize(thing, print, "finalizer")
release = threading.Event()
def work():
    release.wait(10)
    print("thread")
threading.Thread(target=work).start()
print("task", end=" ")
threading.Timer(0.05, release.set).start()  # after it: the free-threaded 3.13 may lose what two threads print at a time
"""
    body = f"""
        template = Template(run=f"{{WORKERS}}:do")
        one = talk(template, {code.encode()!r})
        print("status", one.worker.status(20), flush=True)
        template.close()
    """
    ended = run_child(program(body))
    ended.check_sound()
    lines = ended.output.split("\n")
    assert lines[0] == "task thread"
    assert set(lines[1:3]) == {"atexit", "finalizer"}
    assert lines[3] == "status 0"


def test_a_thread_that_does_not_end_is_left_after_a_second(make: Make) -> None:
    begin = time.monotonic()
    one = talk(make("do"), b"import threading; threading.Thread(target=threading.Event().wait).start()")
    assert one.worker.status(20) == 0
    assert time.monotonic() - begin > 0.9
    one.close()


def test_exit_handlers_of_a_preload_run_at_the_templates_end(tmp_path: Path) -> None:
    (tmp_path / "weft_registers.py").write_text(
        "import atexit, os, weakref\n"
        "class Thing: pass\n"
        "thing = Thing()\n"
        "atexit.register(lambda: print('atexit', os.getpid()))\n"
        "weakref.finalize(thing, lambda: print('finalizer', os.getpid()))\n"
    )
    body = """
        sys.path.insert(0, sys.argv[1])
        template = Template(("weft_registers",), run=f"{WORKERS}:wait")
        one = talk(template)
        print("template", template.pid, flush=True)
        assert one.end() == 0
        template.close()
    """
    ended = run_child(program(body), str(tmp_path))
    ended.check_sound()
    pid = ended.output.split()[1]
    assert sorted(ended.output.splitlines()) == [f"atexit {pid}", f"finalizer {pid}", f"template {pid}"]


def test_kill_and_timeout(make: Make) -> None:
    one = talk(make("wait"))
    one.answer()
    assert one.worker.status(0) is None
    assert one.worker.status(0.01) is None
    one.worker.kill(signal.SIGTERM)
    assert one.worker.status(20) == -signal.SIGTERM
    one.close()


def test_kill_where_there_is_no_pidfd(make: Make) -> None:
    # As on macOS: the template does it.
    one = talk(make("wait"))
    one.answer()
    with one.worker._changed:
        one.worker._close_lock_held()
    one.worker.kill(signal.SIGTERM)
    assert one.worker.status(20) == -signal.SIGTERM
    one.worker.kill()
    one.close()


# ---- the template's life ---------------------------------------------------------------------------


def test_it_starts_late_and_again_when_it_was_killed(make: Make) -> None:
    template = make("wait")
    assert template.pid is None
    one = talk(template)
    first = template.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert one.worker.status(20) == -signal.SIGKILL
    one.close()
    two = talk(template)
    assert template.pid not in (None, first)
    assert two.answer() == two.worker.pid
    assert two.end() == 0


def test_start_does_not_wait(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    name = write_module(tmp_path, monkeypatch, "weft_waits", f"open({str(fifo)!r}).read()")
    template = make("wait", (name,))
    template.start()
    pid = template.pid
    with open(fifo, "w"):  # opens when the template has it open, and so imports
        pass
    one = talk(template)
    assert template.pid == pid
    assert one.end() == 0


def test_pools_without_preloads_share_one() -> None:
    shared, own = templates.acquire(), templates.acquire(["json"])
    assert templates.acquire() is shared is not own
    own.start()
    templates.release(own)
    templates.release(shared)
    assert own.pid is None
    with pytest.raises(RuntimeError, match="closed"):
        own.start()
    shared.start()
    assert shared.pid is not None
    templates.forget()
    assert shared.pid is None
    assert templates.acquire() is not shared


def test_a_pool_goes_on_when_the_shared_one_was_let_go() -> None:
    """A pool has no workers before its first task, nor when the last of its processes has died."""
    pool = ProcessPoolExecutor(1)
    template = pool._starter.template
    templates.forget()
    assert pool.submit(abs, -1).result(20) == 1
    for process in pool._processes.values():
        process.kill()
        process.join(20)
    template.end_process()
    assert template.pid is None
    assert pool.submit(abs, -2).result(20) == 2
    assert template.pid is not None
    pool.shutdown()
    assert template.pid is None, "nobody else has it"


def test_a_variable_is_deleted_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Changing(UserDict[str, str]):
        def __getitem__(self, name: str) -> str:
            if name == "PASSING":
                del self.data[name]
            return super().__getitem__(name)

    monkeypatch.setattr(os, "environ", Changing(STAYING="1", PASSING="2"))
    assert surroundings.look()[1] == {"STAYING": "1"}


def test_the_shared_one_is_left_to_those_who_have_workers_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Template(run=f"{WORKERS}:wait")
    monkeypatch.setattr(templates, "_shared", shared)
    monkeypatch.setattr(templates, "_REAPED_WITHIN", 0.05)
    one = talk(shared)
    one.answer()
    templates.forget()
    assert templates.acquire() is not shared
    assert one.worker.status(0) is None
    assert not shared.wait_idle()
    assert one.end() == 0
    assert shared.wait_idle(20)
    shared.close()


def test_closing_kills_its_workers(make: Make) -> None:
    template = make("wait_for_ever")
    several = [talk(template) for _ in range(3)]
    for one in several:
        one.answer()
    template.close()
    assert [one.worker.status(0) for one in several] == [-signal.SIGKILL] * 3
    for one in several:
        one.close()


def test_nothing_is_left_of_it(make: Make) -> None:
    talk(make()).end()  # loads what is loaded once
    before, threads = descriptors_of_this_process(), threading.active_count()
    template = make("wait")
    for one in [talk(template) for _ in range(3)]:
        one.end()
    template.close()
    assert descriptors_of_this_process() == before
    assert threading.active_count() == threads - 0


def test_one_that_is_dropped_leaves() -> None:
    template = Template(run=f"{WORKERS}:wait")
    one = talk(template)
    pid = template.pid
    assert pid is not None
    watch = os.pidfd_open(pid)
    del template
    assert one.worker.status(20) == -signal.SIGKILL
    assert select.select([watch], [], [], 20)[0]
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the template is reaped")
    os.close(watch)
    one.close()


def test_a_forked_child_makes_its_own() -> None:
    body = """
        import select, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        template = Template(run=f"{WORKERS}:wait")
        one = talk(template)
        assert one.answer() == one.worker.pid
        before = template.pid
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            own = talk(template)
            good = own.answer() == own.worker.pid and template.pid != before and own.end() == 0
            template.close()
            os._exit(0 if good else 9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert template.pid == before and one.worker.status(0) is None
        assert one.end() == 0
        two = talk(template)
        assert template.pid == before and two.answer() == two.worker.pid
        two.end()
        template.close()
    """
    run_child(program(body)).check_sound()


# ---- where it cannot start -------------------------------------------------------------------------


def test_a_preload_that_is_missing_is_named(make: Make) -> None:
    with pytest.raises(InitializerFailed, match="'weft_no_such_module'.* ModuleNotFoundError") as caught:
        talk(make(preload=("json", "weft_no_such_module")))
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_preload_that_raises_is_named(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = write_module(tmp_path, monkeypatch, "weft_raises", "raise LookupError('of its own')")
    with pytest.raises(InitializerFailed, match="'weft_raises'.* LookupError: of its own") as caught:
        talk(make(preload=(name,)))
    assert isinstance(caught.value.__cause__, LookupError)


def test_a_preload_that_ends_the_process(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = write_module(tmp_path, monkeypatch, "weft_exits", "import os\nos._exit(7)")
    with pytest.raises(WorkerStartFailed, match="exited with status 7; its last words are on stderr"):
        talk(make(preload=(name,)))


@pytest.mark.parametrize("executable", ["", "/no/such/python", "/"])
def test_no_interpreter(make: Make, monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.delitem(sys.modules, "multiprocessing.spawn", raising=False)
    with pytest.raises(WorkerStartFailed, match=r"sys\.executable") as caught:
        talk(make())
    assert isinstance(caught.value.__cause__, OSError)


def test_no_descriptors_left_in_the_caller() -> None:
    body = """
        import errno, resource
        from weft.errors import WorkerStartFailed

        template = Template(run=f"{WORKERS}:wait")
        def refused():
            # With every number of free descriptors from none up, until there are enough.
            count, held = 0, []
            resource.setrlimit(resource.RLIMIT_NOFILE, (60, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            try:
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                pass
            ours, theirs = held.pop(), held.pop()
            while held:
                try:
                    worker = template.start_worker([1, theirs], [theirs], b"")
                except WorkerStartFailed as error:
                    assert isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EMFILE, error
                    assert "ulimit -n" in str(error), error
                    count += 1
                    os.close(held.pop())
                else:
                    worker.kill()
                    assert worker.status(20) in (-9, 1), worker.status(0)
                    os.close(worker.pidfd)
                    for number in (*held, ours, theirs):
                        os.close(number)
                    return count
        print("cold", refused())
        print("warm", refused())
        before = os.listdir("/proc/self/fd")
        print("again", refused())
        assert os.listdir("/proc/self/fd") == before
        one = talk(template)
        assert one.answer() == one.worker.pid
        one.end()
        template.close()
    """
    ended = run_child(program(body))
    ended.check_sound()
    counts = dict(line.split() for line in ended.output.splitlines())
    assert int(counts["cold"]) > 2
    assert int(counts["warm"]) >= 1


def test_no_descriptors_left_in_the_template(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({0}, {0}))"
    causes: list[BaseException | None] = []
    for limit in range(8, 16):
        name = write_module(tmp_path, monkeypatch, f"weft_room_for_{limit}", limits.format(limit))
        template = make("wait", (name,))
        try:
            one = talk(template)
        except WorkerStartFailed as error:
            causes.append(error.__cause__)
        else:
            assert one.end() == 0
    assert 0 < len(causes) < 8
    assert {cause.errno for cause in causes if isinstance(cause, OSError)} == {errno.EMFILE}
