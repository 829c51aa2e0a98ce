"""``inferd infer``: send one request to any model and print what it answers."""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from inferd._generated.inference import ModelMetadataResponse
from inferd.cli import tensor_output
from inferd.cli.arguments import add_model_arguments, shape
from inferd.cli.clients.client import UsageError
from inferd.cli.clients.connection import add_connection_arguments, connect, run_command
from inferd.cli.images import SCALINGS
from inferd.cli.tensor_input import InputReader
from inferd.protocol.messages import InferRequest, InferResponse, ParameterValue, RequestedOutput

_EPILOG = """\
inputs:
  --input NAME=1,2,3           values with commas between them
  --input 'NAME=[[1,2],[3,4]]' a JSON array; nested, it gives the shape too
  --input NAME=@file.npy       a NumPy array
  --input NAME=@file.json      a JSON array
  --input NAME=@picture.jpg    a picture, made to fit the input; see --scaling
  --input NAME=@file           for BYTES: the file's content as one element
A shape not given follows from the model and the number of values.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "infer",
        help="send one request to any model of a server",
        description="Send one inference request and print the outputs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_arguments(parser)
    add_connection_arguments(parser)
    _add_request_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the response as JSON")
    parser.add_argument("--full", action="store_true", help="print every value of long outputs")
    parser.add_argument(
        "--save",
        action="append",
        default=[],
        type=_pair("NAME=FILE"),
        metavar="NAME=FILE",
        help="also write an output to a .npy file",
    )
    parser.set_defaults(run=run)


def _add_request_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        type=_pair("NAME=VALUE"),
        metavar="NAME=VALUE",
        help="an input; see below",
    )
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        type=shape,
        metavar="NAME:1,16",
        help="the shape of an input, the batch dimension included",
    )
    parser.add_argument(
        "--scaling",
        type=str.upper,
        choices=SCALINGS,
        default="NONE",
        help="how the pixels of a picture are scaled (default: NONE)",
    )
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="NAME[:CLASSES]",
        help="an output to return, or its best CLASSES (default: every output)",
    )
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        type=_pair("KEY=VALUE"),
        metavar="KEY=VALUE",
        help="a request parameter: true, false, a number or text",
    )
    parser.add_argument("--id", default="", help="the request's id")
    parser.add_argument("--sequence-id", type=_sequence_id, default=0, help="a number or text")
    parser.add_argument("--sequence-start", action="store_true", help="begin the sequence")
    parser.add_argument("--sequence-end", action="store_true", help="end the sequence")
    parser.add_argument("--priority", type=int, default=0, help="the priority level")
    parser.add_argument(
        "--timeout", type=int, default=0, metavar="MICROSECONDS", help="the queue timeout"
    )


def run(args: argparse.Namespace) -> int:
    """Send the request and show the response."""
    return run_command("infer", _infer(args))


async def _infer(args: argparse.Namespace) -> None:
    async with connect(args.protocol, args.url) as client:
        metadata = await client.model_metadata(args.model_name, args.model_version)
        config = await client.model_config(args.model_name, args.model_version)
        reader = InputReader(metadata, config, dict(args.shape), args.scaling)
        response = await client.infer(_request(args, metadata, reader))
    for name, path in args.save:
        _save(response, name, Path(path))
    if args.json:
        print(json.dumps(tensor_output.as_document(response), ensure_ascii=False))
        return
    print(f"{response.model_name} version {response.model_version}")
    for tensor in response.outputs:
        print(tensor_output.as_text(tensor, full=args.full))


def _request(
    args: argparse.Namespace, metadata: ModelMetadataResponse, reader: InputReader
) -> InferRequest:
    return InferRequest(
        args.model_name,
        {name: reader.tensor(name, source) for name, source in args.input},
        model_version=args.model_version,
        id=args.id,
        outputs=[requested_output(text, metadata) for text in args.output],
        parameters={key: _parameter_value(text) for key, text in args.parameter},
        sequence_id=args.sequence_id,
        sequence_start=args.sequence_start,
        sequence_end=args.sequence_end,
        priority=args.priority,
        timeout_us=args.timeout,
    )


def requested_output(text: str, metadata: ModelMetadataResponse) -> RequestedOutput:
    """
    Return the output ``NAME[:CLASSES]`` means.

    A text that is wholly the name of an output is that output: names may end in ``:0``.
    """
    name, colon, classes = text.rpartition(":")
    if not colon or not classes.isdecimal() or text in {spec.name for spec in metadata.outputs}:
        return RequestedOutput(text, binary_data=True)
    return RequestedOutput(name, classification=int(classes), binary_data=True)


def _save(response: InferResponse, name: str, path: Path) -> None:
    found = {tensor.name: tensor for tensor in response.outputs}
    if name not in found:
        raise UsageError(f"the response has no output '{name}' to save; it has {_list(found)}")
    tensor_output.save(found[name], path)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _pair(form: str) -> Callable[[str], tuple[str, str]]:
    def parse(text: str) -> tuple[str, str]:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
        return name, value

    return parse


def _sequence_id(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _parameter_value(text: str) -> ParameterValue:
    try:
        value = json.loads(text, parse_constant=str)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text
