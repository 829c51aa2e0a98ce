"""The ``data`` arrays of JSON tensors."""

import json

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inferd.errors import InvalidRequest, MalformedDocument
from inferd.protocol import json_data
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.json_document import parse
from inferd.protocol.tensors import Tensor

_LIMIT = 1 << 20
_NUMERIC = [name for name in BY_NAME if name not in ("BYTES", "FP16", "BF16")]
_shapes = hnp.array_shapes(min_dims=0, min_side=0, max_dims=4, max_side=4)


@st.composite
def _arrays(draw):
    name = draw(st.sampled_from(_NUMERIC))
    return name, draw(hnp.arrays(BY_NAME[name].dtype, _shapes))


def _dump(value):
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


@given(_arrays(), st.booleans())
def test_numbers_survive_the_round_trip(drawn, nested):
    """Every value of every datatype and shape is read back as it was written."""
    name, array = drawn
    written = parse(_dump(json_data.write(Tensor("X", name, array.shape, array=array))))
    value = array.tolist() if nested and array.ndim else written
    tensor = json_data.read(value, "X", name, array.shape, _LIMIT)
    assert tensor.shape == array.shape
    np.testing.assert_array_equal(tensor.array(), array)


@given(st.lists(st.binary(max_size=9), max_size=6))
def test_bytes_survive_the_round_trip(elements):
    """Strings keep their bytes, also those that are not UTF-8."""
    array = np.empty(len(elements), object)
    array[:] = elements
    written = parse(_dump(json_data.write(Tensor("X", "BYTES", array.shape, array=array))))
    tensor = json_data.read(written, "X", "BYTES", array.shape, _LIMIT)
    assert tensor.array().tolist() == elements if elements else tensor.raw() == b""


def test_strings_of_a_backend_are_written_as_text():
    """A backend may return text for BYTES, also beside bytes that are no text."""
    array = np.array(["\u00e9", b"b"], object)
    assert _dump(json_data.write(Tensor("X", "BYTES", (2,), array=array))) == '["é","b"]'.encode()
    array = np.array(["a", b"\xff"], object)
    assert _dump(json_data.write(Tensor("X", "BYTES", (2,), array=array))) == b'["a","\xff"]'


def test_floats_are_printed_as_their_double():
    """float32 0.1 has the digits of its double, whole numbers keep .0, NaN is bare."""
    array = np.array([[0.1, 1], [-0.0, 16777216]], np.float32)
    assert _dump(json_data.write(Tensor("X", "FP32", (2, 2), array=array))) == (
        b"[0.10000000149011612,1.0,-0.0,16777216.0]"
    )
    array = np.array([np.nan, np.inf, -np.inf, 1], np.float64)
    assert _dump(json_data.write(Tensor("X", "FP64", (4,), array=array))) == (
        b"[NaN,Infinity,-Infinity,1.0]"
    )


def test_nesting_need_not_match_the_shape():
    """Only the order of the elements counts."""
    for value in ([1, 2, 3, 4], [[1, 2], [3, 4]], [1, [2, [3]], 4], [[], [[1, 2, 3, 4]]]):
        tensor = json_data.read(value, "X", "INT8", (2, 2), _LIMIT)
        assert tensor.array().tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("depth", [100, 101])
def test_the_depth_of_data_is_bounded(depth):
    """A hundred levels are taken, one more is refused."""
    value = 7
    for _ in range(depth):
        value = [value]
    if depth == 100:
        assert json_data.read(value, "X", "INT8", (1,), _LIMIT).array().tolist() == [7]
        return
    with pytest.raises(InvalidRequest) as caught:
        json_data.read(value, "X", "INT8", (1,), _LIMIT)
    assert caught.value.message == "JSON nesting depth exceeds maximum allowed limit (100)"


def test_a_shape_with_a_zero_needs_no_data():
    """A tensor without elements ignores what is in data."""
    for value in (None, [], [1, 2], "x"):
        tensor = json_data.read(value, "X", "INT8", (2, 0), _LIMIT)
        assert (tensor.shape, tensor.raw()) == ((2, 0), b"")


_TOO_MANY = "Unable to parse 'data': Shape does not match true shape of 'data' field"
_TOO_FEW = "Failed to parse 'data' field: shape does not match true shape"
_ACCESS = "Unable to parse 'data': attempt to access JSON "


@pytest.mark.parametrize(
    ("value", "datatype", "message"),
    [
        ([1, 2, 3], "INT32", _TOO_MANY),
        ([1], "INT32", _TOO_FEW),
        ([], "FP32", _TOO_FEW),
        (["a"], "BYTES", "shape does not match true shape of 'data' field"),
        (["a", "b", "c"], "BYTES", _TOO_MANY),
        ("x", "INT32", _ACCESS + "non-array as array"),
        (None, "INT32", _ACCESS + "non-array as array"),
        ([1, True], "INT32", _ACCESS + "non-signed-integer as signed-integer"),
        ([1, 1.0], "INT64", _ACCESS + "non-signed-integer as signed-integer"),
        ([1, 2**63], "INT64", _ACCESS + "non-signed-integer as signed-integer"),
        ([1, 2**63], "INT8", _ACCESS + "non-signed-integer as signed-integer"),
        ([1, -1], "UINT8", _ACCESS + "non-unsigned-integer as unsigned-integer"),
        ([1, 2.5], "UINT64", _ACCESS + "non-unsigned-integer as unsigned-integer"),
        ([True, 1], "BOOL", _ACCESS + "non-boolean as boolean"),
        ([1.5, "x"], "FP32", _ACCESS + "non-number as double"),
        ([1.5, None], "FP64", _ACCESS + "non-number as double"),
        (
            ["a", 1],
            "BYTES",
            "Unable to parse JSON bytes array: attempt to access JSON non-string as string",
        ),
        (
            ["a", "\ud800"],
            "BYTES",
            "Unable to parse JSON bytes array: Invalid encoding in string.",
        ),
        ([1, 2, "x"], "INT32", _TOO_MANY),
        ([1, "x", 3], "INT32", _ACCESS + "non-signed-integer as signed-integer"),
    ],
)
def test_data_that_does_not_parse(value, datatype, message):
    """Wrong types and counts are Triton's internal errors, the first one in order."""
    with pytest.raises(MalformedDocument) as caught:
        json_data.read(value, "X", datatype, (2,), _LIMIT)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("value", "datatype", "message"),
    [
        ([1], "INT9", "invalid datatype for input X"),
        (
            [1],
            "FP16",
            "receiving FP16 data via JSON is not supported. Please use the binary data format "
            "for input X",
        ),
        (
            [1],
            "BF16",
            "receiving BF16 data via JSON is not supported. Please use the binary data format "
            "for input X",
        ),
        ([128], "INT8", "value 128 of input 'X' is out of range for INT8"),
        ([-32769], "INT16", "value -32769 of input 'X' is out of range for INT16"),
        ([2**32], "UINT32", "value 4294967296 of input 'X' is out of range for UINT32"),
    ],
)
def test_data_the_datatype_cannot_hold(value, datatype, message):
    """What parses but does not fit is the client's mistake."""
    with pytest.raises(InvalidRequest) as caught:
        json_data.read(value, "X", datatype, (1,), _LIMIT)
    assert caught.value.message == message


def test_the_ends_of_the_integer_ranges_fit():
    """The smallest and largest value of each integer datatype are exact."""
    for name in _NUMERIC:
        dtype = BY_NAME[name].dtype
        if dtype.kind in "iu":
            ends = [int(np.iinfo(dtype.name).min), int(np.iinfo(dtype.name).max)]
            assert json_data.read(ends, "X", name, (2,), _LIMIT).array().tolist() == ends


def test_what_float32_cannot_hold_becomes_infinite():
    """A double beyond float32 is stored as Triton stores it."""
    tensor = json_data.read([1e300, -1e300, 2**64 - 1], "X", "FP32", (3,), _LIMIT)
    assert tensor.array().tolist() == [np.inf, -np.inf, 18446744073709551616.0]


@pytest.mark.parametrize(
    ("datatype", "value", "size"), [("INT32", [1, 2], 8), ("BYTES", ["ab", "\u00e9"], 12)]
)
def test_the_size_of_the_tensor_is_bounded(datatype, value, size):
    """A tensor of exactly the limit is taken, a larger one refused before it is built."""
    json_data.read(value, "X", datatype, (2,), size)
    with pytest.raises(InvalidRequest) as caught:
        json_data.read(value, "X", datatype, (2,), size - 1)
    assert caught.value.message == (
        f"JSON input 'X' has a byte_size ({size} bytes) that exceeds the maximum allowed value "
        f"of {size - 1} bytes. Use --http-max-input-size to increase the limit."
    )


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_precision_is_not_written_as_json(datatype):
    """The client is told to ask for binary data."""
    tensor = Tensor("Y", datatype, (1,), raw=bytes(2))
    with pytest.raises(InvalidRequest) as caught:
        json_data.write(tensor)
    assert caught.value.message == (
        f"sending {datatype} data via JSON is not supported. Please use the binary data format "
        "for output Y"
    )


def test_a_transposed_output_is_written_row_by_row():
    """What a backend returns need not be contiguous."""
    array = np.arange(6, dtype=np.int64).reshape(2, 3).T
    written = _dump(json_data.write(Tensor("X", "INT64", (3, 2), array=array)))
    assert json.loads(written) == [0, 3, 1, 4, 2, 5]
