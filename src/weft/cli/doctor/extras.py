"""What integrates with weft, and whether it is installed."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from weft.cli._sheet import Fact, Section

__all__ = ["EXTRAS", "extras", "installed_version"]

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "closures": ("cloudpickle",),
    "actors": ("anyio",),
    "progress": ("rich",),
    "dask": ("dask", "distributed"),
    "joblib": ("joblib",),
    "ray": ("ray", "cloudpickle"),
    "daft": ("daft", "cloudpickle"),
    "spark": ("pyspark", "cloudpickle"),
    "modal": ("modal", "cloudpickle"),
    "redis": ("redis",),
    "fsspec": ("fsspec",),
    "viz": ("graphviz",),
    "otel": ("opentelemetry-api", "opentelemetry-sdk"),
}
"""As pyproject.toml has them."""

_BESIDE = ("numpy", "threadpoolctl", "trio")
"""What weft works with where it is installed, and has no extra for."""


def installed_version(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def extras() -> Section:
    """The section."""
    facts: list[Fact] = []
    for extra, packages in EXTRAS.items():
        found = {package: installed_version(package) for package in packages}
        said = ", ".join(f"{package} {found[package]}" if found[package] else f"no {package}" for package in packages)
        whole = all(found.values())
        remedy = "" if whole else f': pip install "weft[{extra}]"'
        facts.append(Fact(extra, f"{said}{remedy}", found, "good" if whole else ""))
    return Section("Extras", [*facts, _beside()])


def _beside() -> Fact:
    found = {package: installed_version(package) for package in _BESIDE}
    said = ", ".join(f"{name} {there}" if there else f"no {name}" for name, there in found.items())
    return Fact("without an extra", said, found)
