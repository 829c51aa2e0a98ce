"""
A server without sockets: real models, a real scheduler, no ports.

::

    async with InMemoryServer(path_to_repository) as server:
        outputs = await server.infer("add_sub", {"INPUT0": array, "INPUT1": array})
        async for outputs in server.stream("decoupled", {"INPUT0": array}):
            ...
"""

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from inferd import __version__
from inferd.backends.loader import BackendLoader
from inferd.dataplane import DataPlane, Identity
from inferd.errors import InferdError
from inferd.models.devices import gpu_count
from inferd.models.loader import LoaderSettings, ModelLoader
from inferd.models.registry import ModelRegistry
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.messages import InferRequest, InferResponse, ParameterValue, RequestedOutput
from inferd.protocol.tensors import Tensor
from inferd.repository.catalog import Catalog

Array = npt.NDArray[Any]

_BY_DTYPE = {
    datatype.dtype: name for name, datatype in BY_NAME.items() if name not in ("BYTES", "BF16")
}


class InMemoryServer:
    """
    Serves a model repository inside the calling process.

    Args:
        repository: The folder of the models.
        models: The models to load; ``None`` loads all of them.
        backend_config: Settings by backend name; ``""`` is for all of them.

    Attributes:
        dataplane: Everything a client can ask.
    """

    def __init__(
        self,
        repository: Path | str,
        *,
        models: Sequence[str] | None = None,
        backend_config: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._models = models
        self._executor = ThreadPoolExecutor(4, thread_name_prefix="loader")
        self._catalog = Catalog([Path(repository)])
        loader = ModelLoader(
            BackendLoader(backend_config or {}), LoaderSettings(gpu_count=gpu_count(os.environ))
        )
        self._registry = ModelRegistry(self._catalog, loader, self._executor)
        self.dataplane = DataPlane(
            self._registry, self._catalog, Identity("inferd", __version__), explicit_control=True
        )

    async def __aenter__(self) -> Self:
        """
        Load the models.

        Raises:
            InferdError: The first model that failed to load, and why.
        """
        names = self._catalog.names() if self._models is None else self._models
        failed = await self._registry.load_all(names)
        for error in failed.values():
            await self._close()
            raise error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        await self._registry.close()
        self._executor.shutdown()

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: str = "",
        outputs: Sequence[str] = (),
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> dict[str, Array]:
        """
        Answer one request.

        Args:
            model: The model's name.
            inputs: One array per input, the batch dimension included. An object array is
                ``BYTES``; ``uint16`` becomes ``BF16`` where the model takes that.
            version: The version; ``""`` is the latest.
            outputs: The outputs wanted; empty means all.
            parameters: Custom request parameters.

        Returns:
            Output name -> array, in the order asked for.

        Raises:
            InferdError: What a client would be told.
        """
        response = await self.dataplane.infer(
            self._request(model, inputs, version, outputs, parameters)
        )
        return _arrays(response)

    async def stream(
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: str = "",
        outputs: Sequence[str] = (),
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> AsyncGenerator[dict[str, Array], None]:
        """
        Answer one request with its responses, as they are made.

        A model that is not decoupled has one. Who leaves the loop early takes the request back
        with ``aclose()``, or by :func:`contextlib.aclosing`.

        Args:
            model: The model's name.
            inputs: One array per input, as for :meth:`infer`.
            version: The version; ``""`` is the latest.
            outputs: The outputs wanted; empty means all.
            parameters: Custom request parameters.

        Yields:
            Output name -> array, of those the response has.

        Raises:
            InferdError: The first error a client would be told; the request is taken back.
        """
        replies = self.dataplane.stream(self._request(model, inputs, version, outputs, parameters))
        final = False
        try:
            while not final:
                answer, final = await replies.receive()
                if isinstance(answer, InferdError):
                    raise answer
                if answer is not None:
                    yield _arrays(answer)
        finally:
            replies.close()

    def _request(
        self,
        model: str,
        inputs: Mapping[str, Array],
        version: str,
        outputs: Sequence[str],
        parameters: Mapping[str, ParameterValue] | None,
    ) -> InferRequest:
        signature = self.dataplane.signature(model, version)
        tensors: dict[str, Tensor] = {}
        for name, array in inputs.items():
            spec = signature.inputs.get(name)
            expected = spec.datatype if spec is not None else ""
            tensors[name] = Tensor(name, _datatype(array, expected), array.shape, array=array)
        return InferRequest(
            model,
            tensors,
            model_version=version,
            outputs=[RequestedOutput(name) for name in outputs],
            parameters=dict(parameters or {}),
        )


def _arrays(response: InferResponse) -> dict[str, Array]:
    return {tensor.name: tensor.array() for tensor in response.outputs}


def _datatype(array: Array, expected: str) -> str:
    if array.dtype.hasobject or array.dtype.kind in "SU":
        return "BYTES"
    if expected == "BF16" and array.dtype == np.uint16:
        return "BF16"
    return _BY_DTYPE.get(array.dtype, str(array.dtype))
