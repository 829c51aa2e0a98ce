"""The JSON codec with the kernel for numbers, and without it: the same to the last error text."""

import json
import math
import struct

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferd.errors import InferdError, InvalidRequest
from inferd.protocol import json_codec as codecs
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.infer_json import decode_request
from inferd.protocol.json_codec import JsonCodec
from inferd.protocol.json_document import parse
from inferd.protocol.messages import InferResponse, RequestedOutput
from inferd.protocol.native import numbers
from inferd.protocol.tensors import Tensor

# max_examples is left to the profile: `tox -e fuzz` has one with many more.
SLOW = settings(suppress_health_check=list(HealthCheck), deadline=None)

LIMIT = 1 << 12
NUMERIC = [name for name in BY_NAME if name not in ("BYTES", "FP16", "BF16")]
TARGET = {"model_name": "m", "model_version": "2", "max_input_size": LIMIT}


def decode(codec, raw, binary=b""):
    """Read a request as the frontends do."""
    decoded = codec.decode_quickly(raw, memoryview(binary), **TARGET)
    return decoded or decode_request(parse(raw), memoryview(binary), **TARGET)


def outcome(codec, raw, binary=b""):
    """Return what becomes of a request as plain values."""
    try:
        request, binary_output = decode(codec, raw, binary)
    except InferdError as error:
        return type(error), error.message
    inputs = [
        (name, one.name, one.datatype, one.shape, bytes(one.raw()))
        for name, one in request.inputs.items()
    ]
    outputs = [(one.name, one.binary_data, one.classification) for one in request.outputs]
    return inputs, outputs, request.id, repr(request.parameters), request.priority, binary_output


def is_quick(codec, raw):
    """Return whether the kernel reads a request without the help of the specification."""
    return codec.decode_quickly(raw, memoryview(b""), **TARGET) is not None


def document(data, datatype="FP32", count=1):
    """Return a request with one input."""
    return b'{"inputs":[{"name":"X","datatype":"%s","shape":[%d],"data":%s}]}' % (
        datatype.encode(),
        count,
        data,
    )


DIGITS = st.text("0123456789", min_size=1, max_size=22)
PLAIN_NUMBERS = st.one_of(
    st.integers(-300, 300).map(str),
    st.integers(-(2**63), 2**64 - 1).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.builds(
        "{}{}.{}{}".format, st.sampled_from(["", "-"]), st.integers(0, 10**9), DIGITS, st.just("")
    ),
    st.builds(
        "{}.{}{}{}{}".format,
        st.integers(-99, 99),
        DIGITS,
        st.sampled_from("eE"),
        st.sampled_from(["", "+", "-"]),
        st.integers(0, 330),
    ),
)
STRANGE_NUMBERS = st.sampled_from(
    [
        *("-0", "-0.0", "-0e5", "1E5", "1e+3", "1.0", "5e-324", "2.4e-324", "1e-400", "1e400"),
        *("01", "-01", "1.", ".5", "+1", "-", "1e", "1e+", "1.e3", "0x1", "1_0", "--1", "1-"),
        *("NaN", "Infinity", "-Infinity", "Inf", "null", "tru", "nul", '"a"', '"1"', "{}", "[]"),
        *("18446744073709551615", "18446744073709551616", "-9223372036854775809", "1" * 40),
        *("9007199254740993", "9007199254740993.0", "0.1" + "0" * 30 + "1", "0." + "0" * 40 + "7"),
        *("127", "128", "-128", "-129", "255", "256", "3.4028235677973366e38", "3.5e38"),
        *("1.00000017881393432617187499", "1.00000017881393432617187501", '"]"', '"[,\\""', "1 2"),
    ]
)
SPACES = st.sampled_from([*[""] * 8, " ", "\n", "\t \r"])
STRANGE_SPACES = SPACES | st.sampled_from(["\x0b", "\xa0", "/**/"])
STRANGE_MEMBERS = st.sampled_from(
    [
        *('"data":[1]', '"data":null', '"d\\u0061ta":[1]', '"parameters":{"binary_data_size":3}'),
        *('"x":["]",{"data":[3]}]', '"a\\"":1', "1", "", '"parameters":{"p":1}', '"shape":[2]'),
        *('"inputs":[]', '"inputs":1', '"in\\u0070uts":[]', '"a" 1', '"data":[1,2],"x"'),
    ]
)


@st.composite
def elements(draw, datatype, wild):
    """Return the texts of elements, mostly such as the datatype takes."""
    if datatype == "BOOL":
        plain = st.sampled_from(["true", "false"])
    elif datatype.startswith(("INT", "UINT")):
        limits = np.iinfo(BY_NAME[datatype].dtype.name)
        plain = st.integers(int(limits.min), int(limits.max)).map(str)
    elif datatype == "BYTES":
        plain = st.sampled_from(['"a"', '"]"', '"\\""', '"[1]"', '"\\\\"'])
    else:
        plain = PLAIN_NUMBERS
    return draw(st.lists(plain | STRANGE_NUMBERS if wild else plain, max_size=9))


@st.composite
def arrays(draw, datatype, wild):
    """Return the text of a data array, and how many elements it has."""
    spaces = STRANGE_SPACES if wild else SPACES
    parts = draw(elements(datatype, wild))
    count = len(parts)
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        start = draw(st.integers(0, len(parts)))
        stop = draw(st.integers(start, len(parts)))
        space = draw(spaces)
        parts[start:stop] = [f"[{space}{f'{space},'.join(parts[start:stop])}{space}]"]
    space = draw(spaces)
    comma = draw(st.sampled_from([*[","] * 12, ",,", "", ";"])) if wild else ","
    return f"[{space}{f'{space}{comma}{space}'.join(parts)}{space}]", count


@st.composite
def inputs(draw, name, wild):
    """Return the text of an input."""
    datatype = draw(st.sampled_from([*NUMERIC, "FP32", "FP64"] + [*BY_NAME, "X"] * wild))
    text, count = draw(arrays(datatype, wild))
    if wild:
        count += draw(st.sampled_from([0, 0, 0, 1, -1, 2000]))
    members = [
        f'"name":"{name}"',
        f'"datatype" : "{datatype}"',
        f'"shape":[{count}]',
        draw(st.sampled_from(['"data":', '"data" :\n', '"data": '])) + text,
        *draw(st.lists(STRANGE_MEMBERS, max_size=wild)),
    ]
    return "{" + ",".join(draw(st.permutations(members))) + "}"


@st.composite
def documents(draw):
    """Return the bytes of a request, every other one a good one."""
    wild = draw(st.booleans())
    names = draw(
        st.lists(st.sampled_from(["A", "data", "é"]), min_size=1, max_size=3, unique=not wild)
    )
    entries = [draw(inputs(name, wild)) for name in names]
    others = ['"id":"a"', '"parameters":{"q":0.5}', '"outputs":[{"name":"Y","data":[1,2,3]}]']
    others += ['"priority":[{"data":[1,2]}]', '"data":[1,2]', '"x":{"inputs":[{"data":[1,2]}]}']
    members = [
        f'"inputs":[{",".join(entries)}]',
        *draw(st.lists(st.sampled_from(others), unique=True, max_size=2)),
        *draw(st.lists(STRANGE_MEMBERS, max_size=wild)),
    ]
    text = "{" + draw(SPACES) + ",".join(draw(st.permutations(members))) + "}" + draw(SPACES)
    return text.encode("latin-1" if wild and draw(st.booleans()) else "utf-8")


@st.composite
def damaged(draw):
    """Return the bytes of a request, cut short or with other bytes in it."""
    raw = draw(documents())
    start = draw(st.integers(0, len(raw)))
    stop = draw(st.sampled_from([start, start, start + 1, start + 5, len(raw)]))
    noise = draw(
        st.sampled_from([b"", b'"', b"[", b"]", b"{", b"}", b",", b"\\", b"-", b".", b"e", b"0"])
        | st.binary(max_size=3)
    )
    return raw[:start] + noise + raw[stop:]


@SLOW
@given(documents())
def test_both_read_the_same(native_json, raw):
    """Tensors and error texts do not depend on whether the kernel was built."""
    assert outcome(native_json, raw) == outcome(codecs.PYTHON, raw)


@SLOW
@given(damaged())
def test_both_refuse_the_same(native_json, raw):
    """Neither do they for requests that were damaged on the way."""
    assert outcome(native_json, raw) == outcome(codecs.PYTHON, raw)
