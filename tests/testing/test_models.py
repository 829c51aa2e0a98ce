"""Sample models describe themselves the way a config does."""

import numpy as np
import pytest

from inferd._generated.inference import DataType, ModelTensorReshape
from inferd.protocol.datatypes import BY_CONFIG
from inferd.testing import models


class TestAddSub:
    """OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1."""

    def test_expected(self):
        """The answer is the sum and the difference."""
        sample = models.add_sub("any", datatype=DataType.TYPE_INT32)
        inputs = sample.inputs(2)

        outputs = sample.expected(inputs)

        assert (outputs["OUTPUT0"] == inputs["INPUT0"] + inputs["INPUT1"]).all()
        assert (outputs["OUTPUT1"] == inputs["INPUT0"] - inputs["INPUT1"]).all()

    def test_inputs_have_a_batch_dimension(self):
        """Inputs are shaped as the model's graph gets them."""
        assert models.add_sub("any").inputs(3)["INPUT1"].shape == (3, 16)

    def test_inputs_without_batching(self):
        """A model that does not batch has no batch dimension."""
        assert models.add_sub("any", max_batch_size=0).inputs(3)["INPUT0"].shape == (16,)

    def test_refused_inputs_do_not_fit(self):
        """The inputs to be refused have another shape than the config's."""
        sample = models.add_sub("any")

        assert sample.refused is not None
        assert {array.shape[1:] for array in sample.refused.values()} == {(3, 5)}


class TestIdentity:
    """OUTPUTi = INPUTi."""

    def test_expected(self):
        """The answer is the inputs under the outputs' names."""
        sample = models.identity("any", tensors=3)
        inputs = sample.inputs(1)

        outputs = sample.expected(inputs)

        assert list(outputs) == ["OUTPUT0", "OUTPUT1", "OUTPUT2"]
        assert outputs["OUTPUT2"] is inputs["INPUT2"]

    @pytest.mark.parametrize("datatype", list(BY_CONFIG))
    def test_inputs_of_every_datatype(self, datatype):
        """Generated inputs have the datatype's NumPy type and a size for variable dimensions."""
        array = models.identity("any", datatype=datatype).inputs(2)["INPUT0"]

        assert array.dtype == BY_CONFIG[datatype].dtype
        assert array.shape == (2, 3)

    def test_bytes_are_bytes(self):
        """BYTES elements are what the backend contract says they are."""
        array = models.identity("any", datatype=DataType.TYPE_STRING).inputs(1)["INPUT0"]

        assert {type(element) for element in array.flat} == {bytes}

    def test_seeds_differ(self):
        """Two requests can be told apart by their inputs, and a seed gives the same again."""
        sample = models.identity("any")

        assert (sample.inputs(8, 1)["INPUT0"] == sample.inputs(8, 1)["INPUT0"]).all()
        assert (sample.inputs(8, 1)["INPUT0"] != sample.inputs(8, 2)["INPUT0"]).any()

    def test_reshape(self):
        """Inputs have the shape the backend sees, not the client's."""
        sample = models.identity("any")
        sample.config.input[0].reshape = ModelTensorReshape(shape=[1, -1])

        assert sample.inputs(2)["INPUT0"].shape == (2, 1, 3)


def test_random_inputs_are_small():
    """Sums of inputs stay within the range of every datatype."""
    array = models.add_sub("any", datatype=DataType.TYPE_INT8).inputs(64)["INPUT0"]

    assert array.min() >= 0
    assert array.max() < 64
    assert array.dtype == np.int8
