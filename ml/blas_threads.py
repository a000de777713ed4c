"""How many threads numpy's linear algebra takes."""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Keep many small operations in one thread.

    OpenBLAS' threads wait by spinning. Where other work has the cores, as at night, they wait for
    each other longer than the work takes: 100 ratings took 14 s in two threads, 0.05 s in one.
    """
    limited: AbstractContextManager[Any] = _pools().limit(limits=1, user_api="blas")
    return limited
