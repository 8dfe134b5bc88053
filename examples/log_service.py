"""A service of actors that reads a log and survives its own workers being killed.

    python examples/log_service.py                     a log of 20 MB, 5 parsers killed meanwhile
    python examples/log_service.py --size 1GB --kills 25
    python examples/log_service.py --spawn interpreter --size 100MB

Needs `pip install "weft[actors]"`; with rich installed the table is drawn in place.

Who does what:

    tailer       follows the file, and gives out stretches of whole lines, as a stream: it waits when nobody takes them
    parsers      read a stretch and count what is in it; they keep nothing, and are started again when they die
    aggregator   adds up what the parsers return, and answers questions about it at any time

A stretch is added up when its parser has returned, and only then. If that parser dies, nothing of the stretch has been
added, and another one parses it from the start: so no line is lost, and none counts twice. At the end this is proved:
the file is counted once more, in this process and in another way, and the sum of every line's checksum has to be the
same.

The log is made from this machine's own package logs, repeated with new dates until it is as large as asked for.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import re
import signal
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from weft.actors import Context, Nursery, Portal, Stream, open_nursery
from weft.errors import ChannelClosed

SOURCES = ("/var/log/dpkg.log", "/var/log/apt/history.log")
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


# ---- the actors' functions: each runs in an actor of its own -------------------------------------------------------


async def tail(ctx: Context, path: str, stretch: int, follow: bool) -> int:
    """The tailer: gives out (number, begin, end) of stretches of whole lines. Returns how many."""
    await ctx.started(os.path.getsize(path))
    number = begin = 0
    with open(path, "rb") as file:
        async with ctx.open_stream() as stretches:
            while True:
                file.seek(begin)
                data = file.read(stretch)
                whole = data.rfind(b"\n") + 1
                if not whole:  # a line longer than a stretch, or one that is still being written, or nothing new
                    data += file.readline()
                    whole = 0 if follow and not data.endswith(b"\n") else len(data)
                if not whole and not follow:
                    return number
                if not whole:
                    await anyio.sleep(0.1)
                    continue
                await stretches.send((number, begin, begin + whole))
                number += 1
                begin += whole


def parse(path: str, begin: int, end: int) -> dict[str, Any]:
    """A parser: what is in a stretch. Keeps nothing, so it does not matter who runs it, and how often."""
    kinds: Counter[str] = Counter()
    packages: Counter[str] = Counter()
    lines = checksum = 0
    with open(path, "rb") as file:
        file.seek(begin)
        data = file.read(end - begin)
    for line in io.BytesIO(data):
        lines += 1
        checksum += zlib.crc32(line)
        words = line.decode(errors="replace").split(maxsplit=5)
        if not words:
            kinds["blank"] += 1
        elif words[0].endswith(":"):
            kinds[f"apt {words[0][:-1]}"] += 1
        elif len(words) < 4:
            kinds["other"] += 1
        elif words[2] == "status":
            kinds[f"status {words[3]}"] += 1
        else:
            kinds[words[2]] += 1
            if words[2] in ("install", "upgrade", "remove"):
                packages[words[3].partition(":")[0]] += 1
    return {"bytes": len(data), "lines": lines, "checksum": checksum, "kinds": dict(kinds), "packages": dict(packages)}


@dataclass
class Totals:
    """What the aggregator keeps."""

    stretches: set[int] = field(default_factory=set[int])
    bytes: int = 0
    lines: int = 0
    checksum: int = 0
    kinds: Counter[str] = field(default_factory=Counter[str])
    packages: Counter[str] = field(default_factory=Counter[str])


totals = Totals()  # in the aggregator's own interpreter or process


async def add(number: int, found: dict[str, Any]) -> int:
    """The aggregator: adds what a parser has found in a stretch. Returns how many stretches there have been."""
    if number in totals.stretches:
        raise ValueError(f"stretch {number} has been added before")
    totals.stretches.add(number)
    totals.bytes += found["bytes"]
    totals.lines += found["lines"]
    totals.checksum += found["checksum"]
    totals.kinds.update(found["kinds"])
    totals.packages.update(found["packages"])
    return len(totals.stretches)


async def ask(most: int) -> dict[str, Any]:
    """The aggregator: how things stand."""
    return {
        "bytes": totals.bytes,
        "lines": totals.lines,
        "checksum": totals.checksum,
        "kinds": totals.kinds.most_common(most),
        "packages": totals.packages.most_common(most),
    }


async def count_of(kind: str) -> int:
    """The aggregator: how many lines there have been of one kind."""
    return totals.kinds[kind]


async def hang() -> None:
    """What may happen to a parser: its loop is stuck, and it gives no sign of life any more."""
    while True:
        pass


# ---- the service ---------------------------------------------------------------------------------------------------


@dataclass
class Service:
    """The running service, as the main program sees it."""

    path: Path
    size: int
    workers: Nursery
    aggregator: Portal
    parsers: list[Portal]
    show: Callable[[Service, dict[str, Any]], None]
    done: int = 0
    retries: int = 0
    killed: int = 0
    questions: int = 0
    slowest: float = 0.0
    begun: float = field(default_factory=time.monotonic)
    answer: dict[str, Any] = field(default_factory=dict[str, Any])

    async def work(self, parser: Portal, stretches: Stream) -> None:
        """Has one parser parse stretches for as long as there are any."""
        async for number, begin, end in stretches:
            while True:
                try:
                    found = await parser.run(parse, path=str(self.path), begin=begin, end=end)
                    break
                except ChannelClosed:  # it died; its nursery starts it again, and the stretch is parsed from the start
                    self.retries += 1
                    await anyio.lowlevel.checkpoint()
            self.done = await self.aggregator.run(add, number=number, found=found)

    async def ask(self, most: int = 5) -> dict[str, Any]:
        """Asks the aggregator, while all the others work."""
        begun = time.monotonic()
        answer: dict[str, Any] = await self.aggregator.run(ask, most=most)
        self.questions += 1
        self.slowest = max(self.slowest, time.monotonic() - begun)
        return answer

    async def watch(self) -> None:
        """Shows how things stand, several times a second."""
        while True:
            self.show(self, await self.ask())
            await anyio.sleep(0.2)

    async def kill(self, kills: int, stretches: int, seed: int) -> None:
        """Kills parsers chosen at random, at random moments: processes with SIGKILL, others by making them hang."""
        rng = random.Random(seed)
        async with anyio.create_task_group() as tasks:
            for moment in sorted(rng.randrange(max(1, stretches * 3 // 4)) for _ in range(kills)):
                while self.done < moment:
                    await anyio.sleep(0.001)
                parser = rng.choice(self.parsers)
                health = {actor.name: actor for actor in self.workers.actors()}[parser.name]
                while health.state != "running":  # it has just been killed
                    await anyio.sleep(0.001)
                    health = {actor.name: actor for actor in self.workers.actors()}[parser.name]
                if health.spawn in ("process", "mp_spawn", "mp_forkserver"):
                    assert health.pid is not None
                    os.kill(health.pid, signal.SIGKILL)
                else:
                    tasks.start_soon(self._hang, parser)
                self.killed += 1
                restarts = health.restarts
                while health.restarts == restarts:
                    await anyio.sleep(0.001)
                    health = {actor.name: actor for actor in self.workers.actors()}[parser.name]

    async def _hang(self, parser: Portal) -> None:
        with suppress(ChannelClosed):  # its nursery misses its heartbeats, and ends it
            await parser.run(hang)


async def serve(path: Path, options: argparse.Namespace, show: Callable[[Service, dict[str, Any]], None]) -> Service:
    """Runs the service until the log has been read; for ever with ``--follow``."""
    module = [__name__]
    async with (
        open_nursery(spawn=options.spawn) as keepers,  # if one of these fails, all is over: the aggregator has a memory
        open_nursery(
            spawn=options.spawn, strategy="one_for_one", max_restarts=10 + 2 * options.kills, heartbeat=2.0
        ) as workers,
    ):
        aggregator = await keepers.start_actor("aggregator", enable_modules=module)
        tailer = await keepers.start_actor("tailer", enable_modules=module)
        parsers = [await workers.start_actor(f"parser{n}", enable_modules=module) for n in range(options.parsers)]
        arguments = {"path": str(path), "stretch": options.stretch, "follow": options.follow}
        async with tailer.open_context(tail, **arguments) as (ctx, size), ctx.open_stream() as stretches:
            service = Service(path, size, workers, aggregator, parsers, show)
            async with anyio.create_task_group() as background:
                background.start_soon(service.watch)
                async with anyio.create_task_group() as tasks:
                    for parser in parsers:
                        tasks.start_soon(service.work, parser, stretches)
                    tasks.start_soon(service.kill, options.kills, size // options.stretch, options.seed)
                background.cancel_scope.cancel()
        service.answer = await service.ask(most=1000)
        service.answer["status installed"] = await aggregator.run(count_of, kind="status installed")
        show(service, service.answer)
        return service


# ---- the proof -----------------------------------------------------------------------------------------------------


def check(service: Service) -> None:
    """Counts the log once more, by other means, and compares. Raises SystemExit if a line is lost or doubled."""
    answer = service.answer
    lines = checksum = installed = 0
    with service.path.open("rb") as file:
        for line in file:
            lines += 1
            checksum += zlib.crc32(line)
            installed += b" status installed " in line
    counted = {
        "bytes": service.path.stat().st_size,
        "lines": lines,
        "checksum": checksum,
        "status installed": installed,
    }
    wrong = {name: (answer[name], value) for name, value in counted.items() if answer[name] != value}
    if wrong:
        raise SystemExit(f"NOT EXACT (the service's figure, the true one): {wrong}")
    print(
        f"exact: {lines:,} lines, {counted['bytes']:,} bytes, every checksum; {service.killed} parsers killed, "
        f"{service.retries} stretches parsed again, {service.questions} questions answered meanwhile, the slowest in "
        f"{service.slowest * 1e3:.0f} ms"
    )


# ---- the log -------------------------------------------------------------------------------------------------------


def make_log(path: Path, size: int, sources: list[Path]) -> None:
    """Writes a log of at least so many bytes: the sources, one after the other, again and again, each time later."""
    text = b"".join(source.read_bytes().removesuffix(b"\n") + b"\n" for source in sources)
    pieces = re.split(rb"(?m)^((?:Start-Date: |End-Date: )?)(\d{4}-\d\d-\d\d)", text)
    days = [date.fromisoformat(day.decode()).toordinal() for day in pieces[2::3]]
    if not days:
        raise SystemExit(f"{', '.join(map(str, sources))}: no line begins with a date; give other logs with --source")
    first, span = min(days), max(days) - min(days) + 1
    most = date.max.toordinal() - span - first
    written = 0
    with path.open("wb") as file:
        for turn in range(sys.maxsize):
            later = turn * span % most
            pieces[2::3] = [date.fromordinal(day + later).isoformat().encode() for day in days]
            written += file.write(b"".join(pieces))
            if written >= size:
                return


def find_sources(given: list[Path] | None) -> list[Path]:
    """The logs to make one from."""
    found = [path for path in given or map(Path, SOURCES) if path.is_file() and path.stat().st_size > 0]
    if not found:
        looked = ", ".join(map(str, given or SOURCES))
        raise SystemExit(f"no log to make one from: {looked} are not there, or empty; name others with --source FILE")
    return found


# ---- the program ---------------------------------------------------------------------------------------------------


def size_of(text: str) -> int:
    """``20MB`` in bytes."""
    match = re.fullmatch(r"(\d+)(KB|MB|GB)?", text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write for example 500KB, 20MB or 1GB")
    return int(match[1]) * UNITS.get(match[2], 1)


def rows(service: Service, answer: dict[str, Any]) -> list[tuple[str, str]]:
    """What the table says."""
    seconds = max(time.monotonic() - service.begun, 1e-9)
    actors = ", ".join(
        f"{a.name} {a.state}" + f" (restart {a.restarts})" * (a.restarts > 0) for a in service.workers.actors()
    )
    return [
        ("read", f"{answer['bytes'] / 1e6:,.1f} of {service.size / 1e6:,.1f} MB"),
        ("lines", f"{answer['lines']:,} ({answer['lines'] / seconds:,.0f}/s)"),
        ("parsers", actors),
        ("killed", f"{service.killed}, {service.retries} stretches parsed again"),
        ("questions", f"{service.questions}, the slowest in {service.slowest * 1e3:.0f} ms"),
        ("kinds", ", ".join(f"{kind} {count:,}" for kind, count in answer["kinds"][:5])),
        ("packages", ", ".join(f"{package} {count:,}" for package, count in answer["packages"][:5])),
    ]


def make_show(interactive: bool) -> tuple[Callable[[Service, dict[str, Any]], None], Callable[[], None]]:
    """What shows the table, and what ends that: in place with rich on a terminal, else a line now and then."""
    try:
        if not interactive:
            raise ImportError
        from rich.live import Live
        from rich.table import Table
    except ImportError:
        last = [0.0]

        def line(service: Service, answer: dict[str, Any]) -> None:
            if time.monotonic() - last[0] > 1.0 or answer["bytes"] == service.size:
                last[0] = time.monotonic()
                print(" | ".join(f"{name}: {value}" for name, value in rows(service, answer)[:5]), flush=True)

        return line, lambda: None
    live = Live(refresh_per_second=5)
    live.start()

    def table(service: Service, answer: dict[str, Any]) -> None:
        drawn = Table(title=f"log service: {service.path.name}", show_header=False, title_justify="left")
        for name, value in rows(service, answer):
            drawn.add_row(name, value)
        live.update(drawn)

    return table, live.stop


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=size_of, default=size_of("20MB"), help="of the log that is made (20MB)")
    parser.add_argument("--kills", type=int, default=5, help="parsers that are killed meanwhile (5)")
    parser.add_argument("--parsers", type=int, default=2, help="how many there are (2)")
    parser.add_argument("--spawn", default="process", help="what actors live in: process (default), interpreter, …")
    parser.add_argument("--backend", default="asyncio", choices=("asyncio", "trio"), help="the event loop (asyncio)")
    parser.add_argument("--stretch", type=size_of, default=size_of("256KB"), help="what a parser gets at once (256KB)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="for who is killed when")
    parser.add_argument("--source", type=Path, action="append", help=f"a log to make one from ({', '.join(SOURCES)})")
    parser.add_argument("--log", type=Path, help="read this log instead of making one")
    parser.add_argument("--follow", action="store_true", help="go on waiting for new lines, until Ctrl-C")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weft-log-") as folder:
        path = options.log
        if path is None:
            path = Path(folder, "packages.log")
            make_log(path, options.size, find_sources(options.source))
        elif not path.is_file():
            parser.error(f"--log: there is no file {path}")
        print(f"{path.stat().st_size / 1e6:,.1f} MB of log, {options.parsers} parsers, seed {options.seed}", flush=True)
        show, end = make_show(sys.stdout.isatty())
        try:
            service = anyio.run(serve, path, options, show, backend=options.backend)
        finally:
            end()
        check(service)


if __name__ == "__main__":
    main()
