"""BYTES inputs become the strings of ONNX, and bytes that are none fail their own request."""

import numpy as np
import pytest
from inferd_backend_onnx.text import decode_inputs

from inferd.backend import Batch
from inferd.errors import InvalidRequest
from inferd.protocol.messages import InferRequest
from inferd.protocol.tensors import Tensor

MESSAGE = (
    "input 'X' of model 'm' holds bytes that are not UTF-8, which the strings of an ONNX model are"
)


def texts(rows: list[list[bytes]]) -> np.ndarray:
    """Return a BYTES tensor."""
    array = np.empty((len(rows), len(rows[0])), object)
    array[:] = rows
    return array


def batch(inputs: dict, rows=(1,)) -> Batch:
    """Return a batch of requests with these numbers of rows."""
    requests = [InferRequest("m", {}) for _ in rows]
    for request, count in zip(requests, rows, strict=True):
        request.batch_size = count
    return Batch(inputs, ["Y"], sum(rows), requests)


class TestText:
    """Elements that are UTF-8."""

    @pytest.mark.parametrize("element", [b"", b"abc", b"a\0b", b"ends\0", "hé☃".encode()])
    def test_decoded(self, element):
        """Every element arrives whole, NULs and all."""
        feed = decode_inputs(batch({"X": texts([[element]])}), ["X"], "m")

        assert feed["X"].tolist() == [[element.decode()]]
        assert feed["X"].dtype == object

    def test_scalar(self):
        """A scalar stays an array."""
        scalar = np.empty((), object)
        scalar[()] = b"x"

        feed = decode_inputs(batch({"X": scalar}), ["X"], "m")

        assert feed["X"].shape == ()
        assert feed["X"].item() == "x"

    def test_no_elements(self):
        """A tensor without elements keeps its shape."""
        feed = decode_inputs(batch({"X": np.empty((0, 3), object)}), ["X"], "m")

        assert feed["X"].shape == (0, 3)

    def test_other_inputs(self):
        """Inputs that are not text, and text inputs left out, are no concern."""
        number = np.ones(1)
        feed = decode_inputs(batch({"N": number}), ["X"], "m")

        assert feed == {"N": number}

    def test_batch_is_left_alone(self):
        """The batch keeps its own inputs."""
        given = batch({"X": texts([[b"a"]])})

        decode_inputs(given, ["X"], "m")

        assert given.inputs["X"].tolist() == [[b"a"]]


class TestOtherBytes:
    """Elements that are not UTF-8."""

    def test_single_request(self):
        """A lone request with such bytes is refused, naming input and model."""
        with pytest.raises(InvalidRequest) as caught:
            decode_inputs(batch({"X": texts([[b"\xff"]])}), ["X"], "m")

        assert caught.value.message == MESSAGE

    def test_only_its_own_request_fails(self):
        """Others in the batch are executed, and nothing else takes the bad rows' place."""
        given = batch({"X": texts([[b"\xff"], [b"1"], [b"2"], [b"3"]])}, rows=(1, 2, 1))

        feed = decode_inputs(given, ["X"], "m")

        assert feed["X"].tolist() == [["1"], ["1"], ["2"], ["3"]]
        assert given.failures is not None
        assert [(i, str(error)) for i, error in given.failures.items()] == [(0, MESSAGE)]
        assert isinstance(given.failures[0], InvalidRequest)

    def test_bad_rows_of_a_long_request(self):
        """One bad element fails its whole request, whichever row it is in."""
        given = batch({"X": texts([[b"1"], [b"2"], [b"\xff"], [b"4"]])}, rows=(1, 3))

        feed = decode_inputs(given, ["X"], "m")

        assert feed["X"].tolist() == [["1"], ["1"], ["1"], ["1"]]
        assert list(given.failures or ()) == [1]

    def test_two_inputs(self):
        """A request is failed once, and its rows are replaced in every text input."""
        given = batch({"X": texts([[b"a"], [b"b"]]), "Z": texts([[b"c"], [b"\xff"]])}, rows=(1, 1))

        feed = decode_inputs(given, ["X", "Z"], "m")

        assert feed["X"].tolist() == [["a"], ["a"]]
        assert feed["Z"].tolist() == [["c"], ["c"]]
        assert "input 'Z'" in str((given.failures or {})[1])

    def test_request_without_rows(self):
        """A request of no rows lends none to others."""
        given = batch({"X": texts([[b"\xff"], [b"1"]])}, rows=(0, 1, 1))

        feed = decode_inputs(given, ["X"], "m")

        assert feed["X"].tolist() == [["1"], ["1"]]
        assert list(given.failures or ()) == [1]

    def test_no_request_is_left(self):
        """When all are bad, nothing is executed."""
        given = batch({"X": texts([[b"\xff"], [b"\xfe"]])}, rows=(1, 1))

        with pytest.raises(InvalidRequest):
            decode_inputs(given, ["X"], "m")

    def test_model_that_does_not_batch(self):
        """Without a batch dimension the one request has the whole tensor, scalars too."""
        scalar = np.empty((), object)
        scalar[()] = b"\xff"

        with pytest.raises(InvalidRequest):
            decode_inputs(batch({"X": scalar}), ["X"], "m")


class TestRagged:
    """Text inputs in one dimension, which hold every element of every request."""

    @staticmethod
    def given(elements: list[bytes], counts: list[int]) -> Batch:
        """Return a batch of one-row requests with these numbers of elements."""
        made = batch({"X": np.array(elements, object)}, rows=(1,) * len(counts))
        for request, count in zip(made.requests, counts, strict=True):
            request.inputs["X"] = Tensor("X", "BYTES", (1, count))
        return made

    def test_only_its_own_request_fails(self):
        """Elements belong to the request that sent them, however many each has."""
        given = self.given([b"1", b"2", b"\xff", b"4"], [2, 0, 2])

        feed = decode_inputs(given, ["X"], "m")

        assert feed["X"].tolist() == ["1", "2", "1", "1"]
        assert list(given.failures or ()) == [2]

    def test_the_others_have_no_elements(self):
        """Empty strings take the place of the bad ones then."""
        given = self.given([b"\xff", b"\xfe"], [0, 2])

        assert decode_inputs(given, ["X"], "m")["X"].tolist() == ["", ""]
        assert list(given.failures or ()) == [1]
