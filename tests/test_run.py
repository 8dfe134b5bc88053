"""`weft.Run`: what it chooses and says (invariant 9), what it reuses, that it leaves nothing behind (invariant 3)."""

import asyncio
import concurrent.futures
import contextvars
import importlib
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import weft
from tests.executors import portable_tasks
from tests.lateness import Late, check_within
from weft import RuntimeConfig
from weft._ending import stop
from weft._flavors import flavor_of
from weft._rules import RULES, Question, decide
from weft.errors import Interrupted, InvalidSetting
from weft.executors import SerialExecutor, ThreadPoolExecutor

GIL = sys._is_gil_enabled()
INTERPRETERS = sys.version_info >= (3, 14)
VARIABLES = ("FLAVOR", "FORCE_THREADS", "FORCE_PROCESS", "THREAD_MODE", "MAX_WORKERS", "PREFERS_SUBINTERPRETERS")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (*VARIABLES, "CPU_BOUND", "IO_BOUND", "AUTO"):
        monkeypatch.delenv(f"WEFT_{name}", raising=False)
    yield
    weft.set_default_config(None)


def decided(**arguments: Any) -> weft.Decision:
    """What a scope with these arguments comes to; it is entered and left."""
    with weft.Run(**arguments) as executor:
        assert isinstance(executor, concurrent.futures.Executor)
    decision = weft.last_decision()
    assert decision is not None
    return decision


# ---- the rules, one by one -----------------------------------------------------------------------------


def question(**fields: Any) -> Question:
    config = RuntimeConfig(**fields.pop("config", {}))
    return Question(**{"requested": "auto", "config": config, "nogil": False, "interpreters": True, **fields})


@pytest.mark.invariant(9)
@pytest.mark.parametrize(
    ("fields", "flavor", "code"),
    [
        ({}, "threads", "measuring"),
        ({"several": False}, "threads", "default_threads"),
        ({"given": "other", "requested": "threads"}, "other", "executor_given"),
        ({"requested": "none"}, "threads", "default_pool"),
        ({"config": {"flavor": "none"}}, "threads", "default_pool"),
        ({"config": {"force_threads": True, "cpu_bound": True}}, "threads", "force_threads"),
        ({"config": {"force_process": True}, "nogil": True}, "processes", "force_process"),
        ({"config": {"force_process": True}, "requested": "threads"}, "threads", "flavor_requested"),
        ({"config": {"force_process": True, "flavor": "serial"}}, "processes", "force_process"),
        ({"configured": "threads", "config": {"cpu_bound": True}}, "threads", "config_executor"),
        ({"requested": "serial", "configured": "threads"}, "serial", "flavor_requested"),
        ({"requested": "interpreters"}, "interpreters", "flavor_requested"),
        ({"requested": "interpreters", "interpreters": False}, "threads", "interpreters_unavailable"),
        ({"config": {"flavor": "interpreters"}, "interpreters": False}, "threads", "interpreters_unavailable"),
        ({"replayed": "serial", "config": {"force_process": True}}, "serial", "replayed"),
        ({"replayed": "interpreters", "interpreters": False}, "threads", "interpreters_unavailable"),
        ({"requested": "threads", "replayed": "serial"}, "threads", "flavor_requested"),
        ({"config": {"flavor": "processes"}}, "processes", "config_flavor"),
        ({"config": {"auto": False, "cpu_bound": True}}, "threads", "auto_off"),
        ({"parent": "serial"}, "serial", "nested"),
        ({"parent": "serial", "config": {"io_bound": True}}, "threads", "io_bound"),
        ({"config": {"prefers_subinterpreters": True}}, "interpreters", "prefers_interpreters"),
        ({"config": {"prefers_subinterpreters": True}, "interpreters": False}, "threads", "measuring"),
        ({"nogil": True}, "threads", "free_threaded"),
        ({"nogil": True, "config": {"cpu_bound": True}}, "threads", "free_threaded"),
        ({"config": {"cpu_bound": True}}, "interpreters", "cpu_bound"),
        ({"config": {"cpu_bound": True}, "interpreters": False}, "processes", "cpu_bound"),
        ({"config": {"cpu_bound": True}, "watches": False}, "processes", "cpu_bound"),
        ({"config": {"io_bound": True}}, "threads", "io_bound"),
    ],
)
def test_each_rule(fields: dict[str, Any], flavor: str, code: str) -> None:
    verdict = decide(question(**fields))
    assert (verdict.flavor, verdict.code) == (flavor, code)
    assert verdict.reason


def test_every_code_has_a_row_above() -> None:
    marks: list[pytest.Mark] = test_each_rule.pytestmark  # type: ignore[attr-defined]
    rows = next(mark.args[1] for mark in marks if mark.name == "parametrize")
    assert {rule.code for rule in RULES} == {code for _, _, code in rows}


# ---- what it gives -------------------------------------------------------------------------------------


def test_threads() -> None:
    with weft.Run(flavor="threads", max_workers=3, name="crunch") as executor:
        assert type(executor) is ThreadPoolExecutor
        assert isinstance(executor, concurrent.futures.ThreadPoolExecutor)
        name = executor.submit(lambda: threading.current_thread().name).result()
        assert name.startswith("crunch")
        assert list(executor.map(pow, [2, 3], [10, 2])) == [1024, 9]
    decision = weft.last_decision()
    assert decision is not None
    assert (decision.requested, decision.resolved, decision.code) == ("threads", "threads", "flavor_requested")
    assert (decision.max_workers, decision.name) == (3, "crunch")
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(print)


def test_serial_runs_in_the_caller() -> None:
    with weft.Run(flavor="serial") as executor:
        assert type(executor) is SerialExecutor
        assert executor.submit(threading.get_ident).result() == threading.get_ident()


def test_none_is_the_default_pool_left_running() -> None:
    with weft.Run(flavor="none") as one:
        pass
    with weft.Run(flavor="none") as other:
        assert other is one
    assert one.submit(pow, 2, 3).result() == 8


def test_processes_are_other_processes() -> None:
    with weft.Run(flavor="processes", max_workers=1) as executor:
        assert isinstance(executor, concurrent.futures.ProcessPoolExecutor)
        assert executor.submit(os.getpid).result() != os.getpid()
    decision = weft.last_decision()
    assert decision is not None
    assert (decision.resolved, decision.max_workers) == ("processes", 1)
    assert flavor_of(executor) == "processes"


@pytest.mark.skipif(not INTERPRETERS, reason="sub-interpreters need 3.14")
def test_interpreters() -> None:
    with weft.Run(flavor="interpreters", max_workers=1) as executor:
        assert isinstance(executor, concurrent.futures.InterpreterPoolExecutor)  # type: ignore[attr-defined]
        assert executor.submit(pow, 2, 10).result() == 1024
    decision = weft.last_decision()
    assert decision is not None
    assert decision.resolved == "interpreters"


@pytest.mark.skipif(INTERPRETERS, reason="this Python has sub-interpreters")
def test_interpreters_where_there_are_none_are_threads_with_a_warning() -> None:
    with pytest.warns(RuntimeWarning, match="3.14") as caught, weft.Run(flavor="interpreters") as executor:
        assert type(executor) is ThreadPoolExecutor
    assert caught[0].filename == __file__  # it points at the user's line
    decision = weft.last_decision()
    assert decision is not None
    assert (decision.requested, decision.resolved) == ("interpreters", "threads")
    assert decision.code == "interpreters_unavailable"
    assert "3.14" in decision.reason


@pytest.mark.invariant(9)
def test_auto_with_nothing_said_is_threads_and_says_why() -> None:
    decision = decided(name="why")
    assert (decision.requested, decision.resolved, decision.name) == ("auto", "threads", "why")
    assert decision.code == ("measuring" if GIL else "free_threaded")
    assert decision.thread_mode == ("gil" if GIL else "nogil")
    assert decision.evidence["gil_enabled"] == GIL
    assert decision.evidence["config_from"] == "environment"
    assert pickle.loads(pickle.dumps(decision)) == decision


@pytest.mark.skipif(not GIL, reason="without a GIL this is threads")
def test_auto_cpu_bound_with_the_gil_is_interpreters_where_there_are_some() -> None:
    decision = decided(config=RuntimeConfig(cpu_bound=True, max_workers=1))
    assert (decision.resolved, decision.code) == ("interpreters" if INTERPRETERS else "processes", "cpu_bound")
    assert decision.max_workers == 1


@pytest.mark.skipif(not INTERPRETERS or not GIL, reason="interpreters, and a GIL that makes them worth it")
def test_auto_cpu_bound_goes_where_each_function_can() -> None:
    """A module that refuses interpreters is found out before the first call of a function that needs it."""
    pytest.importorskip("numpy")
    heard: list[weft.Decision] = []
    with weft.Run(config=RuntimeConfig(cpu_bound=True, max_workers=2), trace=heard.append) as executor:
        assert executor.submit(portable_tasks.where_and, 1).result() == (os.getpid(), 1)
        assert list(executor.map(portable_tasks.compute, range(5))) == [portable_tasks.compute(n) for n in range(5)]
        pid, total = executor.submit(portable_tasks.where_with_numpy, 3).result()
        assert (pid != os.getpid(), total) == (True, 3)
        lock = threading.Lock()
        assert executor.submit(portable_tasks.given, lock).result() is lock  # this call cannot cross: it runs here
        with weft.Run(flavor="interpreters", max_workers=2) as inner:
            assert inner is not executor
        with weft.Run() as nested:
            assert nested is executor
    assert [(one.resolved, one.evidence.get("function")) for one in heard] == [
        ("interpreters", None),
        ("interpreters", "where_and"),
        ("interpreters", "compute"),
        ("processes", "where_with_numpy"),
        ("interpreters", "given"),
    ]
    assert {one.code for one in heard} == {"cpu_bound"}
    assert "numpy" in str(heard[3].evidence["interpreters_refused"])


def test_an_argument_that_there_is_not_is_refused_with_a_guess() -> None:
    with pytest.raises(TypeError, match=r"'flavour'. Did you mean 'flavor'\?"):
        weft.Run(flavour="threads")  # type: ignore[call-arg]
    with weft.Run(flavor="threads") as executor, pytest.raises(TypeError, match=r"'retrys'. Did you mean 'retries'\?"):
        executor.options(retrys=1)  # type: ignore[attr-defined]


def test_thread_mode_overrules_what_the_build_is() -> None:
    decision = decided(config=RuntimeConfig(cpu_bound=True, thread_mode="nogil"))
    assert (decision.resolved, decision.code, decision.thread_mode) == ("threads", "free_threaded", "nogil")
    decision = decided(config=RuntimeConfig(io_bound=True, thread_mode="gil"))
    assert (decision.code, decision.thread_mode) == ("io_bound", "gil")


# ---- what is said, and by whom -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("WEFT_FORCE_THREADS", "1", "code", "force_threads"),
        ("WEFT_THREAD_MODE", "nogil", "code", "free_threaded"),
        ("WEFT_MAX_WORKERS", "3", "max_workers", 3),
        ("WEFT_FLAVOR", "serial", "code", "config_flavor"),
    ],
)
def test_environment(variable: str, value: str, field: str, expected: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(decided(), field) == expected


def test_environment_forces_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_FORCE_PROCESS", "1")
    assert decided(max_workers=1).code == "force_process"


@pytest.mark.skipif(not INTERPRETERS, reason="sub-interpreters need 3.14")
def test_environment_prefers_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_PREFERS_SUBINTERPRETERS", "1")
    assert decided(max_workers=1).code == "prefers_interpreters"


def test_environment_forces_over_any_configuration_but_not_over_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_FORCE_THREADS", "1")
    monkeypatch.setenv("WEFT_MAX_WORKERS", "3")
    config = RuntimeConfig(force_process=True, max_workers=9)
    decision = decided(config=config)
    assert (decision.code, decision.max_workers) == ("force_threads", 3)
    assert decision.evidence["forced_by_environment"] == ["force_threads", "max_workers"]
    assert decided(config=config, flavor="serial").resolved == "serial"
    assert decided(config=config, max_workers=2).max_workers == 2


def test_environment_is_read_at_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = weft.Run()
    monkeypatch.setenv("WEFT_FLAVOR", "serial")
    with scope as executor:
        assert isinstance(executor, SerialExecutor)


def test_wrong_environment_is_named_at_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_MAX_WORKERS", "lots")
    with pytest.raises(InvalidSetting, match="WEFT_MAX_WORKERS='lots'"), weft.Run():
        pass


def test_configuration_of_the_call_of_the_block_and_of_the_process() -> None:
    weft.set_default_config(RuntimeConfig(max_workers=2))
    assert decided().max_workers == 2
    with RuntimeConfig.use(RuntimeConfig(flavor="serial")):
        assert decided().code == "config_flavor"
        assert decided(config=RuntimeConfig(max_workers=3)).max_workers == 3
        assert decided(flavor="threads", max_workers=4).max_workers == 4
    weft.set_default_config(RuntimeConfig(auto=False))
    assert decided().code == "auto_off"


def test_executor_of_the_configuration_is_left_running() -> None:
    with ThreadPoolExecutor(1) as pool:
        with weft.Run(config=RuntimeConfig(executor=pool)) as executor:
            assert executor is pool
        assert pool.submit(pow, 2, 3).result() == 8
        assert weft.last_decision().code == "config_executor"  # type: ignore[union-attr]


class Foreign(concurrent.futures.Executor):
    """Somebody's own executor."""


@pytest.mark.parametrize(
    ("make", "flavor"),
    [
        (lambda: concurrent.futures.ThreadPoolExecutor(2), "threads"),
        (lambda: ThreadPoolExecutor(2), "threads"),
        (SerialExecutor, "serial"),
        (Foreign, "other"),
    ],
)
def test_executor_handed_in_is_used_as_it_is_and_left_running(make: Any, flavor: str) -> None:
    with make() as pool:
        scope = weft.Run(executor=pool, name="given")
        with scope as executor:
            assert executor is pool
        assert scope.trace is not None
        assert (scope.trace.resolved, scope.trace.code) == (flavor, "executor_given")
        if flavor != "other":
            assert pool.submit(pow, 2, 3).result() == 8


def test_executor_handed_in_is_left_running_when_the_block_raises() -> None:
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ZeroDivisionError), weft.Run(executor=pool):
            raise ZeroDivisionError
        assert pool.submit(pow, 2, 3).result() == 8


# ---- wrong arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"flavor": "thread"}, "did you mean 'threads'?"),
        ({"flavor": "Processes"}, "did you mean 'processes'?"),
        ({"flavor": "gpu"}, "use one of 'auto', 'threads'"),
        ({"flavor": None}, "use one of 'auto', 'threads'"),
        ({"max_workers": 0}, "whole number from 1"),
        ({"max_workers": -2}, "whole number from 1"),
        ({"max_workers": 10**9}, "whole number from 1"),
        ({"max_workers": True}, "whole number from 1"),
        ({"max_workers": 1.5}, "whole number from 1"),
        ({"executor": "threads"}, "concurrent.futures.Executor"),
        ({"executor": ThreadPoolExecutor}, "concurrent.futures.Executor"),
        ({"config": {"max_workers": 2}}, "weft.RuntimeConfig"),
        ({"name": 5}, "give a string"),
        ({"trace": "yes"}, "give True, a function"),
        ({"executor": Foreign(), "max_workers": 2}, "leave it out"),
        ({"executor": SerialExecutor(), "flavor": "threads"}, "runs serial"),
        ({"flavor": "none", "max_workers": 2}, "leave it out"),
    ],
)
def test_wrong_arguments_are_refused_at_construction(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        weft.Run(**arguments)
    assert isinstance(caught.value, ValueError)
    assert says in str(caught.value)


# ---- trace ---------------------------------------------------------------------------------------------


def test_trace_is_the_decision_of_the_scope() -> None:
    scope = weft.Run(flavor="serial")
    assert scope.trace is None
    with scope:
        assert scope.trace is weft.last_decision()
    assert scope.trace is weft.last_decision()


def test_trace_true_logs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "weft.run"), weft.Run(flavor="serial", name="seen", trace=True):
        pass
    assert "Run 'seen': serial -> serial [flavor_requested]" in caplog.text


def test_trace_calls_a_function_before_the_block_runs() -> None:
    seen: list[weft.Decision] = []
    with weft.Run(flavor="serial", trace=seen.append):
        assert [decision.resolved for decision in seen] == ["serial"]


def test_trace_function_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def saboteur(_: weft.Decision) -> None:
        raise ZeroDivisionError("saboteur")

    with weft.Run(flavor="serial", trace=saboteur) as executor:
        assert executor.submit(pow, 2, 3).result() == 8
    assert "saboteur" in caplog.text


def test_trace_repeats_a_decision() -> None:
    before = decided(flavor="threads", max_workers=3)
    again = decided(trace=before)
    assert (again.resolved, again.max_workers, again.code) == ("threads", 3, "replayed")
    assert decided(trace=before, max_workers=2).max_workers == 2
    assert decided(trace=decided(flavor="serial")).resolved == "serial"


def test_trace_of_an_executor_handed_in_cannot_be_repeated() -> None:
    foreign = decided(executor=Foreign())
    with pytest.raises(InvalidSetting, match="hand it in again"):
        weft.Run(trace=foreign)


# ---- scopes --------------------------------------------------------------------------------------------


def test_entering_twice() -> None:
    scope = weft.Run(flavor="serial", name="once")
    with scope, pytest.raises(RuntimeError, match=r"'once'.*entered before"), scope:
        pass
    with pytest.raises(RuntimeError, match="entered before"), scope:
        pass


def test_entering_from_many_threads_at_once() -> None:
    """Exactly one gets in; from a barrier, on the free-threaded build really at once."""
    for _ in range(50):
        scope, barrier, entered = weft.Run(flavor="serial"), threading.Barrier(4), []

        def enter(scope: weft.Run = scope, barrier: threading.Barrier = barrier, entered: list[bool] = entered) -> None:
            barrier.wait(10)
            try:
                with scope:
                    entered.append(True)
            except RuntimeError:
                entered.append(False)

        threads = [threading.Thread(target=enter) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(entered) == [False, False, False, True]


@pytest.mark.parametrize(
    ("outer", "inner", "shared"),
    [
        ({}, {}, True),
        ({"max_workers": 2}, {}, True),
        ({"max_workers": 2}, {"max_workers": 2}, True),
        ({"max_workers": 2}, {"max_workers": 3}, False),
        ({"flavor": "threads"}, {"flavor": "threads"}, True),
        ({"flavor": "serial"}, {}, True),
        ({"flavor": "serial"}, {"max_workers": 4}, True),
        ({"flavor": "serial"}, {"flavor": "threads"}, False),
        ({"flavor": "threads"}, {"flavor": "serial"}, False),
        ({"flavor": "threads"}, {"config": RuntimeConfig(io_bound=True)}, True),
        ({"flavor": "serial"}, {"config": RuntimeConfig(io_bound=True)}, False),
    ],
)
def test_nested_scopes_reuse_a_compatible_parent(outer: dict[str, Any], inner: dict[str, Any], shared: bool) -> None:
    with weft.Run(**outer) as parent:
        nested = weft.Run(**inner)
        with nested as child:
            assert (child is parent) == shared
        assert nested.trace is not None
        assert (nested.trace.code == "nested") == shared
        assert parent.submit(pow, 2, 3).result() == 8  # the end of the inner one is not the end of it
        with weft.Run(**outer) as again:
            assert again is parent


def test_nested_scopes_share_an_executor_handed_in() -> None:
    with weft.Run(executor=Foreign()) as parent, weft.Run() as child:
        assert child is parent


def test_a_scope_that_has_ended_is_no_parent() -> None:
    with weft.Run(flavor="serial") as ended:
        context = contextvars.copy_context()

    def enter() -> bool:
        with weft.Run(flavor="serial") as executor:
            return executor is ended

    assert context.run(enter) is False


def test_scopes_of_other_contexts_are_no_parents() -> None:
    with weft.Run(flavor="serial"):
        assert contextvars.Context().run(decided).code != "nested"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_scope_of_the_parent_process_is_no_parent_in_the_child() -> None:
    """Its workers do not exist there: a nested scope must make its own, and ending must not touch the parent's."""
    script = """
import os, weft
with weft.Run(max_workers=2) as outer:
    assert outer.submit(pow, 2, 3).result() == 8
    pid = os.fork()
    if pid == 0:
        try:
            with weft.Run() as inner:
                assert inner is not outer
                assert inner.submit(pow, 2, 4).result() == 16
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert outer.submit(pow, 2, 5).result() == 32
"""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr


@pytest.mark.invariant(3)
def test_when_the_block_ends_well_its_tasks_are_waited_for() -> None:
    go = threading.Event()
    threading.Timer(0.05, go.set).start()
    with weft.Run(flavor="threads", max_workers=1) as executor:
        futures = [executor.submit(go.wait, 10) for _ in range(5)]
    assert [future.done() for future in futures] == [True] * 5
    assert futures[-1].result() is True


@pytest.mark.invariant(3)
def test_when_the_block_raises_waiting_tasks_are_cancelled() -> None:
    started, go = threading.Event(), threading.Event()

    def task() -> None:
        started.set()
        go.wait(10)

    with pytest.raises(ZeroDivisionError), weft.Run(flavor="threads", max_workers=1) as executor:
        running, waiting = executor.submit(task), executor.submit(task)
        waiting.add_done_callback(lambda _: go.set())
        assert started.wait(10)
        raise ZeroDivisionError
    assert running.done()
    assert waiting.cancelled()


def test_a_task_that_does_not_end_bounds_the_end_and_is_reported(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weft._run.GRACE_SECONDS", 0.1)
    started, go = threading.Event(), threading.Lock()
    go.acquire()

    def stuck() -> None:
        started.set()
        go.acquire(timeout=30)  # in C, where no interrupt gets to

    begin = time.monotonic()
    try:
        with pytest.raises(ZeroDivisionError), weft.Run(flavor="threads", max_workers=1, name="slow") as executor:
            future = executor.submit(stuck)
            assert started.wait(10)
            raise ZeroDivisionError
        assert time.monotonic() - begin < 10
        if future.done():
            raise Late("it was interrupted before it was stuck")
    finally:
        go.release()
    assert "'slow'" in caplog.text
    assert "still running" in caplog.text
    assert "stuck" in caplog.text


@pytest.mark.invariant(3)
def test_tasks_that_do_not_end_are_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft._run.GRACE_SECONDS", 0.1)
    started = threading.Event()

    def spin() -> None:
        started.set()
        while True:
            pass

    with pytest.raises(ZeroDivisionError), weft.Run(flavor="threads", max_workers=1) as executor:
        spinning = executor.submit(spin)
        assert started.wait(10)
        raise ZeroDivisionError
    assert isinstance(spinning.exception(10), Interrupted)


@pytest.mark.invariant(3)
def test_processes_that_do_not_end_are_terminated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft._run.GRACE_SECONDS", 1.0)
    with pytest.raises(ZeroDivisionError), weft.Run(flavor="processes", max_workers=1) as executor:
        assert executor.submit(pow, 2, 3).result() == 8
        executor.submit(time.sleep, 600)
        children: dict[int, Any] = dict(executor._processes)  # type: ignore[attr-defined]
        raise ZeroDivisionError
    assert children
    for child in children.values():
        child.join(10)
        assert not child.is_alive()


def test_stop_of_an_idle_executor_is_prompt() -> None:
    executor = ThreadPoolExecutor(2)
    executor.submit(pow, 2, 3).result()
    begin = time.monotonic()
    assert stop(executor, 30) is None
    assert time.monotonic() - begin < 10


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.invariant(4)
def test_ctrl_c_while_the_end_is_waited_for() -> None:
    script = """
import os, signal, threading, time, weft
started, submitted = threading.Event(), threading.Event()
def task():
    started.set()
    time.sleep(20)
def press():
    global pressed
    started.wait(10)
    submitted.wait(10)
    time.sleep(0.1)  # it is most likely in its wait
    pressed = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=press).start()
try:
    with weft.Run(flavor="threads", max_workers=1) as executor:
        futures = [executor.submit(task) for _ in range(1000)]
        submitted.set()
except KeyboardInterrupt:
    print(time.monotonic() - pressed, sum(future.cancelled() for future in futures), flush=True)
    os._exit(0)  # which does not wait for the task
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    took, cancelled = map(float, done.stdout.split())
    assert cancelled > 990
    check_within(took, 0.2, "the task alone would take 20 s")


# ---- asyncio -------------------------------------------------------------------------------------------


def test_async_with() -> None:
    async def main() -> list[int]:
        async with weft.Run(flavor="threads", max_workers=2) as executor:
            loop = asyncio.get_running_loop()
            return await asyncio.gather(*(loop.run_in_executor(executor, pow, 2, n) for n in range(5)))

    assert asyncio.run(main()) == [1, 2, 4, 8, 16]


def test_async_end_does_not_block_the_loop() -> None:
    """The task that the end waits for is ended by the loop itself: a blocked loop would never come to it."""

    async def main() -> None:
        go = threading.Event()
        async with weft.Run(flavor="threads", max_workers=1) as executor:
            future = executor.submit(go.wait, 30)
            asyncio.get_running_loop().call_later(0.05, go.set)
        assert future.result(0) is True

    asyncio.run(main())


def test_async_scope_as_the_default_executor_of_its_loop() -> None:
    async def main() -> int:
        async with weft.Run(flavor="threads", max_workers=1) as executor:
            asyncio.get_running_loop().set_default_executor(executor)  # type: ignore[arg-type]
            return await asyncio.to_thread(pow, 2, 10)

    assert asyncio.run(main()) == 1024


def test_async_end_that_is_cancelled_cancels_waiting_tasks() -> None:
    async def main() -> None:
        go, entered = threading.Event(), asyncio.Event()
        futures: list[concurrent.futures.Future[bool]] = []

        async def scope() -> None:
            async with weft.Run(flavor="threads", max_workers=1) as executor:
                futures.extend(executor.submit(go.wait, 30) for _ in range(3))
                while not futures[0].running():
                    await asyncio.sleep(0)
                entered.set()

        task = asyncio.create_task(scope())
        await entered.wait()
        await asyncio.sleep(0)  # the end is waited for now
        task.cancel()
        async with asyncio.timeout(30):
            while not all(future.cancelled() for future in futures[1:]):
                await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert futures[0].result(0) is True
        assert all(future.cancelled() for future in futures[1:])

    asyncio.run(main())


def test_async_tasks_have_scopes_of_their_own() -> None:
    async def main() -> None:
        inside, leave = asyncio.Event(), asyncio.Event()

        async def one() -> concurrent.futures.Executor:
            async with weft.Run(flavor="serial") as executor:
                inside.set()
                await leave.wait()
                return executor

        async def other() -> concurrent.futures.Executor:
            await inside.wait()
            async with weft.Run(flavor="serial") as executor:
                leave.set()
                return executor

        first, second = await asyncio.gather(one(), other())
        assert first is not second

    asyncio.run(main())


def test_repr_tells_the_state() -> None:
    scope = weft.Run(flavor="serial", name="n")
    assert repr(scope) == "<weft.Run 'n' serial, not entered>"
    with scope:
        assert repr(scope) == "<weft.Run 'n' serial -> serial, open>"
    assert repr(scope) == "<weft.Run 'n' serial -> serial, ended>"


TURNED_ON = """
import importlib.machinery, importlib.util, sys, warnings
import _testmultiphase
warnings.simplefilter("ignore")
name = "_testmultiphase_null_slots"  # of CPython's own tests: it says nothing about the GIL
loader = importlib.machinery.ExtensionFileLoader(name, _testmultiphase.__file__)
spec = importlib.util.spec_from_file_location(name, _testmultiphase.__file__, loader=loader)
loader.exec_module(importlib.util.module_from_spec(spec))
assert sys._is_gil_enabled()
import weft
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        with weft.Run() as executor:
            executor.submit(abs, -1).result()
assert [warning.filename for warning in caught] == [__file__], caught
assert "runs with the GIL on" in str(caught[0].message)
decision = weft.last_decision()
assert decision.evidence["gil_turned_on"] is True
assert (decision.code, decision.thread_mode) == ("measuring", "gil"), decision
"""


@pytest.mark.skipif(not weft.capabilities().free_threaded_build, reason="this Python always has a GIL")
def test_an_extension_that_turns_the_gil_on_is_told_of_once(tmp_path: Path) -> None:
    pytest.importorskip("_testmultiphase")
    program = tmp_path / "program.py"
    program.write_text(TURNED_ON)
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr


def test_inner_threads_reach_the_workers() -> None:
    with weft.Run(flavor="processes", max_workers=1, config=RuntimeConfig(inner_threads=3)) as executor:
        assert executor.submit(os.getenv, "OMP_NUM_THREADS").result(30) == "3"


IN_AN_INTERPRETER = """
import sys
sys.path[:] = path.split("|")
import weft
with weft.Run() as executor:
    assert list(executor.map(abs, range(-9, 0))) == list(range(9, 0, -1))
assert weft.last_decision().code == "default_threads", weft.last_decision()
"""


@pytest.mark.skipif(not INTERPRETERS, reason="interpreters need 3.14")
def test_auto_in_an_interpreter_of_its_own() -> None:
    interpreters: Any = importlib.import_module("concurrent.interpreters")
    one = interpreters.create()
    try:
        one.prepare_main(path="|".join(sys.path))
        one.exec(IN_AN_INTERPRETER)
    finally:
        one.close()
