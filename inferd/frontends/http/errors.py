"""
Which HTTP status each error has, and the body that carries it.

The statuses are Triton's (``HttpCodeFromError``); broken JSON is 500 there.
"""

from typing import Final

import orjson
from aiohttp import web

from inferd import errors

STATUS: Final[dict[type[errors.InferdError], int]] = {
    errors.InvalidRequest: 400,
    errors.UnsupportedFeature: 501,
    errors.DecoupledModel: 501,
    errors.MalformedDocument: 500,
    errors.NotFound: 404,
    errors.AlreadyExists: 400,
    errors.Unavailable: 503,
    errors.ServerFull: 503,
    errors.DeadlineExceeded: 504,
    errors.RequestCancelled: 400,
    errors.LoadFailed: 400,
    errors.PollFailed: 500,
    errors.BackendError: 500,
}
"""The status of each class of error; a subclass that is not listed has its parent's."""

_JSON: Final = {"Content-Type": "application/json"}


def status_of(error: errors.InferdError) -> int:
    """Return the HTTP status of an error."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def respond(status: int, message: str) -> web.Response:
    """Return the response ``{"error": message}``."""
    return web.Response(status=status, body=body(message), headers=_JSON)


def body(message: str) -> bytes:
    """Return the JSON ``{"error": message}``."""
    # A path that is not UTF-8 reaches the message as surrogates, which JSON cannot hold.
    text = message if message.isascii() else message.encode("utf-8", "replace").decode()
    return orjson.dumps({"error": text})
