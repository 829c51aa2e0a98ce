"""Batch inputs tell the shapes of a batch's requests; batch outputs are split by them."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from inferd._generated.inference import (
    BatchInput,
    BatchInputKind,
    BatchOutput,
    DataType,
    ModelConfig,
    ModelOutput,
    ModelTensorReshape,
)
from inferd.scheduling.batch_inputs import BatchInputSpec, batch_inputs, batch_outputs

SHAPES = [(1, 2), (1, 4), (1, 1), (1, 3)]
"""Those of the requests in Triton's own test of batch inputs."""


def spec(kind, *, batches=True, dtype="<i4"):
    """Return a batch input about X."""
    return BatchInputSpec(BatchInputKind[kind], ("T",), "X", np.dtype(dtype), batches)


@pytest.mark.parametrize("dtype", ["<i4", "<f4"])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("BATCH_ELEMENT_COUNT", [2, 4, 1, 3]),
        ("BATCH_ACCUMULATED_ELEMENT_COUNT", [2, 6, 7, 10]),
        ("BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO", [0, 2, 6, 7, 10]),
        ("BATCH_MAX_ELEMENT_COUNT_AS_SHAPE", [0, 0, 0, 0]),
        ("BATCH_ITEM_SHAPE", [[2], [4], [1], [3]]),
        ("BATCH_ITEM_SHAPE_FLATTEN", [2, 4, 1, 3]),
    ],
)
def test_each_kind_has_tritons_values(kind, expected, dtype):
    """Of the datatype the config says."""
    array = spec(kind, dtype=dtype).array(SHAPES)

    assert array.tolist() == expected
    assert array.dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("BATCH_ELEMENT_COUNT", [6, 4]),
        ("BATCH_ACCUMULATED_ELEMENT_COUNT", [6, 10]),
        ("BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO", [0, 6, 10]),
        ("BATCH_MAX_ELEMENT_COUNT_AS_SHAPE", [0] * 6),
        ("BATCH_ITEM_SHAPE", [[3, 1], [3, 1], [2, 2]]),
        ("BATCH_ITEM_SHAPE_FLATTEN", [3, 1, 3, 1, 2, 2]),
    ],
)
def test_counts_are_per_request_and_shapes_per_row(kind, expected):
    """The example of Triton's documentation: a request of two rows and one of one row."""
    assert spec(kind).array([(2, 3, 1), (1, 2, 2)]).tolist() == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("BATCH_ELEMENT_COUNT", [6]),
        ("BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO", [0, 6]),
        ("BATCH_ITEM_SHAPE", [[2, 3]]),
        ("BATCH_ITEM_SHAPE_FLATTEN", [2, 3]),
    ],
)
def test_without_a_batch_dimension_the_request_is_one_item(kind, expected):
    """All of its shape counts."""
    assert spec(kind, batches=False).array([(2, 3)]).tolist() == expected


def test_large_float_counts_are_summed_exactly():
    """Sums beyond 2^24 are rounded once, at the end."""
    made = spec("BATCH_ACCUMULATED_ELEMENT_COUNT", dtype="<f4")

    assert made.array([(2**24,), (1,), (1,)]).tolist() == [2**24, 2**24, 2**24 + 2]


@given(
    shapes=st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=5),
)
def test_the_kinds_agree(shapes):
    """Whatever the shapes, the kinds say the same about them."""
    counts = spec("BATCH_ELEMENT_COUNT").array(shapes)
    ends = spec("BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO").array(shapes)
    items = spec("BATCH_ITEM_SHAPE").array(shapes)

    assert np.diff(ends).tolist() == counts.tolist()
    assert ends[1:].tolist() == spec("BATCH_ACCUMULATED_ELEMENT_COUNT").array(shapes).tolist()
    assert spec("BATCH_MAX_ELEMENT_COUNT_AS_SHAPE").array(shapes).shape == (counts.max(),)
    assert items.shape == (sum(shape[0] for shape in shapes), 2)
    assert sum(math.prod(item) for item in items.tolist()) == counts.sum()
    assert spec("BATCH_ITEM_SHAPE_FLATTEN").array(shapes).tolist() == items.ravel().tolist()


def output(name, dims, reshape=None):
    """Return an output of a config."""
    return ModelOutput(
        name=name, dims=dims, reshape=None if reshape is None else ModelTensorReshape(shape=reshape)
    )


class TestFromConfig:
    """What a config says."""

    def test_batch_inputs(self):
        """Every entry with all its targets."""
        config = ModelConfig(
            max_batch_size=4,
            batch_input=[
                BatchInput(
                    kind=BatchInputKind.BATCH_ITEM_SHAPE,
                    target_name=["A", "B"],
                    data_type=DataType.TYPE_FP32,
                    source_input=["X"],
                )
            ],
        )

        (made,) = batch_inputs(config)

        assert made == BatchInputSpec(
            BatchInputKind.BATCH_ITEM_SHAPE, ("A", "B"), "X", np.dtype("<f4"), True
        )

    @pytest.mark.parametrize(
        ("promised", "batch", "source", "expected"),
        [
            (output("Y", [-1]), 4, (2, 3), (2, 3)),
            (output("Y", [7, -1]), 4, (2, 3, 5), (2, 7, 5)),
            (output("Y", [-1]), 0, (3,), (3,)),
            (output("Y", [8], [2, 4]), 4, (2, 3), (2, 2, 4)),
        ],
    )
    def test_variable_dimensions_of_an_output_are_the_inputs(
        self, promised, batch, source, expected
    ):
        """At the same place; fixed ones stay; the shape is the one the model sees."""
        config = ModelConfig(
            max_batch_size=batch,
            output=[promised, output("Z", [1])],
            batch_output=[BatchOutput(target_name=["Y"], source_input=["X"])],
        )

        found = batch_outputs(config)

        assert list(found) == ["Y"]
        assert found["Y"].source == "X"
        assert found["Y"].shape(source) == expected
