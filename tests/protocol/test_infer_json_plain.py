"""The short ways to read requests: the same as the long one, or not taken."""

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import InferdError
from inferd.protocol.infer_json import decode_request, encode_response
from inferd.protocol.infer_json_plain import Frames, Headers, Templates, decode_plain
from inferd.protocol.messages import InferResponse
from inferd.protocol.tensors import Tensor

LIMIT = 1000


def described(decoded):
    """Return all that is to be known of a request."""
    request, binary_output = decoded
    inputs = [
        (name, one.name, one.datatype, one.shape, bytes(one.raw()))
        for name, one in request.inputs.items()
    ]
    outputs = [(one.name, one.binary_data, one.classification) for one in request.outputs]
    return (
        request.model_name,
        request.model_version,
        request.id,
        inputs,
        outputs,
        request.parameters,
        binary_output,
    )


def at_length(document, binary=b""):
    """Read a request the long way."""
    return decode_request(
        document, memoryview(binary), model_name="m", model_version="1", max_input_size=LIMIT
    )


def entry(name="IN", datatype="INT32", shape=(2,), data=(1, 2), **more):
    """Return an input."""
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": list(data), **more}


def plain(document):
    """Read a request the short way."""
    return decode_plain(document, "m", "1", LIMIT)


_NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.booleans() | st.text(max_size=2)
_ENTRIES = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["A", "B", "\xe4", ""]) | st.integers(),
        "datatype": st.sampled_from(["INT8", "UINT64", "FP32", "FP64", "BOOL", "BYTES", "X", 1]),
        "shape": st.lists(st.integers(-1, 3) | st.booleans(), max_size=3) | st.none(),
        "data": st.lists(_NUMBERS, max_size=4) | st.lists(st.integers(0, 9), max_size=9),
    },
    optional={"parameters": st.just({})},
)


@given(
    st.fixed_dictionaries(
        {"inputs": st.lists(_ENTRIES, max_size=3)},
        optional={"id": st.sampled_from(["7", "\xe4", "", 1]), "outputs": st.just([])},
    )
)
def test_what_is_taken_is_read_as_at_length(document):
    """A request that takes the short way cannot be told from one that does not."""
    found = plain(document)
    if found is not None:
        assert described(found) == described(at_length(document))


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("BOOL", [True, False]),
        ("INT8", [-128, 127]),
        ("INT16", [-(1 << 15), (1 << 15) - 1]),
        ("INT32", [-(1 << 31), (1 << 31) - 1]),
        ("INT64", [-(1 << 63), (1 << 63) - 1]),
        ("UINT8", [0, 255]),
        ("UINT16", [0, (1 << 16) - 1]),
        ("UINT32", [0, (1 << 32) - 1]),
        ("UINT64", [0, (1 << 64) - 1]),
        ("FP32", [1, 0.1]),
        ("FP64", [-1, 1e308]),
    ],
)
def test_every_number_has_a_short_way(datatype, values):
    """The usual request takes it, up to the ends of every datatype."""
    document = {"id": "1", "inputs": [entry(datatype=datatype, data=values)]}
    assert described(plain(document)) == described(at_length(document))


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"inputs": None},
        {"inputs": [], "parameters": {}},
        {"inputs": [], "outputs": []},
        {"inputs": [], "id": 1},
        {"inputs": [], "id": "\xe4"},
        {"inputs": [1]},
        {"inputs": [entry(), entry()]},
        {"inputs": [entry(parameters={})]},
        {"inputs": [{**entry(), "nome": 1, "name": None}]},
        {"inputs": [entry(name=1)]},
        {"inputs": [entry(name="\xe4")]},
        {"inputs": [entry(datatype=["INT32"])]},
        {"inputs": [entry(datatype="BYTES")]},
        {"inputs": [{**entry(), "shape": 2}]},
        {"inputs": [{**entry(), "data": 2}]},
        {"inputs": [entry(shape=[1] * 33, data=[1])]},
        {"inputs": [entry(shape=[0], data=[])]},
        {"inputs": [entry(shape=[2.0])]},
        {"inputs": [entry(shape=[True, 2])]},
        {"inputs": [entry(shape=[3])]},
        {"inputs": [entry(data=[[1], [2]])]},
        {"inputs": [entry(data=[1, True])]},
        {"inputs": [entry(data=[1, 2.0])]},
        {"inputs": [entry(data=[1, 1 << 31])]},
        {"inputs": [entry(datatype="FP32", data=[1, 1e39])]},
        {"inputs": [entry(shape=[251], data=[1] * 251)]},
    ],
)
def test_what_is_unusual_takes_the_long_way(document):
    """Errors, and what needs more than a glance, are left to the one who knows the rules."""
    assert plain(document) is None


def test_the_largest_tensor():
    """A tensor of exactly the limit takes the short way."""
    assert plain({"inputs": [entry(shape=[250], data=[1] * 250)]}) is not None


def test_float32_is_rounded_as_at_length():
    """Numbers between two floats go to the same one."""
    values = np.random.default_rng(1).standard_normal(100).tolist()
    document = {"inputs": [entry(datatype="FP32", shape=[100], data=values)]}
    assert described(plain(document)) == described(at_length(document))


def header(*sizes, **more):
    """Return the JSON of a request whose tensors follow it."""
    inputs = [
        {
            "name": f"IN{number}",
            "datatype": "INT8",
            "shape": [size],
            "parameters": {"binary_data_size": size},
        }
        for number, size in enumerate(sizes)
    ]
    return orjson.dumps({"inputs": inputs, **more})


def kept(text, binary):
    """Return templates that know this request."""
    templates = Templates()
    templates.keep(text, len(binary), at_length(orjson.loads(text), binary))
    return templates


def test_a_known_header_is_not_read_again():
    """Other tensors behind the same JSON are the same request with other tensors."""
    outputs = [{"name": "OUT", "parameters": {"binary_data": True}}]
    text = header(2, 0, 3, outputs=outputs, parameters={"binary_data_output": True})
    found = kept(text, b"abcde").find(text, memoryview(b"fghij"), "m", "1")
    assert described(found) == described(at_length(orjson.loads(text), b"fghij"))


def test_tensors_are_not_copied():
    """An input is a view on what was received."""
    binary = memoryview(b"abc")
    found = kept(header(3), b"xyz").find(header(3), binary, "m", "1")
    assert found.request.inputs["IN0"].raw().obj is binary.obj


def test_requests_of_one_header_are_apart():
    """What the server notes down of one request does not reach another."""
    templates = kept(header(1), b"a")
    first = templates.find(header(1), memoryview(b"b"), "m", "1").request
    second = templates.find(header(1), memoryview(b"c"), "m", "1").request
    assert first.inputs is not second.inputs
    assert first.parameters is not second.parameters


@pytest.mark.parametrize(
    ("text", "binary", "model", "version"),
    [
        (header(2), b"ab", "m", "1"),
        (header(1), b"", "m", "1"),
        (header(1), b"ab", "m", "1"),
        (header(1), b"a", "n", "1"),
        (header(1), b"a", "m", "2"),
    ],
)
def test_another_request_is_not_confused(text, binary, model, version):
    """The JSON, the length of what follows, the model and the version have to be the same."""
    assert kept(header(1), b"a").find(text, memoryview(binary), model, version) is None


@pytest.mark.parametrize(
    "more",
    [
        {"id": "1"},
        {"parameters": {"x": 1}},
        {"parameters": {"sequence_id": 1}},
        {"parameters": {"sequence_start": True}},
        {"parameters": {"sequence_end": True}},
        {"parameters": {"priority": 1}},
        {"parameters": {"timeout": 1}},
    ],
)
def test_headers_that_will_not_come_again_are_not_kept(more):
    """What is likely to differ from request to request does not fill the memory."""
    text = header(1, **more)
    assert kept(text, b"a").find(text, memoryview(b"a"), "m", "1") is None


def test_tensors_in_the_header_are_not_kept():
    """A header that holds a tensor is read each time."""
    document = orjson.loads(header(2))
    document["inputs"].append(entry())
    text = orjson.dumps(document)
    assert kept(text, b"ab").find(text, memoryview(b"ab"), "m", "1") is None


def test_the_memory_is_bounded():
    """After very many headers the first one is forgotten, the last one known."""
    templates = kept(header(1), b"a")
    for size in range(2, 300):
        text, binary = header(size), bytes(size)
        templates.keep(text, size, at_length(orjson.loads(text), binary))
    assert templates.find(header(1), memoryview(b"a"), "m", "1") is None
    assert templates.find(text, memoryview(binary), "m", "1") is not None


def test_errors_are_raised_at_length():
    """A request that is wrong has no short way, so there is one place for its error."""
    document = {"inputs": [entry(data=[1, "x"])]}
    assert plain(document) is None
    with pytest.raises(InferdError):
        at_length(document)


def response(*sizes, version="1"):
    """Return a response with outputs of these sizes."""
    outputs = [
        Tensor(f"OUT{number}", "INT8", [size], raw=bytes([number]) * size)
        for number, size in enumerate(sizes)
    ]
    return InferResponse("m", version, outputs)


def test_headers_are_those_of_the_long_way():
    """The JSON of an answer is the same whether it was written before or not."""
    headers = Headers()
    for _ in range(2):
        for one in (
            response(1, 2),
            response(2, 1),
            response(0),
            response(),
            response(1, version="2"),
        ):
            assert headers.encode(one) == encode_response(one, (), True)


def test_the_memory_of_headers_is_bounded():
    """However many shapes there are, each answer has its own."""
    headers = Headers()
    for size in range(300):
        assert headers.encode(response(size)) == encode_response(response(size), (), True)


_CODES = {
    "BOOL": "?",
    "INT8": "b",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
}


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(_CODES)), st.integers(0, 5), st.binary(min_size=80)),
        max_size=3,
    ),
    st.booleans(),
)
def test_short_integers_are_printed_as_at_length(described_outputs, as_arrays):
    """Whoever prints the numbers of an answer, and whenever: the text is the same."""
    outputs = []
    for number, (datatype, size, noise) in enumerate(described_outputs):
        numbers = np.frombuffer(noise[:80], "u1" if datatype == "BOOL" else _CODES[datatype])
        array = numbers[: 2 * size].astype(_CODES[datatype]).reshape(size, 2)
        given_as = {"array": array} if as_arrays else {"raw": array.tobytes()}
        outputs.append(Tensor(f"O\0{number}", datatype, array.shape, **given_as))
    answer = InferResponse("m", "1", outputs)
    frames = Frames()
    for _ in range(2):
        assert frames.encode(answer) == encode_response(answer, (), False)


@pytest.mark.parametrize(
    ("datatype", "size", "taken"),
    [("INT8", 1024, True), ("INT8", 1025, False), ("FP32", 4, False), ("BYTES", 4, False)],
)
def test_what_is_not_short_is_printed_at_length(datatype, size, taken):
    """Long tensors, and numbers with more than one text, are left to others."""
    shape = [size] if datatype == "INT8" else [1]
    tensor = Tensor("OUT", datatype, shape, raw=bytes(size))
    assert (Frames().encode(InferResponse("m", "1", [tensor])) is not None) is taken


def test_the_memory_of_frames_is_bounded():
    """However many shapes there are, each answer has its own."""
    frames = Frames()
    for size in range(300):
        assert frames.encode(response(size)) == encode_response(response(size), (), False)
