"""Decoding ModelInferRequest: the same set accepted and the same values as Google's parser."""

import math

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferd.errors import InvalidRequest
from inferd.protocol.bytes_tensor import split
from inferd.protocol.wire import delimited, varint

NARROW = {
    1: lambda run: (run != 0).tolist(),
    2: lambda run: run.astype("u4").view("i4").tolist(),
    3: lambda run: run.view("i8").tolist(),
    4: lambda run: run.astype("u4").tolist(),
    5: lambda run: run.tolist(),
    6: lambda run: np.frombuffer(run, "<f4").tolist(),
    7: lambda run: np.frombuffer(run, "<f8").tolist(),
    8: lambda run: split(run),
}
FIELDS = {
    1: "bool_contents",
    2: "int_contents",
    3: "int64_contents",
    4: "uint_contents",
    5: "uint64_contents",
    6: "fp32_contents",
    7: "fp64_contents",
    8: "bytes_contents",
}

names = st.text(max_size=8)
int64 = st.integers(-(2**63), 2**63 - 1)
uint64 = st.integers(0, 2**64 - 1)
parameter = st.one_of(
    st.fixed_dictionaries({}),
    st.fixed_dictionaries({"bool_param": st.booleans()}),
    st.fixed_dictionaries({"int64_param": int64}),
    st.fixed_dictionaries({"string_param": names}),
    st.fixed_dictionaries({"double_param": st.floats()}),
    st.fixed_dictionaries({"uint64_param": uint64}),
)
parameters = st.dictionaries(names, parameter, max_size=3)
contents = st.fixed_dictionaries(
    {},
    optional={
        "bool_contents": st.lists(st.booleans(), max_size=4),
        "int_contents": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4),
        "int64_contents": st.lists(int64, max_size=4),
        "uint_contents": st.lists(st.integers(0, 2**32 - 1), max_size=4),
        "uint64_contents": st.lists(uint64, max_size=4),
        "fp32_contents": st.lists(st.floats(width=32), max_size=4),
        "fp64_contents": st.lists(st.floats(), max_size=4),
        "bytes_contents": st.lists(st.binary(max_size=5), max_size=4),
    },
)
tensor = st.fixed_dictionaries(
    {},
    optional={
        "name": names,
        "datatype": names,
        "shape": st.lists(int64, max_size=3),
        "parameters": parameters,
        "contents": contents,
    },
)
output = st.fixed_dictionaries({}, optional={"name": names, "parameters": parameters})
request = st.fixed_dictionaries(
    {},
    optional={
        "model_name": names,
        "model_version": names,
        "id": names,
        "parameters": parameters,
        "inputs": st.lists(tensor, max_size=3),
        "outputs": st.lists(output, max_size=3),
        "raw_input_contents": st.lists(st.binary(max_size=12), max_size=3),
    },
)


def same(value):
    """Make a value comparable: a NaN equals itself, and a bool is not a number."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else ("float", value, math.copysign(1, value))
    if isinstance(value, list):
        return [same(item) for item in value]
    return (type(value).__name__, value)


def ours(message):
    """Return our decoded message as plain values."""
    return {
        "names": (message.model_name, message.model_version, message.id),
        "parameters": our_parameters(message.parameters),
        "inputs": [our_input(tensor) for tensor in message.inputs],
        "outputs": [(one.name, our_parameters(one.parameters)) for one in message.outputs],
        "raw": [bytes(raw) for raw in message.raw],
    }


def our_parameters(given_parameters):
    """Return our decoded parameters as plain values."""
    return {
        key: same(value) if kind else None
        for key, (kind, value) in (given_parameters or {}).items()
    }


def our_input(message):
    """Return our decoded input as plain values."""
    typed = {FIELDS[n]: same(NARROW[n](run)) for n, run in (message.contents or {}).items()}
    return (
        (message.name, message.datatype, list(message.shape)),
        our_parameters(message.parameters),
        None if message.contents is None else {key: run for key, run in typed.items() if run},
    )


def googles(message):
    """Return Google's decoded message as the same plain values."""
    return {
        "names": (message.model_name, message.model_version, message.id),
        "parameters": google_parameters(message.parameters),
        "inputs": [google_input(tensor) for tensor in message.inputs],
        "outputs": [(one.name, google_parameters(one.parameters)) for one in message.outputs],
        "raw": list(message.raw_input_contents),
    }


def google_parameters(given_parameters):
    """Return Google's decoded parameters as plain values."""

    def value(one):
        choice = one.WhichOneof("parameter_choice")
        return same(getattr(one, choice)) if choice else None

    return {key: value(one) for key, one in given_parameters.items()}


def google_input(message):
    """Return Google's decoded input as plain values."""
    typed = {name: same(list(getattr(message.contents, name))) for name in FIELDS.values()}
    return (
        (message.name, message.datatype, list(message.shape)),
        google_parameters(message.parameters),
        {key: run for key, run in typed.items() if run} if message.HasField("contents") else None,
    )


def check(google, codec, data):
    """Decode with both and compare what comes out, be it values or a refusal."""
    try:
        mine = codec.decode_request(data)
    except InvalidRequest:
        with pytest.raises(DecodeError):
            google.ModelInferRequest.FromString(data)
        return
    theirs = google.ModelInferRequest.FromString(data)
    if not has_odd_entry(theirs):
        assert ours(mine) == googles(theirs)


def has_odd_entry(message):
    """
    Whether a map entry holds a field that is neither key nor value.

    Google's Python parser, unlike its C++ one, keeps such an entry out of the map.
    """
    maps = [(message, 4), *((one, 4) for one in message.inputs), *((o, 2) for o in message.outputs)]
    return any(
        field.field_number == number and field.wire_type == 2
        for owner, number in maps
        for field in UnknownFieldSet(owner)
    )


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(fields=request)
def test_a_request_is_decoded_as_google_does(google, codec, fields):
    """Whatever a client's library encodes arrives with the values it was given."""
    check(google, codec, google.ModelInferRequest(**fields).SerializeToString())


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(first=request, second=request)
def test_messages_strung_together_are_merged(google, codec, first, second):
    """Of a field sent twice the last counts, lists grow, and map entries replace each other."""
    data = b"".join(google.ModelInferRequest(**one).SerializeToString() for one in (first, second))
    check(google, codec, data)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=200)
@given(fields=request, position=st.floats(0, 1), patch=st.binary(max_size=3), cut=st.integers(0, 3))
def test_damaged_messages_are_judged_as_google_does(google, codec, fields, position, patch, cut):
    """Bytes changed, inserted or lost never raise another error nor change what is accepted."""
    data = google.ModelInferRequest(**fields).SerializeToString()
    at = round(position * len(data))
    check(google, codec, data[:at] + patch + data[at + cut :])


@settings(deadline=None, max_examples=200)
@given(data=st.binary(max_size=30))
def test_arbitrary_bytes_are_judged_as_google_does(google, codec, data):
    """Bytes that were never a message are accepted or refused as by Google's parser."""
    check(google, codec, data)


@settings(deadline=None, max_examples=200)
@given(pieces=st.lists(st.binary(max_size=12), max_size=3), number=st.integers(1, 9))
def test_contents_merge_as_google_does(google, codec, pieces, number):
    """Several ``contents`` of one input, packed or not, add up to one."""
    tensor = b"".join(delimited(5, delimited(number, piece)) for piece in pieces)
    check(google, codec, delimited(5, tensor))
    check(google, codec, delimited(5, b"".join(delimited(5, piece) for piece in pieces)))


@pytest.mark.parametrize(
    "contents",
    [
        "1001 1002 1003",
        "1202 0102 1003",
        "1003 1202 0102 1003",
        "350000803f 3204 00000040 350000803f",
        "39000000000000f03f 3a08 0000000000000040",
        "0801 0a02 0001",
        "1800 2001 2801 1aff",
        "1a02 ff01 18ff01",
        "4201 61 4200 4203 626364",
        "1500000000 0d00000000",
        "3203 000000",
        "3a04 00000000",
        "1201 80",
        "1200 3200",
        "4801 4a00 4001",
        "120a 80808080808080808001",
        "120b 8080808080808080808001",
        "1001 120b 8080808080808080808001",
    ],
)
def test_packed_and_single_elements_may_be_mixed(google, codec, contents):
    """Elements one by one, packed, or both in any order give the same tensor, or are refused."""
    check(google, codec, delimited(5, delimited(5, bytes.fromhex(contents))))


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "0a00",
        "0a0161",
        "0a01ff",
        "12020801",
        "12020801 12021005",
        "12020801 1200",
        "12020801 0a0162",
        "12020801 12031a0178",
        "1200",
        "12021801 0a0161",
        "1204 0800 0801",
        "1209 21000000000000f03f",
        "1202 2805",
        "0801",
        "1205 0800",
    ],
)
def test_map_entries_may_be_partial(google, codec, entry):
    """A map entry without a key or value has the default; a value sent twice is merged."""
    check(google, codec, delimited(4, bytes.fromhex(entry)))


@pytest.mark.parametrize("shape", ["1801 1802", "1a020102", "1a0101 1802", "1800", "1a0180"])
def test_a_shape_may_come_packed_or_not(google, codec, shape):
    """Dimensions one by one, packed or mixed give the same shape; a cut one is refused."""
    check(google, codec, delimited(5, bytes.fromhex(shape)))


def test_raw_tensors_are_views_on_the_received_bytes(codec):
    """A raw tensor is not copied, however large it is."""
    data = delimited(7, b"x" * 1000)
    [raw] = codec.decode_request(data).raw
    assert isinstance(raw, memoryview)
    assert raw.obj is data


def test_packed_floats_are_views_on_the_received_bytes(codec):
    """Typed floats that came in one piece are not copied either."""
    data = delimited(5, delimited(5, delimited(6, b"\0" * 400)))
    [tensor] = codec.decode_request(data).inputs
    assert tensor.contents[6].obj is data


def test_a_refusal_says_what_is_wrong(codec):
    """The error names the message and the defect."""
    with pytest.raises(InvalidRequest, match="failed to parse ModelInferRequest: truncated field"):
        codec.decode_request(b"\x0a\x05abc")


def test_unknown_fields_are_skipped(codec):
    """A client with a newer protocol is understood."""
    new = varint(15 << 3) + varint(7) + delimited(99, b"new")
    data = new + delimited(1, b"m") + delimited(5, new) + delimited(6, new)
    message = codec.decode_request(data)
    assert (message.model_name, message.inputs[0].name, message.outputs[0].name) == ("m", "", "")


WITHIN = {
    "the request": lambda inner: inner,
    "an input": lambda inner: delimited(5, inner),
    "contents": lambda inner: delimited(5, delimited(5, inner)),
    "an output": lambda inner: delimited(6, inner),
    "a parameter": lambda inner: delimited(4, inner),
    "a parameter's value": lambda inner: delimited(4, delimited(2, inner)),
    "an input's parameter": lambda inner: delimited(5, delimited(4, inner)),
    "an output's parameter's value": lambda inner: delimited(6, delimited(2, delimited(2, inner))),
}


@pytest.mark.parametrize("place", WITHIN)
def test_groups_are_followed_as_deeply_as_google_does(google, codec, place):
    """Groups, which nobody sends, are skipped; nested ones to the same depth in all places."""
    for count in range(95, 103):
        groups = varint(20 << 3 | 3) * count + varint(20 << 3 | 4) * count
        check(google, codec, WITHIN[place](groups))


@pytest.mark.parametrize(
    "group",
    [
        "0b0c",
        "3b3c",
        "0b14",
        "0c",
        "0b",
        "0b000c",
        "0b08010c",
        "0b0a01610c",
        "0b0d000000000c 0a016d",
        "0b130b0c140c",
        "0b130c14",
        "0b8c00",
        "8b000c",
        "0b8c80808000",
        "0b8c8080808000",
        "0b8b8080808000 0c0c",
        "0b0a05610c",
        "0b030c",
        "0b040c",
        "0b0e0c",
        "0b0880",
        "0b80",
        "2a010b0c",
    ],
)
def test_groups_are_judged_as_google_does(google, codec, group):
    """A group that is whole is skipped; one cut short, mismatched or damaged is refused."""
    check(google, codec, bytes.fromhex(group))


def test_a_tag_padded_beyond_64_bits_ends_no_group(google, codec):
    """An end tag longer than a tag may be is refused."""
    check(google, codec, b"\x0b\x8c" + b"\x80" * 8 + b"\x00")
    check(google, codec, b"\x0b\x8c\x80\x80\x80\x10")
