"""The `weft` command.

Each subcommand is a package or module beside this one, imported when it is asked for; here are only the
arguments and what holds for all of them: usage errors exit with 2 and one line that says what to do,
Ctrl-C with 130 and one line, a closed pipe (`weft demo | head`) silently with 141.

Pinned by tests/cli/test_command.py.
"""

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

COMMANDS = ("demo", "doctor", "explain", "run", "trace", "bench")
FLAVORS = ("threads", "auto", "processes", "interpreters")
RUN_FLAVORS = ("auto", "threads", "interpreters", "processes", "serial", "none")

INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
PIPE_CLOSED = 141  # 128 + SIGPIPE


class _Parser(argparse.ArgumentParser):
    """An argument parser whose error is one line, with the nearest command where one was mistyped."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the `weft` command.

    Args:
        argv: The arguments after the program's name; by default those of this process.

    Returns:
        The exit status.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        # Looked at before argparse does, which can only list what there is.
        if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
            return _unknown_command(arguments[0])
        return _run(_make_parser().parse_args(arguments))
    except KeyboardInterrupt:
        print("weft: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more. What is still buffered must not raise again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="weft", description="Runs Python code in parallel, wherever that pays.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="do one real job on each flavor of worker, and show what that brings",
        description=(
            "Measures the source of a tree of Python files (lines, functions, cyclomatic complexity, imports) "
            "in a plain loop, then on each flavor of worker; checks that all results are equal; prints a table "
            "and writes a page with charts."
        ),
    )
    demo.add_argument(
        "path", nargs="?", type=Path, metavar="PATH", help="a folder or a file; default: Python's standard library"
    )
    demo.add_argument(
        "--output",
        type=Path,
        default=Path("demo", "report.html"),
        metavar="FILE",
        help="the page to write (default: %(default)s)",
    )
    demo.add_argument(
        "--workers", type=_positive, metavar="N", help="workers on each flavor (default: the CPUs we may use)"
    )
    demo.add_argument(
        "--flavor",
        action="append",
        choices=FLAVORS,
        help="only this flavor beside the plain loop; may be given several times",
    )
    demo.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="write what ran on weft's own workers: for Perfetto if it ends in .json, else as JSON lines",
    )
    demo.add_argument("--no-progress", action="store_true", help="show nothing while it runs")
    doctor = commands.add_parser(
        "doctor",
        help="say what weft finds here, what it would do with it, and what is wrong",
        description=(
            "Prints versions, the GIL, CPUs and memory, kinds of worker, what `auto` would do, WEFT_ variables, "
            "extras, packages that refuse interpreters, and engines that answer. Exit status 1 if something is "
            "wrong that you should mend."
        ),
    )
    _add_options_of_doctor(doctor)
    explain = commands.add_parser(
        "explain",
        help="say where a function could run, and why not there",
        description=(
            "Imports the function's module, in a process of its own, and says for each kind of worker whether the "
            "function can run there, what `auto` would hold against moving it, and, if asked to, what that costs."
        ),
    )
    _add_options_of_explain(explain)
    run = commands.add_parser(
        "run",
        help="run a pipeline, for one input or for the items of a file",
        description=(
            "Runs a weft.pipelines.Pipeline and writes what it gives as JSON: one object, or, for many items, a line "
            "for each with its inputs and outputs, in their order."
        ),
    )
    _add_options_of_run(run)
    trace = commands.add_parser(
        "trace",
        help="run a program, and say what its tasks did; or read a trace",
        description=(
            "Runs a Python program with tracing on and says, when it has ended, what became of its tasks, where the "
            "time went, and which workers were busy. Or says that of a trace that there is."
        ),
    )
    _add_options_of_trace(trace)
    bench = commands.add_parser(
        "bench",
        help="measure what each kind of worker costs here, and from when on it pays",
        description=(
            "Measures, for weft's executors and the standard library's: the first result, a call there and back, tasks "
            "a second, a megabyte there and back; and says how long a task has to be for them to pay. Takes seconds."
        ),
    )
    _add_options_of_bench(bench)
    return parser


def _add_options_of_doctor(doctor: argparse.ArgumentParser) -> None:
    which = doctor.add_mutually_exclusive_group()
    which.add_argument("--packages", nargs="+", metavar="NAME", help="ask about these packages only")
    which.add_argument("--no-packages", action="store_true", help="import no packages")
    doctor.add_argument("--json", action="store_true", help="print JSON")


def _add_options_of_explain(explain: argparse.ArgumentParser) -> None:
    explain.add_argument(
        "function", metavar="MODULE:FUNCTION", help="such as json:dumps, json:JSONEncoder.encode, jobs.py:resize"
    )
    explain.add_argument(
        "--call", metavar="ARGS", help="call it once with this tuple, such as '(3, [1, 2])', and measure that"
    )
    explain.add_argument("--measure", action="store_true", help="measure what each kind of worker costs here")
    explain.add_argument(
        "--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="for each question (default: %(default)g)"
    )
    explain.add_argument("--json", action="store_true", help="print JSON")


def _add_options_of_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("pipeline", metavar="MODULE:PIPELINE", help="such as jobs:pages, jobs.py:pages")
    what = run.add_argument_group("what it is given")
    what.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an input, as JSON or else as text; repeat it",
    )
    what.add_argument(
        "--inputs", metavar="FILE", help="items, a line of JSON for each: an object with inputs; -: stdin"
    )
    what.add_argument(
        "--map-over",
        action="extend",
        type=_names,
        default=[],
        metavar="NAMES",
        help="the inputs that have an item for each run: lists, or what the lines of --inputs give",
    )
    what.add_argument(
        "--map-mode", choices=("zip", "product"), default="zip", help="how lists are combined (default: %(default)s)"
    )
    how = run.add_argument_group("how it runs", "What is not said here is as the pipeline's configuration says.")
    how.add_argument("--flavor", choices=RUN_FLAVORS, help="the kind of worker")
    how.add_argument("--backend", metavar="URL", help="the cluster that it runs on, such as dask://10.0.0.1:8786")
    how.add_argument("--workers", type=_positive, metavar="N", help="how many workers, at most")
    how.add_argument("--retries", type=_count, metavar="N", help="how many more times a node is tried")
    how.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="what one node may take")
    how.add_argument("--cache", metavar="WHERE", help="where results are kept: a folder, redis://…, s3://…")
    how.add_argument("--keep-going", action="store_true", help="write the error of an item that failed, and go on")
    out = run.add_argument_group("what it gives")
    out.add_argument(
        "--output-name", action="extend", type=_names, default=[], metavar="NAMES", help="the outputs that are wanted"
    )
    out.add_argument("--output", type=Path, metavar="FILE", help="the file to write (default: standard output)")
    out.add_argument("--resume", action="store_true", help="keep what an earlier run has written there")
    out.add_argument("--no-progress", action="store_true", help="show nothing while it runs")


def _add_options_of_trace(trace: argparse.ArgumentParser) -> None:
    trace.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="keep the trace: for Perfetto if it ends in .json, else as JSON lines",
    )
    trace.add_argument("--json", action="store_true", help="print JSON")
    trace.add_argument(
        "-m",
        dest="module",
        nargs=argparse.REMAINDER,
        default=[],
        metavar="MODULE [ARGUMENT ...]",
        help="run a module as a program, as `python -m` does; the last option",
    )
    trace.add_argument(
        "what",
        nargs=argparse.REMAINDER,
        metavar="PROGRAM [ARGUMENT ...] | TRACE",
        help="a program and its arguments, or a file that ends in .json or .jsonl",
    )


def _add_options_of_bench(bench: argparse.ArgumentParser) -> None:
    bench.add_argument(
        "--flavor",
        action="append",
        choices=tuple(flavor for flavor in FLAVORS if flavor != "auto"),
        help="only this kind of worker; may be given several times",
    )
    bench.add_argument("--workers", type=_positive, metavar="N", help="how many (default: the CPUs we may use)")
    bench.add_argument("--no-progress", action="store_true", help="show nothing while it runs")
    bench.add_argument("--json", action="store_true", help="print JSON")


def _run(options: argparse.Namespace) -> int:
    if options.version:
        from importlib.metadata import version

        print(f"weft {version('weft')}")
        return 0
    if options.command is None:
        _make_parser().print_help()
        return 0
    if options.command == "doctor":
        from weft.cli.doctor import run_doctor

        return run_doctor(names=options.packages, ask_packages=not options.no_packages, json=options.json)
    if options.command == "explain":
        from weft.cli.explain import run_explain

        return run_explain(
            options.function, call=options.call, measure=options.measure, seconds=options.timeout, json=options.json
        )
    if options.command == "run":
        from weft.cli.run import run_pipeline

        fields = {
            "flavor": options.flavor,
            "max_workers": options.workers,
            "retries": options.retries,
            "timeout": options.timeout,
        }
        return run_pipeline(
            options.pipeline,
            inputs=options.input,
            lines=options.inputs,
            map_over=options.map_over,
            map_mode=options.map_mode,
            output_names=options.output_name,
            settings={name: value for name, value in fields.items() if value is not None},
            cache=options.cache,
            backend=options.backend,
            output=options.output,
            resume=options.resume,
            keep_going=options.keep_going,
            show_progress=not options.no_progress,
        )
    if options.command == "trace":
        from weft.cli.trace import run_trace

        return run_trace(options.what, module=options.module, output=options.output, as_json=options.json)
    if options.command == "bench":
        from weft.cli.bench import run_bench

        return run_bench(
            flavors=frozenset(options.flavor or FLAVORS),
            workers=options.workers,
            show_progress=not options.no_progress,
            as_json=options.json,
        )
    from weft.cli.demo import run_demo

    return run_demo(
        options.path,
        output=options.output,
        workers=options.workers,
        flavors=frozenset(options.flavor or FLAVORS),
        show_progress=not options.no_progress,
        trace=options.trace,
    )


def _unknown_command(name: str) -> int:
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean `weft {near[0]}`?" if near else f"there is: {', '.join(COMMANDS)}"
    print(f"weft: no command {name!r}; {hint}", file=sys.stderr)
    return 2


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"a whole number of 1 or more is needed, not {text!r}")
    return number


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number of 0 or more is needed, not {text!r}")
    return int(text)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"names with commas between them are needed, not {text!r}")
    return names


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 86_400:
        raise argparse.ArgumentTypeError(f"a time in seconds, more than 0, is needed, not {text!r}")
    return number
