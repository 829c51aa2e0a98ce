"""A request is checked against its model, with the reference's texts."""

import re

import numpy as np
import pytest

from inferd._generated.inference import (
    DataType,
    ModelConfig,
    ModelInput,
    ModelOutput,
    ModelTensorReshape,
)
from inferd.errors import InvalidRequest
from inferd.protocol.messages import InferRequest, RequestedOutput
from inferd.protocol.signature import Signature, exchange_dims
from inferd.protocol.tensors import Tensor

INT32, STRING = DataType.TYPE_INT32, DataType.TYPE_STRING


def signature(max_batch_size=8, optional=False, inputs=("A", "B"), data_type=INT32, dims=(2,)):
    """Return the signature of a small config."""
    return Signature.from_config(
        ModelConfig(
            name="m",
            max_batch_size=max_batch_size,
            input=[
                ModelInput(
                    name=name,
                    data_type=data_type,
                    dims=list(dims),
                    optional=optional and name != inputs[0],
                )
                for name in inputs
            ],
            output=[ModelOutput(name="Y", data_type=INT32, dims=[2], label_filename="l.txt")],
        )
    )


def tensor(name="A", shape=(1, 2), datatype="INT32", raw=None):
    """Return a raw tensor of the right size unless told otherwise."""
    return Tensor(name, datatype, shape, raw=bytes(4 * int(np.prod(shape))) if raw is None else raw)


def request(*tensors, outputs=(), id=""):
    """Return a request with these inputs."""
    return InferRequest(
        "m",
        {one.name: one for one in tensors},
        id=id,
        outputs=[RequestedOutput(name) for name in outputs],
    )


def refusal(checked, *tensors, **more):
    """Return the text with which a request is refused."""
    with pytest.raises(InvalidRequest) as caught:
        checked.check(request(*tensors, **more))
    return caught.value.message


PREFIX = "[request id: <id_unknown>] "


class TestAccepts:
    """Requests that fit."""

    def test_rows_are_counted(self):
        """The batch dimension is the request's size."""
        made = request(tensor("A", (8, 2)), tensor("B", (8, 2)))
        signature().check(made)

        assert made.batch_size == 8

    def test_without_batching_a_request_counts_as_one(self):
        """The shape is the model's own."""
        made = request(tensor("A", (2,)), tensor("B", (2,)))
        signature(max_batch_size=0).check(made)

        assert made.batch_size == 1

    def test_optional_inputs_may_be_left_out(self):
        """Only the required ones count."""
        signature(optional=True).check(request(tensor("A")))

    def test_a_request_may_have_no_rows(self):
        """It is executed as it is."""
        made = request(tensor("A", (0, 2)), tensor("B", (0, 2)))
        signature().check(made)

        assert made.batch_size == 0

    def test_variable_dimensions_take_any_size(self):
        """Zero included."""
        signature(inputs=("A",), dims=(-1,)).check(request(tensor("A", (1, 0))))

    def test_an_array_needs_no_byte_count(self):
        """JSON data was already fitted to its shape."""
        array = np.zeros((1, 2), np.int32)
        signature(inputs=("A",)).check(request(Tensor("A", "INT32", (1, 2), array=array)))

    def test_checked_strings_are_decoded_once(self):
        """The elements are at hand for the backend."""
        made = request(tensor("A", (1, 2), "BYTES", b"\x01\x00\x00\x00a\x00\x00\x00\x00"))
        signature(inputs=("A",), data_type=STRING).check(made)

        assert made.inputs["A"].array().tolist() == [[b"a", b""]]


class TestRefuses:
    """Requests that do not fit; the texts are Triton's."""

    def test_the_request_id_is_in_the_text(self):
        """So that a client of many requests knows which."""
        assert refusal(signature(), tensor("A"), id="42").startswith("[request id: 42] ")

    def test_an_unknown_input(self):
        """Without the request id; the number of inputs is looked at before."""
        assert (
            refusal(signature(), tensor("A"), tensor("X"))
            == "unexpected inference input 'X' for model 'm'"
        )

    def test_too_many_inputs(self):
        """The number is wrong before a name is."""
        assert refusal(signature(), tensor("A"), tensor("B"), tensor("X")).startswith(
            PREFIX + "expected 2 inputs but got 3 inputs for model 'm'. "
            "Got input(s) ['A','B','X'], but missing required input(s) []."
        )

    def test_a_required_input_replaced_by_an_optional_one(self):
        """The number is right, and one is missing all the same."""
        assert "missing required input(s) ['A']" in refusal(signature(optional=True), tensor("B"))

    def test_an_unknown_output(self):
        """Without the request id."""
        assert (
            refusal(signature(), outputs=["Z"]) == "unexpected inference output 'Z' for model 'm'"
        )

    def test_a_missing_input(self):
        """What came and what is missing."""
        assert refusal(signature(), tensor("A")) == (
            PREFIX + "expected 2 inputs but got 1 inputs for model 'm'. Got input(s) ['A'], but "
            "missing required input(s) ['B']. Please provide all required input(s)."
        )

    def test_a_missing_input_beside_optional_ones(self):
        """The expected number is a range."""
        assert refusal(signature(optional=True)) == (
            PREFIX + "expected number of inputs between 1 and 2 but got 0 inputs for model 'm'. "
            "Got input(s) [], but missing required input(s) ['A']. Please provide all required "
            "input(s)."
        )

    def test_another_datatype(self):
        """What came and what the model takes."""
        assert refusal(signature(inputs=("A",)), tensor(datatype="FP32")) == (
            PREFIX + "inference input 'A' data-type is 'FP32', but model 'm' expects 'INT32'"
        )

    def test_a_datatype_that_does_not_exist(self):
        """It is not repeated."""
        assert "data-type is '<invalid>'" in refusal(
            signature(inputs=("A",)), tensor(datatype="FLOAT")
        )

    def test_a_first_dimension_taken_for_the_batch(self):
        """The batch size is looked at before the shape."""
        assert refusal(signature(inputs=("A",)), tensor(shape=(16,))) == (
            PREFIX + "inference request batch-size must be <= 8 for 'm'"
        )

    def test_no_batch_dimension(self):
        """A scalar for a model that batches."""
        assert refusal(signature(inputs=("A",)), tensor(shape=())) == (
            PREFIX + "input 'A' has no shape but model requires batch dimension for 'm'"
        )

    def test_different_batch_sizes(self):
        """All inputs have the same rows."""
        for first, second in ((1, 2), (0, 2)):
            assert refusal(signature(), tensor("A", (first, 2)), tensor("B", (second, 2))) == (
                PREFIX + "input 'B' batch size does not match other inputs for 'm'"
            )

    def test_one_row_too_many(self):
        """max_batch_size itself is allowed."""
        signature(inputs=("A",)).check(request(tensor(shape=(8, 2))))

        assert refusal(signature(inputs=("A",)), tensor(shape=(9, 2))) == (
            PREFIX + "inference request batch-size must be <= 8 for 'm'"
        )

    @pytest.mark.parametrize("shape", [(1, 3), (1,), (1, 2, 1)])
    def test_another_shape_of_a_batching_model(self, shape):
        """With the note on the batch dimension."""
        got = ",".join(map(str, shape))
        text = refusal(signature(inputs=("A",)), tensor(shape=shape))

        assert text.startswith(
            PREFIX + "unexpected shape for input 'A' for model 'm'. Expected [-1,2], got "
            f"[{got}]. NOTE: Setting a non-zero max_batch_size"
        )

    def test_another_shape_of_a_model_that_does_not_batch(self):
        """Without the note."""
        assert refusal(signature(0, inputs=("A",)), tensor(shape=(3,))) == (
            PREFIX + "unexpected shape for input 'A' for model 'm'. Expected [2], got [3]."
        )

    def test_a_wildcard_dimension(self):
        """Requests have sizes, configs have wildcards."""
        assert refusal(signature(0, inputs=("A",)), tensor(shape=(-1,), raw=b"")) == (
            PREFIX
            + "All input dimensions should be specified for input 'A' for model 'm', got [-1]"
        )

    def test_too_few_and_too_many_bytes(self):
        """What the shape needs and what came."""
        for size in (7, 9):
            assert refusal(signature(inputs=("A",)), tensor(raw=bytes(size))) == (
                PREFIX + "input byte size mismatch for input 'A' for model 'm'. Expected 8, got "
                f"{size}"
            )

    @pytest.mark.parametrize(
        ("raw", "text"),
        [
            (
                b"\x01",
                "incomplete string length indicator for inference input 'A' for model 'm', "
                "expecting 4 bytes but only 1 bytes available. Please make sure the string length "
                "indicator is in one buffer.",
            ),
            (
                b"\x05\x00\x00\x00a",
                "incomplete string data for inference input 'A' for model 'm', expecting string "
                "of length 5 but only 1 bytes available",
            ),
            (
                bytes(4),
                "expected 2 string elements for inference input 'A' for model 'm', got 1",
            ),
            (
                bytes(12),
                "unexpected number of string elements 3 for inference input 'A' for model 'm', "
                "expecting 2",
            ),
        ],
    )
    def test_strings_that_do_not_fit(self, raw, text):
        """Lengths, contents and counts."""
        checked = signature(inputs=("A",), data_type=STRING)

        assert refusal(checked, tensor(datatype="BYTES", raw=raw)) == PREFIX + text


def test_the_client_sees_the_batch_dimension():
    """As -1 in front, only when the model batches."""
    batching, plain = signature(), signature(max_batch_size=0)

    assert batching.full_shape(batching.inputs["A"]) == [-1, 2]
    assert plain.full_shape(plain.inputs["A"]) == [2]
    assert batching.outputs["Y"].label_filename == "l.txt"


def test_reshape_is_kept_for_the_backend():
    """An empty one is not the same as none."""
    config = ModelConfig(
        name="m",
        input=[ModelInput(name="A", data_type=INT32, dims=[1], reshape=ModelTensorReshape())],
    )

    assert Signature.from_config(config).inputs["A"].reshape == ()
    assert re.fullmatch("A", *Signature.from_config(config).inputs)


@pytest.mark.parametrize(
    ("shape", "source", "target", "batches", "expected"),
    [
        ((2, 3), (2, 3), (6,), False, (6,)),
        ((8, 2, 3), (2, 3), (6,), True, (8, 6)),
        ((8, 5, 7), (-1, -1), (-1, 1, -1), True, (8, 5, 1, 7)),
        ((8, 1), (1,), (), True, (8,)),
        ((6,), (6,), (2, -1), False, (2, -1)),
    ],
)
def test_a_shape_on_the_other_side_of_a_reshape(shape, source, target, batches, expected):
    """The batch stays, variable dimensions pass in order."""
    assert exchange_dims(shape, source, target, batches=batches) == expected
