"""Which kinds of worker there can be here, by what they are spoken to, and which of them `auto` takes."""

import os
import subprocess
import sys
from collections.abc import Callable

from weft import capabilities
from weft._cgroups import cgroup_processes
from weft.cli._outlook import outlook
from weft.cli._sheet import Fact, Section
from weft.cli.demo.table import count
from weft.errors import InvalidSetting

__all__ = ["auto", "workers"]

_PATIENCE = 20.0  # seconds for a process that does nothing
_ENOUGH_ROOM = 8  # processes and threads
_ENOUGH_FILES = 64


def workers(root: str = "/") -> Section:
    """The section on kinds of worker.

    Args:
        root: The root of the file system, for what is read from files.
    """
    found = capabilities()
    threads = "yes, side by side" if not found.gil_enabled else "yes; they take turns running Python code"
    interpreters = f"no: they need {found.interpreters_needs}"
    if found.interpreters:
        interpreters = "yes, each with a GIL of its own"
    facts = [
        Fact("threads", threads, True, "good"),
        Fact("interpreters", interpreters, found.interpreters, "good" if found.interpreters else ""),
    ]
    if sys.platform == "win32":
        return Section("Workers", [*facts, Fact("processes", "no: they need a system with fork: Linux, macOS", False)])
    return Section("Workers", [*facts, _processes(root), _spoken_to(), _shared_folder()])


def _processes(root: str) -> Fact:
    why_not = _no_room(root) or _cannot_start()
    if why_not:
        return Fact("processes", f"no: {why_not}", False, "wrong")
    return Fact("processes", "yes", True, "good")


def _no_room(root: str) -> str | None:
    import resource

    limit = cgroup_processes(root)
    if limit is not None and limit[0] - limit[1] < _ENOUGH_ROOM:
        return (
            f"the control group may have {limit[0]:,} processes and threads, and has {limit[1]:,}: raise its pids.max"
        )
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < _ENOUGH_FILES:
        return f"this process may open {count(files, 'file')}: raise `ulimit -n`"
    return None


def _cannot_start() -> str | None:
    """Starts a process that does nothing: no table of limits tells as much."""
    if not sys.executable:
        return "Python does not know its own program (sys.executable is empty)"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", ""], capture_output=True, timeout=_PATIENCE, check=False
        )
    except OSError as error:
        return f"a process cannot be started: {error.strerror or error}"
    except subprocess.TimeoutExpired:
        return f"a process that does nothing did not end within {_PATIENCE:g} s"
    return None if done.returncode == 0 else f"a process that does nothing ended with status {done.returncode}"


def _spoken_to() -> Fact:
    """By what the core speaks to processes: shared memory and events, or a socket where it can have no such."""
    tried = {"memfd": _attempt("memfd_create", _memfd), "eventfd": _attempt("eventfd", _eventfd)}
    pidfd = _attempt("pidfd_open", lambda: os.pidfd_open(os.getpid()))
    missing = [f"no {name} ({why})" for name, why in tried.items() if why is not None]
    value = {**{name: why is None for name, why in tried.items()}, "pidfd": pidfd is None, "shared": not missing}
    death = "a death is told by a pidfd" if pidfd is None else f"no pidfd ({pidfd}): a death is told by its socket"
    if missing:
        return Fact("spoken to by", f"a socket, as there is {' and '.join(missing)}; {death}", value, "bad")
    return Fact("spoken to by", f"shared memory (memfd) and eventfd; {death}", value)


def _attempt(function: str, make: Callable[[], int]) -> str | None:
    """Why not, or None."""
    if not hasattr(os, function):
        return "this system has none"
    try:
        started = make()
    except OSError as error:
        return error.strerror or str(error)
    os.close(started)
    return None


def _memfd() -> int:
    return os.memfd_create("weft", os.MFD_CLOEXEC)


def _eventfd() -> int:
    return os.eventfd(0, os.EFD_CLOEXEC)


def _shared_folder() -> Fact:
    try:
        about = os.statvfs("/dev/shm")
    except OSError:
        return Fact("/dev/shm", "not there, and not needed", None)
    size = about.f_frsize * about.f_blocks
    return Fact("/dev/shm", f"{size / 2**20:,.0f} MiB, of which weft needs nothing", {"bytes": size, "needed": False})


def auto() -> Section:
    """The section on what `weft.Run()` would do."""
    try:
        decision = outlook()
    except InvalidSetting as error:
        return Section("What auto would do", [Fact("Run()", f"raise InvalidSetting: {error}", {"error": str(error)})])
    found = capabilities()
    facts = [
        Fact("Run()", f"takes {decision.resolved} [{decision.code}]", decision.as_dict()),
        Fact("because", decision.reason),
        Fact("at most", count(decision.max_workers, "worker") if decision.max_workers else "-", decision.max_workers),
    ]
    if decision.code == "measuring":
        places = "interpreters, or processes where it cannot go there" if found.interpreters else "processes"
        facts.append(Fact("later", f"a function that turns out to wait for the GIL moves to {places}"))
    return Section("What auto would do", facts)
