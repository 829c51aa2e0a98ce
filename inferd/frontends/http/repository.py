"""
The model repository extension: index, load and unload.
"""

import asyncio
import base64
import binascii
import posixpath
from typing import Final

import orjson
from aiohttp import web

from inferd.dataplane import DataPlane
from inferd.errors import InvalidRequest, MalformedDocument, UnsupportedFeature
from inferd.frontends.http import bodies, documents
from inferd.frontends.http.routes import Route
from inferd.protocol.json_document import as_bool, as_string, find, has, members, optional

_FILE: Final = "file:"


class RepositoryEndpoints:
    """
    Answers model repository requests.

    Args:
        dataplane: What answers them.
        max_input_size: The largest body, in bytes.
    """

    def __init__(self, dataplane: DataPlane, max_input_size: int) -> None:
        self._dataplane = dataplane
        self._max_input_size = max_input_size

    async def index(self, request: web.BaseRequest, route: Route) -> web.Response:
        """List the models; ``ready`` in the body leaves out the others."""
        document = await self._document(request, route)
        try:
            ready = as_bool(find(document, "ready")) if has(document, "ready") else False
        except MalformedDocument as error:
            raise InvalidRequest("Invalid value for 'ready': expected a boolean") from error
        index = documents.index(self._dataplane.repository_index(ready))
        return web.Response(body=orjson.dumps(index), headers={"Content-Type": "application/json"})

    async def load(self, request: web.BaseRequest, route: Route) -> web.Response:
        """Load or reload a model and answer when it is loaded."""
        document = await self._document(request, route)
        parameters = members(find(document, "parameters")) if has(document, "parameters") else {}
        config, files = await asyncio.to_thread(_load_parameters, parameters)
        await self._dataplane.load_model(route.name, config=config, files=files)
        return _done()

    async def unload(self, request: web.BaseRequest, route: Route) -> web.Response:
        """Stop serving a model and answer before its last request is done."""
        document = await self._document(request, route)
        parameters = find(document, "parameters")
        dependents = optional(parameters, "unload_dependents", as_bool, False)
        await self._dataplane.unload_model(route.name, unload_dependents=dependents)
        return _done()

    async def _document(self, request: web.BaseRequest, route: Route) -> object:
        body = await bodies.read(request, self._max_input_size)
        if route.repository:
            raise UnsupportedFeature("'repository_name' specification is not supported")
        return await bodies.parse_json(body) if body else {}


def _done() -> web.Response:
    return web.Response(body=b"", headers={"Content-Type": "application/json"})


def _load_parameters(parameters: dict[str, object]) -> tuple[str | None, dict[str, bytes]]:
    """Return the config and the files, by relative path, of a load request."""
    config: str | None = None
    files: dict[str, bytes] = {}
    for key, value in parameters.items():
        text = as_string(value)
        if key == "config":
            config = text
        elif key.startswith(_FILE):
            files[_file_path(key)] = _decode(key, text)
        else:
            raise MalformedDocument("unexpected error on creating Triton parameter")
    return config, files


def _file_path(key: str) -> str:
    path = posixpath.normpath(key[len(_FILE) :])
    unsafe = path.startswith(("/", "../")) or path in (".", "..") or "\0" in path
    if unsafe or "\\" in path:
        raise InvalidRequest(
            f"Invalid file parameter '{key}' with normalized path '{path}' must stay within model "
            "directory."
        )
    return path


def _decode(key: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"Unable to decode the base64 value of '{key}'") from error
