"""weft beside its peers: measures, and prints the table of targets.

`python -m benchmarks` with the interpreter that is to be measured; `tools/bench` does so for each.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import callgrind, machine, report, runner
from benchmarks.case import Case
from benchmarks.cases import CASES


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure weft beside its peers; a case is a line of the table."
    )
    parser.add_argument(
        "--only",
        metavar="CASE",
        action="append",
        help=f"this case, or those of a pattern as in 'actors-*'; may be repeated ({', '.join(CASES)})",
    )
    parser.add_argument("--quick", action="store_true", help="with fewer tasks: a look, not a measurement")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="samples of each side (default: 7)")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="so many times the tasks")
    parser.add_argument(
        "--patience", type=float, default=2.0, metavar="S", help="seconds that a sample waits for a quiet machine (2)"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("bench-results"), metavar="FOLDER", help="where the JSON goes"
    )
    parser.add_argument(
        "--callgrind", metavar="CASE", action="append", choices=CASES, help="count this case's instructions instead"
    )
    return parser


def _chosen(parser: argparse.ArgumentParser, only: Sequence[str] | None) -> list[Case]:
    """The cases of these names and patterns, in the order of the table; all of them by default."""
    for pattern in only or ():
        if not fnmatch.filter(CASES, pattern):
            parser.error(f"argument --only: there is no case {pattern!r}; there are {', '.join(CASES)}")
    return [case for name, case in CASES.items() if not only or any(fnmatch.fnmatch(name, each) for each in only)]


def _tell(words: str) -> None:
    """How far it is: on a terminal one line that is written again and again, elsewhere nothing."""
    if sys.stderr.isatty():
        print(f"\r\033[K{words}", end="", file=sys.stderr, flush=True)


def _measure(cases: Sequence[Case], options: argparse.Namespace) -> list[runner.Measurement]:
    found: list[runner.Measurement] = []
    for case in cases:
        size = max(1, round((case.quick if options.quick else case.size) * options.scale))
        found.append(runner.measure(case, size, options.rounds, options.patience, _tell))
    _tell("")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, whether targets are met or not; a benchmark is not a test."""
    parser = _parser()
    options = parser.parse_args(arguments)
    cases = _chosen(parser, options.only)
    if options.callgrind:
        try:
            print(callgrind.table([CASES[name] for name in options.callgrind]))
        except callgrind.NoValgrind as error:
            print(error, file=sys.stderr)
            return 2
        return 0
    facts = machine.facts()
    measurements = _measure(cases, options)
    facts["load_at_end"] = machine.load()
    facts["rounds"], facts["quick"], facts["scale"] = options.rounds, options.quick, options.scale
    print(report.as_text(facts, measurements))
    if options.rounds < runner.LEAST_ROUNDS:
        print(f"\nOnly {options.rounds} rounds: at least {runner.LEAST_ROUNDS} make a median worth quoting.")
    print(f"\nEvery sample: {report.write(options.results, facts, measurements)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
