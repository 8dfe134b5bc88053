"""What a task raises in another interpreter arrives as itself, or as much of it as there is."""

import copyreg
import io
import pickle
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from tests.payloads import tasks
from tests.payloads.worker import Worker
from weft import errors
from weft._payloads.calling import unpack_failure
from weft._payloads.failures import RemoteTraceback, remote_traceback
from weft._payloads.working import pack_failure


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


def failure(worker: Worker, function: Any, *args: Any, **kwargs: Any) -> BaseException:
    try:
        value = worker.call(function, *args, **kwargs)
    except BaseException as error:
        return error
    raise AssertionError(f"returned {value!r}")


def printed(error: BaseException) -> str:
    file = io.StringIO()
    traceback.print_exception(error, file=file)
    return file.getvalue()


ORDINARY = [
    (KeyError, ("key",)),
    (ValueError, ()),
    (ValueError, (1, "two", [3.0, {"four": None}])),
    (OSError, (2, "No such file or directory", "a path")),
    (OSError, (2, "No such file or directory", "a path", None, "another")),
    (UnicodeDecodeError, ("utf-8", b"\xff", 0, 1, "invalid start byte")),
    (SystemExit, (3,)),
    (KeyboardInterrupt, ()),
    (StopIteration, (7,)),
    (SyntaxError, ("wrong", ("file", 1, 2, "text", 1, 3))),
    (errors.TaskTimeout, ("too late",)),
    (tasks.WithItsOwnReduce, (1, 2)),
    (tasks.ThatChangesItsArguments, ("spam",)),
    (tasks.OfTheSystem, ("a path",)),
]


@pytest.mark.parametrize(("kind", "args"), ORDINARY, ids=lambda value: getattr(value, "__name__", ""))
def test_an_exception_arrives_as_itself(worker: Worker, kind: Any, args: tuple[Any, ...]) -> None:
    expected = kind(*args)
    error = failure(worker, tasks.make_and_raise, kind, *args)
    assert type(error) is type(expected)
    assert error.args == expected.args
    assert str(error) == str(expected)
    assert vars(error) == vars(expected)
    for name in ("errno", "strerror", "filename", "filename2", "object", "reason", "start", "code", "value", "lineno"):
        assert getattr(error, name, None) == getattr(expected, name, None)


def test_a_constructor_with_other_arguments_is_not_run_again(worker: Worker) -> None:
    error = failure(worker, tasks.make_and_raise, tasks.WithOtherArguments, 5, reason="no disk")
    assert type(error) is tasks.WithOtherArguments
    assert (str(error), error.code, error.reason) == ("no disk (5)", 5, "no disk")
    assert error.args == ("no disk (5)",)


def test_what_distributed_does_to_exceptions_takes_nothing_from_them(monkeypatch: pytest.MonkeyPatch) -> None:
    support = pytest.importorskip("tblib.pickling_support")
    monkeypatch.setitem(copyreg.dispatch_table, SyntaxError, support.pickle_exception)
    there = SyntaxError("invalid syntax", ("wrong.py", 3, 7, "def f(:", 3, 8))
    assert pickle.loads(pickle.dumps(there)).filename is None  # or this is not needed any more
    here = unpack_failure(pack_failure(there))
    assert isinstance(here, SyntaxError)
    assert (here.filename, here.lineno, here.args) == ("wrong.py", 3, there.args)


def test_the_remote_traceback_is_printed_and_there_as_text(worker: Worker) -> None:
    error = failure(worker, tasks.make_and_raise, ValueError, "spam")
    assert type(error.__cause__) is RemoteTraceback
    text = remote_traceback(error)
    assert text is not None
    assert error.__cause__ is not None
    assert not error.__suppress_context__  # as it was, though setting a cause sets it
    assert text == error.__cause__.tb
    assert "in make_and_raise" in text
    assert "raise kind(*args, **kwargs)" in text
    assert text.endswith("ValueError: spam\n")
    assert printed(error).count("in make_and_raise") == 1
    assert printed(error).rstrip().endswith("ValueError: spam")


def test_one_from_here_has_no_remote_traceback() -> None:
    error = ValueError()
    error.__cause__ = KeyError()
    assert remote_traceback(error) is None


def test_a_chain_keeps_its_links_and_notes(worker: Worker) -> None:
    error = failure(worker, tasks.chain)
    assert type(error) is RuntimeError
    assert error.__cause__ is None
    assert not error.__suppress_context__
    middle = error.__context__
    assert type(middle) is ValueError
    assert middle.__notes__ == ["a note"]
    assert middle.__suppress_context__
    assert type(middle.__context__) is KeyError
    assert type(middle.__cause__) is FileNotFoundError
    assert middle.__cause__.filename == "file"
    assert type(middle.__cause__.__cause__) is RemoteTraceback
    text = remote_traceback(error)
    assert text is not None
    assert text in printed(error)
    assert text.count("Traceback (most recent call last)") >= 2
    assert printed(error).index(text) < printed(error).index("direct cause")


def test_a_hidden_context_stays_hidden(worker: Worker) -> None:
    error = failure(worker, tasks.hidden)
    assert type(error.__context__) is KeyError
    assert error.__suppress_context__
    assert type(error.__cause__) is RemoteTraceback
    assert "KeyError" not in printed(error)


def test_a_chain_that_leads_back_to_itself(worker: Worker) -> None:
    error = failure(worker, tasks.circle)
    assert str(error) == "one"
    assert error.__cause__ is not None
    assert str(error.__cause__) == "two"
    assert error.__cause__.__cause__ is error
    assert "in circle" in printed(error)


def check_stand_in(error: BaseException, name: str, message: str, function: str) -> None:
    assert type(error) is errors.RemoteError
    assert error.type_name == name
    assert str(error) == f"{name}: {message}"
    assert error.traceback is not None
    assert f"in {function}" in error.traceback
    assert any("could not be rebuilt here" in note for note in error.__notes__)
    assert f"in {function}" in printed(error)


def test_one_with_an_attribute_that_cannot_cross_is_a_remote_error(worker: Worker) -> None:
    check_stand_in(failure(worker, tasks.unpicklable_attribute), "ValueError", "with a lock", "unpicklable_attribute")


def test_a_local_class_goes_by_value_if_there_is_cloudpickle() -> None:
    with Worker() as worker:
        # What one of these does without: an import of a module that is None in sys.modules fails.
        worker.call(exec, "import sys; sys.modules['cloudpickle'] = None")
        name = "tests.payloads.tasks.local_class.<locals>.Local"
        check_stand_in(failure(worker, tasks.local_class), name, "from here", "local_class")
        pytest.importorskip("cloudpickle")
        worker.call(exec, "import sys; del sys.modules['cloudpickle']")
        error = failure(worker, tasks.local_class)
        assert type(error).__name__ == "Local"
        assert error.args == ("from here",)


@pytest.mark.parametrize("how", ["raise", "exit", "recurse", "nonsense"])
def test_a_reduce_that_fails_is_done_without(worker: Worker, how: str) -> None:
    # Its class crosses, and a word: only in the worker is there one to be pickled.
    error = failure(worker, tasks.make_and_raise, tasks.Saboteur, how)
    assert type(error) is tasks.Saboteur
    assert error.args == (how,)
    assert worker.call(pow, 2, 3) == 8


@pytest.mark.parametrize("how", ["raise", "exit", "recurse"])
@pytest.mark.parametrize("moment", ["pickle", "unpickle"])
def test_a_saboteur_among_its_arguments_makes_it_a_remote_error(worker: Worker, moment: str, how: str) -> None:
    error = failure(worker, tasks.raise_with_saboteur, moment, how)
    assert type(error) is errors.RemoteError
    assert error.type_name == "ValueError"
    assert "in raise_with_saboteur" in (remote_traceback(error) or "")
    assert worker.call(pow, 2, 3) == 8


def test_a_str_that_exits_breaks_nothing(worker: Worker) -> None:
    error = failure(worker, tasks.make_and_raise, tasks.WithoutStr, 1)
    assert type(error) is tasks.WithoutStr
    assert error.args == (1,)
    assert "in make_and_raise" in (remote_traceback(error) or "")


def test_a_group_keeps_its_members_and_what_each_is_linked_to(worker: Worker) -> None:
    error = failure(worker, tasks.group)
    assert type(error) is ExceptionGroup
    assert error.message == "outer"
    assert isinstance(error.__cause__, OSError)
    assert error.__cause__.errno == 5
    inner, custom = error.exceptions
    assert type(inner) is tasks.MyGroup
    assert inner.__notes__ == ["inside"]
    assert (type(custom), custom.code) == (tasks.WithOtherArguments, 3)
    key, bad = inner.exceptions
    assert (type(key), key.args) == (KeyError, ("k",))
    assert type(bad) is errors.RemoteError
    assert str(bad) == "ValueError: bad"
    assert "ValueError: bad" in (remote_traceback(error) or "")


def test_the_size_is_bounded(worker: Worker) -> None:
    data = None
    try:
        tasks.deep(500)
    except ValueError as error:
        error.args = ("short",)
        error.add_note("y" * 1_000_000)
        data = pack_failure(error)
    assert data is not None
    assert len(data) < 1_200_000  # the note is part of the exception itself
    text = remote_traceback(unpack_failure(data))
    assert text is not None
    assert len(text) < 70_000
    error = failure(worker, tasks.deep, 500)
    assert type(error) is ValueError
    assert len(error.args[0]) == 1_000_000
    assert len(remote_traceback(error) or "") < 70_000


def test_what_is_too_big_is_left_out() -> None:
    again = unpack_failure(pack_failure(ValueError(b"x" * (20 << 20))))
    assert type(again) is errors.RemoteError
    assert "too much" in again.__notes__[-1]


def test_a_group_and_a_chain_of_thousands() -> None:
    group = ExceptionGroup("many", [ValueError(number) for number in range(3000)])
    again = unpack_failure(pack_failure(group))
    assert isinstance(again, ExceptionGroup)
    assert [member.args for member in again.exceptions] == [(number,) for number in range(len(again.exceptions))]
    assert f"{3000 - len(again.exceptions)} more" in again.__notes__[-1]
    error = last = ValueError(0)
    for number in range(1, 3000):
        last.__cause__ = last = ValueError(number)
    again = unpack_failure(pack_failure(error))
    assert again.args == (0,)
    assert again.__cause__ is not None
    assert again.__cause__.args == (1,)


def test_one_that_came_from_a_worker_of_the_worker_has_its_traceback_once() -> None:
    first = unpack_failure(pack_failure(ValueError("inner")))
    second = unpack_failure(pack_failure(first))
    assert type(second.__cause__) is RemoteTraceback
    assert second.__cause__.__cause__ is None
    assert second.__cause__.__context__ is None
    assert printed(second).count("RemoteTraceback") == 2  # ours, and that in its text


def test_a_class_that_only_the_worker_has_is_told_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack_failure(tasks.WithItsOwnReduce(1, 2))
    monkeypatch.delattr(tasks, "WithItsOwnReduce")
    again = unpack_failure(data)
    assert type(again) is errors.RemoteError
    assert again.type_name == "tests.payloads.tasks.WithItsOwnReduce"
    assert "AttributeError" in again.__notes__[-1]


def test_an_error_of_the_stdlib_that_needs_a_slow_import_is_made_of_its_parts() -> None:
    error = ExceptionGroup("g", [TimeoutError(110, "timed out"), MemoryError()])
    again = unpack_failure(pack_failure(error))
    assert [type(member) for member in again.exceptions] == [TimeoutError, MemoryError]
    assert sys.exc_info() == (None, None, None)
