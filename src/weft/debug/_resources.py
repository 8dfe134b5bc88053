"""What this process holds of the system: threads, interpreters, child processes, descriptors, shared memory.

A look from outside, through `/proc` where there is one. What a system does not say is None, never a guess. Things that
come and go while one looks may be in it or not. Left out are the helpers that `multiprocessing` starts once in a
process and keeps to its end, and threads of native libraries that bear the process's own name (OpenBLAS starts such).
Any thread. Pinned by tests/debug/test_resources.py.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["KINDS", "Resources", "look"]

KINDS: Final = ("threads", "interpreters", "processes", "descriptors", "shared_memory")

type Held = Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process held at one moment; a kind that this system does not tell is None.

    Attributes:
        threads: Threads, Python's and those that native code has named: the system's id of each, and its name.
        interpreters: Interpreters but for the main one: their ids. None before Python 3.14.
        processes: Child processes and their children: pid, and command line.
        descriptors: Open file descriptors, and what each leads to.
        shared_memory: Segments that are mapped here: inode, and name.

    Example:
        >>> from weft.debug import Resources
        >>> Resources({101: "MainThread"}, {}, {}, None, None).threads
        {101: 'MainThread'}
    """

    threads: Held
    interpreters: Held | None
    processes: Held | None
    descriptors: Held | None
    shared_memory: Held | None


def look() -> Resources:
    """What this process holds now."""
    helpers, their_descriptors = _of_multiprocessing()
    return Resources(
        threads=_threads(),
        interpreters=_interpreters(),
        processes=_processes(helpers),
        descriptors=_descriptors(their_descriptors),
        shared_memory=_shared_memory(),
    )


def _of_multiprocessing() -> tuple[set[int], set[int]]:
    """Process ids and descriptors of its resource tracker and its fork server."""
    pids: set[int] = set()
    descriptors: set[int] = set()
    for module, name, pid, descriptor in (
        ("multiprocessing.resource_tracker", "_resource_tracker", "_pid", "_fd"),
        ("multiprocessing.forkserver", "_forkserver", "_forkserver_pid", "_forkserver_alive_fd"),
    ):
        helper: Any = getattr(sys.modules.get(module), name, None)
        for found, attribute in ((pids, pid), (descriptors, descriptor)):
            number = getattr(helper, attribute, None)
            if isinstance(number, int):
                found.add(number)
    return pids, descriptors


def _threads() -> dict[int, str]:
    of_python = {each.native_id: each.name for each in threading.enumerate() if each.native_id is not None}
    tasks = _listed("/proc/self/task")
    if tasks is None:
        return of_python
    process = _read(f"/proc/self/task/{os.getpid()}/comm")
    found: dict[int, str] = {}
    for task in tasks:  # a Python thread that is not there has ended, and Python has not noticed yet
        name = _read(f"/proc/self/task/{task}/comm")
        if task in of_python:
            found[task] = of_python[task]
        elif name is not None and name != process:
            found[task] = name.strip()
    return found


def _interpreters() -> dict[int, str] | None:
    if sys.version_info < (3, 14):
        return None
    from concurrent import interpreters

    main = interpreters.get_main().id
    return {each.id: "interpreter" for each in interpreters.list_all() if each.id != main}


def _processes(helpers: set[int]) -> dict[int, str] | None:
    if _listed("/proc/self/task") is None:
        return None
    return dict(_descendants(os.getpid(), helpers))


def _descendants(pid: int, helpers: set[int]) -> Iterator[tuple[int, str]]:
    for task in _listed(f"/proc/{pid}/task") or ():
        for child in map(int, (_read(f"/proc/{pid}/task/{task}/children") or "").split()):
            if child not in helpers:
                yield child, (_read(f"/proc/{child}/cmdline") or "").replace("\0", " ").strip() or "(has ended)"
                yield from _descendants(child, helpers)


def _descriptors(without: set[int]) -> dict[int, str] | None:
    folder = next((each for each in ("/proc/self/fd", "/dev/fd") if os.path.isdir(each)), None)
    if folder is None:
        return None
    found: dict[int, str] = {}
    for number in _listed(folder) or ():
        try:
            os.fstat(number)  # not the one by which the folder was listed
            found[number] = os.readlink(f"{folder}/{number}") if folder.startswith("/proc") else ""
        except OSError:
            continue
    return {number: target for number, target in found.items() if number not in without}


def _shared_memory() -> dict[int, str] | None:
    maps = _read("/proc/self/maps")
    if maps is None:
        return None
    found: dict[int, str] = {}
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith(("/dev/shm/", "/memfd:")):
            found[int(fields[4])] = fields[5].removesuffix(" (deleted)")
    return found


def _listed(folder: str) -> list[int] | None:
    try:
        return [int(name) for name in os.listdir(folder)]
    except OSError:
        return None


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # ended meanwhile, or not on this system
        return None
