"""The native codec against the one in Python and Google's: the same to the last error text."""

import gc
import weakref

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferd.errors import InferdError
from inferd.protocol import infer_codec
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.infer_codec import CHOSEN, PYTHON
from inferd.protocol.messages import InferRequest, InferResponse
from inferd.protocol.tensors import Tensor
from inferd.protocol.wire import FIXED32, FIXED64, VARINT, delimited, tag, varint

# max_examples is left to the profile: `tox -e fuzz` has one with many more.
SLOW = settings(suppress_health_check=list(HealthCheck), deadline=None)

TENSOR_NAMES = st.sampled_from(["IN", "B", "", "é"])
DATATYPES = st.sampled_from([*BY_NAME, "X"])
PARAMETER_NAMES = st.sampled_from(
    [
        *("sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "mine", ""),
        *("triton_x", "triton_enable_empty_final_response", "classification"),
        *("shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"),
    ]
)
TEXTS = st.text(max_size=4).map(str.encode) | st.binary(max_size=3)
VARINTS = (
    st.sampled_from([0, 1, 127, 128, 2**31, 2**32 - 1, 2**63, 2**64 - 1]).map(varint)
    | st.integers(0, 2**64 - 1).map(varint)
    | st.integers(1, 12).map(lambda size: b"\x80" * size + b"\x01")
)


def joined(strategy, most=4):
    """Return a few pieces strung together."""
    return st.lists(strategy, max_size=most).map(b"".join)


def field(number, content):
    """Return a length-delimited field."""
    return content.map(lambda body: delimited(number, body))


def lying(number, content):
    """Return a length-delimited field whose length is made up."""
    return st.tuples(content, VARINTS).map(lambda both: varint(tag(number, 2)) + both[1] + both[0])


def scalar(number, wire_type, content):
    """Return a field that is not length-delimited."""
    return content.map(lambda body: varint(tag(number, wire_type)) + body)


def fixed(size):
    """Return the bytes of a fixed-size value."""
    return st.binary(min_size=size, max_size=size)


NUMBERS = st.integers(0, 20)
STRANGE = st.one_of(
    st.tuples(NUMBERS, VARINTS).map(lambda both: varint(tag(both[0], VARINT)) + both[1]),
    st.tuples(NUMBERS, fixed(8)).map(lambda both: varint(tag(both[0], FIXED64)) + both[1]),
    st.tuples(NUMBERS, fixed(4)).map(lambda both: varint(tag(both[0], FIXED32)) + both[1]),
    st.tuples(NUMBERS, TEXTS).map(lambda both: delimited(*both)),
    NUMBERS.map(lambda number: varint(tag(number, 3)) + varint(tag(number, 4))),
    NUMBERS.map(lambda number: varint(tag(number, 3))),
    st.binary(max_size=3),
    NUMBERS.flatmap(lambda number: lying(number, TEXTS)),
)
"""What no client sends: unknown fields, known ones of another wire type, groups, rubbish."""


def message(*fields, most=5):
    """Return a message of these fields in any order; one in some has something strange."""
    known = joined(st.one_of(*fields), most)
    return known | known | known | st.tuples(known, STRANGE, known).map(b"".join)


VALUE = message(
    scalar(1, VARINT, VARINTS),
    scalar(2, VARINT, VARINTS),
    field(3, TEXTS),
    scalar(4, FIXED64, fixed(8)),
    scalar(5, VARINT, VARINTS),
    most=2,
)
ENTRY = message(field(1, PARAMETER_NAMES.map(str.encode)), field(2, VALUE), most=3)
CONTENTS = message(
    *(field(number, joined(VARINTS, 3)) for number in range(1, 6)),
    *(scalar(number, VARINT, VARINTS) for number in range(1, 6)),
    field(6, joined(fixed(4))),
    field(7, joined(fixed(8))),
    scalar(6, FIXED32, fixed(4)),
    scalar(7, FIXED64, fixed(8)),
    field(8, st.binary(max_size=70)),
    most=4,
)
SHAPE = st.one_of(field(3, joined(VARINTS, 2)), scalar(3, VARINT, VARINTS))
HEADER = st.tuples(
    field(1, TENSOR_NAMES.map(str.encode)), field(2, DATATYPES.map(str.encode)), SHAPE
).map(b"".join)
BARE_INPUT = field(5, HEADER)
TYPED_INPUT = st.tuples(HEADER, field(5, CONTENTS)).map(lambda both: delimited(5, b"".join(both)))
INPUT = field(
    5, message(HEADER, SHAPE, field(1, TEXTS), field(2, TEXTS), field(4, ENTRY), field(5, CONTENTS))
)
OUTPUT = field(6, message(field(1, TENSOR_NAMES.map(str.encode)), field(2, ENTRY), most=2))
NAME = st.sampled_from([1, 2, 3]).flatmap(lambda number: field(number, TEXTS))
RAW = field(7, st.binary(max_size=9))
PLAIN = st.integers(0, 3).flatmap(
    lambda count: st.tuples(
        *[BARE_INPUT] * count, *[RAW] * count, joined(NAME, 2), joined(OUTPUT, 2)
    ).map(b"".join)
)
REQUEST = st.one_of(
    PLAIN,
    joined(TYPED_INPUT, 2),
    st.tuples(PLAIN, joined(field(4, ENTRY), 2)).map(b"".join),
    message(NAME, field(4, ENTRY), INPUT, BARE_INPUT, TYPED_INPUT, OUTPUT, RAW),
)


def parameters(found):
    """Return parameters as something that compares a NaN as equal and True not as 1."""
    return None if found is None else {key: repr(value) for key, value in found.items()}


def sent(one):
    """Return a message as sent as plain values."""
    return {
        "names": (one.model_name, one.model_version, one.id),
        "parameters": parameters(one.parameters),
        "inputs": [
            (
                (tensor.name, tensor.datatype, list(tensor.shape), parameters(tensor.parameters)),
                contents(tensor.contents),
            )
            for tensor in one.inputs
        ],
        "outputs": [(output.name, parameters(output.parameters)) for output in one.outputs],
        "raw": [bytes(raw) for raw in one.raw],
    }


def contents(found):
    """Return contents as plain values; integers are numbers of 64 bits."""
    if found is None:
        return None
    return {
        number: run.tolist() if isinstance(run, np.ndarray) else bytes(run)
        for number, run in found.items()
    }


def meant(request):
    """Return every attribute of a request as plain values."""
    plain = {
        name: getattr(request, name)
        for name in InferRequest.__slots__
        if name not in ("inputs", "outputs", "parameters")
    }
    plain["parameters"] = parameters(request.parameters)
    plain["inputs"] = [
        (key, tensor.name, tensor.datatype, tensor.shape, bytes(tensor.raw()))
        for key, tensor in request.inputs.items()
    ]
    plain["outputs"] = [
        (one.name, one.classification, one.binary_data, parameters(one.parameters))
        for one in request.outputs
    ]
    return {key: (type(value), value) for key, value in plain.items()}


def outcome(codec, data):
    """Return what becomes of a message: as sent and as meant, or the error's type and text."""
    try:
        decoded = codec.decode_request(data)
    except InferdError as error:
        return "refused", type(error), error.message
    plain = sent(decoded)
    try:
        return "understood", plain, meant(codec.to_request(decoded))
    except InferdError as error:
        return "invalid", plain, type(error), error.message


def check(native, google, data):
    """Compare what becomes of a message in both codecs, and whether Google's accepts it."""
    expected = outcome(PYTHON, data)
    assert outcome(native, data) == expected
    assert outcome(native, memoryview(bytearray(data))) == expected
    try:
        google.ModelInferRequest.FromString(data)
    except DecodeError:
        assert expected[0] == "refused"
    else:
        assert expected[0] != "refused"


@SLOW
@given(data=REQUEST)
def test_requests_mean_the_same_to_both(native, google, data):
    """Requests right and wrong have the same values or the same error in both."""
    check(native, google, data)


@SLOW
@given(data=REQUEST, position=st.floats(0, 1), patch=st.binary(max_size=3), cut=st.integers(0, 9))
def test_damaged_requests_are_refused_the_same_by_both(native, google, data, position, patch, cut):
    """Bytes changed, inserted or lost have the same consequence in both."""
    at = round(position * len(data))
    check(native, google, data[:at] + patch + data[at + cut :])


@SLOW
@given(data=st.binary(max_size=60))
def test_arbitrary_bytes_are_judged_the_same_by_both(native, google, data):
    """Bytes that were never a message have the same consequence in both."""
    check(native, google, data)


@SLOW
@given(data=REQUEST)
def test_every_prefix_of_a_request_is_judged_the_same(native, google, data):
    """A request that breaks off is read no further than it goes."""
    for stop in range(min(len(data), 40)):
        check(native, google, data[:stop])


ARRAYS = st.one_of(
    st.builds(
        lambda dtype, shape: (dtype[0], np.arange(np.prod(shape)).astype(dtype[1]).reshape(shape)),
        st.sampled_from([("INT32", "<i4"), ("INT32", "<i8"), ("FP32", ">f4"), ("BOOL", "?")]),
        st.lists(st.integers(0, 40), max_size=3),
    ),
    st.builds(
        lambda elements: ("BYTES", np.array([*elements, None], object)[:-1]),
        st.lists(st.binary(max_size=4), max_size=3),
    ),
).flatmap(
    lambda pair: st.sampled_from(
        [pair[1], pair[1].T, pair[1][::-1] if pair[1].ndim else pair[1]]
    ).map(lambda array: Tensor("é", pair[0], array.shape, array=array))
)
RAWS = st.builds(
    lambda raw, kind, shape: Tensor("O", "UINT8", shape, raw=kind(raw)),
    st.binary(max_size=9) | st.sampled_from([b"x" * 1015, b"x" * 4096, b"x" * 4097]),
    st.sampled_from([bytes, bytearray, memoryview]),
    st.lists(st.integers(-1, 2**63) | st.integers(0, 300), max_size=3),
)
RESPONSES = st.builds(
    lambda name, version, id, outputs, given: InferResponse(
        name, version, outputs, id=id, parameters=given
    ),
    st.text(max_size=3),
    st.text(max_size=3),
    st.text(max_size=3),
    st.lists(ARRAYS | RAWS, max_size=3),
    st.none()
    | st.dictionaries(
        st.text(max_size=3) | st.just("triton_final_response"),
        st.booleans()
        | st.integers(-(2**64), 2**65)
        | st.text(max_size=3)
        | st.floats()
        | st.sampled_from([np.float64(1.5)]),
        max_size=3,
    ),
)


def encoded(encode, response, **more):
    """Return the buffers a response becomes, or the error's type and text."""
    try:
        return [bytes(buffer) for buffer in encode(response, **more)]
    except (InferdError, UnicodeEncodeError) as error:
        return type(error), str(error)


@SLOW
@given(response=RESPONSES, final=st.booleans())
def test_responses_are_the_same_bytes_from_both(native, response, final):
    """Answers of every kind are the same buffers, alone and on a stream."""
    assert encoded(native.encode_response, response) == encoded(PYTHON.encode_response, response)
    assert encoded(native.encode_stream_response, response, final=final) == encoded(
        PYTHON.encode_stream_response, response, final=final
    )


def test_a_text_that_is_not_unicode_is_the_same_error(native):
    """Half of a surrogate pair in a name breaks both in the same way."""
    response = InferResponse("m", "1", (), id="\ud800")
    failed = encoded(PYTHON.encode_response, response)
    assert failed[0] is UnicodeEncodeError
    assert encoded(native.encode_response, response) == failed


def test_a_response_of_many_outputs_is_written_whole(native):
    """However many outputs there are, no byte of any is lost."""
    outputs = [Tensor(f"O{n}", "UINT8", [n], raw=bytes([n % 256]) * n) for n in range(300)]
    response = InferResponse("m", "1", outputs)
    assert encoded(native.encode_response, response) == encoded(PYTHON.encode_response, response)


def test_received_bytes_go_with_what_was_made_of_them(native):
    """Nothing keeps a message's bytes once its request is gone."""

    class Received(bytearray):
        """Bytes that can be watched."""

    tensors = delimited(1, b"A") + delimited(2, b"INT32") + delimited(5, delimited(2, b"\x01"))
    received = Received(delimited(5, tensors))
    watch = weakref.ref(received)
    message = native.decode_request(received)
    del received
    request = native.to_request(message)
    assert message.inputs[0].contents[2].tolist() == [1]
    del message
    gc.collect()
    assert watch() is None
    assert request.inputs["A"].raw() == b"\x01\0\0\0"


def test_a_buffer_changed_after_decoding_is_not_left(native):
    """Numbers overwritten behind the codec's back give other numbers, and no byte beyond."""
    number = delimited(1, b"A") + delimited(2, b"INT64")
    received = bytearray(delimited(5, number + delimited(5, delimited(3, b"\x01" * 20))))
    message = native.decode_request(received)
    with pytest.raises(BufferError):
        received.clear()
    received[-20:] = b"\xff" * 20
    assert len(native.to_request(message).inputs["A"].raw()) == 160


def test_either_codec_takes_the_others_message(native):
    """A message that the one in Python decoded can be checked by the native one."""
    data = delimited(1, b"m") + delimited(5, delimited(1, b"A")) + delimited(7, b"1")
    assert meant(native.to_request(PYTHON.decode_request(data))) == meant(
        PYTHON.to_request(native.decode_request(data))
    )


@pytest.mark.parametrize("length", [2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_hostile_length_is_refused_and_allocates_nothing(codec, length):
    """A field that announces more than there is, is refused wherever it stands."""
    lie = varint(tag(7, 2)) + varint(length) + b"xyz"
    contents_lie = varint(tag(8, 2)) + varint(length) + b"xyz"
    for data in (lie, delimited(5, lie), delimited(5, delimited(5, contents_lie))):
        assert outcome(codec, data)[2] == "failed to parse ModelInferRequest: truncated field"


def test_the_native_codec_is_chosen_where_it_was_built(native):
    """Whoever has the kernel uses it."""
    assert CHOSEN.name == native.name == "native"


def test_without_the_kernel_there_is_no_native_codec(monkeypatch):
    """Where the kernel was not built, none is made up."""
    monkeypatch.setattr(infer_codec, "codec", None)
    assert infer_codec.native() is None
