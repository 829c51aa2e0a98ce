"""Padding to common shapes, and cutting back."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from inferd.scheduling.collation import CollatedInput, cut_back, elements

BUCKETS = (4, 8)


class TestKey:
    """Which shapes may share a batch."""

    def test_padding_joins_any_lengths(self):
        """Rows and padded axes do not matter, the others do."""
        padded = CollatedInput((1,))

        assert padded.key((1, 3, 2)) == padded.key((5, 9, 2))
        assert padded.key((1, 3, 2)) != padded.key((1, 3, 4))

    @pytest.mark.parametrize(
        ("one", "other", "equal"),
        [(1, 4, True), (4, 5, False), (5, 8, True), (8, 9, False), (9, 9, True), (9, 10, False)],
    )
    def test_buckets_join_the_lengths_up_to_their_own(self, one, other, equal):
        """A length beyond the last bucket is a bucket of its own."""
        padded = CollatedInput((1,), buckets=BUCKETS)

        assert (padded.key((1, one)) == padded.key((2, other))) is equal


class TestTarget:
    """What requests are padded to."""

    def test_the_longest_request_counts(self):
        """On every padded axis by itself; the rows add up."""
        padded = CollatedInput((1, 2))

        assert padded.target([(1, 3, 2), (2, 1, 5)]) == (3, 3, 5)

    @pytest.mark.parametrize(("length", "target"), [(0, 4), (4, 4), (5, 8), (8, 8), (9, 9)])
    def test_a_single_request_is_padded_to_its_bucket(self, length, target):
        """The model sees few shapes; what is longer than all buckets is left alone."""
        assert CollatedInput((1,), buckets=BUCKETS).target([(1, length)]) == (1, target)

    def test_without_buckets_a_single_request_is_not_padded(self):
        """There is nothing to share."""
        assert CollatedInput((1,)).target([(2, 3)]) == (2, 3)


class TestPadded:
    """The arrays below each other."""

    def test_the_pad_value_fills_the_end(self):
        """Of every axis."""
        arrays = [np.array([[[1, 2]]], np.int32), np.array([[[3], [4]]], np.int32)]
        joined = CollatedInput((1, 2), -1).padded(arrays, (2, 2, 2))

        assert joined.tolist() == [[[1, 2], [-1, -1]], [[3, -1], [4, -1]]]
        assert joined.dtype == np.int32

    def test_text_is_padded_with_text(self):
        """BYTES are object arrays."""
        arrays = [np.array([[b"a"]], object), np.array([[b"b", b"c"]], object)]

        assert CollatedInput((1,), b"-").padded(arrays, (2, 2)).tolist() == [
            [b"a", b"-"],
            [b"b", b"c"],
        ]


@given(
    shapes=st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=5),
    axes=st.sampled_from([(1,), (2,), (1, 2)]),
    buckets=st.sampled_from([(), (2, 3)]),
)
def test_cutting_undoes_padding(shapes, axes, buckets):
    """Requests of one key get back what they sent, bit for bit, and nothing is lost of it."""
    padded = CollatedInput(axes, np.float32(-7), buckets)
    shapes = [shape for shape in shapes if padded.key(shape) == padded.key(shapes[0])]
    random = np.random.default_rng(0)
    arrays = [random.random(shape, np.float32) for shape in shapes]
    target = padded.target(shapes)
    joined = padded.padded(arrays, target)
    row = 0
    for array in arrays:
        part = joined[row : row + array.shape[0]]
        row += array.shape[0]
        lengths = {axis: array.shape[axis] for axis in axes}
        assert np.array_equal(cut_back(part, lengths), array)

    assert np.count_nonzero(joined == -7) == elements([target]) - elements(shapes)
