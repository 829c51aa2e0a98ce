"""
``inferd classify``: what an image model sees in pictures.

Options, pre-processing and output are those of the reference's ``image_client``.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferd._generated.inference import ModelConfig, ModelMetadataResponse
from inferd.cli.arguments import add_model_arguments, positive
from inferd.cli.clients.client import Client, ClientError, UsageError, decoded
from inferd.cli.clients.connection import add_connection_arguments, connect, run_command
from inferd.cli.images import SCALINGS, Layout, Scaling, read_image
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.messages import InferRequest, InferResponse, RequestedOutput
from inferd.protocol.tensors import Tensor


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "classify",
        help="classify pictures with a model of a server",
        description="Send pictures to an image model and print its best classes.",
    )
    add_model_arguments(parser)
    parser.add_argument(
        "-b", "--batch-size", type=positive, default=1, metavar="N", help="pictures per request"
    )
    parser.add_argument(
        "-c", "--classes", type=positive, default=1, metavar="N", help="classes to print"
    )
    parser.add_argument(
        "-s",
        "--scaling",
        type=str.upper,
        choices=SCALINGS,
        default="NONE",
        help="how pixels are scaled (default: NONE)",
    )
    add_connection_arguments(parser)
    parser.add_argument(
        "-a",
        "--async",
        dest="concurrent",
        action="store_true",
        help="send every request before waiting for a response",
    )
    parser.add_argument("--streaming", action="store_true", help="use one gRPC stream")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="say on standard error what is sent"
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="files or folders")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Classify the pictures and print the classes."""
    return run_command("classify", _classify(args))


@dataclass(frozen=True, slots=True)
class ImageModel:
    """
    A model that takes one picture tensor and returns one vector of scores.

    Attributes:
        input_name: Its input.
        datatype: The wire name of the input's datatype.
        output_name: Its output.
        layout: What it wants of a picture.
        batches: Whether requests have a batch dimension.
    """

    input_name: str
    datatype: str
    output_name: str
    layout: Layout
    batches: bool

    @classmethod
    def of(cls, metadata: ModelMetadataResponse, config: ModelConfig) -> "ImageModel":
        """
        Return the model that metadata and config describe.

        Raises:
            UsageError: It is not an image classifier, and why.
        """
        if len(metadata.inputs) != 1 or len(metadata.outputs) != 1 or len(config.input) != 1:
            raise UsageError(
                f"model '{metadata.name}' has {len(metadata.inputs)} inputs and "
                f"{len(metadata.outputs)} outputs; an image classifier has one of each"
            )
        (source,), (result,) = metadata.inputs, metadata.outputs
        batches = config.max_batch_size > 0
        if result.datatype != "FP32":
            raise UsageError(f"output '{result.name}' is {result.datatype}, not FP32")
        if sum(dim != 1 for dim in result.shape[batches:]) > 1:
            raise UsageError(f"output '{result.name}' of shape {result.shape} is not a vector")
        if source.datatype == "BYTES" or source.datatype not in BY_NAME:
            raise UsageError(f"input '{source.name}' is {source.datatype}, not numeric")
        layout = Layout.of(tuple(source.shape[batches:]), config.input[0].format)
        return cls(source.name, source.datatype, result.name, layout, batches)


async def _classify(args: argparse.Namespace) -> None:
    if args.streaming and args.protocol != "grpc":
        raise UsageError("--streaming is only possible with the gRPC protocol: use -i grpc")
    paths = find_images(args.images)
    async with connect(args.protocol, args.url) as client:
        metadata = await client.model_metadata(args.model_name, args.model_version)
        config = await client.model_config(args.model_name, args.model_version)
        model = ImageModel.of(metadata, config)
        if args.batch_size > 1 and not model.batches:
            raise UsageError(f"model '{args.model_name}' does not batch: use -b 1")
        if args.verbose:
            print(f"{args.protocol} {metadata!r}", file=sys.stderr)
        batches = list(in_batches(paths, args.batch_size))
        requests = _requests(args, model, batches)
        responses = _responses(client, requests, args)
        async for index, response in responses:
            print(f"Request {index}, batch size {args.batch_size}")
            _print_classes(response, batches[index], model.output_name)


def find_images(paths: Iterable[Path]) -> list[Path]:
    """
    Return the files meant: a folder stands for the files in it, in order of their names.

    Raises:
        UsageError: A path does not exist, or there is no file at all.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.iterdir() if file.is_file())
        elif path.exists():
            found.append(path)
        else:
            raise UsageError(f"there is no file {path}")
    if not found:
        raise UsageError("there is no picture in the folder")
    return found


def in_batches(paths: Sequence[Path], size: int) -> Iterator[list[Path]]:
    """Yield the paths in batches of ``size``; the last one is filled up from the start."""
    for start in range(0, len(paths), size):
        yield [paths[index % len(paths)] for index in range(start, start + size)]


def _requests(
    args: argparse.Namespace, model: ImageModel, batches: Iterable[Sequence[Path]]
) -> list[InferRequest]:
    pictures: dict[Path, npt.NDArray[Any]] = {}
    requests = []
    for index, batch in enumerate(batches):
        for path in batch:
            if path not in pictures:
                pictures[path] = _read(path, model, args.scaling)
        tensor = _input(model, [pictures[path] for path in batch])
        requests.append(
            InferRequest(
                args.model_name,
                {tensor.name: tensor},
                model_version=args.model_version,
                id=str(index),
                outputs=[RequestedOutput(model.output_name, classification=args.classes)],
            )
        )
    return requests


def _read(path: Path, model: ImageModel, scaling: Scaling) -> npt.NDArray[Any]:
    return read_image(path, model.layout, BY_NAME[model.datatype].dtype, scaling)


def _input(model: ImageModel, pictures: Sequence[npt.NDArray[Any]]) -> Tensor:
    if len({picture.shape for picture in pictures}) > 1:
        raise UsageError("the model takes pictures of any size, but not of two sizes in a batch")
    array = np.stack(pictures) if model.batches else pictures[0]
    return Tensor(model.input_name, model.datatype, array.shape, array=array)


async def _responses(
    client: Client, requests: Sequence[InferRequest], args: argparse.Namespace
) -> AsyncIterator[tuple[int, InferResponse]]:
    """Yield each request's index and response, in the order of the requests."""
    if args.streaming:
        received = {r.id: r async for r in client.infer_stream(requests)}
        for index, request in enumerate(requests):
            if request.id not in received:
                raise ClientError(f"the stream ended without a response to request {index}")
            yield index, received[request.id]
    elif args.concurrent:
        responses = await asyncio.gather(*(client.infer(request) for request in requests))
        for index, response in enumerate(responses):
            yield index, response
    else:
        for index, request in enumerate(requests):
            yield index, await client.infer(request)


def _print_classes(response: InferResponse, batch: Sequence[Path], output_name: str) -> None:
    output = next((tensor for tensor in response.outputs if tensor.name == output_name), None)
    if output is None or output.datatype != "BYTES":
        raise ClientError(f"the server did not classify output '{output_name}'")
    rows = decoded(output).reshape(len(batch), -1)
    for path, row in zip(batch, rows, strict=True):
        print(f"Image '{path}':")
        for entry in row:
            print(f"    {class_line(entry)}")


def class_line(entry: bytes) -> str:
    """Return ``value (index) = label`` for a ``value:index[:label]`` of the server."""
    value, _, rest = entry.decode(errors="replace").partition(":")
    index, _, label = rest.partition(":")
    return f"{value} ({index}) = {label}" if label else f"{value} ({index})"
