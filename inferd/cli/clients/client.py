"""
What the client commands need of a server, whichever protocol it is spoken over.

Requests, responses and tensors are the plain objects of :mod:`inferd.protocol`; metadata,
configs and the repository index are the messages of the protocol's own schema.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import numpy.typing as npt

from inferd._generated.inference import (
    ModelConfig,
    ModelMetadataResponse,
    ModelStatistics,
    RepositoryIndexResponseModelIndex,
)
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.tensors import Tensor


class ClientError(Exception):
    """The server refused, could not be reached or answered what it should not."""


class UsageError(Exception):
    """The command line asks for something that cannot be done."""


class Client(ABC):
    """
    A connection to one server; an asynchronous context manager.

    Every method raises :class:`ClientError` with the server's own text when the server
    answers an error, and with the address when it cannot be reached.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    @abstractmethod
    async def close(self) -> None:
        """Close the connection."""

    @abstractmethod
    async def model_metadata(self, name: str, version: str = "") -> ModelMetadataResponse:
        """Return the inputs and outputs of a model."""

    @abstractmethod
    async def model_config(self, name: str, version: str = "") -> ModelConfig:
        """Return a model's config."""

    @abstractmethod
    async def model_statistics(self, name: str, version: str = "") -> list[ModelStatistics]:
        """Return the statistics of a model, one entry per version."""

    @abstractmethod
    async def repository_index(self) -> list[RepositoryIndexResponseModelIndex]:
        """Return every version of every model in the server's repositories."""

    @abstractmethod
    async def infer(self, request: InferRequest) -> InferResponse:
        """Send one request and return its response."""

    def infer_stream(self, requests: Sequence[InferRequest]) -> AsyncIterator[InferResponse]:
        """
        Send the requests over one stream and yield the responses as they come.

        Raises:
            UsageError: The protocol has no streams.
        """
        raise UsageError("streaming is only possible with the gRPC protocol: use -i grpc")


def decoded(tensor: Tensor) -> npt.NDArray[Any]:
    """
    Return an output as an array of its shape.

    Raises:
        ClientError: The bytes the server sent do not make such a tensor.
    """
    try:
        return tensor.array()
    except (ValueError, KeyError) as error:
        raise ClientError(
            f"output '{tensor.name}' cannot be read as {tensor.datatype} "
            f"of shape {list(tensor.shape)}: {error}"
        ) from error
