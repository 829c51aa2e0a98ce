"""Tests of the arithmetic all kernels share."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inferd_kernels.contract import (
    WEIGHT_ONE,
    Scaling,
    bilinear_taps,
    divisor_and_offsets,
    scaled_levels,
    stacked_taps,
)


class TestBilinearTaps:
    """Where each resized pixel lies between two pixels of a line."""

    def test_same_length_hits_every_pixel(self) -> None:
        """A line that keeps its length keeps its pixels."""
        near, _, weight = bilinear_taps(5, 5)

        assert near.tolist() == [0, 1, 2, 3, 4]
        assert weight.tolist() == [0, 0, 0, 0, 0]

    def test_half_length_lies_between_two(self) -> None:
        """Halving a line blends neighbours evenly."""
        near, far, weight = bilinear_taps(4, 2)

        assert near.tolist() == [0, 2]
        assert far.tolist() == [1, 3]
        assert weight.tolist() == [WEIGHT_ONE // 2] * 2

    def test_ends_repeat_the_outermost_pixel(self) -> None:
        """Beyond the centres of the outermost pixels there is only the outermost pixel."""
        near, far, _ = bilinear_taps(2, 4)

        assert near.tolist() == [0, 0, 0, 1]
        assert far.tolist() == [0, 1, 1, 1]

    @given(st.integers(1, 3000), st.integers(1, 3000))
    def test_weights_are_exact_to_half_a_step(self, length: int, target: int) -> None:
        """Near place plus weight is the exact position, to half of 1/2048."""
        near, _, weight = bilinear_taps(length, target)
        i = target // 2
        exact = Fraction((2 * i + 1) * length - target, 2 * target)

        got = int(near[i]) + Fraction(int(weight[i]), WEIGHT_ONE)
        assert exact < 0 or abs(got - exact) <= Fraction(1, 2 * WEIGHT_ONE)

    @given(st.integers(1, 500), st.integers(1, 500))
    def test_places_stay_within_the_line(self, length: int, target: int) -> None:
        """No kernel reads beside the line, and no weight is out of range."""
        near, far, weight = bilinear_taps(length, target)

        assert 0 <= near.min() <= far.max() < length
        assert 0 <= weight.min() <= weight.max() <= WEIGHT_ONE


class TestStackedTaps:
    """The same in bytes."""

    def test_each_channel_has_its_own_place(self) -> None:
        """Three channels make three neighbouring places per pixel."""
        near, far, weight = stacked_taps(2, 2, 3)

        assert near.tolist() == [0, 1, 2, 3, 4, 5]
        assert far.tolist() == [3, 4, 5, 3, 4, 5]
        assert weight.tolist() == [0] * 6


class TestScaling:
    """What a grey level becomes."""

    def test_none_leaves_levels_alone(self) -> None:
        """NONE makes 255 into 255.0."""
        assert scaled_levels(Scaling.NONE, 2)[1, 255] == 255

    def test_inception_spans_minus_one_to_one(self) -> None:
        """INCEPTION maps 0 to -1 and 255 to 1."""
        assert scaled_levels(Scaling.INCEPTION, 1)[0, [0, 255]].tolist() == [-1, 1]

    @pytest.mark.parametrize(("channels", "means"), [(1, [128]), (3, [123, 117, 104])])
    def test_vgg_takes_off_the_mean(self, channels: int, means: list[int]) -> None:
        """VGG takes the mean of each channel off."""
        assert scaled_levels(Scaling.VGG, channels)[:, 0].tolist() == [-mean for mean in means]

    @pytest.mark.parametrize("channels", [0, 2, 4])
    def test_vgg_knows_grey_and_rgb_only(self, channels: int) -> None:
        """VGG of any other number of channels is refused by number."""
        with pytest.raises(ValueError, match=f"1 or 3 channels, not {channels}"):
            divisor_and_offsets(Scaling.VGG, channels)
