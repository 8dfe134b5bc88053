"""Engines on other machines: whether they are installed, and whether the address that the environment names answers.

Answering means that something takes a connection within `PATIENCE`; nothing is said to it.
"""

import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from weft.cli._sheet import Fact, Section
from weft.cli.doctor.extras import installed_version

__all__ = ["PATIENCE", "engines"]

PATIENCE = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class _Engine:
    name: str
    package: str
    variables: tuple[str, ...]
    port: int  # where the address names none


_ENGINES = (
    _Engine("Dask", "distributed", ("DASK_SCHEDULER_ADDRESS",), 8786),
    _Engine("Ray", "ray", ("RAY_ADDRESS",), 6379),
    _Engine("Spark", "pyspark", ("SPARK_REMOTE", "SPARK_MASTER", "MASTER"), 15002),
    _Engine("Daft", "daft", ("DAFT_RAY_ADDRESS",), 6379),
    _Engine("Modal", "modal", ("MODAL_SERVER_URL",), 443),
)


def engines(environ: Mapping[str, str] | None = None) -> Section:
    """The section.

    Args:
        environ: The environment, by default that of this process.
    """
    environ = os.environ if environ is None else environ
    return Section("Engines", [_fact(engine, environ) for engine in _ENGINES])


def _fact(engine: _Engine, environ: Mapping[str, str]) -> Fact:
    there = installed_version(engine.package)
    text = f"{engine.package} {there}" if there else f"{engine.package} is not installed"
    value: dict[str, object] = {"installed": there}
    named = next((name for name in engine.variables if environ.get(name, "").strip()), None)
    if named is None:
        return Fact(engine.name, f"{text}; no address in {' or '.join(engine.variables)}", {**value, "address": None})
    address = environ[named].strip()
    place = _host_and_port(address, engine.port)
    if place is None:
        said = f"{named}={address} names no address to ask"
        return Fact(engine.name, f"{text}; {said}", {**value, "address": address, "answers": None})
    why_not = _answers(*place)
    value |= {"address": address, "answers": why_not is None}
    if why_not is None:
        return Fact(engine.name, f"{text}; {named}={address} answers", value, "good")
    return Fact(engine.name, f"{text}; {named}={address} does not answer: {why_not}", value, "bad")


def _host_and_port(address: str, port: int) -> tuple[str, int] | None:
    """The place to ask; None for words such as "auto" and "local[4]"."""
    has_scheme = "://" in address
    try:
        parts = urlsplit(address if has_scheme else f"//{address}")
        named = parts.port
    except ValueError:
        return None
    if not parts.hostname or (not has_scheme and named is None and "." not in parts.hostname):
        return None
    return parts.hostname, named or port


def _answers(host: str, port: int) -> str | None:
    """Why not, or None. On a thread: looking a name up has no time limit of its own."""
    said: list[str | None] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), PATIENCE).close()
        except OSError as error:
            said.append(error.strerror or str(error))
        else:
            said.append(None)

    asking = threading.Thread(target=connect, name="weft-doctor", daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return said[0] if said else f"nothing within {PATIENCE:g} s"
