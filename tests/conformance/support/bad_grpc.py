"""
gRPC messages that must be refused, and with which words.

Source: Triton's ``grpc/infer_handler.cc`` and ``grpc/grpc_utils.cc``.
"""

import base64
from dataclasses import dataclass
from typing import Any

from bad_requests import NO_ID


@dataclass(frozen=True)
class GrpcRow:
    """
    One gRPC message to refuse.

    Attributes:
        name: What is wrong with it.
        message: The message in protobuf's JSON form.
        text: The whole status text.
        code: The status code.
        rpc: The method.
    """

    name: str
    message: dict[str, Any]
    text: str
    code: str = "INVALID_ARGUMENT"
    rpc: str = "ModelInfer"


ZEROS = base64.b64encode(bytes(64)).decode()
ONES = {"int_contents": [1] * 16}


def message(raw_contents: int = 2, **changes: Any) -> dict[str, Any]:
    """Return a good ModelInferRequest, with changes to it or (by input name) its inputs."""
    inputs = [
        {"name": n, "datatype": "INT32", "shape": [1, 16], **changes.pop(n, {})}
        for n in ("INPUT0", "INPUT1")
    ]
    raw_input_contents = [ZEROS] * raw_contents
    return {
        "model_name": "simple",
        "inputs": inputs,
        "raw_input_contents": raw_input_contents,
        **changes,
    }


def parameter(name: str, value: dict[str, Any], text: str) -> GrpcRow:
    """Return a row for one request parameter."""
    return GrpcRow(f"{name} with {' '.join(value) or 'nothing'}",
                   message(parameters={name: value}), text)  # fmt: skip


def version_row(rpc: str, key: str) -> GrpcRow:
    """Return a row for a version that is no number."""
    base = message() if rpc == "ModelInfer" else {"name": "simple"}
    return GrpcRow(
        f"{rpc} of version abc",
        {**base, key: "abc"},
        "failed to get model version from specified version string 'abc' (details: stol),"
        " version should be an integral value > 0",
        rpc=rpc,
    )


def unknown_row(rpc: str) -> GrpcRow:
    """Return a row for a call about an unknown model."""
    text = "Request for unknown model: 'nope' is not found"
    return GrpcRow(f"{rpc} of nope", {"name": "nope"}, text, "NOT_FOUND", rpc)


TYPE_OF = "invalid value type for '{}' parameter, expected {}."
MIXED = (
    "contents field must not be specified when using raw_input_contents for '{}' for model 'simple'"
)
NO_CONTROL = "explicit model load / unload is not allowed if polling is enabled"

GRPC_ROWS = [
    GrpcRow("typed and raw contents", message(1, INPUT0={"contents": ONES}),
            MIXED.format("INPUT0")),
    GrpcRow("typed contents on top of raw ones", message(2, INPUT0={"contents": ONES}),
            MIXED.format("INPUT0")),
    GrpcRow("typed contents for the second input", message(1, INPUT1={"contents": ONES}),
            MIXED.format("INPUT1")),
    GrpcRow("no contents", message(0),
            "unable to find data for input tensor 'INPUT0' for model 'simple' in request."),
    GrpcRow("raw contents for one of two", message(1),
            "unable to find data for input tensor 'INPUT1' for model 'simple' in request."),
    GrpcRow("too few typed values",
            message(0, INPUT0={"contents": {"int_contents": [1] * 15}}, INPUT1={"contents": ONES}),
            NO_ID + "input byte size mismatch for input 'INPUT0' for model 'simple'. Expected 64,"
            " got 60"),
    GrpcRow("typed values of another type",
            message(0, INPUT0={"contents": {"fp32_contents": [1] * 16}},
                    INPUT1={"contents": ONES}),
            "unexpected explicit tensor data for input tensor 'INPUT0' for model 'simple' of type"
            " 'FP32', expected datatype 'INT32'"),
    GrpcRow("typed half floats",
            {"model_name": "id_fp16", "inputs": [{"name": "INPUT0", "datatype": "FP16",
             "shape": [1, 1], "contents": {"fp32_contents": [1]}}]},
            "unexpected explicit tensor data for input tensor 'INPUT0' for model 'id_fp16' of type"
            " 'FP32', expected datatype 'FP16'"),
    GrpcRow("dimension not specified", message(INPUT0={"shape": [1, -1]}),
            NO_ID + "All input dimensions should be specified for input 'INPUT0' for model"
            " 'simple', got [1,-1]"),
    GrpcRow("no model name", message(model_name=""),
            "Request for unknown model: '' is not found", "NOT_FOUND"),
    version_row("ModelInfer", "model_version"),
    version_row("ModelReady", "version"),
    version_row("ModelMetadata", "version"),
    version_row("ModelConfig", "version"),
    GrpcRow("negative version", message(model_version="-1"),
            "invalid model version specified '-1' , version should be an integral value > 0"),
    GrpcRow("version 0", message(model_version="0"),
            "Request for unknown model: 'simple' version 0 is not found", "NOT_FOUND"),
    parameter("sequence_start", {"int64_param": 1}, TYPE_OF.format("sequence_start", "bool_param")),
    parameter("sequence_end", {"string_param": "1"}, TYPE_OF.format("sequence_end", "bool_param")),
    parameter("sequence_id", {"bool_param": True},
              TYPE_OF.format("sequence_id", "int64_param or string_param")),
    parameter("priority", {"string_param": "1"},
              TYPE_OF.format("priority", "int64_param or uint64_param")),
    parameter("priority", {"int64_param": -1},
              "invalid value for 'priority', expected value >= 0."),
    parameter("timeout", {"string_param": "1"}, TYPE_OF.format("timeout", "int64_param")),
    parameter("x", {}, TYPE_OF.format("x", "int64_param, bool_param, or string_param")),
    GrpcRow("negative class count",
            message(outputs=[{"name": "OUTPUT0",
                              "parameters": {"classification": {"int64_param": -1}}}]),
            "invalid value for 'classification' parameter, expected >= 0"),
    unknown_row("ModelMetadata"),
    unknown_row("ModelConfig"),
    GrpcRow("statistics of an unknown model", {"name": "nope"},
            "requested model 'nope' is not available", rpc="ModelStatistics"),
    GrpcRow("statistics of an unknown version", {"name": "simple", "version": "9"},
            "requested model version is not available for model 'simple'", rpc="ModelStatistics"),
    GrpcRow("index of a named repository", {"repository_name": "x"},
            "'repository_name' specification is not supported", "UNIMPLEMENTED",
            "RepositoryIndex"),
    GrpcRow("load outside explicit mode", {"model_name": "simple"}, NO_CONTROL, "UNAVAILABLE",
            "RepositoryModelLoad"),
    GrpcRow("unload outside explicit mode", {"model_name": "simple"}, NO_CONTROL, "UNAVAILABLE",
            "RepositoryModelUnload"),
]  # fmt: skip
