"""
The HTTP application: takes each request to its endpoint and every error to its status.

It is a handler for aiohttp's low-level server: the protocol's paths are compared as sent,
which aiohttp's own router does not do, and a request needs nothing else of
``aiohttp.web.Application``.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from inferd.dataplane import DataPlane
from inferd.errors import InferdError, ServerFull
from inferd.frontends.http import compression, documents, errors
from inferd.frontends.http.bodies import BodyRefused
from inferd.frontends.http.infer import InferEndpoint
from inferd.frontends.http.repository import RepositoryEndpoints
from inferd.frontends.http.routes import METHODS, Endpoint, Route, resolve
from inferd.frontends.http.scheduler import SchedulerEndpoint
from inferd.listening.byte_ledger import ByteLedger
from inferd.models.model_config import to_json

_log = logging.getLogger(__name__)

_Handler = Callable[[web.BaseRequest, Route], Awaitable[web.StreamResponse]]


class Application:
    """
    The protocol over HTTP.

    Args:
        dataplane: What answers the requests.
        max_input_size: The largest request body, in bytes.
        ledger: Knows which large requests there is room for; ``None`` takes all.
    """

    def __init__(
        self, dataplane: DataPlane, *, max_input_size: int, ledger: ByteLedger | None = None
    ) -> None:
        self._dataplane = dataplane
        repository = RepositoryEndpoints(dataplane, max_input_size)
        # The server's metadata never changes; it is written once.
        self._metadata = orjson.dumps(documents.server_metadata(dataplane.server_metadata()))
        handlers: dict[Endpoint, _Handler] = {
            "live": self._live,
            "ready": self._ready,
            "server_metadata": self._server_metadata,
            "model_ready": self._model_ready,
            "model_metadata": self._model_metadata,
            "model_config": self._model_config,
            "statistics": self._statistics,
            "scheduler": SchedulerEndpoint(dataplane),
            "infer": InferEndpoint(dataplane, max_input_size, ledger),
            "index": repository.index,
            "load": repository.load,
            "unload": repository.unload,
        }
        self._handlers = {
            endpoint: (METHODS[endpoint], handler) for endpoint, handler in handlers.items()
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; only cancellation leaves it."""
        route = resolve(request.raw_path)
        if route is None:
            return errors.respond(404, "Not Found")
        method, handler = self._handlers[route.endpoint]
        if request.method != method:
            return errors.respond(405, "Method Not Allowed")
        try:
            return await handler(request, route)
        except InferdError as error:
            return _answer(error)
        except Exception:
            _log.exception("unforeseen error in %s %r", method, request.raw_path)
            return errors.respond(500, "internal error")

    async def _live(self, request: web.BaseRequest, route: Route) -> web.Response:
        return _health(self._dataplane.is_live())

    async def _ready(self, request: web.BaseRequest, route: Route) -> web.Response:
        return _health(self._dataplane.is_ready())

    async def _server_metadata(self, request: web.BaseRequest, route: Route) -> web.Response:
        return _json(self._metadata)

    async def _model_ready(self, request: web.BaseRequest, route: Route) -> web.Response:
        if not self._dataplane.is_model_ready(route.name, route.version):
            return errors.respond(400, "Model version not ready")
        return _health(True)

    async def _model_metadata(self, request: web.BaseRequest, route: Route) -> web.Response:
        metadata = self._dataplane.model_metadata(route.name, route.version)
        return _document(documents.model_metadata(metadata))

    async def _model_config(self, request: web.BaseRequest, route: Route) -> web.Response:
        return _document(to_json(self._dataplane.model_config(route.name, route.version)))

    async def _statistics(self, request: web.BaseRequest, route: Route) -> web.Response:
        models = self._dataplane.model_statistics(route.name, route.version)
        return _document(documents.statistics(models))


def _answer(error: InferdError) -> web.Response:
    response = errors.respond(errors.status_of(error), error.message)
    if isinstance(error, compression.UnsupportedEncoding):
        response.headers["Accept-Encoding"] = compression.ACCEPTED
    elif isinstance(error, BodyRefused | ServerFull):
        response.force_close()
    return response


def _health(good: bool) -> web.Response:
    return web.Response(
        status=200 if good else 400, body=b"", headers={"Content-Type": "text/plain"}
    )


def _document(value: Any) -> web.Response:
    return _json(orjson.dumps(value))


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": "application/json"})
