"""`weft.errors`: what each error is to the standard library, what it says, and that it survives pickling."""

import concurrent.futures
import concurrent.futures.thread
import copy
import copyreg
import pickle
import signal

import pytest

from weft import errors

STDLIB_BASE = {
    "Interrupted": BaseException,
    "TaskTimeout": TimeoutError,
    "FlavorUnavailable": RuntimeError,
    "MissingDependency": ImportError,
    "InvalidSetting": ValueError,
    "InvalidPipeline": ValueError,
    "InvalidInputs": ValueError,
    "PipelineError": RuntimeError,
    "InitializerFailed": concurrent.futures.thread.BrokenThreadPool,
    "PoolForked": concurrent.futures.BrokenExecutor,
    "PayloadError": pickle.PicklingError,
    "RemoteError": RuntimeError,
    "WorkerCrashed": concurrent.futures.BrokenExecutor,
    "WorkerStartFailed": concurrent.futures.BrokenExecutor,
    "SpawnMethodUnavailable": RuntimeError,
    "RemoteActorError": RuntimeError,
    "ActorDied": RuntimeError,
    "ChannelClosed": ConnectionError,
    "ChannelFault": ConnectionError,
}

EXAMPLES = [
    errors.WeftError("something"),
    errors.Interrupted(),
    errors.TaskTimeout(task="fetch", timeout=2.5, started=True),
    errors.FlavorUnavailable(flavor="interpreters", needs="Python 3.14 or newer"),
    errors.MissingDependency(extra="closures", package="cloudpickle"),
    errors.InvalidSetting(setting="flavor", value="thread", allowed=("threads", "serial")),
    errors.InvalidPipeline(pipeline="docs", problems=["one", "two"]),
    errors.InvalidInputs(pipeline="docs", problems=["one"]),
    errors.PipelineError(node="a/b", pipeline="docs", item=3, inputs={"x": "0"}, error=KeyError("x"), attempts=2),
    errors.InitializerFailed(),
    errors.PoolForked(),
    errors.PayloadError(path="args[1].lock", task="fetch"),
    errors.RemoteError("app.BadRow: row 3", type_name="app.BadRow", traceback="Traceback ..."),
    errors.WorkerCrashed(pid=1234, signal=9, task="fetch"),
    errors.WorkerStartFailed(why="no room", remedy="make some"),
    errors.SpawnMethodUnavailable(method="interpreter", needs="Python 3.14 or newer"),
    errors.RemoteActorError(path=("root", "parser"), type_name="app.BadRow", traceback="Traceback ..."),
    errors.ActorDied(path=("root", "parser"), pid=1234, signal=9),
    errors.ChannelClosed(),
    errors.ChannelFault("garbage"),
]


def test_the_table_is_complete() -> None:
    assert set(errors.__all__) == {"WeftError", *STDLIB_BASE}
    assert {type(error).__name__ for error in EXAMPLES} == set(errors.__all__)


@pytest.mark.parametrize(("name", "base"), STDLIB_BASE.items())
def test_each_error_is_what_a_caller_would_catch(name: str, base: type[BaseException]) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, errors.WeftError)
    assert issubclass(kind, base)
    # Only the request to stop escapes `except Exception`, as asyncio.CancelledError does.
    assert issubclass(kind, Exception) == (name != "Interrupted")


def test_broken_pools_are_broken_executors() -> None:
    assert issubclass(errors.InitializerFailed, concurrent.futures.BrokenExecutor)
    assert issubclass(errors.PoolForked, concurrent.futures.BrokenExecutor)


@pytest.fixture
def as_pickle_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without tblib, which dask installs where there is one, and which pickles notes twice."""
    for kind, reduce in [*copyreg.dispatch_table.items()]:
        if str(getattr(reduce, "__module__", "")).startswith("tblib."):
            monkeypatch.delitem(copyreg.dispatch_table, kind)


@pytest.mark.usefixtures("as_pickle_does")
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_pickling_keeps_message_attributes_and_notes(error: errors.WeftError, protocol: int) -> None:
    error = copy.copy(error)
    error.add_note("while testing")
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.__notes__ == ["while testing"]


@pytest.mark.parametrize("kind", [getattr(errors, name) for name in errors.__all__])
def test_a_message_alone_is_enough(kind: type[errors.WeftError]) -> None:
    # How the C++ core makes them: one positional message, and keywords where it knows more.
    error = kind("the message")
    assert str(error) == "the message"
    assert error.args == ("the message",)
    assert str(pickle.loads(pickle.dumps(error))) == "the message"


@pytest.mark.parametrize("kind", [getattr(errors, name) for name in errors.__all__ if name != "WeftError"])
def test_no_message_at_all_still_says_something(kind: type[errors.WeftError]) -> None:
    # PyThreadState_SetAsyncExc makes exceptions without arguments.
    assert len(str(kind())) > 10


def test_messages_name_task_and_remedy() -> None:
    assert "'fetch'" in str(errors.TaskTimeout(task="fetch", timeout=1, started=True))
    assert "more workers" in str(errors.TaskTimeout(task="fetch", timeout=1, started=False))
    assert 'pip install "weft[viz]"' in str(errors.MissingDependency(extra="viz", package="graphviz"))
    assert "Python 3.14" in str(errors.FlavorUnavailable(flavor="interpreters", needs="Python 3.14"))


def test_a_payload_error_is_what_either_of_the_stdlib_s_pools_raises() -> None:
    assert issubclass(errors.PayloadError, TypeError)
    assert issubclass(errors.PayloadError, pickle.PicklingError)
    message = str(errors.PayloadError(path="args[1].lock", task="fetch"))
    assert message.startswith("args[1].lock of task 'fetch' cannot be pickled; ")


def test_a_crash_says_which_worker_which_task_how_and_what_now() -> None:
    assert str(errors.WorkerCrashed(pid=1234, signal=9, task="x")) == (
        "worker process 1234, which ran task 'x', was killed by SIGKILL: out of memory? "
        "Give each task less, or use fewer workers; the pool goes on with a new worker"
    )
    assert "SIGUSR1; the pool" in str(errors.WorkerCrashed(pid=1, signal=signal.SIGUSR1))
    assert "signal 9999;" in str(errors.WorkerCrashed(pid=1, signal=9999))
    assert "exited with status 0" in str(errors.WorkerCrashed(pid=1, exit_code=0))
    assert str(errors.WorkerCrashed()) == "a worker process died; the pool goes on with a new worker"


def test_invalid_setting_suggests_the_closest() -> None:
    error = errors.InvalidSetting(setting="flavor", value="Procesess", allowed=("threads", "processes"))
    assert "did you mean 'processes'?" in str(error)
    assert error.allowed == ("threads", "processes")


def test_invalid_setting_suggests_nothing_far_off() -> None:
    error = errors.InvalidSetting(setting="flavor", value="banana", allowed=("threads", "processes"))
    assert "did you mean" not in str(error)
    assert "use one of 'threads', 'processes'" in str(error)


def test_invalid_setting_names_where_the_value_is_from() -> None:
    error = errors.InvalidSetting(setting="WEFT_X", value="?", source="the environment", remedy="give a number")
    assert str(error) == "WEFT_X='?' (from the environment) is not valid: give a number"


def test_reprs_are_kept_and_not_live_objects() -> None:
    class Unpicklable:
        def __repr__(self) -> str:
            return "<a socket>"

    error = errors.InvalidSetting(setting="cache", value=Unpicklable())
    assert error.value == "<a socket>"
    assert pickle.loads(pickle.dumps(error)).value == "<a socket>"


def test_a_repr_that_raises_or_never_ends_does_no_harm() -> None:
    class Saboteur:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    error = errors.InvalidSetting(setting="cache", value=Saboteur())
    assert "Saboteur" in str(error)
    assert "ZeroDivisionError" in str(error)
    assert len(str(errors.InvalidSetting(setting="name", value="x" * 1_000_000))) < 300
