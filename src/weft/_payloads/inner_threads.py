"""How many threads BLAS, OpenMP and numba use in a worker: workers that each take all cores stand in each other's way.

Libraries read the environment when they are loaded; those that are there already are told by threadpoolctl, where that
is installed. An interpreter shares both with its process, so there only OpenMP is told, which keeps a number for each
thread: nothing else that can be imported there has threads of its own.
Pinned by tests/executors/test_inner_threads.py.
"""

import os
import sys

__all__ = ["VARIABLES", "limit_libraries_to_come", "limit_loaded_libraries", "variables"]

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def variables(threads: int) -> dict[str, str]:
    """What libraries that are loaded later find in the environment."""
    return dict.fromkeys(VARIABLES, str(threads))


def limit_libraries_to_come(threads: int) -> None:
    """In a process of its own, before anything is imported."""
    os.environ.update(variables(threads))


def limit_loaded_libraries(threads: int, *, own_process: bool) -> None:
    """For what is loaded by now. Without threadpoolctl it stays as it is."""
    try:
        import threadpoolctl  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        pass
    else:
        threadpoolctl.threadpool_limits(limits=threads, user_api=None if own_process else "openmp")
    numba = sys.modules.get("numba")
    if numba is not None:
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
