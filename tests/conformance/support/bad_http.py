"""
HTTP bodies and headers that must be refused, and with which words.

Triton's JSON layer reports what it cannot read as an internal error, status 500, with
RapidJSON's own words; what it can read but must refuse is a 400. Source: ``http_server.cc``
and ``triton_json.h``.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from bad_requests import NO_ID


@dataclass(frozen=True)
class HttpRow:
    """
    One HTTP body to refuse.

    Attributes:
        name: What is wrong with it.
        body: The body, posted.
        status: The status.
        text: The whole error text.
        path: Where it is posted.
        headers: The headers beyond ``Content-Length``.
    """

    name: str
    body: bytes
    status: int
    text: str
    path: str = "/v2/models/simple/infer"
    headers: dict[str, str] = field(default_factory=dict)


def document(*, without: str = "", **changes: Any) -> bytes:
    """Return a good JSON request, with changes to INPUT0 or one key of it left out."""
    top = {k: changes.pop(k) for k in ("outputs", "parameters", "id") if k in changes}
    inputs = [
        {"name": n, "shape": [1, 16], "datatype": "INT32", "data": [1] * 16}
        for n in ("INPUT0", "INPUT1")
    ]
    inputs[0].update(changes)
    inputs[0].pop(without, None)
    return json.dumps({"inputs": inputs, **top}).encode()


def of_input(**parameters: Any) -> bytes:
    """Return a JSON request whose INPUT0 has these parameters and no data."""
    return document(without="data", **{"parameters_of_input": parameters}).replace(
        b"parameters_of_input", b"parameters"
    )


def output(**parameters: Any) -> bytes:
    """Return a JSON request for OUTPUT0 with these parameters."""
    return document(outputs=[{"name": "OUTPUT0", "parameters": parameters}])


def named(name: str, value: Any) -> bytes:
    """Return a JSON request with one request parameter."""
    return document(parameters={name: value})


def one(model: str, datatype: str, *data: Any) -> tuple[bytes, str]:
    """Return a JSON request with one INPUT0 of shape [1,1], and its path."""
    tensor = {"name": "INPUT0", "shape": [1, 1], "datatype": datatype, "data": data}
    return json.dumps({"inputs": [tensor]}).encode(), f"/v2/models/{model}/infer"


def json_row(name: str, body: bytes, text: str) -> HttpRow:
    """Return a row of the JSON layer, whose errors are internal ones."""
    return HttpRow(name, body, 500, text)


def broken(name: str, body: bytes, reason: str) -> HttpRow:
    """Return a row for a body that is not JSON."""
    return json_row(name, body, f"failed to parse the request JSON buffer: {reason}")


def field_row(name: str, body: bytes, key: str, inner: str) -> HttpRow:
    """Return a row for a key of the wrong JSON type."""
    return json_row(name, body, f"Unable to parse '{key}': {inner}")


def typed(name: str, datatype: str, kind: str, model: str, *data: Any) -> HttpRow:
    """Return a row for a JSON element that does not fit its datatype."""
    body, path = one(model, datatype, *data)
    text = f"Unable to parse 'data': attempt to access JSON non-{kind}"
    return HttpRow(name, body, 500, text, path)


def raw(name: str, model: str, size: int, text: str) -> HttpRow:
    """Return a row for a request whose whole body is the tensor."""
    headers = {"Inference-Header-Content-Length": "0"}
    return HttpRow(name, bytes(size), 400, NO_ID + text, f"/v2/models/{model}/infer", headers)


def sized(name: str, text: str, size: int = 128, header: Any = None) -> HttpRow:
    """Return a row for a binary body of the wrong size or with the wrong header."""
    head = json.dumps({"inputs": [
        {"name": n, "shape": [1, 16], "datatype": "INT32", "parameters": {"binary_data_size": 64}}
        for n in ("INPUT0", "INPUT1")
    ]}).encode()  # fmt: skip
    length = str(len(head) if header is None else header)
    text = text.format(total=len(head) + size)
    return HttpRow(
        name, head + bytes(size), 400, text, headers={"Inference-Header-Content-Length": length}
    )


ONE_SOURCE = (
    "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters',"
    " 'shared_memory_region' in 'parameters'. But "
)
STRING = "attempt to access JSON non-string as string"
UNSIGNED = "attempt to access JSON non-unsigned-integer as unsigned-integer"
BOOLEAN = "attempt to access JSON non-boolean as boolean"
ARRAY = "attempt to access JSON non-array as array"
SHAPE = "Shape does not match true shape of 'data' field"
NO_INPUTS = "attempt to access non-existing object member 'inputs'"
INT_DATA = "attempt to access JSON non-signed-integer as signed-integer"
MORE = "unexpected size for input '{input}', expecting {count} additional bytes for model 'simple'"

HTTP_ROWS = [
    broken("opened and not closed", b"{", "Missing a name for object member. at 1"),
    broken("cut short", document()[:-5], f"Invalid value. at {len(document()) - 5}"),
    broken("more after the end", document() + b"x",
           f"The document root must not be followed by other values. at {len(document())}"),
    broken("only a space", b" ", "The document is empty. at 1"),
    broken("no comma in an object", b'{"a":1 "b":2}',
           "Missing a comma or } after an object member. at 7"),
    broken("no colon", b'{"a" 1}', "Missing a colon after a name of object member. at 5"),
    broken("no comma in an array", b'{"inputs":[1 2]}',
           "Missing a comma or ] after an array element. at 13"),
    broken("not a literal", b'{"inputs":[tru]}', "Invalid value. at 14"),
    broken("string not closed", b'{"inputs', "Missing a closing quotation mark in string. at 8"),
    broken("unknown escape", b'{"in\\q":1}', "Invalid escape character in string. at 4"),
    broken("no digits after the point", b'{"a":1.}', "Miss fraction part in number. at 7"),
    broken("no digits after the e", b'{"a":1e}', "Miss exponent in number. at 7"),
    broken("number too big", b'{"a":1e999}', "Number too big to be stored in double. at 5"),
    field_row("not an object", b"[]", "inputs", NO_INPUTS),
    field_row("a number", b"5", "inputs", NO_INPUTS),
    field_row("an empty object", b"{}", "inputs", NO_INPUTS),
    field_row("inputs no array", b'{"inputs":5}', "inputs", ARRAY),
    field_row("no name", document(without="name"), "name",
              "attempt to access non-existing object member 'name'"),
    field_row("no shape", document(without="shape"), "shape",
              "attempt to access non-existing object member 'shape'"),
    field_row("no datatype", document(without="datatype"), "datatype",
              "attempt to access non-existing object member 'datatype'"),
    HttpRow("no data", document(without="data"), 400, ONE_SOURCE + "no field is set"),
    HttpRow("an empty input", b'{"inputs":[{}]}', 400, ONE_SOURCE + "no field is set"),
    HttpRow("two sources of data",
            document(parameters_of_input={"binary_data_size": 64}).replace(b"_of_input", b""), 400,
            ONE_SOURCE + "set 'data' 'binary_data_size'"),
    field_row("name no string", document(name=5), "name", STRING),
    field_row("datatype no string", document(datatype=3), "datatype", STRING),
    field_row("shape no array", document(shape="a"), "shape", ARRAY),
    field_row("shape of text", document(shape=["a"]), "shape", UNSIGNED),
    field_row("negative dimension", document(shape=[-1, 16]), "shape", UNSIGNED),
    field_row("fractional dimension", document(shape=[1.5, 16]), "shape", UNSIGNED),
    field_row("dimension beyond 64 bits", document(shape=[2**64]), "shape", UNSIGNED),
    field_row("too many elements", document(data=[1] * 17), "data", SHAPE),
    json_row("too few elements", document(data=[1] * 15),
             "Failed to parse 'data' field: shape does not match true shape"),
    field_row("data no array", document(data="x"), "data", ARRAY),
    field_row("text among integers", document(data=["x"] * 16), "data", INT_DATA),
    field_row("fractions among integers", document(data=[1.5] * 16), "data", INT_DATA),
    field_row("nothing among integers", document(data=[None] * 16), "data", INT_DATA),
    field_row("booleans among integers", document(data=[True] * 16), "data", INT_DATA),
    typed("number for a boolean", "BOOL", "boolean as boolean", "id_bool", 1),
    typed("text for a float", "FP32", "number as double", "id_fp32", "x"),
    typed("boolean for a float", "FP32", "number as double", "id_fp32", True),
    HttpRow("number for a string", *one("one_string", "BYTES", 1)[:1], 500,
            "Unable to parse JSON bytes array: " + STRING, "/v2/models/one_string/infer"),
    field_row("id no string", document(id=3), "id", STRING),
    field_row("outputs no array", document(outputs=3), "outputs", ARRAY),
    field_row("output without a name", document(outputs=[{}]), "name",
              "attempt to access non-existing object member 'name'"),
    field_row("priority no number", named("priority", "x"), "priority", UNSIGNED),
    field_row("timeout no number", named("timeout", "x"), "timeout", UNSIGNED),
    field_row("sequence start no boolean", named("sequence_start", 1), "sequence_start", BOOLEAN),
    field_row("sequence id a fraction", named("sequence_id", 1.5), "sequence_id", STRING),
    field_row("sequence id negative", named("sequence_id", -1), "sequence_id", STRING),
    field_row("binary output no boolean", named("binary_data_output", 1), "binary_data_output",
              BOOLEAN),
    HttpRow("parameter a list", named("x", [1]), 400,
            "parameter 'x' has invalid type. It should be either 'int', 'bool', or 'string'."),
    HttpRow("parameter null", named("x", None), 400,
            "parameter 'x' has invalid type. It should be either 'int', 'bool', or 'string'."),
    field_row("binary data no boolean", output(binary_data=3), "binary_data", BOOLEAN),
    field_row("size of binary data no number", of_input(binary_data_size="x"), "binary_data_size",
              UNSIGNED),
    sized("one byte too few", MORE.format(input="INPUT1", count=1), 127),
    sized("one byte too many", "unexpected additional input data for model 'simple'", 129),
    sized("half of the tensors", MORE.format(input="INPUT1", count=64), 64),
    sized("none of the tensors", MORE.format(input="INPUT0", count=64), 0),
    sized("header longer than the body",
          "inference header size should be in range (0, {total}), got: 99999", header=99999),
    sized("negative header",
          "inference header size should be in range (0, {total}), got: -1", header=-1),
    HttpRow("binary tensors without the header", sized("", "").body[:-128], 400,
            MORE.format(input="INPUT0", count=64)),
    raw("raw body for two inputs", "simple", 64,
        "Raw request must only have 1 input (found 1) to be deduced but got 2 inputs in 'simple'"
        " model configuration"),
    raw("raw body with two unknown dimensions", "two_wildcards", 8,
        "The shape of the raw input 'INPUT0' can not be deduced because there are more than one"
        " variable-sized dimension"),
    raw("raw body of strings", "id_string", 5,
        "For BYTE datatype raw input 'INPUT0', the model must have input shape [1]"),
    raw("raw body too short", "vector", 12,
        "input byte size mismatch for input 'raw_input' for model 'vector'. Expected 16, got 12"),
    raw("raw body not whole elements", "id_fp32", 7,
        "input byte size mismatch for input 'raw_input' for model 'id_fp32'. Expected 4, got 7"),
    HttpRow("half floats as JSON", *one("id_fp16", "FP16", 1.0)[:1], 400,
            "receiving FP16 data via JSON is not supported. Please use the binary data format for"
            " input INPUT0", "/v2/models/id_fp16/infer"),
    HttpRow("brain floats as JSON", *one("id_bf16", "BF16", 1.0)[:1], 400,
            "receiving BF16 data via JSON is not supported. Please use the binary data format for"
            " input INPUT0", "/v2/models/id_bf16/infer"),
    HttpRow("version beyond 64 bits", document(), 400,
            "failed to get model version from specified version string '99999999999999999999'"
            " (details: stol), version should be an integral value > 0",
            "/v2/models/simple/versions/99999999999999999999/infer"),
    HttpRow("encoded model name", document(), 404,
            "Request for unknown model: 'sim%70le' is not found", "/v2/models/sim%70le/infer"),
]  # fmt: skip
