"""
gRPC's server reflection, by which tools like grpcurl learn the services without ``.proto`` files.

Answers under ``grpc.reflection.v1`` and the older ``v1alpha``, whose messages are the same.
"""

import asyncio
from functools import cached_property
from typing import Any, Final, cast

import betterproto2
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError

from inferd._generated.grpc.reflection.v1 import (
    ErrorResponse,
    ExtensionNumberResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)
from inferd.frontends.grpc.call import Call
from inferd.frontends.grpc.descriptors import Descriptors, own_descriptors
from inferd.frontends.grpc.drain import Drain
from inferd.frontends.grpc.errors import SHUTTING_DOWN

_PATHS: Final = tuple(
    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    for version in ("v1", "v1alpha")
)


class ReflectionService:
    """
    Answers questions about the services of this server.

    Args:
        drain: Whether the server is shutting down; then no further question is taken.
    """

    def __init__(self, drain: Drain) -> None:
        self._drain = drain

    @cached_property
    def _descriptors(self) -> Descriptors:
        # Read when somebody asks: most servers are never asked.
        return own_descriptors()

    def __mapping__(self) -> dict[str, Handler]:
        handler = Handler(
            self._reflect,
            Cardinality.STREAM_STREAM,
            ServerReflectionRequest,
            ServerReflectionResponse,
        )
        return dict.fromkeys(_PATHS, handler)

    async def _reflect(self, call: Call) -> None:
        while (request := await self._next(call)) is not None:
            await call.send_message(self._answer(request))

    async def _next(self, call: Call) -> ServerReflectionRequest | None:
        """Return the next question; raises when the server shuts down instead."""
        reader = asyncio.create_task(call.recv_message())
        self._drain.add(reader.cancel)
        try:
            return cast("ServerReflectionRequest | None", await reader)
        except asyncio.CancelledError:
            if self._drain.begun and reader.cancelled():
                raise GRPCError(Status.UNAVAILABLE, SHUTTING_DOWN) from None
            raise
        finally:
            self._drain.discard(reader.cancel)
            reader.cancel()

    def _answer(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        kind, asked = betterproto2.which_one_of(request, "message_request")
        return ServerReflectionResponse(
            valid_host=request.host, original_request=request, **self._found(kind, asked)
        )

    def _found(self, kind: str, asked: Any) -> dict[str, Any]:
        if kind == "list_services":
            services = [ServiceResponse(name=name) for name in self._descriptors.services]
            return {"list_services_response": ListServiceResponse(service=services)}
        if kind == "file_by_filename":
            return _file(self._descriptors.file(asked), asked)
        if kind == "file_containing_symbol":
            return _file(self._descriptors.file_of(asked), asked)
        if kind == "file_containing_extension":
            return _not_found(f"{asked.containing_type}: {asked.extension_number}")
        if kind == "all_extension_numbers_of_type":
            if not self._descriptors.is_message(asked):
                return _not_found(asked)
            # The protocol's messages have none.
            numbers = ExtensionNumberResponse(base_type_name=asked)
            return {"all_extension_numbers_response": numbers}
        return _error(Status.INVALID_ARGUMENT, "the request asks for nothing")


def _file(encoded: list[bytes] | None, name: str) -> dict[str, Any]:
    if encoded is None:
        return _not_found(name)
    return {"file_descriptor_response": FileDescriptorResponse(file_descriptor_proto=encoded)}


def _not_found(name: str) -> dict[str, Any]:
    return _error(Status.NOT_FOUND, f"not found: {name}")


def _error(status: Status, message: str) -> dict[str, Any]:
    return {"error_response": ErrorResponse(error_code=status.value, error_message=message)}
