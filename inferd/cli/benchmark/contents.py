"""What the requests of a load hold: the tensors of each request, in streams of requests."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inferd._generated.inference import ModelConfig, ModelMetadataResponse
from inferd.cli.benchmark import inputs
from inferd.cli.benchmark.inputs import Array, Shapes, Spec
from inferd.cli.clients.client import UsageError
from inferd.protocol.tensors import Tensor

_SEED = 1
_MADE = {"zero", "random"}

Inputs = dict[str, Tensor]


def streams(
    args: argparse.Namespace, metadata: ModelMetadataResponse, config: ModelConfig | None
) -> list[list[Inputs]]:
    """
    Return the inputs of every request that differs, by stream of requests.

    Raises:
        UsageError: The options do not fit the model.
    """
    shapes = _shapes(args, metadata, config)
    specs = {spec.name: spec for spec in metadata.inputs}
    needed = [spec for spec in specs.values() if not _is_optional(spec.name, config)]
    made = args.input_data[0]
    if len(args.input_data) > 1 and _MADE.intersection(args.input_data):
        raise UsageError("--input-data zero or random goes with no other --input-data")
    if made in _MADE:
        source = np.random.default_rng(_SEED)
        return [[{spec.name: _made(args, spec, made, shapes, source) for spec in needed}]]
    found: list[list[Inputs]] = []
    for name in args.input_data:
        path = Path(name)
        if path.is_dir():
            given = [[inputs.read_folder(path, specs.values())]]
        else:
            given = inputs.read_streams(path)
        found += [
            _batches([_row(entry, specs, needed, shapes) for entry in stream], args, specs, shapes)
            for stream in given
        ]
    return found


def _shapes(
    args: argparse.Namespace, metadata: ModelMetadataResponse, config: ModelConfig | None
) -> Shapes:
    batches = None if config is None else config.max_batch_size > 0
    if batches is False and args.batch_size > 1:
        raise UsageError(f"model '{args.model_name}' does not batch: use -b 1")
    if batches and config is not None and args.batch_size > config.max_batch_size:
        raise UsageError(
            f"model '{args.model_name}' takes batches of up to {config.max_batch_size} "
            f"rows, not {args.batch_size}"
        )
    given = dict(args.shape)
    for name in given:
        _refuse_unknown(name, {spec.name: spec for spec in metadata.inputs})
    return Shapes(given, args.batch_size, batches)


def _refuse_unknown(name: str, specs: Mapping[str, Spec]) -> None:
    if name not in specs:
        raise UsageError(f"the model has no input '{name}'; it has {', '.join(specs)}")


def _made(
    args: argparse.Namespace,
    spec: Spec,
    kind: str,
    shapes: Shapes,
    source: np.random.Generator,
) -> Tensor:
    shape = shapes.full(spec, shapes.item(spec))
    if spec.datatype == "BYTES" and args.string_data is not None:
        array: Array = inputs.texts(shape, args.string_data)
    elif kind == "zero":
        array = inputs.zeros(spec.datatype, shape)
    else:
        array = inputs.random(spec.datatype, shape, args.string_length, source)
    return Tensor(spec.name, spec.datatype, shape, array=array)


def _row(
    entry: dict[str, Any], specs: Mapping[str, Spec], needed: list[Spec], shapes: Shapes
) -> dict[str, Array]:
    """Return the arrays of one entry of the input data."""
    for name in entry:
        _refuse_unknown(name, specs)
    for spec in needed:
        if spec.name not in entry:
            raise UsageError(f"the input data lacks input '{spec.name}'")
    return {name: inputs.item_array(specs[name], value, shapes) for name, value in entry.items()}


def _batches(
    items: list[dict[str, Array]],
    args: argparse.Namespace,
    specs: Mapping[str, Spec],
    shapes: Shapes,
) -> list[Inputs]:
    """Return a request per entry, or per ``-b`` entries, going round."""
    count = args.batch_size
    requests = []
    for start in range(0, len(items), count):
        rows = [items[index % len(items)] for index in range(start, start + count)]
        if any(row.keys() != rows[0].keys() for row in rows):
            raise UsageError("the input data: the inputs within a batch differ")
        requests.append(
            {
                name: inputs.stacked(specs[name], [row[name] for row in rows], shapes)
                for name in rows[0]
            }
        )
    return requests


def _is_optional(name: str, config: ModelConfig | None) -> bool:
    if config is None:
        return False
    return any(spec.name == name and spec.optional for spec in config.input)
