"""`weft trace`: runs a Python program with tracing on, and says what its tasks did; or reads a trace that there is.

The program is a process of its own, told by ``WEFT_TRACE_PATH``. It has the terminal: what it prints comes before the
report, Ctrl-C is its business, and its exit status is that of the command.
Pinned by tests/cli/test_trace_command.py.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from weft.cli._sheet import print_sheet
from weft.cli.trace.reading import UnreadableError, read_trace
from weft.cli.trace.report import report_on

__all__ = ["run_trace"]

TRACES = (".json", ".jsonl")
_STATUS_OF_SIGNAL = 128


def run_trace(
    what: Sequence[str], *, module: Sequence[str] = (), output: Path | None = None, as_json: bool = False
) -> int:
    """Runs the command.

    Args:
        what: The program and its arguments; or the file of a trace.
        module: Instead of that, a module and its arguments, as ``python -m`` has them.
        output: Where the trace is to be kept. None: nowhere.
        as_json: Print JSON.

    Returns:
        The exit status.
    """
    if not module and not what:
        return _refuse("what is to be traced? Give a program, -m MODULE, or the file of a trace")
    try:
        if not module and len(what) == 1 and what[0].endswith(TRACES):
            if output is not None:
                return _refuse(f"--output is for a program's trace; {what[0]} is one already")
            return _report([Path(what[0])], as_json=as_json)
        if not module and not Path(what[0]).exists():
            return _refuse(f"there is no file {what[0]}")
        return _run(["-m", *module] if module else list(what), output, as_json=as_json)
    except UnreadableError as error:
        return _refuse(str(error))


def _run(program: list[str], output: Path | None, *, as_json: bool) -> int:
    with ExitStack() as stack:
        if output is None:
            output = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weft-trace-")), "trace.jsonl")
        elif not output.parent.is_dir():
            return _refuse(f"--output {output}: there is no folder {output.parent}")
        before = {path: path.stat().st_mtime_ns for path in _parts(output)}
        status = _run_program(program, output.absolute())
        written = [path for path in _parts(output) if before.get(path) != path.stat().st_mtime_ns]
        if not written:
            print("weft trace: the program has made no pool of weft's, so there is no trace", file=sys.stderr)
            return status
        sys.stdout.flush()
        return _report(written, as_json=as_json) or status


def _run_program(program: list[str], trace: Path) -> int:
    """Runs it to its end, which is its own affair when Ctrl-C is pressed."""
    environment = {**os.environ, "WEFT_TRACE_PATH": str(trace)}
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # which a child process inherits, unlike a handler
        signal.signal(signal.SIGINT, _do_nothing)
    try:
        status = subprocess.run([sys.executable, *program], env=environment, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    return status if status >= 0 else _STATUS_OF_SIGNAL - status


def _do_nothing(number: int, frame: object) -> None:
    del number, frame


def _parts(trace: Path) -> list[Path]:
    """The file, and those of the program's child processes, which have an id in their names."""
    children = sorted(trace.parent.glob(f"{trace.stem}.*{trace.suffix}"))
    return [path for path in (trace, *children) if path.exists()]


def _report(paths: Sequence[Path], *, as_json: bool) -> int:
    head, sections, hints = report_on([task for path in paths for task in read_trace(path)])
    if as_json:
        found = {section.key: {fact.name: fact.plain for fact in section.facts} for section in sections}
        print(json.dumps({"traces": [str(path) for path in paths], **found}, indent=2))
    else:
        print_sheet(head, sections, hints)
    return 0


def _refuse(why: str) -> int:
    print(f"weft trace: {why}", file=sys.stderr)
    return 2
