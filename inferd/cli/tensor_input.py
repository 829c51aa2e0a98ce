"""
Makes input tensors out of what the command line gives: values, arrays, JSON, pictures, files.

What is not said comes from the model: the datatype always, the shape where the values
leave no doubt.
"""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferd._generated.inference import (
    ModelConfig,
    ModelInputFormat,
    ModelMetadataResponse,
    ModelMetadataResponseTensorMetadata,
)
from inferd.cli.clients.client import UsageError
from inferd.cli.images import Layout, Scaling, read_image
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.tensors import Tensor

Array = npt.NDArray[Any]

_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


class InputReader:
    """
    Makes the input tensors of one model.

    Args:
        metadata: The model's inputs.
        config: The model's config; says how it lays out pictures and whether it batches.
        shapes: Input name -> the shape the user gave.
        scaling: How pictures are scaled.
    """

    def __init__(
        self,
        metadata: ModelMetadataResponse,
        config: ModelConfig,
        shapes: dict[str, tuple[int, ...]],
        scaling: Scaling,
    ) -> None:
        self._specs = {spec.name: spec for spec in metadata.inputs}
        self._formats = {spec.name: spec.format for spec in config.input}
        self._batches = config.max_batch_size > 0
        self._shapes = shapes
        self._scaling = scaling

    def tensor(self, name: str, source: str) -> Tensor:
        """
        Return the tensor for ``NAME=source``.

        Args:
            name: The input's name.
            source: ``@FILE``, a JSON array, or values with commas between them.

        Raises:
            UsageError: The model has no such input, or the values do not fit it.
        """
        spec = self._specs.get(name)
        if spec is None:
            known = ", ".join(self._specs)
            raise UsageError(f"the model has no input '{name}'; it has {known}")
        array = self._array(spec, source)
        shape = self._shapes.get(name) or array.shape
        if math.prod(shape) != array.size:
            raise UsageError(f"input '{name}': {array.size} values do not make {list(shape)}")
        array = array.reshape(shape)
        return Tensor(name, spec.datatype, shape, array=encoded(array, spec.datatype))

    def _array(self, spec: ModelMetadataResponseTensorMetadata, source: str) -> Array:
        if not source.startswith("@"):
            return self._from_text(spec, source)
        path = Path(source[1:])
        try:
            match path.suffix.lower():
                case ".npy":
                    return self._batched(spec, _cast(np.load(path, allow_pickle=False), spec))
                case ".json":
                    return self._from_json(spec, path.read_text())
                case _ if spec.datatype == "BYTES":
                    return self._flat(spec, [path.read_bytes()])
                case _:
                    return self._batched(spec, self._from_image(spec, path))
        except (OSError, ValueError) as error:
            raise UsageError(f"input '{spec.name}': cannot read {path}: {error}") from error

    def _from_image(self, spec: ModelMetadataResponseTensorMetadata, path: Path) -> Array:
        dims = tuple(spec.shape[self._batches :])
        layout = Layout.of(dims, self._formats.get(spec.name, ModelInputFormat.NONE))
        return read_image(path, layout, _dtype(spec.datatype), self._scaling)

    def _from_text(self, spec: ModelMetadataResponseTensorMetadata, text: str) -> Array:
        if text.startswith("["):
            return self._from_json(spec, text)
        return self._flat(spec, text.split(",") if text else [])

    def _from_json(self, spec: ModelMetadataResponseTensorMetadata, text: str) -> Array:
        try:
            document = json.loads(text)
        except ValueError as error:
            raise UsageError(f"input '{spec.name}' is not JSON: {error}") from error
        shape = _nested_shape(document)
        flat = list(leaves(document))
        if len(shape) < 2:
            return self._flat(spec, flat)
        if math.prod(shape) != len(flat):
            raise UsageError(f"input '{spec.name}': the JSON array's rows differ in length")
        return self._batched(spec, elements(flat, spec).reshape(shape))

    def _flat(self, spec: ModelMetadataResponseTensorMetadata, values: Sequence[Any]) -> Array:
        """Return values without a shape of their own in the shape the model leaves them."""
        array = elements(values, spec)
        if spec.name in self._shapes:
            return array
        shape = fill_shape(spec.shape, len(values))
        if shape is None:
            raise UsageError(
                f"input '{spec.name}' of shape {spec.shape} cannot be made of {len(values)} "
                f"values; say its shape with --shape {spec.name}:..."
            )
        return array.reshape(shape)

    def _batched(self, spec: ModelMetadataResponseTensorMetadata, array: Array) -> Array:
        """Return the array with a batch dimension if the model has one and it lacks one."""
        if self._batches and array.ndim == len(spec.shape) - 1:
            return array[np.newaxis]
        return array


def fill_shape(dims: Sequence[int], count: int) -> tuple[int, ...] | None:
    """
    Return the shape with its variable dimensions filled in, or ``None`` if none fits.

    The last variable dimension takes what the others leave; the others are 1.

    Args:
        dims: The model's shape, -1 where it is variable.
        count: How many elements there are.
    """
    fixed = math.prod(dim for dim in dims if dim >= 0)
    variable = [axis for axis, dim in enumerate(dims) if dim < 0]
    if not variable:
        return tuple(dims) if fixed == count else None
    if fixed == 0 or count % fixed:
        return None
    shape = [1 if dim < 0 else dim for dim in dims]
    shape[variable[-1]] = count // fixed
    return tuple(shape)


def _dtype(datatype: str) -> "np.dtype[Any]":
    """Return the dtype values have on the command line; ``BF16`` is computed as FP32."""
    if datatype not in BY_NAME:
        raise UsageError(f"datatype {datatype} is unknown")
    return np.dtype(np.float32) if datatype == "BF16" else BY_NAME[datatype].dtype


def elements(values: Sequence[Any], spec: ModelMetadataResponseTensorMetadata) -> Array:
    """
    Return a one-dimensional array of JSON's values, or of their texts; ``BF16`` as FP32.

    Raises:
        UsageError: A value is none of the input's datatype.
    """
    try:
        found = [_element(value, spec.datatype) for value in values]
        if spec.datatype == "BYTES":
            array = np.empty(len(found), object)
            array[:] = found
            return array
        return np.array(found, _dtype(spec.datatype))
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        raise UsageError(f"input '{spec.name}' takes {spec.datatype}: {error}") from error


def _element(value: Any, datatype: str) -> Any:
    if not isinstance(value, str | bytes | bool | int | float):
        raise TypeError(f"{json.dumps(value)} is no element")
    if datatype == "BYTES":
        return value if isinstance(value, bytes) else str(value).encode()
    if datatype == "BOOL":
        return _BOOLEANS[str(value).strip().lower()]
    if _dtype(datatype).kind == "f":
        return float(value)
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value} is not an integer")
    return int(value)


def _cast(array: Array, spec: ModelMetadataResponseTensorMetadata) -> Array:
    """Return an array of the input's dtype; only precision of real numbers may be lost."""
    dtype = _dtype(spec.datatype)
    if dtype.kind == "O":
        return elements(array.ravel().tolist(), spec).reshape(array.shape)
    cast = array.astype(dtype)
    if dtype.kind != "f" and not np.array_equal(cast, array):
        raise UsageError(
            f"input '{spec.name}' takes {spec.datatype}, which cannot hold the values of the "
            f"{array.dtype} array"
        )
    return cast


def encoded(array: Array, datatype: str) -> Array:
    """Return the array as the protocol carries it: ``BF16`` as bit patterns, rounded to even."""
    if datatype != "BF16":
        return array
    bits = array.astype("<f4").view("<u4")
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    return np.where(np.isnan(array), 0x7FC0, rounded >> 16).astype("<u2")


def _nested_shape(document: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(document, list):
        shape.append(len(document))
        document = document[0] if document else None
    return tuple(shape)


def leaves(document: Any) -> Iterator[Any]:
    """Yield the elements of nested arrays in row-major order."""
    if not isinstance(document, list):
        yield document
        return
    for item in document:
        yield from leaves(item)
