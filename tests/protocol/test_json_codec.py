"""The JSON codec with the kernel for numbers, and without it: the same to the last error text."""

import json
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


@pytest.mark.parametrize("datatype", NUMERIC)
@pytest.mark.parametrize("nested", [False, True])
def test_numbers_of_every_datatype_are_read(json_codec, datatype, nested):
    """The ends of each range, flat and nested, however they are spaced."""
    dtype = BY_NAME[datatype].dtype
    if dtype.kind in "iu":
        limits = np.iinfo(dtype.name)
        values = [int(limits.min), int(limits.max), 0, 1, 7, 100]
    else:
        values = [True, False] * 3 if dtype.kind == "b" else [0.1, -0.0, 1e-310, 2.5, 1e300, 7]
    array = np.array(values, np.float64 if datatype == "FP32" else dtype)
    text = json.dumps(
        np.array(values, object).reshape(2, 3).tolist() if nested else values, indent=1
    )
    with np.errstate(over="ignore"):
        expected = array.astype(dtype)
    [tensor] = decode(json_codec, document(text.encode(), datatype, 6)).request.inputs.values()
    assert tensor.array().dtype == dtype
    assert tensor.array().tobytes() == expected.tobytes()


def test_usual_requests_are_read_by_the_kernel(native_json):
    """Nothing of what clients send as a rule takes the long way."""
    assert is_quick(native_json, document(b"[1.5]"))
    assert is_quick(native_json, document(b'[[1,2],[3,"4"]]'.replace(b'"', b""), "INT64", 4))
    assert is_quick(native_json, document(b" [ true,\nfalse ] ", "BOOL", 2))
    assert is_quick(native_json, document(b"[" * 100 + b"7" + b"]" * 100))
    assert is_quick(native_json, document(b"[1e-7,123456789012345678901234567890]", count=2))


@pytest.mark.parametrize(
    "raw",
    [
        document(b"[1.5]", "FP16"),
        document(b'["a"]', "BYTES"),
        document(b"[]", count=0),
        document(b"[1.5,2]", count=1),
        document(b"[1.5]", count=2),
        document(b"[1.5]", count=1 << 31),
        document(b"[%s]" % b",".join([b"1"] * 1025), count=1025),
        document(b"[1.0]", "INT32"),
        document(b"[NaN]"),
        document(b"[" * 101 + b"7" + b"]" * 101),
        document(b"[1.5]")[:-1],
        document(b"[1.5]") + b"x",
        document(b"[1.5]").replace(b'"X"', b'"X","data":[2.5]'),
        document(b"[1.5]").replace(b'"X"', b'"X","d\\u0061ta":[2.5]'),
        document(b"[1.5]").replace(b"}]}", b'}],"inputs":[]}'),
        document(b"[1.5]").replace(b'"X"', b'"\xff"'),
        document(b"[1.5]").replace(b'"X"', b'"X","parameters":{"binary_data_size":1}'),
        document(b'[1,"]","data",[2]]', count=4),
        document(b'[1,"],\\"data\\":[2]"]', count=2),
        b'{"inputs":{"data":[1.5]}}',
        b'{"inputs":[[{"data":[1.5]}]]}',
        b'[{"inputs":[{"data":[1.5]}]}]',
        b'{"inputs":[{"data":[1.5',
        b"",
    ],
)
def test_unusual_requests_are_left_to_the_specification(native_json, raw):
    """What may be wrong is told in the same words as without the kernel."""
    assert not is_quick(native_json, raw)
    assert outcome(native_json, raw) == outcome(codecs.PYTHON, raw)


def test_the_largest_tensor_is_taken(json_codec):
    """A tensor of exactly the limit is read, a larger one refused."""
    count = LIMIT // 4
    raw = document(b"[%s]" % b",".join([b"1"] * count), "FP32", count)
    assert len(decode(json_codec, raw).request.inputs["X"].raw()) == LIMIT
    with pytest.raises(InvalidRequest, match="exceeds the maximum"):
        decode(json_codec, document(b"[%s]" % b",".join([b"1"] * (count + 1)), "FP32", count + 1))


def test_only_long_arrays_are_worth_the_kernel():
    """An array shorter than the threshold stays where it is, one of just that length does not."""
    if numbers is None:
        pytest.skip("the kernel for numbers in JSON was not built")
    assert is_quick(JsonCodec(numbers, 5), document(b"[1.5]"))
    assert not is_quick(JsonCodec(numbers, 6), document(b"[1.5]"))


def test_many_inputs_are_read(json_codec):
    """More arrays than the kernel cuts out at once are all read."""
    inputs = [
        {"name": str(n), "datatype": "INT32", "shape": [3], "data": [n, n, n]} for n in range(40)
    ]
    request, _ = decode(json_codec, orjson.dumps({"inputs": inputs}))
    assert [one.array().tolist() for one in request.inputs.values()] == [[n] * 3 for n in range(40)]


def test_binary_data_may_follow(json_codec):
    """Inputs in the JSON and inputs behind it are read from one body."""
    raw = document(b"[1.5]").replace(
        b'"inputs":[',
        b'"inputs":[{"name":"B","datatype":"UINT8","shape":[3],"parameters":{"binary_data_size":3}},',
    )
    request, _ = decode(json_codec, raw, b"abc")
    assert bytes(request.inputs["B"].raw()) == b"abc"
    assert request.inputs["X"].array().tolist() == [1.5]


def response(*tensors):
    """Return a response with these outputs."""
    return InferResponse("m", "1", list(tensors))


FLOATS = st.sampled_from(["FP32", "FP64"]).flatmap(
    lambda datatype: st.tuples(
        st.just(datatype),
        st.lists(st.floats(width=int(datatype[2:])) | st.integers(-9, 9).map(float), max_size=40),
    )
)


@SLOW
@given(st.lists(FLOATS, max_size=3))
def test_both_write_the_same(native_json, drawn):
    """Every value comes out as the same double, whole numbers as floats, NaN and infinity bare."""
    tensors = [
        Tensor(
            str(number), datatype, (len(values),), array=np.array(values, BY_NAME[datatype].dtype)
        )
        for number, (datatype, values) in enumerate(drawn)
    ]
    written, expected = (
        json.loads(codec.encode_response(response(*tensors), (), False).document)
        for codec in (native_json, codecs.PYTHON)
    )
    assert json.dumps(written) == json.dumps(expected)


def test_outputs_are_written_where_they_belong(json_codec):
    """Arrays of floats, other arrays, strings and binary outputs stand side by side."""
    tensors = (
        Tensor("A", "FP32", (2,), array=np.array([0.1, -2], np.float32)),
        Tensor("B", "BYTES", (1,), array=np.array([b"\x00"], object)),
        Tensor("C", "FP64", (2, 0), array=np.empty((2, 0))),
        Tensor("D", "FP64", (1,), array=np.array([7.0])),
        Tensor("E", "INT8", (2,), array=np.array([1, 2], np.int8)),
        Tensor("F", "FP64", (2, 2), array=np.array([[1.0, 2.0], [3.0, 4.0]]).T),
        Tensor("G", "FP32", (1,), array=np.array([1e20])),
    )
    wanted = [RequestedOutput("D", binary_data=True)]
    document, blobs = json_codec.encode_response(response(*tensors), wanted, False)
    assert [bytes(blob) for blob in blobs] == [struct.pack("<d", 7)]
    outputs = json.loads(document)["outputs"]
    data = [one.get("data") for one in outputs]
    assert data == [
        [0.10000000149011612, -2.0],
        ["\0"],
        [],
        None,
        [1, 2],
        [1.0, 3.0, 2.0, 4.0],
        [1e20],
    ]
    assert outputs[3]["parameters"] == {"binary_data_size": 8}


def test_half_precision_is_refused(json_codec):
    """FP16 has no JSON form, with the kernel as without it."""
    with pytest.raises(InvalidRequest, match="sending FP16 data via JSON is not supported"):
        json_codec.encode_response(response(Tensor("Y", "FP16", (1,), raw=bytes(2))), (), False)


def test_floats_of_another_size_are_written_without_the_kernel(json_codec):
    """A backend may return doubles for FP32; every one of their digits is written."""
    tensor = Tensor("G", "FP32", (1,), array=np.array([0.1]))
    document, _ = json_codec.encode_response(response(tensor), (), False)
    assert json.loads(document)["outputs"][0]["data"] == [0.1]


def test_no_floats_no_kernel(json_codec):
    """A response without floats in its JSON is written as it always was."""
    document, blobs = json_codec.encode_response(
        response(Tensor("E", "INT8", (1,), array=np.array([1], np.int8))), (), False
    )
    assert json.loads(document)["outputs"][0]["data"] == [1]
    assert blobs == []
