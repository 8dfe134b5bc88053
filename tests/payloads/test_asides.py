"""What workers say beside results: from a real process, and from an interpreter with its own GIL (3.14)."""

import io
import logging
import marshal
import subprocess
import sys
import warnings
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.lateness import check_within
from tests.payloads import asides_tasks as tasks
from weft._payloads import receiving

type Said = list[bytes]
type Run = Callable[..., Said]

# A worker in a process says everything to a file; its own stdout and stderr are looked at too.
PROGRAM = """
import marshal, sys
path, task, levels, streams, said = marshal.loads(bytes.fromhex(sys.argv[1]))
sys.path[:] = path
from weft._payloads import asides
file = open(said, "wb", buffering=0)
asides.install(lambda data: file.write(marshal.dumps(data)), streams=streams, levels=levels)
from tests.payloads import asides_tasks
getattr(asides_tasks, task)()
asides.flush()
asides.uninstall()
file.close()
"""

IN_INTERPRETER = """
import marshal, sys
path, task, levels, streams = marshal.loads(setup)
sys.path[:] = path
from weft._payloads import asides
asides.install(said.put, streams=streams, levels=levels)
from tests.payloads import asides_tasks
getattr(asides_tasks, task)()
asides.flush()
asides.uninstall()
"""


def in_a_process(task: Callable[[], None], folder: Path, *, streams: bool = False, errors: str = "") -> Said:
    path = folder / "said"
    told = marshal.dumps((sys.path, task.__name__, receiving.levels(), streams, str(path)))
    command = [sys.executable, "-X", "utf8", "-W", "default", "-c", PROGRAM, told.hex()]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    assert errors in ended.stderr if errors else ended.stderr == ""
    said: Said = []
    with path.open("rb") as file:
        while True:
            try:
                said.append(marshal.load(file))
            except EOFError:
                return said


def in_an_interpreter(task: Callable[[], None], folder: Path, *, streams: bool = False, errors: str = "") -> Said:
    from concurrent import interpreters

    said = interpreters.create_queue()
    interpreter = interpreters.create()
    try:
        setup = marshal.dumps((sys.path, task.__name__, receiving.levels(), streams))
        interpreter.prepare_main({"setup": setup, "said": said})
        interpreter.exec(f"import warnings\nwarnings.simplefilter('default')\n{IN_INTERPRETER}")
        return [said.get_nowait() for _ in range(said.qsize())]
    finally:
        interpreter.close()


FLAVORS = [in_a_process] + ([in_an_interpreter] if sys.version_info >= (3, 14) else [])


@pytest.fixture(params=FLAVORS, ids=lambda flavor: flavor.__name__)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    return lambda task, **options: request.param(task, tmp_path, **options)


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Generator[Kept]:
    """A handler on the root logger, which lets all through; the loggers of the tasks are as new after it."""
    root, handler = logging.getLogger(), Kept()
    level, handlers = root.level, root.handlers[:]
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG)
    yield handler
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.disable(logging.NOTSET)
    for name in ("app", "app.part", "loud", "loud.child", "quiet"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        logger.filters.clear()


def deliver(said: Said) -> None:
    for data in said:
        receiving.receive(data, "worker-3")


# ---- log records -----------------------------------------------------------------------------------


def test_records_are_handled_here(run: Run, kept: Kept) -> None:
    deliver(run(tasks.log_plain))
    first, second = kept.records
    assert (first.name, first.levelname, first.getMessage()) == ("app.part", "INFO", "one of 2")
    assert first.args == ("one", 2)
    assert first.request == 17  # type: ignore[attr-defined]
    assert first.funcName == "log_plain"
    assert first.pathname == tasks.__file__
    assert (first.threadName, second.threadName) == ("MainThread", "the thread")
    assert first.processName == "MainProcess"
    assert first.weft_worker == "worker-3"  # type: ignore[attr-defined]
    assert second.created >= first.created


def test_what_cannot_be_pickled_goes_as_text(run: Run, kept: Kept) -> None:
    import array

    deliver(run(tasks.log_objects))
    an_array, mapping, an_object, stuck, hopeless, unfit, not_rebuilt = kept.records
    assert an_array.args == (array.array("i", [1, 2]),)
    assert mapping.getMessage() == "[1]"
    assert isinstance(an_object.msg, tasks.OwnWarning)
    assert stuck.getMessage() == "says it"
    assert stuck.args == ()
    assert stuck.stuck == "<stuck>"  # type: ignore[attr-defined]
    assert stuck.fine == [1]  # type: ignore[attr-defined]
    assert "'says %s'" in hopeless.getMessage()
    assert "Hopeless" not in hopeless.getMessage()
    assert unfit.args == (1,)  # fails where it is formatted, as any record does
    assert unfit.msg == "%d %d"
    assert not_rebuilt.getMessage().startswith("a log record cannot be rebuilt here: LookupError")
    assert {(record.name, record.levelno) for record in kept.records} == {("app", logging.WARNING)}


def test_an_exception_comes_with_its_traceback(run: Run, kept: Kept) -> None:
    deliver(run(tasks.log_exception))
    first, second = kept.records
    assert first.exc_info is not None
    assert isinstance(first.exc_info[1], LookupError)
    shown = logging.Formatter().format(first)
    assert shown.startswith("it failed\nTraceback (most recent call last):\n")
    assert shown.count("LookupError: of the task") == 1
    assert "in log_exception" in shown
    assert "Stack (most recent call last):" in shown
    assert "OSError: in an exception" in logging.Formatter().format(second)


def test_levels_are_decided_here(run: Run, kept: Kept) -> None:
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    logging.getLogger("loud").setLevel(logging.DEBUG)
    logging.getLogger("quiet").setLevel(logging.ERROR)
    said = run(tasks.log_at_all_levels)
    deliver(said)
    assert [record.getMessage() for record in kept.records] == [
        *(":30", ":40", "loud:10", "loud:20", "loud:30", "loud:40"),
        *("loud.child:10", "loud.child:20", "loud.child:30", "loud.child:40", "quiet:40"),
    ]
    assert len(said) == len(kept.records)  # the others were not even sent
    kept.records.clear()
    logging.getLogger("loud").setLevel(logging.CRITICAL)  # since the worker was told
    deliver(said)
    assert [record.getMessage() for record in kept.records] == [":30", ":40", "quiet:40"]
    kept.records.clear()
    logging.disable(logging.ERROR)
    assert run(tasks.log_at_all_levels) == []


def test_a_filter_that_raises_breaks_nothing(run: Run, kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        raise ZeroDivisionError("in the filter")

    said = run(tasks.log_plain)
    logging.getLogger("app.part").addFilter(refuse)
    deliver(said)
    logging.getLogger("app.part").removeFilter(refuse)
    errors = capsys.readouterr().err
    assert errors.count("ZeroDivisionError: in the filter") == 2
    assert "worker-3" in errors


def test_interruptions_pass(run: Run, kept: Kept) -> None:
    def interrupt(record: logging.LogRecord) -> bool:
        raise KeyboardInterrupt

    said = run(tasks.log_plain)
    logging.getLogger("app.part").addFilter(interrupt)
    with pytest.raises(KeyboardInterrupt):
        deliver(said)


def test_a_process_that_a_task_forks_says_nothing_here(tmp_path: Path, kept: Kept) -> None:
    deliver(in_a_process(tasks.fork_and_log, tmp_path, errors="of the child"))
    assert [record.getMessage() for record in kept.records] == ["of the worker"]


# ---- warnings --------------------------------------------------------------------------------------


@pytest.fixture
def registries() -> Generator[None]:
    """Forgets what was warned of here."""
    yield
    receiving._warned.clear()
    vars(tasks).pop("__warningregistry__", None)


@pytest.mark.usefixtures("registries")
def test_warnings_are_shown_once(run: Run) -> None:
    said = run(tasks.warn) + run(tasks.warn)  # of two workers
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        deliver(said)
    first, second = caught
    assert first.category is second.category is tasks.OwnWarning
    assert str(first.message) == "twice the same"
    assert first.filename == tasks.__file__
    assert "twice the same" in Path(first.filename).read_text().splitlines()[first.lineno - 1]
    assert isinstance(second.message, tasks.OwnWarning)
    assert second.message.code == 5
    assert (second.filename, second.lineno) == ("/some/file.py", 12)


@pytest.mark.usefixtures("registries")
def test_filters_here_decide(run: Run) -> None:
    said = run(tasks.warn)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", module=r"tests\.payloads\.asides_tasks")
        deliver(said)
    assert [str(warning.message) for warning in caught] == ["with a code"]


@pytest.mark.usefixtures("registries")
def test_an_error_filter_has_nobody_to_raise_to(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(tasks.warn)
    shown: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.showwarning = lambda message, *_: shown.append(str(message))
        deliver(said)
    assert shown == ["twice the same", "with a code"]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("registries")
def test_what_of_a_warning_cannot_be_pickled(run: Run) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        deliver(run(tasks.warn_with_what_stays))
    local, attribute = caught
    assert str(local.message) == "of a class that stays"
    assert issubclass(local.category, DeprecationWarning)
    assert str(attribute.message) == "with an attribute that stays"
    assert attribute.category is tasks.OwnWarning


def test_what_the_task_catches_is_its_own(run: Run) -> None:
    assert run(tasks.warn_caught) == []


# ---- what is printed -------------------------------------------------------------------------------


def test_lines_reach_what_stdout_is_now(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(tasks.print_lines, streams=True)
    assert [marshal.loads(data) for data in said] == [
        ("stdout", "one 2\n"),
        ("stdout", "two"),
        ("stdout", "é\udc80 three\n"),
        ("stdout", "four\n"),
        ("stderr", "to stderr\n"),
        ("stdout", "unfinished"),
    ]
    deliver([data for data in said if b"three" not in data])
    output = capsys.readouterr()
    assert output.out == "one 2\ntwofour\nunfinished"
    assert output.err == "to stderr\n"


def test_what_stdout_cannot_encode_is_shown_escaped(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(tasks.print_lines, streams=True)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    deliver(said)
    stream.flush()
    assert stream.buffer.getvalue() == b"one 2\ntwo\\xe9\\udc80 three\nfour\nunfinished"  # type: ignore[attr-defined]


def test_there_need_be_no_stdout(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(tasks.print_lines, streams=True)
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    deliver(said)


def test_a_line_without_end_goes_in_pieces(run: Run) -> None:
    said = [marshal.loads(data) for data in run(tasks.print_much, streams=True)]
    assert "".join(text for _, text in said) == "x" * 1_000_000
    assert 10 < len(said) < 20
    assert max(len(text) for _, text in said) < 100_000


# ---- what it costs ---------------------------------------------------------------------------------

SESSION = """
import sys, time
before = set(sys.modules)
begin = time.perf_counter()
from weft._payloads import asides
said = []
asides.install(said.append, streams=True, levels=(0, {"": 10}))
took = time.perf_counter() - begin
modules = set(sys.modules) - before
import logging
logging.getLogger("app").debug("now it is there")
loader = logging.__spec__.loader
assert loader is logging.__loader__ and type(loader).__module__ != "weft._payloads.asides", loader
assert len(said) == 1
assert not [one for one in sys.meta_path if type(one).__module__ == "weft._payloads.asides"]
asides.uninstall()
print(took, *sorted(modules))
"""


def session() -> tuple[float, set[str]]:
    command = [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{SESSION}"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True).stdout.split()
    return float(output[0]), set(output[1:])


def test_logging_waits_for_whoever_imports_it() -> None:
    _, loaded = session()
    assert not loaded & {"logging", "re", "traceback", "threading", "typing", "pickle", "weft.errors", "importlib.util"}


def test_installing_is_quick() -> None:
    seconds = min(session()[0] for _ in range(5))
    check_within(seconds, 0.010)
