"""What a figure depends on besides the code: the interpreter, the processor, and what else it is doing.

Names of the machine and of its user are nobody's business and are left out.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def load() -> float | None:
    """Threads that ran or wanted to, on average over the last minute; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def others_running() -> int:
    """Threads of anybody that run or want to at this moment, besides the caller; 0 where the system does not say."""
    try:
        status = Path("/proc/stat").read_text()
    except OSError:
        return 0
    return int(status.split("procs_running")[1].split()[0]) - 1


def wait_until_quiet(patience: float) -> bool:
    """Waits until nothing else has run for a tenth of a second, or `patience` seconds are over. True: it is quiet."""
    end = time.monotonic() + patience
    quiet = 0
    while quiet < 10:
        if time.monotonic() >= end:
            return False
        quiet = 0 if others_running() > 0 else quiet + 1
        time.sleep(0.01)
    return True


def facts() -> dict[str, object]:
    """The interpreter and the machine, in words that JSON can hold."""
    import weft

    capabilities = weft.capabilities()
    return {
        "python": platform.python_version(),
        "build": "free-threaded" if capabilities.free_threaded_build else "with GIL",
        "gil": sys._is_gil_enabled(),
        "compiler": platform.python_compiler(),
        "weft": weft.__version__ if _installed() else "from the source tree",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cpus": capabilities.cpus,
        "load": load(),
    }


def _installed() -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version("weft")
    except PackageNotFoundError:
        return False
    return True
