"""Tests every set of kernels must pass: the bits of the reference, whatever the memory layout."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from inferd_kernels import KernelSet, Scaling, reference

# The fixture is one object for the whole session, so examples may share it.
examples = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

NUMBERS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]

images_of = npst.arrays(
    np.uint8, st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 9), st.integers(1, 4))
)


def rearranged(array: np.ndarray, layout: str) -> np.ndarray:
    """Return the same values in another memory layout."""
    if layout == "mirrored":
        return array[..., ::-1].copy()[..., ::-1]
    if layout == "gapped":
        return np.repeat(array, 2, axis=0)[::2]
    if layout == "swapped":
        return array.swapaxes(0, 1).copy().swapaxes(0, 1)
    if layout == "read-only":
        array = array.copy()
        array.flags.writeable = False
    return array


layouts = st.sampled_from(["plain", "mirrored", "gapped", "swapped", "read-only"])


class TestScale:
    """Scaling images."""

    @examples
    @given(images=images_of, layout=layouts, scaling=st.sampled_from(Scaling))
    def test_chw_equals_the_reference(
        self, kernels: KernelSet, images: np.ndarray, layout: str, scaling: Scaling
    ) -> None:
        """Planes of any images are those of the reference, to the bit."""
        if scaling is Scaling.VGG and images.shape[3] not in (1, 3):
            images = images[..., :1]
        count, height, width, channels = images.shape
        expected, actual = np.full((2, count, channels, height, width), np.nan, np.float32)

        reference.scale_to_chw(images, expected, scaling)
        kernels.scale_to_chw(rearranged(images, layout), actual, scaling)

        assert np.array_equal(actual, expected)

    @examples
    @given(images=images_of, layout=layouts, scaling=st.sampled_from(Scaling))
    def test_hwc_equals_the_reference(
        self, kernels: KernelSet, images: np.ndarray, layout: str, scaling: Scaling
    ) -> None:
        """Pixels of any images are those of the reference, to the bit."""
        if scaling is Scaling.VGG and images.shape[3] not in (1, 3):
            images = images[..., :1]
        expected, actual = np.full((2, *images.shape), np.nan, np.float32)

        reference.scale_to_hwc(images, expected, scaling)
        kernels.scale_to_hwc(rearranged(images, layout), actual, scaling)

        assert np.array_equal(actual, expected)

    def test_every_grey_level_is_exact(self, kernels: KernelSet) -> None:
        """All 256 levels become what the definition says, to the bit."""
        images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
        out = np.empty((1, 1, 16, 16), np.float32)

        kernels.scale_to_chw(images, out, Scaling.INCEPTION)

        levels = np.arange(256, dtype=np.float32)
        assert np.array_equal(out.ravel(), levels / np.float32(127.5) - np.float32(1))

    @pytest.mark.parametrize("kernel", ["scale_to_chw", "scale_to_hwc"])
    def test_out_of_another_dtype_is_refused(self, kernels: KernelSet, kernel: str) -> None:
        """Only float32 is written."""
        images = np.zeros((1, 2, 2, 2), np.uint8)

        with pytest.raises(TypeError, match="out must be float32, not float64"):
            getattr(kernels, kernel)(images, np.empty((1, 2, 2, 2)), Scaling.NONE)

    @pytest.mark.parametrize("kernel", ["scale_to_chw", "scale_to_hwc"])
    def test_out_of_another_shape_is_refused(self, kernels: KernelSet, kernel: str) -> None:
        """A missing image is noticed before anything is written."""
        out = np.empty((1, 3, 3, 3), np.float32)

        with pytest.raises(ValueError, match=r"out must have shape \[2, 3, 3, 3\]"):
            getattr(kernels, kernel)(np.zeros((2, 3, 3, 3), np.uint8), out, Scaling.NONE)

    @pytest.mark.parametrize("kernel", ["scale_to_chw", "scale_to_hwc"])
    def test_out_with_gaps_is_refused(self, kernels: KernelSet, kernel: str) -> None:
        """Results go into one piece of memory."""
        out = np.empty((1, 3, 3, 6), np.float32)[..., ::2]

        with pytest.raises(ValueError, match="out must be C-contiguous"):
            getattr(kernels, kernel)(np.zeros((1, 3, 3, 3), np.uint8), out, Scaling.NONE)

    @pytest.mark.parametrize("kernel", ["scale_to_chw", "scale_to_hwc"])
    def test_other_than_batches_of_images_is_refused(self, kernels: KernelSet, kernel: str) -> None:
        """A single image without its batch dimension is refused, and so are floats."""
        out = np.empty((1, 3, 3, 3), np.float32)

        with pytest.raises(ValueError, match=r"images must have shape \[N, H, W, C\]"):
            getattr(kernels, kernel)(np.zeros((3, 3, 3), np.uint8), out, Scaling.NONE)
        with pytest.raises(TypeError, match="images must be uint8, not float32"):
            getattr(kernels, kernel)(out, out, Scaling.NONE)


class TestResize:
    """Resizing images."""

    @examples
    @given(images=images_of, layout=layouts, size=st.tuples(st.integers(1, 20), st.integers(1, 20)))
    def test_result_equals_the_reference(
        self, kernels: KernelSet, images: np.ndarray, layout: str, size: tuple[int, int]
    ) -> None:
        """Resized images are those of the reference, to the bit."""
        if 0 in images.shape[1:3]:
            images = np.ones((1, 1, 1, 3), np.uint8)

        actual = kernels.resize_bilinear(rearranged(images, layout), size)

        assert np.array_equal(actual, reference.resize_bilinear(images, size))

    def test_large_images_equal_the_reference(self, kernels: KernelSet) -> None:
        """Images of several blocks of threads are right at every edge."""
        images = np.random.default_rng(7).integers(0, 256, (3, 97, 131, 3), dtype=np.uint8)

        actual = kernels.resize_bilinear(images, (150, 260))

        assert np.array_equal(actual, reference.resize_bilinear(images, (150, 260)))

    @pytest.mark.parametrize("size", [(0, 1), (1, 0)])
    def test_sizes_below_one_are_refused(self, kernels: KernelSet, size: tuple[int, int]) -> None:
        """Nothing is resized to nothing."""
        with pytest.raises(ValueError, match="size must be at least 1 by 1"):
            kernels.resize_bilinear(np.zeros((1, 1, 1, 1), np.uint8), size)

    def test_images_without_pixels_are_refused(self, kernels: KernelSet) -> None:
        """Nothing can't be resized."""
        with pytest.raises(ValueError, match="without pixels"):
            kernels.resize_bilinear(np.zeros((1, 0, 4, 3), np.uint8), (1, 1))


class TestTopK:
    """The greatest of each row."""

    @pytest.mark.parametrize("dtype", NUMBERS)
    @examples
    @given(data=st.data(), layout=layouts, k=st.integers(1, 12))
    def test_result_equals_the_reference(
        self, kernels: KernelSet, dtype: str, data: st.DataObject, layout: str, k: int
    ) -> None:
        """Values and places are those of the reference for every dtype, NaNs included."""
        shape = st.tuples(st.integers(0, 3), st.integers(0, 10))
        values = data.draw(npst.arrays(np.dtype(dtype), shape))

        expected = reference.top_k(values, k)
        actual = kernels.top_k(rearranged(values, layout), k)

        assert actual[1].tolist() == expected[1].tolist()
        assert actual[0].dtype == values.dtype
        assert actual[0].tobytes() == expected[0].tobytes()

    @pytest.mark.parametrize("k", [1, 5, 999, 1000, 1001])
    def test_long_rows_equal_the_reference(self, kernels: KernelSet, k: int) -> None:
        """Rows longer than a block of threads, full of equal values, are right at every k."""
        generator = np.random.default_rng(3)
        values = generator.integers(-4, 4, (5, 1000)).astype(np.float32)
        values[1] = np.nan
        values[2, ::3] = np.nan
        values[3, ::2] = -np.inf
        values[4, ::2] = -0.0

        assert np.array_equal(kernels.top_k(values, k)[1], reference.top_k(values, k)[1])

    def test_k_of_zero_is_refused(self, kernels: KernelSet) -> None:
        """At least one value is asked for."""
        with pytest.raises(ValueError, match="k must be at least 1, not 0"):
            kernels.top_k(np.zeros((1, 2)), 0)

    @pytest.mark.parametrize("dtype", ["c8", "O", "S3", "g"])
    def test_other_than_numbers_is_refused(self, kernels: KernelSet, dtype: str) -> None:
        """Values without an order, or wider than 64 bits, are refused."""
        with pytest.raises(TypeError, match="numbers of at most 64 bits"):
            kernels.top_k(np.zeros((1, 2), dtype), 1)

    def test_other_than_rows_is_refused(self, kernels: KernelSet) -> None:
        """A single row without its batch dimension is refused."""
        with pytest.raises(ValueError, match=r"values must have shape \[N, M\]"):
            kernels.top_k(np.zeros(3), 1)


class TestThreads:
    """Kernels called by several threads at once."""

    def test_threads_do_not_disturb_each_other(self, kernels: KernelSet) -> None:
        """Four threads that scale and sort at the same time each get their own answer."""
        wrong: list[int] = []

        def work(seed: int) -> None:
            generator = np.random.default_rng(seed)
            images = generator.integers(0, 256, (2, 31, 17, 3), dtype=np.uint8)
            expected, actual = np.empty((2, 2, 3, 31, 17), np.float32)
            reference.scale_to_chw(images, expected, Scaling.INCEPTION)
            for _ in range(20):
                kernels.scale_to_chw(images, actual, Scaling.INCEPTION)
                if not np.array_equal(actual, expected):
                    wrong.append(seed)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert wrong == []
