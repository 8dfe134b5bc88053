"""Facts about the machine and the Python that the demo's numbers come from.

Nothing that tells whose machine it is: no host name, no user, no path. Pinned by tests/cli/test_report.py.
"""

import platform
import sys
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from weft import capabilities


@dataclass(frozen=True, slots=True)
class Machine:
    """What a reader needs to know to compare the numbers with their own.

    `build` is "GIL", "free-threaded", or "free-threaded, GIL on" where it was switched on again.
    """

    python: str
    build: str
    gil_enabled: bool
    cpus: float
    system: str
    processor: str | None
    measured_on: date

    def facts(self) -> list[tuple[str, str]]:
        """Names and values, to be shown."""
        return [
            ("Python", f"{self.python} ({self.build})"),
            ("CPUs that we may use", f"{self.cpus:g}"),
            ("Processor", self.processor or "not known"),
            ("System", self.system),
            ("Measured on", self.measured_on.isoformat()),
        ]


def this_machine() -> Machine:
    """Looks around."""
    found = capabilities()
    build = "free-threaded" if found.free_threaded_build else "GIL"
    if found.free_threaded_build and found.gil_enabled:
        build = "free-threaded, GIL on"
    return Machine(
        python=found.python_version,
        build=build,
        gil_enabled=found.gil_enabled,
        cpus=found.cpus,
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        processor=_processor(),
        measured_on=datetime.now().astimezone().date(),
    )


def _processor() -> str | None:
    if sys.platform == "linux":
        try:
            lines = Path("/proc/cpuinfo").read_text().splitlines()
        except OSError:
            return None
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
    return platform.processor() or None
