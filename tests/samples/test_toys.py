"""Tests of the toy models, run by ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest

from inferd.samples import toys


def run(model, **inputs):
    """Return the outputs of a serialized model."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


@pytest.mark.parametrize("batch", [1, 8])
def test_simple(batch):
    """OUTPUT0 is the sum and OUTPUT1 the difference, for any batch size."""
    left = np.arange(16 * batch, dtype=np.int32).reshape(batch, 16)
    right = np.full((batch, 16), 3, np.int32)
    total, difference = run(toys.simple(), INPUT0=left, INPUT1=right)
    np.testing.assert_array_equal(total, left + 3)
    np.testing.assert_array_equal(difference, left - 3)


def test_simple_int8_wraps_around():
    """Sums beyond the range of INT8 wrap around."""
    left, right = np.full((1, 16), 100, np.int8), np.full((1, 16), 100, np.int8)
    total, difference = run(toys.simple_int8(), INPUT0=left, INPUT1=right)
    assert total.dtype == np.int8
    assert set(total.ravel()) == {-56}
    assert set(difference.ravel()) == {0}


def test_simple_string():
    """Decimal texts are added and subtracted as numbers."""
    left = np.array([[str(number) for number in range(16)]], object)
    right = np.array([["-7"] * 16], object)
    total, difference = run(toys.simple_string(), INPUT0=left, INPUT1=right)
    assert total[0].tolist() == [str(number - 7) for number in range(16)]
    assert difference[0].tolist() == [str(number + 7) for number in range(16)]


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (1, 0)])
def test_simple_identity(shape):
    """Strings come back as they are, whatever their number."""
    values = np.resize(np.array(["", "hé\n"], object), shape)
    (output,) = run(toys.simple_identity(), INPUT0=values)
    np.testing.assert_array_equal(output, values)


@pytest.mark.parametrize(("start", "ready", "expected"), [(0, 1, 5), (1, 1, 6), (1, 0, 0)])
def test_simple_sequence(start, ready, expected):
    """The first request of a sequence gives its input plus one, a slot not in use gives 0."""
    inputs = {"INPUT": 5, "START": start, "READY": ready}
    (output,) = run(
        toys.simple_sequence(),
        **{name: np.array([[value]], np.int32) for name, value in inputs.items()},
    )
    assert output.tolist() == [[expected]]


@pytest.mark.parametrize(
    ("start", "end", "ready", "expected"), [(1, 0, 1, 6), (0, 1, 1, 1005), (0, 1, 0, 0)]
)
def test_simple_dyna_sequence(start, end, ready, expected):
    """The last request of a sequence gives its input plus the correlation id."""
    inputs = {"INPUT": 5, "START": start, "END": end, "READY": ready}
    (output,) = run(
        toys.simple_dyna_sequence(),
        CORRID=np.array([[1000]], np.uint64),
        **{name: np.array([[value]], np.int32) for name, value in inputs.items()},
    )
    assert output.tolist() == [[expected]]
