"""Makes the tensors a load sends: zeros, random values, or what a file holds."""

import base64
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferd._generated.inference import ModelMetadataResponseTensorMetadata
from inferd.cli.clients.client import UsageError
from inferd.cli.tensor_input import elements, encoded, leaves
from inferd.models.warmup import random_bytes
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.tensors import Tensor

Array = npt.NDArray[Any]
Spec = ModelMetadataResponseTensorMetadata
Shape = tuple[int, ...]

_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Shapes:
    """
    The shapes of a model's inputs.

    Args:
        given: Input name -> the shape of ``--shape``, with or without the batch dimension.
        batch: The batch size.
        batches: Whether the model's first dimension is that of the batch; ``None`` where
            nobody says: then it is, if it is variable.
    """

    def __init__(self, given: Mapping[str, Shape], batch: int, batches: bool | None) -> None:
        self._given = given
        self._batch = batch
        self._batches = batches

    def item(self, spec: Spec) -> Shape:
        """
        Return the shape of one item, without the batch dimension.

        Raises:
            UsageError: A dimension is variable and not given, or what is given does not fit.
        """
        dims = tuple(spec.shape[self.is_batched(spec) :])
        given = self._given.get(spec.name)
        if given is None:
            if -1 in dims:
                raise UsageError(
                    f"input '{spec.name}' has the variable shape {list(dims)}: "
                    f"say --shape {spec.name}:..."
                )
            return dims
        if self.is_batched(spec) and len(given) == len(dims) + 1:
            if given[0] != self._batch:
                raise UsageError(
                    f"input '{spec.name}': --shape says batch size {given[0]}, -b {self._batch}"
                )
            given = given[1:]
        if len(given) != len(dims) or any(
            dim not in (-1, want) for dim, want in zip(dims, given, strict=True)
        ):
            raise UsageError(f"input '{spec.name}': shape {list(given)} is not {list(dims)}")
        return given

    def full(self, spec: Spec, item: Shape) -> Shape:
        """Return the shape as sent."""
        return (self._batch, *item) if self.is_batched(spec) else item

    def is_batched(self, spec: Spec) -> bool:
        """Whether an input has a batch dimension."""
        if self._batches is None:
            return bool(spec.shape) and spec.shape[0] == -1
        return self._batches


def zeros(datatype: str, shape: Shape) -> Array:
    """Return zeros; of ``BYTES`` the text ``0``, which models that read numbers take."""
    if datatype == "BYTES":
        return np.full(shape, b"0", object)
    return np.zeros(shape, dtype(datatype))


def texts(shape: Shape, text: str) -> Array:
    """Return elements of ``BYTES`` that are all the same."""
    return np.full(shape, text.encode(), object)


def random(datatype: str, shape: Shape, length: int, source: np.random.Generator) -> Array:
    """
    Return random values.

    Integers are of their whole range, floating-point numbers in [0, 1).

    Args:
        datatype: The datatype.
        shape: The shape.
        length: The length of each ``BYTES`` element.
        source: Makes the numbers.
    """
    kind = dtype(datatype)
    if datatype == "BYTES":
        letters = np.frombuffer(_LETTERS, "u1")
        drawn = source.choice(letters, (math.prod(shape), length))
        array = np.empty(math.prod(shape), object)
        array[:] = [row.tobytes() for row in drawn]
        return array.reshape(shape)
    raw = random_bytes(BY_NAME[datatype], math.prod(shape), source)
    return np.frombuffer(raw, kind).reshape(shape)


def dtype(datatype: str) -> "np.dtype[Any]":
    """
    Return the dtype of a datatype.

    Raises:
        UsageError: There is no such datatype.
    """
    if datatype not in BY_NAME:
        raise UsageError(f"datatype {datatype} is unknown")
    return BY_NAME[datatype].dtype


def read_streams(path: Path) -> list[list[dict[str, Any]]]:
    """
    Return the streams of a perf_analyzer data file: ``{"data": [{INPUT: VALUES, ...}, ...]}``.

    Entries that are not in a list of their own make one stream; ``{"data": [[...], [...]]}``
    has one per list.

    Raises:
        UsageError: The file cannot be read or is not such a file.
    """
    try:
        data = json.loads(path.read_bytes())["data"]
        streams = [entry for entry in data if isinstance(entry, list)]
        if alone := [entry for entry in data if not isinstance(entry, list)]:
            streams.append(alone)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"cannot read the input data {path}: {error!r}") from error
    items = list(itertools.chain.from_iterable(streams))
    if not all(streams) or not items or not all(isinstance(item, dict) for item in items):
        raise UsageError(f"cannot read the input data {path}: 'data' holds no requests")
    return streams


def read_folder(folder: Path, specs: Iterable[Spec]) -> dict[str, Any]:
    """
    Return the entry that a perf_analyzer data folder makes: a file for each input, by its name.

    A file has the raw bytes of the tensor, or of ``BYTES`` an element per line.

    Raises:
        UsageError: A file cannot be read.
    """
    entry: dict[str, Any] = {}
    for spec in specs:
        file = folder / spec.name
        try:
            if not file.exists():
                continue
            if spec.datatype == "BYTES":
                entry[spec.name] = file.read_text().splitlines()
            else:
                entry[spec.name] = {"b64": base64.b64encode(file.read_bytes()).decode()}
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read the input data {file}: {error}") from error
    return entry


def item_array(spec: Spec, entry: Any, shapes: Shapes) -> Array:
    """
    Return the array of one input of an entry.

    Args:
        spec: The input.
        entry: An array, flat or nested, or an object with ``content`` or ``b64`` and perhaps
            ``shape``.
        shapes: The shapes where the entry has none.

    Raises:
        UsageError: The values do not make the input.
    """
    shape = None
    try:
        if isinstance(entry, dict):
            shape = tuple(entry["shape"]) if "shape" in entry else None
            content = entry.get("content", entry)
            if isinstance(content, dict):
                raw = base64.b64decode(content["b64"], validate=True)
                array = _from_raw(spec.datatype, raw)
            else:
                array = _from_values(spec, content)
        else:
            array = _from_values(spec, entry)
        return array.reshape(shapes.item(spec) if shape is None else shape)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise UsageError(f"input '{spec.name}' of the input data: {error}") from error


def _from_raw(datatype: str, raw: bytes) -> Array:
    if datatype == "BYTES":
        array = np.empty(1, object)
        array[0] = raw
        return array
    return np.frombuffer(raw, dtype(datatype))


def _from_values(spec: Spec, values: Any) -> Array:
    return encoded(elements(list(leaves(values)), spec), spec.datatype)


def stacked(spec: Spec, items: list[Array], shapes: Shapes) -> Tensor:
    """
    Return the tensor of one request: its items behind each other.

    Raises:
        UsageError: The items differ in shape.
    """
    if len({item.shape for item in items}) > 1:
        raise UsageError(f"input '{spec.name}': the shapes within a batch differ")
    array = np.concatenate([item[np.newaxis] for item in items]) if len(items) > 1 else items[0]
    shape = shapes.full(spec, items[0].shape)
    return Tensor(spec.name, spec.datatype, shape, array=array.reshape(shape))
