"""How requests are recognised and what is kept of responses."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.protocol.messages import InferRequest, InferResponse, RequestedOutput
from inferd.protocol.tensors import Tensor
from inferd.scheduling.kept_response import KeptResponse, digest, kept_bytes, nbytes


def tensor(name="X", raw=b"\1\2\3\4", datatype="INT8", shape=(4,)):
    """Return a tensor as it arrives."""
    return Tensor(name, datatype, shape, raw=raw)


def ask(*tensors, **more):
    """Return a request with these inputs, in this order."""
    return InferRequest("m", {one.name: one for one in tensors or [tensor()]}, **more)


def same(first, second):
    """Whether two requests have the same digest."""
    return digest(b"m", first) == digest(b"m", second)


@pytest.mark.parametrize(
    "other",
    [
        ask(tensor(raw=b"\1\2\3\5")),
        ask(tensor(name="Y")),
        ask(tensor(datatype="UINT8")),
        ask(tensor(shape=(2, 2))),
        ask(tensor(), tensor("Y")),
        ask(outputs=[RequestedOutput("O")]),
        ask(outputs=[RequestedOutput("O", parameters={"a": 1})]),
        ask(parameters={"a": 1}),
        ask(sequence_id=1),
        ask(sequence_start=True),
        ask(sequence_end=True),
    ],
    ids=range(11),
)
def test_whatever_the_answer_depends_on_counts(other):
    """Requests that differ in it are different."""
    assert not same(ask(), other)
    assert same(other, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (True, 1),
        (1, 1.0),
        (1, "1"),
    ],
)
def test_parameters_of_different_types_are_different(one, other):
    """A model may tell them apart."""
    assert not same(ask(parameters={"a": one}), ask(parameters={"a": other}))


def test_what_the_answer_does_not_depend_on_does_not_count():
    """The id, the scheduling, the order of inputs and how outputs are sent."""
    first, second = tensor("X"), tensor("Y")
    one = ask(
        first,
        second,
        id="1",
        priority=1,
        timeout_us=5,
        received_ns=7,
        outputs=[RequestedOutput("O", classification=3, binary_data=True)],
        parameters={"a": 1, "b": 2},
    )
    other = ask(second, first, outputs=[RequestedOutput("O")], parameters={"b": 2, "a": 1}, id="2")

    assert same(one, other)


def test_each_loaded_version_has_its_own_answers():
    """The prefix tells them apart."""
    assert digest(b"a", ask()) != digest(b"b", ask())


def test_the_form_of_a_tensor_does_not_count():
    """JSON and binary requests share answers."""
    array = np.array([1, 2, 3, 4], "i1")

    assert same(ask(), ask(Tensor("X", "INT8", (4,), array=array)))


@given(st.binary(max_size=6), st.integers(0, 6))
def test_bytes_cannot_move_between_inputs(raw, cut):
    """However two inputs are cut out of the same bytes."""
    first, second = raw[:cut], raw[cut:]
    one = ask(tensor("X", first, shape=(len(first),)), tensor("Y", second, shape=(len(second),)))
    other = ask(tensor("X", raw, shape=(len(raw),)), tensor("Y", b"", shape=(0,)))

    assert same(one, other) is (second == b"")


def response(raw, **more):
    """Return a response with one output."""
    return InferResponse("m", "3", [tensor("O", raw, shape=(len(raw),))], **more)


@pytest.mark.parametrize("parameters", [None, {"a": 1}])
def test_a_kept_response_answers_other_requests(parameters):
    """With their ids, and without sharing what a later step may change."""
    kept = KeptResponse(response(b"abc", id="first", parameters=parameters), owned=True)
    answer, other = kept.answer(ask(id="second")), kept.answer(ask())

    assert (answer.model_name, answer.model_version, answer.id) == ("m", "3", "second")
    assert bytes(answer.outputs[0].raw()) == b"abc"
    assert answer.parameters == parameters
    assert answer.outputs is not other.outputs
    assert answer.outputs[0] is not other.outputs[0]
    assert parameters is None or answer.parameters is not other.parameters


def test_an_owned_response_does_not_keep_the_batch():
    """What it was a slice of can be freed or overwritten."""
    batch = bytearray(b"abcdef")
    owned = KeptResponse(response(memoryview(batch)[:3]), owned=True)
    borrowed = KeptResponse(response(memoryview(batch)[:3]), owned=False)
    batch[:3] = b"xyz"

    assert bytes(owned.answer(ask()).outputs[0].raw()) == b"abc"
    assert bytes(borrowed.answer(ask()).outputs[0].raw()) == b"xyz"


def test_a_kept_response_costs_no_more_than_it_is_counted_for():
    """The objects around the bytes included."""
    batch = memoryview(bytes(1000 * 8))
    responses = [
        InferResponse("m", "1", [Tensor("O", "INT8", (1, 2, 4), raw=batch[i : i + 8])])
        for i in range(0, 8000, 8)
    ]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = [KeptResponse(one, owned=True) for one in responses]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(kept) == 1000
    assert after - before < sum(map(kept_bytes, responses))


def test_parameters_of_a_response_are_counted():
    """They may be long."""
    plain = kept_bytes(response(b""))

    assert kept_bytes(response(b"", parameters={"a": "x" * 1000})) > plain + 1000


def test_bytes_are_counted_in_either_form():
    """Without converting a tensor that is not encoded yet."""
    array = Tensor("X", "INT32", (3,), array=np.zeros(3, "<i4"))

    assert nbytes([tensor(), array]) == 4 + 12
    assert not array.has_raw
