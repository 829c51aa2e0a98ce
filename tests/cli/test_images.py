"""Tests of turning pictures into tensors."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inferd._generated.inference import ModelInputFormat
from inferd.cli.clients.client import UsageError
from inferd.cli.images import Layout, read_image

FP32 = np.dtype(np.float32)


@pytest.mark.parametrize(
    ("dims", "image_format", "layout"),
    [
        ((3, 4, 5), ModelInputFormat.NCHW, Layout(4, 5, 3, True)),
        ((4, 5, 3), ModelInputFormat.NHWC, Layout(4, 5, 3, False)),
        ((1, 4, 5), ModelInputFormat.NONE, Layout(4, 5, 1, True)),
        ((4, 5, 1), ModelInputFormat.NONE, Layout(4, 5, 1, False)),
        ((3, 3, 3), ModelInputFormat.NHWC, Layout(3, 3, 3, False)),
        ((-1, -1, 3), ModelInputFormat.NONE, Layout(-1, -1, 3, False)),
    ],
)
def test_layout(dims, image_format, layout):
    """The config says where the channels are; without it the dimension of 1 or 3 does."""
    assert Layout.of(dims, image_format) == layout


@pytest.mark.parametrize("dims", [(2, 2), (1, 3, 2, 2), (2, 4, 4), (4, 4, 4)])
def test_shape_that_is_no_picture(dims):
    """Other ranks and other channel counts are refused."""
    with pytest.raises(UsageError):
        Layout.of(dims, ModelInputFormat.NONE)


@pytest.fixture
def gradient(tmp_path):
    """Write a 4x2 picture whose red grows to the right; return its path."""
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[:, :, 0] = [0, 80, 160, 240]
    path = tmp_path / "gradient.png"
    Image.fromarray(pixels).save(path)
    return path


def test_bilinear_resize(gradient):
    """A picture is resized with a bilinear filter, not by dropping pixels."""
    tensor = read_image(gradient, Layout(2, 2, 3, False), FP32, "NONE")
    assert tensor.shape == (2, 2, 3)
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor[0, :, 0], [57, 183])


def test_channels_first(gradient):
    """A CHW tensor holds the same pixels with the channels in front."""
    last = read_image(gradient, Layout(2, 4, 3, False), FP32, "NONE")
    first = read_image(gradient, Layout(2, 4, 3, True), FP32, "NONE")
    np.testing.assert_array_equal(first, last.transpose(2, 0, 1))


def test_a_variable_size_keeps_the_pictures_own(gradient):
    """A dimension of -1 takes the picture as it is."""
    assert read_image(gradient, Layout(-1, -1, 3, False), FP32, "NONE").shape == (2, 4, 3)


def test_grey_with_vgg_mean(gradient):
    """One channel takes the picture's luma, and VGG scaling subtracts 128 from it."""
    luma = read_image(gradient, Layout(2, 4, 1, False), FP32, "NONE")
    assert luma.shape == (2, 4, 1)
    np.testing.assert_array_equal(luma[0, :, 0], [0, 24, 48, 72])
    vgg = read_image(gradient, Layout(2, 4, 1, False), FP32, "VGG")
    np.testing.assert_array_equal(vgg, luma - 128)


def test_integer_inputs_keep_their_pixels(gradient):
    """A UINT8 input receives the pixels unscaled."""
    tensor = read_image(gradient, Layout(2, 4, 3, False), np.dtype(np.uint8), "NONE")
    assert tensor.dtype == np.uint8
    assert tensor[0, 3, 0] == 240


def test_missing_file():
    """A file that is not there is named."""
    with pytest.raises(UsageError, match=r"nowhere\.png"):
        read_image(Path("nowhere.png"), Layout(1, 1, 3, True), FP32, "NONE")


def test_without_pillow(gradient, monkeypatch):
    """A missing Pillow is said together with how to get it."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UsageError, match=r"pip install 'inferd\[images\]'"):
        read_image(gradient, Layout(1, 1, 3, True), FP32, "NONE")
