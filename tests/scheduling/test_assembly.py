"""Gathering requests into batches and scattering outputs back."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from inferd.backend import Batch
from inferd.errors import BackendError, InvalidRequest
from inferd.protocol.messages import InferRequest, RequestedOutput
from inferd.protocol.signature import Signature, TensorSpec
from inferd.protocol.tensors import Tensor
from inferd.scheduling.assembly import Assembler

FP32 = ("FP32", 4)
TEXT = ("BYTES", 0)


def assembler(inputs, outputs, max_batch_size=8):
    """Return an assembler for specs given as (name, (datatype, itemsize), dims, more)."""
    made = [
        [
            TensorSpec(name, *kind, dims, **(more[0] if more else {}))
            for name, kind, dims, *more in specs
        ]
        for specs in (inputs, outputs)
    ]
    return Assembler(Signature("m", max_batch_size, *made), 3)


def request(outputs=(), rows=None, **arrays):
    """Return a request of raw tensors, as a client sends them."""
    inputs = {}
    for name, array in arrays.items():
        datatype = "BYTES" if array.dtype == object else "FP32"
        tensor = Tensor(name, datatype, array.shape, array=array)
        inputs[name] = Tensor(name, datatype, array.shape, raw=bytes(tensor.raw()))
    made = InferRequest("m", inputs, id="r", outputs=[RequestedOutput(name) for name in outputs])
    made.batch_size = next(iter(arrays.values())).shape[0] if rows is None else rows
    return made


def rows(*values):
    """Return a float32 column."""
    return np.array([[value] for value in values], np.float32)


class TestGather:
    """Requests to batch."""

    def test_a_single_request_is_a_view_on_the_received_bytes(self):
        """A batch of one is never copied."""
        received = rows(1, 2).tobytes()
        made = InferRequest("m", {"X": Tensor("X", "FP32", (2, 1), raw=received)})
        made.batch_size = 2
        batch = assembler([("X", FP32, (1,))], [("Y", FP32, (1,))]).gather([made])

        assert np.shares_memory(batch.inputs["X"], np.frombuffer(received, np.uint8))
        assert batch.size == 2

    def test_requests_are_joined_in_order_with_their_own_sizes(self):
        """Rows follow the order of the requests."""
        batch = assembler([("X", FP32, (1,))], [("Y", FP32, (1,))]).gather(
            [request(X=rows(1)), request(X=rows(2, 3))]
        )

        assert batch.inputs["X"].tolist() == [[1], [2], [3]]
        assert batch.size == 3

    def test_strings_are_joined_too(self):
        """BYTES tensors have no common item size."""
        text = np.array([[b"a"], [b"bc"]], object)
        batch = assembler([("X", TEXT, (1,))], [("Y", TEXT, (1,))]).gather(
            [request(X=text), request(X=text[:1])]
        )

        assert batch.inputs["X"].tolist() == [[b"a"], [b"bc"], [b"a"]]

    def test_arrays_and_raw_tensors_mix(self):
        """A tensor made by the server joins one that came from the wire."""
        made = request(X=rows(2))
        made.inputs["X"] = Tensor("X", "FP32", (1, 1), array=rows(2))
        batch = assembler([("X", FP32, (1,))], [("Y", FP32, (1,))]).gather(
            [request(X=rows(1)), made]
        )

        assert batch.inputs["X"].tolist() == [[1], [2]]

    def test_the_backend_sees_the_reshaped_tensor(self):
        """``reshape`` applies behind the batch dimension; -1 keeps its value."""
        reshape = {"reshape": (-1, 1)}
        batch = assembler([("X", FP32, (-1,), reshape)], [("Y", FP32, (1,))]).gather(
            [request(X=np.zeros((2, 3), np.float32))]
        )

        assert batch.inputs["X"].shape == (2, 3, 1)

    def test_an_empty_reshape_leaves_only_the_batch(self):
        """A scalar per row."""
        batch = assembler([("X", FP32, (1,), {"reshape": ()})], [("Y", FP32, (1,))]).gather(
            [request(X=rows(1, 2))]
        )

        assert batch.inputs["X"].shape == (2,)

    def test_without_a_batch_dimension_the_size_is_one(self):
        """Shapes are the model's own."""
        batch = assembler([("X", FP32, (2, 1))], [("Y", FP32, (1,))], max_batch_size=0).gather(
            [request(X=rows(1, 2), rows=1)]
        )

        assert (batch.size, batch.inputs["X"].shape) == (1, (2, 1))

    def test_only_outputs_somebody_wants_are_computed(self):
        """In the model's order; a request that names none wants all."""
        three = assembler([("X", FP32, (1,))], [(name, FP32, (1,)) for name in "ABC"])

        wanted = three.gather([request(["C"], X=rows(1)), request(["A"], X=rows(1))])
        everything = three.gather([request(["C"], X=rows(1)), request(X=rows(1))])

        assert wanted.output_names == ["A", "C"]
        assert everything.output_names == ["A", "B", "C"]


class TestScatter:
    """Outputs to answers."""

    def test_each_request_gets_its_own_rows(self):
        """No client ever sees another's rows."""
        made = assembler([("X", FP32, (1,))], [("Y", FP32, (1,))])
        batch = made.gather([request(X=rows(1)), request(X=rows(2, 3))])
        first, second = made.scatter(batch, [rows(10, 20, 30)])

        assert first.outputs[0].array().tolist() == [[10]]
        assert second.outputs[0].array().tolist() == [[20], [30]]
        assert (second.model_name, second.model_version, second.id) == ("m", "3", "r")

    def test_outputs_come_in_the_order_they_were_asked_for(self):
        """Not in the model's order."""
        made = assembler([("X", FP32, (1,))], [("A", FP32, (1,)), ("B", FP32, (1,))])
        batch = made.gather([request(["B", "A"], X=rows(1))])
        (answer,) = made.scatter(batch, [rows(1), rows(2)])

        assert [tensor.name for tensor in answer.outputs] == ["B", "A"]

    def test_requests_of_a_batch_may_want_different_outputs(self):
        """All of them, some, in another order: each gets what it asked for."""
        made = assembler([("X", FP32, (1,))], [("A", FP32, (1,)), ("B", FP32, (1,))])
        batch = made.gather([request(X=rows(1)), request(["B", "A"], X=rows(2, 3)),
                             request(["B"], X=rows(4))])  # fmt: skip
        answers = made.scatter(batch, [rows(1, 2, 3, 4), rows(5, 6, 7, 8)])

        assert [
            {tensor.name: tensor.array().ravel().tolist() for tensor in answer.outputs}
            for answer in answers
        ] == [{"A": [1], "B": [5]}, {"B": [6, 7], "A": [2, 3]}, {"B": [8]}]
        assert [tensor.name for tensor in answers[1].outputs] == ["B", "A"]

    def test_a_model_without_outputs_answers_with_none(self):
        """One answer per request all the same."""
        made = assembler([("X", FP32, (1,))], [])
        batch = made.gather([request(X=rows(1)), request(X=rows(2))])
        assert [len(answer.outputs) for answer in made.scatter(batch, [])] == [0, 0]

    def test_strings_and_empty_outputs_are_split(self):
        """Tensors without a fixed row size in bytes."""
        made = assembler([("X", FP32, (1,))], [("A", TEXT, (1,)), ("B", FP32, (0,))])
        batch = made.gather([request(X=rows(1)), request(X=rows(2))])
        text = np.array([["x"], ["y"]], object)
        first, second = made.scatter(batch, [text, np.zeros((2, 0), np.float32)])

        assert bytes(second.outputs[0].raw()) == b"\x01\x00\x00\x00y"
        assert first.outputs[1].shape == (1, 0)

    def test_an_output_is_reshaped_for_the_client(self):
        """From ``reshape`` back to ``dims``."""
        made = assembler(
            [("X", FP32, (1,))], [("Y", FP32, (2,), {"reshape": (1, 2, 1)})], max_batch_size=0
        )
        batch = made.gather([request(X=rows(1), rows=1)])
        (answer,) = made.scatter(batch, [np.zeros((1, 2, 1), np.float32)])

        assert answer.outputs[0].shape == (2,)

    @pytest.mark.parametrize(
        ("outputs", "text"),
        [
            ([], "returned 0 outputs, expected 1"),
            ([rows(1, 2)], r"of shape \[2, 1\] for a batch of 1"),
            ([np.float32(1)], r"of shape \[\] for a batch of 1"),
            (
                [rows(1).astype(np.float64)],
                "as float64, but the model configuration specifies FP32",
            ),
        ],
    )
    def test_outputs_that_break_the_contract_are_refused(self, outputs, text):
        """A wrong number, row count or datatype names the model and the output."""
        made = assembler([("X", FP32, (1,))], [("Y", FP32, (1,))])
        batch = made.gather([request(X=rows(1))])

        with pytest.raises(BackendError, match=text):
            made.scatter(batch, outputs)

    def test_a_backend_may_fail_one_request_of_a_batch(self):
        """The others are answered."""
        made = assembler([("X", FP32, (1,))], [("Y", FP32, (1,))])
        batch = made.gather([request(X=rows(1)), request(X=rows(2))])
        error = InvalidRequest("bad pixel")
        batch.fail(0, error)
        batch.set_parameters(1, {"note": "fine"})
        first, second = made.scatter(batch, [rows(1, 2)])

        assert first is error
        assert second.parameters == {"note": "fine"}


class TestRespond:
    """One of several responses to a request."""

    def test_a_response_has_what_was_sent(self):
        """In the model's order; outputs may be missing."""
        made = assembler([("X", FP32, (1,))], [(name, FP32, (1,)) for name in "ABC"])
        answer = made.respond(request(X=rows(1)), {"C": rows(3), "A": rows(1)}, {"note": 1})

        assert [tensor.name for tensor in answer.outputs] == ["A", "C"]
        assert answer.outputs[1].array().tolist() == [[3]]
        assert (answer.model_name, answer.model_version, answer.id) == ("m", "3", "r")
        assert answer.parameters == {"note": 1}

    def test_a_response_has_only_what_was_asked_for(self):
        """In the order it was asked for."""
        made = assembler([("X", FP32, (1,))], [(name, FP32, (1,)) for name in "ABC"])
        sent = {name: rows(1) for name in "ABC"}
        answer = made.respond(request(["C", "A"], X=rows(1)), sent)

        assert [tensor.name for tensor in answer.outputs] == ["C", "A"]
        assert answer.parameters is None or answer.parameters == {}

    def test_the_number_of_rows_is_the_backends(self):
        """It need not be the request's."""
        made = assembler([("X", FP32, (1,))], [("Y", FP32, (1,))])
        answer = made.respond(request(X=rows(1, 2)), {"Y": rows(1, 2, 3)})

        assert answer.outputs[0].shape == (3, 1)

    def test_an_output_is_reshaped_for_the_client(self):
        """From ``reshape`` back to ``dims``."""
        made = assembler([("X", FP32, (1,))], [("Y", FP32, (2,), {"reshape": (1, 2, 1)})])
        answer = made.respond(request(X=rows(1)), {"Y": np.zeros((1, 1, 2, 1), np.float32)})

        assert answer.outputs[0].shape == (1, 2)

    @pytest.mark.parametrize(
        ("outputs", "text"),
        [
            ({"Z": rows(1)}, "model 'm' sent output 'Z', which its configuration does not have"),
            (
                {"Y": rows(1).astype(np.int32)},
                "returned output 'Y' as int32, but the model configuration specifies FP32",
            ),
        ],
    )
    def test_outputs_that_break_the_contract_are_refused(self, outputs, text):
        """Model and output are named."""
        made = assembler([("X", FP32, (1,))], [("Y", FP32, (1,))])

        with pytest.raises(BackendError, match=text):
            made.respond(request(X=rows(1)), outputs)


class TestShapeKey:
    """Which requests may share a batch."""

    def test_fixed_shapes_always_match(self):
        """Nothing is computed for them."""
        made = assembler([("X", FP32, (1,))], [("Y", FP32, (1,))])

        assert made.shape_key(request(X=rows(1))) == made.shape_key(request(X=rows(1, 2)))

    def test_variable_shapes_match_when_equal_behind_the_batch(self):
        """The number of rows does not matter."""
        made = assembler([("X", FP32, (-1,))], [("Y", FP32, (1,))])
        key = made.shape_key(request(X=np.zeros((1, 3), np.float32)))

        assert key == made.shape_key(request(X=np.zeros((2, 3), np.float32)))
        assert key != made.shape_key(request(X=np.zeros((1, 4), np.float32)))

    def test_a_missing_optional_input_does_not_match_a_present_one(self):
        """A batch has the same inputs in every row."""
        made = assembler([("X", FP32, (1,)), ("Z", FP32, (1,), {"optional": True})], [])

        assert made.shape_key(request(X=rows(1))) != made.shape_key(request(X=rows(1), Z=rows(1)))


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6), width=st.integers(0, 3))
def test_scatter_undoes_gather(sizes, width):
    """Whatever the batch, each request gets back the rows it sent."""
    made = assembler([("X", FP32, (width,))], [("Y", FP32, (width,))], max_batch_size=100)
    sent = [np.random.default_rng(0).random((size, width), np.float32) for size in sizes]
    batch = made.gather([request(X=array) for array in sent])
    assert isinstance(batch, Batch)
    answers = made.scatter(batch, [batch.inputs["X"]])

    for array, answer in zip(sent, answers, strict=True):
        assert np.array_equal(answer.outputs[0].array(), array)
