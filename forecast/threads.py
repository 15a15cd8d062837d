"""One thread of linear algebra, so that the same study gives the same bytes on any number of cores.

Shared among threads, a sum is put together in an order that depends on how many there are, and its last bits with it.
The matrices here are small besides: threads cost more than they bring.

    at_start   before numpy is loaded: what every library of linear algebra reads when it is
    alone      a job that may be called from a process in which numpy runs already
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps

NAMES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)  # fmt: skip


def at_start() -> None:
    """Let the libraries that are not loaded yet, here and in processes started from here, take one thread."""
    os.environ.update(dict.fromkeys(NAMES, "1"))


def alone[**P, R](job: Callable[P, R]) -> Callable[P, R]:
    """A job whose linear algebra takes one thread; afterwards the process has as many as before."""

    @wraps(job)
    def one_thread(*args: P.args, **kwargs: P.kwargs) -> R:
        import scipy.linalg  # noqa: F401 - it brings a library of its own, which is limited once it is loaded
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return job(*args, **kwargs)

    return one_thread
