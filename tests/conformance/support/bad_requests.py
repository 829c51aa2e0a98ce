"""
Requests that must be refused, and with which words.

:data:`ROWS` are refused alike over HTTP with JSON, HTTP with binary tensors and gRPC;
a row names the encodings in which it can be said. Source of the texts: Triton's
``http_server.cc``, ``grpc/infer_handler.cc`` and ``infer_request.cc``.
"""

import struct
from dataclasses import dataclass
from typing import Any

from wire_requests import Ask, Given

ALL = ("json", "binary", "grpc")
TENSORS = ("binary", "grpc")
NO_ID = "[request id: <id_unknown>] "
NOTE = (
    " NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to"
    " be prepended to each input shape. If you want to specify the full shape including the batch"
    " dim in your input dims config, try setting max_batch_size to zero. See the model"
    " configuration docs for more info on max_batch_size."
)
GRPC_CODES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 500: "INTERNAL", 501: "UNIMPLEMENTED"}


@dataclass(frozen=True)
class Row:
    """
    One request to refuse.

    Attributes:
        name: What is wrong with it.
        ask: The request.
        text: The whole error text.
        status: The HTTP status; the gRPC code follows from it.
        encodings: The encodings in which the request can be said.
        whole: Whether ``text`` is the whole text, or how it begins.
    """

    name: str
    ask: Ask
    text: str
    status: int = 400
    encodings: tuple[str, ...] = ALL
    whole: bool = True

    def fits(self, text: str) -> bool:
        """Tell whether this is the text expected; trailing spaces do not count."""
        return text.rstrip() == self.text if self.whole else text.startswith(self.text)


def ints(name: str, shape: tuple[int, ...] = (1, 16), count: int = 16, **more: Any) -> Given:
    """Return an INT32 input of ones."""
    return Given(name, more.pop("datatype", "INT32"), shape, [1] * count, **more)


def pair(*shape: int, count: int = 16) -> list[Given]:
    """Return both inputs of ``simple`` with the same shape."""
    return [ints("INPUT0", shape, count), ints("INPUT1", shape, count)]


def simple(*inputs: Given, **more: Any) -> Ask:
    """Return a request to ``simple``."""
    return Ask("simple", inputs or pair(1, 16), **more)


def words(shape: tuple[int, ...], values: list[str], raw: bytes | None = None) -> Ask:
    """Return a request to ``simple_identity``."""
    return Ask("simple_identity", [Given("INPUT0", "BYTES", shape, values, raw)])


def sequence(start: bool = False, shape: tuple[int, int] = (1, 1), **parameters: Any) -> Ask:
    """Return a request to ``simple_sequence``."""
    flags = {"sequence_start": True} if start else {}
    return Ask(
        "simple_sequence",
        [Given("INPUT", "INT32", shape, [0] * shape[0])],
        parameters={**flags, **parameters},
    )


def missing(got: str, count: int, wanted: str) -> str:
    """Return the text for missing inputs of ``simple``."""
    return (
        f"expected 2 inputs but got {count} inputs for model 'simple'. Got input(s) [{got}], but"
        f" missing required input(s) [{wanted}]. Please provide all required input(s)."
    )


def bad_shape(shape: str, note: bool = True, model: str = "simple", expected: str = "-1,16") -> str:
    """Return the text for a shape that does not fit INPUT0."""
    return (
        f"{NO_ID}unexpected shape for input 'INPUT0' for model '{model}'. Expected [{expected}],"
        f" got [{shape}].{NOTE if note else ''}"
    )


WORD = struct.pack("<I", 3) + b"abc"

ROWS = [
    Row("unknown model", Ask("nope", pair(1, 16)),
        "Request for unknown model: 'nope' is not found", 404),
    Row("unknown version", simple(version="99"),
        "Request for unknown model: 'simple' version 99 is not found", 404),
    Row("missing input", simple(ints("INPUT0")), NO_ID + missing("'INPUT0'", 1, "'INPUT1'")),
    Row("missing input with an id", simple(ints("INPUT0"), id="seven"),
        "[request id: seven] " + missing("'INPUT0'", 1, "'INPUT1'")),
    Row("no inputs", Ask("simple", []), NO_ID + missing("", 0, "'INPUT0','INPUT1'")),
    Row("unknown input", simple(ints("INPUT0"), ints("INPUT9")),
        "unexpected inference input 'INPUT9' for model 'simple'"),
    Row("one input too many", simple(*pair(1, 16), ints("INPUT9")),
        NO_ID + "expected 2 inputs but got 3 inputs for model 'simple'", whole=False),
    Row("the same input twice", simple(ints("INPUT0"), ints("INPUT0")),
        NO_ID + "input 'INPUT0' already exists in request"),
    Row("unknown output", simple(outputs=[("OUTPUT9", {})]),
        "unexpected inference output 'OUTPUT9' for model 'simple'"),
    Row("the same output twice", simple(outputs=[("OUTPUT0", {}), ("OUTPUT0", {})]),
        NO_ID + "output 'OUTPUT0' already exists in request"),
    Row("wrong datatype", simple(ints("INPUT0", datatype="FP32"), ints("INPUT1")),
        NO_ID + "inference input 'INPUT0' data-type is 'FP32', but model 'simple' expects 'INT32'"),
    Row("no such datatype", simple(ints("INPUT0", datatype="FLOAT"), ints("INPUT1")),
        "invalid datatype for input INPUT0", encodings=("json",)),
    Row("no such datatype for raw data",
        simple(ints("INPUT0", datatype="FLOAT"), ints("INPUT1")),
        NO_ID + "inference input 'INPUT0' data-type is '<invalid>', but model 'simple' expects"
        " 'INT32'", encodings=TENSORS),
    Row("wrong last dimension", simple(ints("INPUT0", (1, 15), 15), ints("INPUT1")),
        bad_shape("1,15")),
    Row("no batch dimension", simple(ints("INPUT0", (8,), 8), ints("INPUT1", (8, 16), 128)),
        bad_shape("8")),
    Row("first dimension taken for the batch", simple(*pair(16)),
        NO_ID + "inference request batch-size must be <= 8 for 'simple'"),
    Row("one dimension too many", simple(ints("INPUT0", (1, 1, 16)), ints("INPUT1")),
        bad_shape("1,1,16")),
    Row("scalar", simple(ints("INPUT0", (), 1), ints("INPUT1")),
        NO_ID + "input 'INPUT0' has no shape but model requires batch dimension for 'simple'"),
    Row("different batch sizes", simple(ints("INPUT0"), ints("INPUT1", (2, 16), 32)),
        NO_ID + "input 'INPUT1' batch size does not match other inputs for 'simple'"),
    Row("batch too large", simple(*pair(9, 16, count=144)),
        NO_ID + "inference request batch-size must be <= 8 for 'simple'"),
    Row("wrong shape without batching",
        Ask("vector", [Given("INPUT0", "FP32", [5], [0.0] * 5)]),
        bad_shape("5", False, "vector", "4")),
    Row("too many bytes", simple(ints("INPUT0", raw=bytes(128)), ints("INPUT1")),
        NO_ID + "input byte size mismatch for input 'INPUT0' for model 'simple'. Expected 64,"
        " got 128", encodings=TENSORS),
    Row("too few bytes", simple(ints("INPUT0", raw=bytes(60)), ints("INPUT1")),
        NO_ID + "input byte size mismatch for input 'INPUT0' for model 'simple'. Expected 64,"
        " got 60", encodings=TENSORS),
    Row("too many strings", words((1, 1), ["abc", "abc"]),
        NO_ID + "unexpected number of string elements 2 for inference input 'INPUT0' for model"
        " 'simple_identity', expecting 1", encodings=TENSORS),
    Row("too few strings", words((1, 3), ["abc", "abc"]),
        NO_ID + "expected 3 string elements for inference input 'INPUT0' for model"
        " 'simple_identity', got 2", encodings=TENSORS),
    Row("half a length", words((1, 2), [], WORD + b"\x01\x00"),
        NO_ID + "incomplete string length indicator for inference input 'INPUT0' for model"
        " 'simple_identity', expecting 4 bytes but only 2 bytes available. Please make sure the"
        " string length indicator is in one buffer.", encodings=TENSORS),
    Row("string cut short", words((1, 2), [], WORD + WORD[:-1]),
        NO_ID + "incomplete string data for inference input 'INPUT0' for model 'simple_identity',"
        " expecting string of length 3 but only 2 bytes available", encodings=TENSORS),
    Row("enormous string length", words((1, 1), [], b"\xff\xff\xff\xff"),
        NO_ID + "incomplete string data for inference input 'INPUT0' for model 'simple_identity',"
        " expecting string of length 4294967295 but only 0 bytes available", encodings=TENSORS),
    Row("empty string tensor", words((1, 1), [], b""),
        NO_ID + "expected 1 string elements for inference input 'INPUT0' for model"
        " 'simple_identity', got 0", encodings=TENSORS),
    Row("reserved parameter", simple(parameters={"triton_x": "1"}),
        "parameter keys starting with 'triton_' are reserved for Triton usage and should not be"
        " specified.", encodings=("json", "binary")),
    Row("reserved parameter over gRPC", simple(parameters={"triton_x": "1"}),
        "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following"
        " keys starting with 'triton_' are allowed: triton_enable_empty_final_response",
        encodings=("grpc",)),
    Row("classification of strings",
        Ask("simple_identity", [Given("INPUT0", "BYTES", (1, 1), ["a"])],
            [("OUTPUT0", {"classification": 1})]),
        "class result not available for output due to unsupported type 'BYTES'"),
    Row("classification of no classes", simple(outputs=[("OUTPUT0", {"classification": 0})]),
        "invalid value for 'classification' parameter, expected >= 0", encodings=("grpc",)),
    Row("sequence without an id", sequence(start=True),
        "inference request to model 'simple_sequence' must specify a non-zero or"
        " non-empty correlation ID"),
    Row("sequence without a start", sequence(sequence_id=77),
        "inference request for sequence 77 to model 'simple_sequence' must specify the"
        " START flag on the first request of the sequence"),
    Row("sequence with a batch", sequence(True, (2, 1), sequence_id=78),
        "inference request to model 'simple_sequence' must specify batch-size 1 due to"
        " requirements of sequence batcher"),
]  # fmt: skip
