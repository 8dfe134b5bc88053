"""`weft run MODULE:PIPELINE`: runs a pipeline, for one input or for the items of a file, from a shell.

    inputs    what it is given: `--input`, `--inputs`, `--map-over`
    records   what it writes: a line for each item, kept where a run was interrupted

Pinned by tests/cli/test_run.py.
"""

import dataclasses
import sys
import time
import traceback
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from weft.cli._progress import Progress, make_progress
from weft.cli._target import NotFoundError, find
from weft.cli.run.inputs import Items, Refused, given_inputs, items_of
from weft.cli.run.records import Records, line_of
from weft.config import RuntimeConfig
from weft.errors import PipelineError, WeftError

if TYPE_CHECKING:
    from weft.pipelines import Cache, Pipeline

__all__ = ["run_pipeline"]

OK = 0
FAILED = 1
USAGE = 2

_TOLD_EVERY = 0.1  # seconds between two updates of the display


def run_pipeline(
    text: str,
    *,
    inputs: Sequence[str] = (),
    lines: str | None = None,
    map_over: Sequence[str] = (),
    map_mode: str = "zip",
    output_names: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    cache: str | None = None,
    backend: str | None = None,
    output: Path | None = None,
    resume: bool = False,
    keep_going: bool = False,
    show_progress: bool = True,
) -> int:
    """Runs a pipeline and writes what it gives, as JSON.

    Args:
        text: ``module:pipeline`` or ``file.py:pipeline``.
        inputs: Inputs as ``name=value``.
        lines: A file of JSON lines, an item each; ``-``: standard input.
        map_over: The inputs that have an item for each run.
        map_mode: "zip" or "product", for inputs that are given as lists.
        output_names: The outputs that are wanted; none: all.
        settings: Fields of `RuntimeConfig` that count in place of the pipeline's own.
        cache: Where results are kept: a folder, or an address.
        backend: The cluster that it runs on: ``dask://host:port``.
        output: The file to write; None: standard output.
        resume: Keep the lines that an earlier run has written there.
        keep_going: Write the error of an item that failed as its line, and go on.
        show_progress: Tell standard error how far it is.

    Returns:
        The exit status: 0; 1 if a node raised, or the module did; 2 if it cannot be run like this.
    """
    try:
        pipeline = _pipeline(text)
        shared = given_inputs(inputs)
        names = list(output_names) or None
        items = items_of(lines, map_over, map_mode, shared, pipeline)
        chosen = dict(settings or {})
        if backend is not None:
            from weft.pipelines import RemoteBackend

            chosen["backend"] = RemoteBackend.from_url(backend)
        with _configured(pipeline, chosen, cache) as config:
            if items is not None:
                job = _Job(pipeline, items, shared, names, config, keep_going)
                with Records(output, resume=resume) as records, make_progress(show=show_progress) as progress:
                    job.run(records, progress, text)
                return FAILED if job.failed else OK
            if resume or keep_going:
                raise Refused("--resume and --keep-going are for items: name the input that has them with --map-over")
            with Records(output, resume=False) as records:
                records.write(line_of(pipeline.run(shared, output_name=names, config=config)))
            return OK
    except (PipelineError, _BrokenModuleError) as error:
        traceback.print_exception(error.__cause__)
        print(f"weft run: {error}", file=sys.stderr)
        return FAILED
    except (NotFoundError, Refused, WeftError) as error:
        print(f"weft run: {error}", file=sys.stderr)
        return USAGE


class _BrokenModuleError(Exception):
    """The module raised while it was imported: that is the cause."""


class _Job:
    """A pipeline for many items, some of which an earlier run may have done."""

    def __init__(
        self,
        pipeline: "Pipeline",
        items: Items,
        shared: dict[str, Any],
        names: list[str] | None,
        config: RuntimeConfig | None,
        keep_going: bool,
    ) -> None:
        self._pipeline = pipeline
        self._items = items
        self._shared = shared
        self._names = names
        self._config = config
        self._keep_going = keep_going
        self.done = 0
        self.kept = 0
        self.failed = 0

    def run(self, records: Records, progress: Progress, text: str) -> None:
        """Writes the line of each item, in their order."""
        progress.begin(f"weft run {text}", self._items.total, "items")
        began, told = time.monotonic(), 0.0
        for done in self._written(records):
            if time.monotonic() - told > _TOLD_EVERY:
                progress.update(done)
                told = time.monotonic()
        progress.update(self.done)
        progress.finish(self._summary(time.monotonic() - began))

    def _written(self, records: Records) -> Iterator[int]:
        """How many lines there are, after each."""
        over = self._items.over
        wanted = {*over, *(self._names or self._pipeline.outputs)}
        read: deque[tuple[dict[str, Any], str | None]] = (
            deque()
        )  # not written yet: inputs, and the line if there is one

        def missing() -> Iterator[tuple[Any, ...]]:
            for number, row in enumerate(self._items.rows):
                item = dict(zip(over, row, strict=True))
                line = records.kept(number, item, wanted)
                read.append((item, line))
                if line is None:
                    yield row

        columns = zip(over, tee(missing(), len(over)), strict=True)
        results = self._pipeline.imap(
            self._shared | {name: _column(rows, at) for at, (name, rows) in enumerate(columns)},
            map_over=over,
            output_name=self._names,
            config=self._config,
            return_exceptions=self._keep_going,
        )
        with closing(self._items), closing(cast("Generator[Any]", results)):
            for result in results:
                yield from self._copied(records, read)
                item, _ = read.popleft()
                self.failed += isinstance(result, PipelineError)
                yield self._write(records, line_of(result, item))
        yield from self._copied(records, read)

    def _copied(self, records: Records, read: deque[tuple[dict[str, Any], str | None]]) -> Iterator[int]:
        """Those next lines that there are."""
        while read and (line := read[0][1]) is not None:
            read.popleft()
            self.kept += 1
            yield self._write(records, line)

    def _write(self, records: Records, line: str) -> int:
        records.write(line)
        self.done += 1
        return self.done

    def _summary(self, seconds: float) -> str:
        parts = [f"{self.done:,} items"]
        if self.kept:
            parts.append(f"{self.kept:,} of an earlier run")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        return f"{', '.join(parts)}, in {seconds:.2f} s"


def _column(rows: Iterator[tuple[Any, ...]], at: int) -> Iterator[Any]:
    return (row[at] for row in rows)


def _pipeline(text: str) -> "Pipeline":
    from weft.pipelines import Pipeline

    if "" not in sys.path:
        sys.path.insert(0, "")  # the module may be one of this folder, as with `python -m`
    try:
        found = find(text, "PIPELINE", "jobs:pages or jobs.py:pages").value
    except NotFoundError:
        raise
    except Exception as error:
        raise _BrokenModuleError(f"{text.rpartition(':')[0]} cannot be imported") from error
    if not isinstance(found, Pipeline):
        raise NotFoundError(f"{text} is a {type(found).__name__}, not a Pipeline")
    return found


@contextmanager
def _configured(
    pipeline: "Pipeline", settings: Mapping[str, Any], cache: str | None
) -> Generator[RuntimeConfig | None]:
    """What counts in place of the pipeline's own configuration; its cache is closed afterwards."""
    if cache is None:
        yield dataclasses.replace(pipeline.effective_config, **settings) if settings else None
        return
    with closing(_cache(cache)) as opened:
        yield dataclasses.replace(pipeline.effective_config, **settings, cache=opened)


def _cache(where: str) -> "Cache":
    from weft.pipelines import DiskCache, FsspecCache, RedisCache

    if where.startswith(("redis://", "rediss://", "unix://")):
        return RedisCache(where)
    return FsspecCache(where) if "://" in where else DiskCache(where)
