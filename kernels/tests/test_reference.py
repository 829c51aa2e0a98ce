"""Tests of the NumPy kernels against plain Python and exact arithmetic."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inferd_kernels import Scaling
from inferd_kernels.reference import (
    gather_rows,
    resize_bilinear,
    scale_to_chw,
    scale_to_hwc,
    scatter_rows,
    top_k,
)


def sorted_places(row: Sequence[float]) -> list[int]:
    """Sort places by value, greatest first, NaNs last, equal values by place."""
    return sorted(
        range(len(row)), key=lambda i: (math.isnan(row[i]), -row[i] if row[i] == row[i] else 0, i)
    )


def exactly_resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Interpolate one channel in float64, straight from the definition."""

    def place(i: int, length: int, target: int) -> tuple[int, int, float]:
        centre = (i + 0.5) * length / target - 0.5
        near = math.floor(centre)
        clip = lambda j: min(max(j, 0), length - 1)  # noqa: E731
        return clip(near), clip(near + 1), centre - near

    out = np.empty((height, width))
    for i in range(height):
        top, bottom, down = place(i, image.shape[0], height)
        for j in range(width):
            left, right, across = place(j, image.shape[1], width)
            upper = image[top, left] * (1 - across) + image[top, right] * across
            lower = image[bottom, left] * (1 - across) + image[bottom, right] * across
            out[i, j] = upper * (1 - down) + lower * down
    return out


class TestTopK:
    """Which values are the greatest."""

    @given(st.lists(st.floats(width=32), min_size=1, max_size=30), st.integers(1, 35))
    def test_order_is_that_of_a_stable_sort(self, row: list[float], k: int) -> None:
        """Floats come in descending order, NaNs last, equal ones by place."""
        values, indices = top_k(np.array([row], np.float32), k)

        assert indices[0].tolist() == sorted_places(row)[:k]
        assert np.array_equal(values[0], np.array(row, np.float32)[indices[0]], equal_nan=True)

    @pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, np.uint64])
    def test_extreme_integers_keep_their_order(self, dtype: type) -> None:
        """The least and the greatest integer of a dtype are ordered like any other."""
        info = np.iinfo(dtype)

        values, _ = top_k(np.array([[1, info.min, info.max]], dtype), 3)

        assert values.tolist() == [[info.max, 1, info.min]]

    def test_k_beyond_the_row_gives_the_row(self) -> None:
        """A k of more than a row holds gives all of it."""
        assert top_k(np.array([[1, 3, 2]]), 4)[1].tolist() == [[1, 2, 0]]

    def test_empty_rows_have_no_greatest(self) -> None:
        """Rows without values give rows without values."""
        assert top_k(np.empty((2, 0), np.float32), 1)[0].shape == (2, 0)


class TestResize:
    """What resized images look like."""

    @given(
        st.integers(1, 6), st.integers(1, 6), st.integers(1, 9), st.integers(1, 9),
        st.randoms(use_true_random=False),
    )  # fmt: skip
    def test_result_is_within_one_grey_level(
        self, height: int, width: int, new_height: int, new_width: int, random: object
    ) -> None:
        """A resized pixel is the exact interpolation to one grey level."""
        pixels = [random.randrange(256) for _ in range(height * width)]  # type: ignore[attr-defined]
        image = np.array(pixels, np.uint8).reshape(height, width)

        resized = resize_bilinear(image[None, :, :, None], (new_height, new_width))[0, :, :, 0]

        assert np.abs(resized - exactly_resized(image, new_height, new_width)).max() <= 1

    @pytest.mark.parametrize("level", [0, 255])
    def test_flat_images_stay_flat(self, level: int) -> None:
        """An image of one colour keeps it at any size: nothing over- or underflows."""
        image = np.full((1, 7, 5, 3), level, np.uint8)

        assert (resize_bilinear(image, (13, 11)) == level).all()

    def test_same_size_changes_nothing(self) -> None:
        """Resizing to the size an image has gives the image."""
        image = np.arange(60, dtype=np.uint8).reshape(1, 4, 5, 3)

        assert np.array_equal(resize_bilinear(image, (4, 5)), image)


class TestScale:
    """What scaled images look like."""

    def test_result_is_what_the_image_client_computes(self) -> None:
        """INCEPTION is x / 127.5 - 1 in float32, to the bit."""
        image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
        out = np.empty((1, 16, 16, 1), np.float32)

        scale_to_hwc(image, out, Scaling.INCEPTION)

        assert np.array_equal(out, image.astype(np.float32) / np.float32(127.5) - np.float32(1))

    def test_planes_hold_one_channel_each(self) -> None:
        """Channels first means one plane per channel."""
        image = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
        out = np.empty((1, 3, 2, 2), np.float32)

        scale_to_chw(image, out, Scaling.NONE)

        assert out[0, 1].tolist() == [[1, 4], [7, 10]]


class TestRows:
    """Gathering a batch and cutting it up again."""

    @given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(0, 3))
    def test_gathered_parts_come_back(self, sizes: list[int], room: int) -> None:
        """Parts gathered into a roomy buffer and cut again are what they were."""
        parts = [np.full((size, 2), i, np.int32) for i, size in enumerate(sizes)]
        buffer = np.full((sum(sizes) + room, 2), -1, np.int32)

        again = scatter_rows(gather_rows(parts, buffer), sizes)

        assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
        assert all(np.shares_memory(part, buffer) for part in again if part.size)
        assert (buffer[sum(sizes) :] == -1).all()

    def test_bytes_objects_are_rows_too(self) -> None:
        """Object arrays, as BYTES tensors are, gather like numbers."""
        parts = [np.array([[b"a"]], object), np.array([[b"bc"], [b""]], object)]

        batch = gather_rows(parts, np.empty((3, 1), object))

        assert batch.tolist() == [[b"a"], [b"bc"], [b""]]

    def test_other_dtypes_are_refused(self) -> None:
        """Gathering never converts."""
        with pytest.raises(TypeError):
            gather_rows([np.zeros((1, 2), np.int32)], np.zeros((1, 2), np.int64))

    def test_one_row_too_many_is_refused(self) -> None:
        """A buffer that is one row short is refused."""
        with pytest.raises(ValueError, match="shape"):
            gather_rows([np.zeros((3, 2))], np.zeros((2, 2)))

    @pytest.mark.parametrize("sizes", [[1, 1], [2, 2]])
    def test_sizes_must_add_up(self, sizes: list[int]) -> None:
        """Parts of one row less or more than the batch are refused."""
        with pytest.raises(ValueError, match=f"parts of {sum(sizes)} rows cannot be cut from 3"):
            scatter_rows(np.zeros((3, 1)), sizes)
