"""
Calls into backends and model code on loader threads, whose way out must not end the server.

``SystemExit`` and ``KeyboardInterrupt`` in a task stop the event loop.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from inferd.errors import BackendError

P = ParamSpec("P")
R = TypeVar("R")


def contained(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """
    Call a function and return what it returns.

    Raises:
        Exception: Whatever it raised.
        BackendError: It raised what is no :class:`Exception`.
    """
    try:
        return function(*args, **kwargs)
    except Exception:
        raise
    except BaseException as error:
        raise BackendError(f"the backend raised {type(error).__name__}") from error
