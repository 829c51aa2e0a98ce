"""Tensors behind the JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import InvalidRequest
from inferd.protocol.binary_extension import Blobs, json_length, raw_input
from inferd.protocol.signature import Signature, TensorSpec


@pytest.mark.parametrize(
    ("header", "length"),
    [(None, 9), ("", 0), (" ", 0), ("0", 0), ("9", 9), ("+3", 3), ("  3 ", 3), ("0003", 3)],
)
def test_the_header_says_where_the_json_ends(header, length):
    """Without the header the whole body is JSON; empty means none of it is."""
    assert json_length(header, 9) == length


@pytest.mark.parametrize("header", ["10", "-1", "9" * 19, "9" * 5000])
def test_a_length_beyond_the_body_is_refused(header):
    """The JSON cannot be longer than the body."""
    with pytest.raises(InvalidRequest) as caught:
        json_length(header, 9)
    assert caught.value.message == (
        f"inference header size should be in range (0, 9), got: {header}"
    )


@pytest.mark.parametrize("header", ["x", "1.5", "1_0", "\u0663", "-", "0x1"])
def test_a_length_that_is_no_number_is_refused(header):
    """The value is quoted in the error."""
    with pytest.raises(InvalidRequest) as caught:
        json_length(header, 9)
    assert caught.value.message == f"Unable to parse Inference-Header-Content-Length, got: {header}"


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_blobs_come_back_as_they_were_joined(pieces):
    """What is written behind the JSON one after the other is taken one after the other."""
    blobs = Blobs(memoryview(b"".join(pieces)), "m")
    assert [bytes(blobs.take(len(piece), "X")) for piece in pieces] == pieces
    blobs.finish()


def test_too_few_bytes_are_counted():
    """The error tells how many bytes are missing."""
    blobs = Blobs(memoryview(b"abcde"), "m")
    blobs.take(2, "A")
    with pytest.raises(InvalidRequest) as caught:
        blobs.take(4, "B")
    assert caught.value.message == (
        "unexpected size for input 'B', expecting 1 additional bytes for model 'm'"
    )


def test_bytes_left_over_are_refused():
    """Every byte has to belong to an input."""
    blobs = Blobs(memoryview(b"abc"), "m")
    blobs.take(2, "A")
    with pytest.raises(InvalidRequest) as caught:
        blobs.finish()
    assert caught.value.message == "unexpected additional input data for model 'm'"


def _signature(datatype, itemsize, dims, *, max_batch_size=0, inputs=1):
    specs = [TensorSpec(f"I{n}", datatype, itemsize, dims) for n in range(inputs)]
    return Signature("m", max_batch_size, specs, [])


@pytest.mark.parametrize(
    ("dims", "max_batch_size", "size", "shape"),
    [
        ((2,), 0, 8, (2,)),
        ((2,), 4, 8, (1, 2)),
        ((-1, 2), 4, 24, (1, 3, 2)),
        ((-1,), 0, 0, (0,)),
        ((0, -1), 0, 0, (0, 0)),
        ((), 0, 4, ()),
    ],
)
def test_the_shape_of_a_raw_input_is_deduced(dims, max_batch_size, size, shape):
    """The one variable dimension follows from the size; batching models get a batch of one."""
    signature = _signature("FP32", 4, dims, max_batch_size=max_batch_size)
    tensor = raw_input(signature, memoryview(bytes(size)), 100)
    assert (tensor.name, tensor.shape, tensor.datatype) == ("I0", shape, "FP32")
    assert len(tensor.raw()) == size


@pytest.mark.parametrize(("max_batch_size", "shape"), [(0, (1,)), (8, (1, 1))])
def test_a_raw_string_is_one_element(max_batch_size, shape):
    """The body is the string; its length prefix is added."""
    signature = _signature("BYTES", 0, (1,), max_batch_size=max_batch_size)
    tensor = raw_input(signature, memoryview(b"ab"), 2)
    assert tensor.shape == shape
    assert tensor.raw() == b"\x02\x00\x00\x00ab"


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (
            _signature("FP32", 4, (1,), inputs=3),
            "Raw request must only have 1 input (found 1) to be deduced but got 3 inputs in 'm' "
            "model configuration",
        ),
        (
            _signature("FP32", 4, (-1, -1)),
            "The shape of the raw input 'I0' can not be deduced because there are more than one "
            "variable-sized dimension",
        ),
        (
            _signature("BYTES", 0, (2,)),
            "For BYTE datatype raw input 'I0', the model must have input shape [1]",
        ),
    ],
)
def test_models_that_cannot_take_raw_requests(signature, message):
    """The error says what about the model's config is in the way."""
    with pytest.raises(InvalidRequest) as caught:
        raw_input(signature, memoryview(b"abcd"), 100)
    assert caught.value.message == "[request id: <id_unknown>] " + message


@pytest.mark.parametrize(("dims", "expected"), [((2,), 8), ((-1,), 4), ((0, -1), 0)])
def test_a_raw_body_of_another_size_is_refused(dims, expected):
    """The text calls the body by the reference's name, whatever the input's is."""
    with pytest.raises(InvalidRequest) as caught:
        raw_input(_signature("FP32", 4, dims), memoryview(bytes(7)), 100)
    assert caught.value.message == (
        "[request id: <id_unknown>] input byte size mismatch for input 'raw_input' for model 'm'. "
        f"Expected {expected}, got 7"
    )


def test_a_raw_input_is_bounded():
    """A body of the limit is taken, a longer one refused."""
    signature = _signature("UINT8", 1, (-1,))
    assert raw_input(signature, memoryview(bytes(4)), 4).shape == (4,)
    with pytest.raises(InvalidRequest) as caught:
        raw_input(signature, memoryview(bytes(5)), 4)
    assert caught.value.message == (
        "Raw input has a byte_size (5 bytes) that exceeds the maximum allowed value of 4 bytes. "
        "Use --http-max-input-size to increase the limit."
    )
