"""What the forked workers of the template's tests run in place of the core: real functions, in real workers.

A worker answers on the first descriptor that it was given. Loaded by templates: imports little.
"""

import gc
import marshal
import os
import signal
import sys


def _say(descriptor: int, *answer: object) -> None:
    os.write(descriptor, marshal.dumps(answer))


def report(kind: int, descriptors: list[int], setup: bytes) -> None:
    """Says what it is, and ends."""
    threads = len(os.listdir("/proc/self/task"))
    opened = {int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}
    ignored = [int(number) for number in signal.Signals if signal.getsignal(number) == signal.SIG_IGN]
    masked = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())]
    environment = os.environ.get("WEFT_TEMPLATE_TEST", "")
    _say(
        descriptors[0],
        {
            "kind": kind,
            "there": [number >= 0 for number in descriptors],
            "setup": setup,
            "pid": os.getpid(),
            "parent": os.getppid(),
            "group": os.getpgid(0),
            "threads": threads,
            "opened": sorted(opened - {0, 1, 2, *descriptors}),
            "stdin": os.readlink("/proc/self/fd/0"),
            "ignored": ignored,
            "masked": masked,
            "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            "wakeup": signal.set_wakeup_fd(-1),
            "folder": os.getcwd(),
            "environment": environment,
            "argv": sys.argv,
            "path": sys.path,
            "options": [sys.warnoptions, dict(sys._xoptions)],
            "collects": gc.isenabled(),
            "modules": sorted(sys.modules),
            "main": sorted(vars(sys.modules["__main__"])),
        },
    )


def wait(kind: int, descriptors: list[int], setup: bytes) -> None:
    """Says its pid, and waits until the descriptor's other end is closed."""
    _say(descriptors[0], os.getpid())
    os.read(descriptors[0], 1)


def wait_as_the_core_does(kind: int, descriptors: list[int], setup: bytes) -> None:
    """The same, and dies with the template."""
    import ctypes

    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() == parent:
        wait(kind, descriptors, setup)


def wait_for_ever(kind: int, descriptors: list[int], setup: bytes) -> None:
    """Heeds nobody."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _say(descriptors[0], os.getpid())
    while True:
        signal.pause()


def do(kind: int, descriptors: list[int], setup: bytes) -> None:
    """Runs the program in its setup."""
    exec(setup.decode(), {"descriptors": descriptors, "say": _say})
