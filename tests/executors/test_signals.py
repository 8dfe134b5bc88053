"""Ctrl-C, once: `KeyboardInterrupt` within 0.2 s in every wait on the main thread, and a clean end. Invariant 4.

In child interpreters, with real signals. Times are measured from the signal: time.monotonic() is one clock for all
processes.
"""

import os
import random
import select
import signal
import subprocess
import sys
import time

import pytest

from tests.executors.child import finish_child, start_child, times
from tests.lateness import check_within

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sends signals, watches processes through pidfds")

WITHIN = 0.2  # invariant 4

HEAD = r"""
import concurrent.futures, os, signal, sys, threading, time
import weft
from weft.errors import *
from weft.executors import SerialExecutor, ThreadPoolExecutor

hold = threading.Event()

def say(text):
    os.write(1, (text + "\n").encode())

def spin():
    while not hold.is_set():
        pass

def endless():
    n = 0
    while True:
        yield n
        n += 1

def leave(block):
    with block as it:
        it.submit(hold.wait, 30)
        it.submit(hold.wait, 30)
"""

# What the main thread waits in. `pool` is a new pool, `stuck` a task in it that waits until `hold` is set.
WAITS = {
    "result": "stuck.result()",
    "result with a time": "stuck.result(30)",
    "exception": "stuck.exception()",
    "map": "list(pool.map(hold.wait, [30] * 9))",
    "map, some results taken": "list(pool.map(lambda item: item < 3 or hold.wait(30), range(9), chunksize=1))",
    "map with a buffer": "list(pool.map(lambda item: item < 3 or hold.wait(30), endless(), buffersize=4))",
    "map, unordered": "list(pool.map(hold.wait, [30] * 9, ordered=False))",
    "map with a time": "list(pool.map(hold.wait, [30] * 9, timeout=30))",
    "wait": "concurrent.futures.wait([stuck])",
    "as_completed": "list(concurrent.futures.as_completed([stuck]))",
    "shutdown": "pool.shutdown()",
    "leaving a with block": "leave(pool)",
    "max_pending": "[full.submit(hold.wait, 30) for _ in range(9)]",
    "leaving a TaskGroup": "leave(weft.TaskGroup(pool))",
    "leaving a Run": "leave(weft.Run(flavor='threads', max_workers=2))",
    "a task in the caller": "SerialExecutor().submit(spin)",
    "a task asleep in the caller": "SerialExecutor().submit(hold.wait, 30)",
    "a retry in the caller": "SerialExecutor().options(retries=9, backoff=30).submit(divmod, 1, 0)",
    "async_": "weft.async_(hold.wait, 30).result()",
    "busy workers": "[pool.submit(spin) for _ in range(4)][-1].result()",
    "a busy queue": "[pool.submit(sum, range(1000)) for _ in range(10**6)]; stuck.result()",
    "a task with a timeout": "pool.options(timeout=30).submit(spin).result()",
    "reset": "weft.async_(hold.wait, 30); weft.reset()",
}

# The free-threaded 3.13 overlooks a signal that comes just before Event.wait, in which these wait; the next one is heard.
STDLIB_WAITS = (
    {"wait", "as_completed", "a task asleep in the caller"}
    if not sys._is_gil_enabled() and sys.version_info < (3, 14)
    else set[str]()
)

CHILD = (
    HEAD
    + r"""
# Now, and not when first used: a KeyboardInterrupt that hits an import may hit a string in exec() (dataclasses and named
# tuples are made so), which CPython takes for the end of the program, whoever catches it.
for name in weft.__all__:
    getattr(weft, name)
import asyncio, weft.executors._ending
for line in sys.stdin:
    hold.clear()
    pool = ThreadPoolExecutor(2)
    full = ThreadPoolExecutor(1, max_pending=2)
    stuck = pool.submit(hold.wait, 30)
    while not stuck.running():
        pass
    try:
        say("ready")
        exec(compile(line, "wait", "exec"))  # a string's KeyboardInterrupt would count as the program's
        say("came through")
    except KeyboardInterrupt:
        say(f"caught {time.monotonic()}")
    finally:
        hold.set()
        pool.shutdown(cancel_futures=True)
        full.shutdown(cancel_futures=True)
        weft.reset()
        del pool, full, stuck
end = time.monotonic() + 10
while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < end:
    time.sleep(0.01)
say(f"threads {len(os.listdir('/proc/self/task'))}")
"""
)


def has_ended_within(process: subprocess.Popen[str], seconds: float) -> bool:
    watch = os.pidfd_open(process.pid)
    try:
        return bool(select.select([watch], [], [], seconds)[0])
    finally:
        os.close(watch)


def check_quiet(errors: str) -> None:
    assert "Traceback" not in errors, errors
    assert "Exception ignored" not in errors, errors


@pytest.mark.deadline(600)
def test_every_wait_ends_at_once() -> None:
    took: dict[str, list[float]] = {what: [] for what in WAITS}
    with start_child(CHILD) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(times(25, 2)):
            for what, statement in WAITS.items():
                process.stdin.write(statement + "\n")
                process.stdin.flush()
                assert process.stdout.readline() == "ready\n", what
                time.sleep(0.03 + 0.01 * (number % 7))  # it is most likely in its wait; if not, so much the better
                sent = time.monotonic()
                process.send_signal(signal.SIGINT)
                lost = what in STDLIB_WAITS and not select.select([process.stdout], [], [], 2)[0]
                if lost:
                    process.send_signal(signal.SIGINT)
                if not select.select([process.stdout], [], [], 20)[0]:
                    process.send_signal(signal.SIGABRT)  # its stacks are in the errors
                answer = process.stdout.readline().split()
                if not answer:
                    pytest.fail(f"{what}: {process.communicate()[1]}")
                assert answer[:1] == ["caught"], f"{what}: {answer}"
                if not lost:
                    took[what].append(float(answer[1]) - sent)
        process.stdin.close()
        process.stdin = None
        ended = finish_child(process, 30)
    ended.check_sound()
    for what, seconds in took.items():
        print(f"{what}: {', '.join(f'{1e3 * one:.0f}' for one in sorted(seconds)[-3:])} ms")
    for what, seconds in took.items():
        check_within(max(seconds, default=0.0), WITHIN, what)
    assert ended.output.splitlines()[-1] == "threads 1"
    check_quiet(ended.errors)


UNCAUGHT = (
    HEAD
    + r"""
pool = ThreadPoolExecutor(2)
full = ThreadPoolExecutor(1, max_pending=2)
stuck = pool.submit(hold.wait, 30)
while not stuck.running():
    pass
say("ready")
exec(sys.argv[1])
"""
)


@pytest.mark.parametrize(
    "what",
    ["result", "map", "wait", "as_completed", "shutdown", "leaving a with block", "max_pending", "leaving a TaskGroup",
     "leaving a Run", "a task in the caller", "busy workers"],
)  # fmt: skip
def test_a_program_that_does_not_catch_it(what: str) -> None:
    """It dies of SIGINT, which a shell shows as 130, after one traceback of its own, with its work given up."""
    with start_child(UNCAUGHT, WAITS[what]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.05)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        if what in STDLIB_WAITS and not has_ended_within(process, 3):
            sent = time.monotonic()
            process.send_signal(signal.SIGINT)
        ended = finish_child(process, 30)
    print(f"{what}: {ended.ended - sent:.2f} s")
    ended.check_sound(-signal.SIGINT)
    check_within(ended.ended - sent, 2)
    assert ended.errors.count("Traceback") == 1, ended.errors
    assert ended.errors.count("\nKeyboardInterrupt") == 1, ended.errors
    assert "Exception ignored" not in ended.errors


def test_the_shell_sees_130() -> None:
    with start_child(
        "import subprocess, sys, signal\n"
        "child = subprocess.Popen(['sh', '-c', '\"$0\" -c \"$1\" \"$2\"; echo status $?', sys.executable, *sys.argv[1:]],\n"
        "                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0, text=True)\n"
        "print(child.stdout.readline(), end='')\n"
        "import os, time\n"
        "time.sleep(0.05)\n"
        "children = open(f'/proc/{child.pid}/task/{child.pid}/children').read().split()\n"
        "os.kill(int(children[0]), signal.SIGINT)\n"
        "print(child.stdout.read(), end='')\n",
        UNCAUGHT,
        "stuck.result()",
    ) as process:
        ended = finish_child(process, 30)
    ended.check_sound()
    assert ended.output == "ready\nstatus 130\n"


AT_EXIT = (
    HEAD
    + r"""
pool = ThreadPoolExecutor(2)
pool.submit(WHAT)
queued = [pool.submit(say, "never") for _ in range(0)]
import atexit
import weft.executors._ending as ending
atexit.register(lambda: say(f"atexit {time.monotonic()}"))
drain = ending._drain
ending._drain = lambda *args: (say("ending"), drain(*args))[1]
"""
)


@pytest.mark.parametrize("task", ["spin", "lambda: hold.wait(30)", "lambda: [time.sleep(0.01) for _ in range(3000)]"])
def test_while_the_interpreter_ends(task: str) -> None:
    """The grace is over then: what runs is interrupted, and handlers run."""
    with start_child(AT_EXIT.replace("WHAT", task), WEFT_EXIT_GRACE="30") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ending\n"
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        ended = finish_child(process, 20)
    print(f"{ended.ended - sent:.2f} s, status {ended.status}")
    assert ended.status in (0, 130, -signal.SIGINT)
    check_within(ended.ended - sent, 1.2)
    assert "exit after Ctrl-C" in ended.errors
    assert "atexit" in ended.output
    check_quiet(ended.errors)


TWICE = (
    HEAD
    + r"""
pool = ThreadPoolExecutor(1)
pool.submit(time.sleep, 60)
try:
    with pool:
        say("ready")
        time.sleep(60)
except KeyboardInterrupt:
    say("caught")
"""
)


def test_a_second_one_does_not_wait_either() -> None:
    with start_child(TWICE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "caught\n"
        caught = time.monotonic()
        ended = finish_child(process, 20)
    check_within(caught - sent, WITHIN)
    check_within(ended.ended - sent, 2.5)
    assert "Fatal" not in ended.errors


WITH_BLOCK = (
    HEAD
    + r"""
try:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(WHAT)
        while not first.running():
            pass
        queued = [pool.submit(say, "never") for _ in range(0)]
        say("ready")
        time.sleep(60)
except KeyboardInterrupt:
    say(f"caught {time.monotonic()}")
"""
)


@pytest.mark.parametrize("task", ["spin", "time.sleep, 60"])
def test_the_body_of_a_with_block(task: str) -> None:
    """Work that is stuck in C does not keep Ctrl-C waiting either: it is left behind."""
    with start_child(WITH_BLOCK.replace("WHAT", task)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.05)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        answer = process.stdout.readline().split()
        ended = finish_child(process, 20)
    ended.check_sound()
    assert answer[0] == "caught"
    print(f"{task}: {float(answer[1]) - sent:.3f} s")
    check_within(float(answer[1]) - sent, WITHIN)
    assert "left by KeyboardInterrupt" in ended.errors
    check_quiet(ended.errors)


def test_from_a_terminal() -> None:
    """Control-C typed at a pseudo-terminal: the signal comes from its driver, to the whole foreground group."""
    import pty

    program = "import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n" + UNCAUGHT
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program, "list(pool.map(hold.wait, [30] * 9))"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        pass_fds=(),
    )
    os.close(theirs)
    seen = b""
    try:
        while b"ready" not in seen:
            assert select.select([ours], [], [], 20)[0], seen
            seen += os.read(ours, 4096)
        time.sleep(0.05)
        typed = time.monotonic()
        os.write(ours, b"\x03")
        while select.select([ours], [], [], 20)[0]:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
            seen += piece
        process.wait(20)
        check_within(time.monotonic() - typed, 2)
    finally:
        os.close(ours)
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGINT
    assert seen.count(b"Traceback") == 1, seen
    assert b"KeyboardInterrupt" in seen


OTHER_SIGNALS = (
    HEAD
    + r"""
told = []
signal.signal(signal.SIGUSR1, lambda *_: told.append(time.monotonic()))
pool = ThreadPoolExecutor(2)
def finish():
    os.kill(os.getpid(), signal.SIGUSR1)
    sent = time.monotonic()
    while not told:
        time.sleep(0.001)
    return told[0] - sent
# A handler that does not raise runs during the wait, and the wait goes on.
say(f"took {pool.submit(finish).result()}")
told.clear()
say(f"took {list(pool.map(lambda _: finish(), [1]))[0]}")
def raising(*_):
    raise ValueError("from the handler")
signal.signal(signal.SIGUSR1, raising)
try:
    pool.submit(lambda: (os.kill(os.getpid(), signal.SIGUSR1), hold.wait(30))).result()
except ValueError as error:
    say(f"raised {error}")
hold.set()
pool.shutdown()
"""
)


def test_other_signals_are_handled_in_a_wait() -> None:
    with start_child(OTHER_SIGNALS) as process:
        ended = finish_child(process, 20)
    ended.check_sound()
    lines = ended.output.splitlines()
    assert [line.split()[0] for line in lines] == ["took", "took", "raised"]
    for line in lines[:2]:
        check_within(float(line.split()[1]), WITHIN)
    assert ended.errors == ""


UNLUCKY_STARTS = (
    HEAD
    + r"""
# A handler that raises in the instant in which a thread has been started: threading takes that for a failure to start.
start = threading._start_joinable_thread
def started_then_raises(*args, **kwargs):
    start(*args, **kwargs)
    if unlucky:
        unlucky.pop()
        raise ValueError("from the handler")
threading._start_joinable_thread = started_then_raises
for workers in (1, 2):
    unlucky = []
    pool = ThreadPoolExecutor(workers)
    begun, gate = threading.Event(), threading.Event()
    if workers == 2:
        pool.submit(lambda: (begun.set(), gate.wait(30)))
        assert begun.wait(20)
    unlucky.append(True)
    done = threading.Event()
    try:
        pool.submit(done.set)
        for _ in range(100): pass
        say("not raised")
    except ValueError as error:
        say(f"raised {error}")
    pool.submit(pow, 2, 3).result(20)
    if workers == 2:
        assert done.wait(20)  # it was queued before the handler raised
    gate.set()
    pool.shutdown()
"""
)


def test_a_handler_that_raises_while_a_worker_is_started() -> None:
    """The exception reaches the program, and the task a worker."""
    with start_child(UNLUCKY_STARTS) as process:
        ended = finish_child(process, 40)
    assert ended.status == 0, ended
    assert ended.output.splitlines() == ["raised from the handler"] * 2


STARTS_AND_INTERRUPTS = (
    HEAD
    + r"""
# Interrupts at every moment of a pool's first tasks, most of which is the start of its threads.
import faulthandler, logging, random
logging.disable()
sys.setswitchinterval(1e-6)
rng = random.Random(int(sys.argv[2]))
armed = False

def interrupt(*_):
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
signal.signal(signal.SIGINT, interrupt)  # what the core raises again when it may not be raised where it came
caught = 0
for number in range(int(sys.argv[1])):
    faulthandler.dump_traceback_later(20, exit=True)
    armed = True
    try:
        with ThreadPoolExecutor(4) as pool:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.00001, 0.0004))
            for _ in range(8):
                pool.submit(time.sleep, 0.0001)
    except KeyboardInterrupt:
        caught += 1
    armed = False
say(f"caught {caught > 0}")
started = threading.Thread(target=say, args=("and threads begin",))
started.start()
started.join(20)
"""
)


@pytest.mark.deadline(times(1000, 60))
def test_interrupts_while_threads_are_started_leave_no_lock_of_threading_behind(rng: random.Random) -> None:
    with start_child(STARTS_AND_INTERRUPTS, str(times(20_000, 500)), str(rng.randrange(1 << 32))) as process:
        ended = finish_child(process, times(900, 50))
    assert (ended.status, ended.output.splitlines()) == (0, ["caught True", "and threads begin"]), ended.errors[-3000:]
