"""Asks a server about a model and makes the requests to load it with."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from inferd._generated.inference import ModelConfig, ModelMetadataResponse
from inferd.cli.benchmark import inputs
from inferd.cli.benchmark.inputs import Array, Shapes, Spec
from inferd.cli.benchmark.plan import Plan
from inferd.cli.benchmark.requests import grpc_message, http_request
from inferd.cli.benchmark.target import Target
from inferd.cli.clients.client import Client, ClientError, UsageError
from inferd.cli.clients.connection import parse_address
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor

_SERVICE = "/inference.GRPCInferenceService/"
_SEED = 1
_HTTP_CONNECTIONS_OF_A_RATE = 128


async def prepare(client: Client, args: argparse.Namespace, url: str | None) -> Target:
    """
    Return the server at an address with everything that is sent to it.

    Raises:
        ClientError: It cannot be reached or does not know the model.
        UsageError: The options do not fit the model.
    """
    scheme, host, port, path = parse_address(args.protocol, url or "localhost")
    if scheme == "grpcs":
        raise UsageError("bench loads gRPC without encryption only: use grpc:// or https://")
    metadata = await client.model_metadata(args.model_name, args.model_version)
    try:
        config = await client.model_config(args.model_name, args.model_version)
    except ClientError:
        config = None
    decoupled = _is_decoupled(config, args)
    requests = _requests(args, metadata, config)
    grpc = args.protocol == "grpc"
    plan = Plan(
        protocol=args.protocol,
        host=host,
        port=port,
        tls=scheme == "https",
        requests=(),
        path=_SERVICE + ("ModelStreamInfer" if args.streaming else "ModelInfer"),
        headers=tuple(args.header),
        streaming=args.streaming,
        decoupled=decoupled,
        connections=args.connections or (1 if grpc else _HTTP_CONNECTIONS_OF_A_RATE),
    )
    encoded = [_encoded(args, plan, path.rstrip("/"), request) for request in requests]
    plan = replace(plan, requests=tuple(encoded))
    return Target(
        plan.authority, client, plan, args.model_name, args.model_version, args.batch_size
    )


def _encoded(args: argparse.Namespace, plan: Plan, base: str, tensors: dict[str, Tensor]) -> bytes:
    if plan.protocol == "grpc":
        return grpc_message(args.model_name, args.model_version, tensors, decoupled=plan.decoupled)
    return http_request(
        plan.authority,
        base,
        InferRequest(args.model_name, tensors, model_version=args.model_version),
        plan.headers,
        json_inputs=args.input_format == "json",
        json_outputs=args.output_format == "json",
    )


def _is_decoupled(config: ModelConfig | None, args: argparse.Namespace) -> bool:
    """
    Whether responses are counted up to the one marked final.

    Raises:
        UsageError: The model cannot be loaded as the options say.
    """
    if config is None:
        return False
    sequences = config.sequence_batching
    if sequences is not None and not sequences.iterative_sequence:
        raise UsageError(f"model '{args.model_name}' takes sequences, which bench does not send")
    policy = config.model_transaction_policy
    decoupled = policy is not None and policy.decoupled
    if decoupled and not args.streaming:
        raise UsageError(f"model '{args.model_name}' is decoupled: use -i grpc --streaming")
    return decoupled


def _requests(
    args: argparse.Namespace, metadata: ModelMetadataResponse, config: ModelConfig | None
) -> list[dict[str, Tensor]]:
    """Return the inputs of every request that differs."""
    batches = None if config is None else config.max_batch_size > 0
    if batches is False and args.batch_size > 1:
        raise UsageError(f"model '{args.model_name}' does not batch: use -b 1")
    if batches and config is not None and args.batch_size > config.max_batch_size:
        raise UsageError(
            f"model '{args.model_name}' takes batches of up to {config.max_batch_size} "
            f"rows, not {args.batch_size}"
        )
    given = dict(args.shape)
    specs = {spec.name: spec for spec in metadata.inputs}
    if unknown := sorted(given.keys() - specs.keys()):
        raise UsageError(f"the model has no input '{unknown[0]}'; it has {', '.join(specs)}")
    shapes = Shapes(given, args.batch_size, batches)
    if args.input_data not in ("zero", "random"):
        return _from_file(args, specs, config, shapes)
    source = np.random.default_rng(_SEED)
    needed = [spec for spec in specs.values() if not _is_optional(spec.name, config)]
    return [{spec.name: _made(args, spec, shapes, source) for spec in needed}]


def _made(
    args: argparse.Namespace, spec: Spec, shapes: Shapes, source: np.random.Generator
) -> Tensor:
    shape = shapes.full(spec, shapes.item(spec))
    if spec.datatype == "BYTES" and args.string_data is not None:
        array: Array = inputs.texts(shape, args.string_data)
    elif args.input_data == "zero":
        array = inputs.zeros(spec.datatype, shape)
    else:
        array = inputs.random(spec.datatype, shape, args.string_length, source)
    return Tensor(spec.name, spec.datatype, shape, array=array)


def _from_file(
    args: argparse.Namespace, specs: dict[str, Spec], config: ModelConfig | None, shapes: Shapes
) -> list[dict[str, Tensor]]:
    """Return a request per entry of the file, or per ``-b`` entries, going round."""
    items = []
    for entry in inputs.read_items(Path(args.input_data)):
        for name in entry:
            if name not in specs:
                raise UsageError(f"the model has no input '{name}'; it has {', '.join(specs)}")
        for name in specs:
            if name not in entry and not _is_optional(name, config):
                raise UsageError(f"the input data lacks input '{name}'")
        items.append(
            {name: inputs.item_array(specs[name], value, shapes) for name, value in entry.items()}
        )
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
