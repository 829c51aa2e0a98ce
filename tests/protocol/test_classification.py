"""Classes instead of tensors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inferd.errors import InvalidRequest
from inferd.protocol.classification import MAX_ELEMENTS, classify
from inferd.protocol.datatypes import BY_NAME
from inferd.protocol.tensors import Tensor

_TYPES = [name for name in BY_NAME if name not in ("BYTES", "FP16", "BF16", "BOOL")]


def _tensor(name, array):
    return Tensor("Y", name, array.shape, array=array)


def test_the_format_of_floating_point_classes():
    """Six decimals, the index, and the label where there is one."""
    output = _tensor("FP32", np.array([[0.1, 12.5, -3]], np.float32))
    result = classify(output, 3, ["a", "b", ""], batches=True)
    assert (result.name, result.datatype, result.shape) == ("Y", "BYTES", (1, 3))
    assert result.array().tolist() == [[b"12.500000:1:b", b"0.100000:0:a", b"-3.000000:2"]]


def test_the_format_of_integer_classes():
    """Integers are exact, the extremes included; labels may be missing."""
    array = np.array([0, 2**64 - 1], np.uint64)
    result = classify(_tensor("UINT64", array), 9, ["only"], batches=False)
    assert result.shape == (2,)
    assert result.array().tolist() == [b"18446744073709551615:1", b"0:0:only"]
    array = np.array([-128, 127], np.int8)
    result = classify(_tensor("INT8", array), 1, [], batches=False)
    assert result.array().tolist() == [b"127:1"]


def test_equal_values_are_ordered_by_index():
    """A tie goes to the lower index, also where only some of the equals are returned."""
    result = classify(_tensor("INT32", np.zeros(100, np.int32)), 3, [], batches=False)
    assert result.array().tolist() == [b"0:0", b"0:1", b"0:2"]


def test_nan_comes_last():
    """What is not a number is never the best class."""
    array = np.full(40, np.nan)
    array[30] = 1
    result = classify(_tensor("FP64", array), 2, [], batches=False)
    assert result.array().tolist() == [b"1.000000:30", b"nan:0"]


@st.composite
def _outputs(draw):
    name = draw(st.sampled_from(_TYPES))
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=40))
    elements = (
        st.integers(0, 5)
        if draw(st.booleans())
        else hnp.from_dtype(BY_NAME[name].dtype, allow_nan=False)
    )
    return name, draw(hnp.arrays(BY_NAME[name].dtype, shape, elements=elements))


@given(_outputs(), st.integers(1, 50), st.booleans())
def test_the_best_classes_of_each_row(drawn, count, batches):
    """Every row agrees with sorting it by value and index."""
    name, array = drawn
    result = classify(_tensor(name, array), count, [], batches=batches)
    rows = array.reshape(array.shape[0], int(np.prod(array.shape[1:]))) if batches else None
    rows = rows if rows is not None else array.reshape(1, array.size)
    best = min(count, rows.shape[1])
    assert result.shape == ((array.shape[0], best) if batches else (best,))
    got = result.array().reshape(len(rows), best)
    for row, line in zip(rows.tolist(), got.tolist(), strict=True):
        order = sorted(range(len(row)), key=lambda index: (-row[index], index))[:best]
        assert [int(text.split(b":")[1]) for text in line] == order


@pytest.mark.parametrize("name", ["BYTES", "FP16", "BF16", "BOOL"])
def test_datatypes_that_have_no_order(name):
    """The error names the datatype."""
    with pytest.raises(InvalidRequest) as caught:
        classify(Tensor("Y", name, (1,), raw=b""), 1, [], batches=False)
    assert caught.value.message == (
        f"class result not available for output due to unsupported type '{name}'"
    )


def test_the_number_of_classes_is_bounded():
    """A million classes per row are taken, one more is refused."""
    array = np.zeros((1, MAX_ELEMENTS), np.uint8)
    assert classify(_tensor("UINT8", array), 1, [], batches=True).shape == (1, 1)
    array = np.zeros((1, MAX_ELEMENTS + 1), np.uint8)
    with pytest.raises(InvalidRequest, match=r"^classification output tensor too large$"):
        classify(_tensor("UINT8", array), 1, [], batches=True)
