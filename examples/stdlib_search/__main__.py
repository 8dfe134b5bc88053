"""A search engine for the documentation strings of the standard library, built on every executor.

    python examples/stdlib_search                                  some questions
    python examples/stdlib_search "parse a date" "sort a list"     yours
    python examples/stdlib_search --cache /tmp/search              again: nothing that has not changed is computed
    python examples/stdlib_search --picture search.html            the pipeline, and where the time went

The index is built once on each kind of executor, from all files of the library; all have to come out the same.
"""

import argparse
import hashlib
import json
import sysconfig
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from search_nodes import asking, building

from weft import RuntimeConfig, capabilities
from weft.pipelines import (
    AsyncExecutor,
    CompositeExecutor,
    DiskCache,
    InterpreterPoolExecutor,
    ProcessPoolExecutor,
    SequentialExecutor,
    ThreadPoolExecutor,
)
from weft.viz import RunRecord

QUESTIONS = ["parse a date from a string", "run a child process and capture its output", "sorted list insertion point"]


def both(stack: ExitStack) -> CompositeExecutor:
    """Items side by side in one pool, the independent nodes of each in another."""
    items, nodes = (stack.enter_context(ThreadPoolExecutor(2)) for _ in range(2))
    return CompositeExecutor(map_executor=items, node_executor=nodes)


# How one of each kind is made; the stack closes what it has opened.
EXECUTORS: dict[str, Callable[[ExitStack], Any]] = {
    "sequential": lambda stack: stack.enter_context(SequentialExecutor()),
    "threads": lambda stack: stack.enter_context(ThreadPoolExecutor()),
    "processes": lambda stack: stack.enter_context(ProcessPoolExecutor()),
    "async": lambda stack: stack.enter_context(AsyncExecutor(4)),
    "composite": both,
}
if capabilities().interpreters:
    EXECUTORS["interpreters"] = lambda stack: stack.enter_context(InterpreterPoolExecutor())


def main() -> None:
    parser = argparse.ArgumentParser(description="Searches the documentation strings of the standard library.")
    parser.add_argument("questions", nargs="*", default=QUESTIONS)
    parser.add_argument("--root", type=Path, default=Path(sysconfig.get_path("stdlib")), help="the files to read")
    parser.add_argument("--most", type=int, help="how many files, at most")
    parser.add_argument("--cache", type=Path, help="a folder for results")
    parser.add_argument("--picture", type=Path, help="the picture to write: .html, .svg or .mmd")
    options = parser.parse_args()

    files = sorted(str(path.relative_to(options.root)) for path in options.root.rglob("*.py"))
    files = [file for file in files if "site-packages" not in file][: options.most]
    inputs = {"root": str(options.root), "files": files}
    print(f"{len(files):,} files of {options.root}\n")
    print(f"{'executor':14} {'built in':>9}   index")

    index, seen = {}, set[str]()
    record = RunRecord()
    cache = None if options.cache is None else DiskCache(options.cache)
    for name, make in EXECUTORS.items():
        record = RunRecord()
        began = time.perf_counter()
        with ExitStack() as stack:
            config = RuntimeConfig(executor=make(stack), cache=cache, callbacks=(record,))
            index = building.run(inputs, output_name="index", config=config)["index"]
        digest = hashlib.sha256(json.dumps(index).encode()).hexdigest()[:12]
        seen.add(digest)
        print(f"{name:14} {time.perf_counter() - began:7.2f} s   {len(index):,} terms, {digest}")
    if cache is not None:
        cache.close()
    if len(seen) > 1:
        raise SystemExit("the indexes differ")

    print()
    for answers in asking.map({"index": index, "question": options.questions}, map_over="question"):
        print(f"{' '.join(answers['asked'])}:")
        for name, score in answers["answer"]:
            print(f"    {score:.3f}  {name}")
    if options.picture is not None:
        building.visualize(options.picture, run=record)
        print(f"\n{options.picture}: where the time of the last run went")


if __name__ == "__main__":
    main()
