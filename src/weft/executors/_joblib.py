"""`register_joblib`: weft's threads as a backend of joblib. joblib itself is imported when it is called.

Pinned by tests/executors/test_joblib.py.
"""

from __future__ import annotations

from weft.errors import MissingDependency


def register_joblib() -> None:
    """Let joblib run its tasks on weft's thread pool: `joblib.parallel_backend("weft")`.

    Each `joblib.Parallel` has a pool of its own with `n_jobs` workers, which ends with it; `n_jobs=-1` counts the CPUs
    that this process may use. A `Parallel` within a task of another gets a pool too, deeper ones run sequentially, as
    with joblib's own threads. Registering twice does no harm.

    Raises:
        weft.errors.MissingDependency: joblib is not installed.

    Example:
        >>> import joblib
        >>> from weft.executors import register_joblib
        >>> register_joblib()
        >>> with joblib.parallel_backend("weft", n_jobs=2):
        ...     joblib.Parallel()(joblib.delayed(pow)(n, 2) for n in range(5))
        [0, 1, 4, 9, 16]
    """
    try:
        import joblib  # pyright: ignore[reportMissingTypeStubs]  # it has none
    except ModuleNotFoundError as error:
        if error.name != "joblib":
            raise
        raise MissingDependency(extra="joblib", package="joblib") from error
    from weft.executors._joblib_backend import WeftBackend

    joblib.register_parallel_backend("weft", WeftBackend)  # pyright: ignore[reportUnknownMemberType]
