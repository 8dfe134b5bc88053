"""What weft says where a package of an extra is not installed."""

import subprocess
import sys


def said_without(package: str, attempt: str) -> str:
    """What an attempt, in a new Python where the package cannot be imported, prints of its `MissingDependency`."""
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "import weft\n"
        f"try: {attempt}\n"
        "except weft.errors.MissingDependency as error: print(error)\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True).stdout
